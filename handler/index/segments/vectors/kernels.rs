//! The inner loops of the scan. Each is compiled for several generations of processors, and the best that this machine
//! has is chosen when it first runs.

use super::{BLOCK, Facts};

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

/// What turns the bits in which a row differs from a query into an estimate of its score.
#[derive(Clone, Copy, Debug)]
pub struct Estimator {
    /// The score of a row that is nothing but the mean of its segment.
    pub base: f32,
    /// The product with a row's signs when no bit differs.
    pub none_differ: f32,
    /// What a bit that differs adds to it, of weight one.
    pub a_bit_differs: f32,
    /// How much error is granted, in the length of the query.
    pub granted: f32,
}

/// The estimated scores of up to 64 rows, and how high each may be with the error that is granted.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn estimates(sums: &[u64; BLOCK], facts: &[Facts], estimator: &Estimator) -> ([f32; BLOCK], [f32; BLOCK]) {
    let (mut scores, mut bounds) = ([f32::MIN; BLOCK], [f32::MIN; BLOCK]);
    for at in 0..facts.len().min(BLOCK) {
        let signs = estimator.none_differ + estimator.a_bit_differs * sums[at] as f32;
        scores[at] = estimator.base + facts[at].offset + facts[at].sign_scale * signs;
        bounds[at] = scores[at] + estimator.granted * facts[at].sign_error;
    }
    (scores, bounds)
}

/// The product of a query and a row of codes, of equal lengths in whole blocks of 64.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn product(query: &[f32], codes: &[i8]) -> f32 {
    const LANES: usize = 16;
    // A sum for each lane: a single one would have to be added in order, one number at a time.
    let mut sums = [0.0_f32; LANES];
    for (query, codes) in query.as_chunks::<LANES>().0.iter().zip(codes.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] += query[lane] * f32::from(codes[lane]);
        }
    }
    // One after another: where they are added two by two, the compiler keeps them in pairs all along, four times as slow.
    sums.iter().sum()
}

/// Which of up to 64 numbers are above a threshold, a bit for each.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
pub fn above(numbers: &[f32], threshold: f32) -> u64 {
    // First whether any is: most often none.
    let mut any = false;
    for number in numbers {
        any |= *number > threshold;
    }
    if !any {
        return 0;
    }
    let mut bits = 0;
    for (at, number) in numbers.iter().enumerate() {
        bits |= u64::from(*number > threshold) << at;
    }
    bits
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
    fn numbers_above_are_told_by_their_place() {
        let numbers: Vec<f32> = (0..64).map(|at| if at % 9 == 0 { 1.0 } else { -1.0 }).collect();
        assert_eq!(above(&numbers, 0.0), (0..64).step_by(9).map(|at| 1_u64 << at).sum::<u64>());
        assert_eq!((above(&numbers, 1.0), above(&numbers[..3], 0.5), above(&[], 0.0)), (0, 1, 0));
    }

    #[test]
    fn products_are_those_of_school() {
        let query: Vec<f32> = (0..128).map(|at| at as f32 / 8.0 - 3.0).collect();
        let codes: Vec<i8> = (0..128_i16).map(|at| (at - 64) as i8).collect();
        let expected: f32 = query.iter().zip(&codes).map(|(query, code)| query * f32::from(*code)).sum();
        assert!((product(&query, &codes) - expected).abs() < 0.5, "{expected}");
    }
}
