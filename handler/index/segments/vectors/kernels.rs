//! The two inner loops of the scan. Each is compiled for several generations of processors, and the best that this machine
//! has is chosen when it first runs.

use super::BLOCK;

/// Planes into which a query is cut: its numbers with four bits each.
pub const PLANES: usize = 4;

/// For each of 64 rows the weighted number of bits in which it differs from the planes of a query: a bit of plane `p` counts
/// `2^p`. `bits` holds a word of each row after another; `planes` holds all planes of a word together.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512vpopcntdq",
    "x86_64+avx2+bmi1+popcnt",
    "aarch64+neon"
))]
pub fn differing_bits(bits: &[u64], planes: &[[u64; PLANES]]) -> [u64; BLOCK] {
    let mut sums = [0_u64; BLOCK];
    for (words, planes) in bits.chunks_exact(BLOCK).zip(planes) {
        for (sum, word) in sums.iter_mut().zip(words) {
            let differing = |plane: usize| u64::from((word ^ planes[plane]).count_ones());
            *sum += differing(0) + 2 * (differing(1) + 2 * (differing(2) + 2 * differing(3)));
        }
    }
    sums
}

/// The product of a query and a row of codes, of equal lengths in whole blocks of 64.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn product(query: &[f32], codes: &[i8]) -> f32 {
    const LANES: usize = 32;
    // A sum for each lane: a single one would have to be added in order, one number at a time.
    let mut sums = [0.0_f32; LANES];
    for (query, codes) in query.chunks_exact(LANES).zip(codes.chunks_exact(LANES)) {
        for ((sum, query), code) in sums.iter_mut().zip(query).zip(codes) {
            *sum += query * f32::from(*code);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_differ_are_counted_with_their_weight() {
        let mut bits = [0_u64; 2 * BLOCK];
        bits[3] = 0b1011;
        bits[BLOCK + 3] = u64::MAX;
        let planes = [[0b0001, 0b0010, 0, 0b1000], [u64::MAX, 0, u64::MAX, u64::MAX]];
        let sums = differing_bits(&bits, &planes);
        // Row 3: word 0 differs in 2, 2, 3 and 2 bits, word 1 in 0, 64, 0 and 0.
        assert_eq!(sums[3], 2 + 2 * 2 + 4 * 3 + 8 * 2 + 2 * 64);
        // Row 0 is zero: it differs wherever a plane has a bit.
        assert_eq!(sums[0], 1 + 2 + 8 + 64 + 4 * 64 + 8 * 64);
    }

    #[test]
    fn products_are_those_of_school() {
        let query: Vec<f32> = (0..128).map(|at| at as f32 / 8.0 - 3.0).collect();
        let codes: Vec<i8> = (0..128_i16).map(|at| (at - 64) as i8).collect();
        let expected: f32 = query.iter().zip(&codes).map(|(query, code)| query * f32::from(*code)).sum();
        assert!((product(&query, &codes) - expected).abs() < 0.5, "{expected}");
    }
}
