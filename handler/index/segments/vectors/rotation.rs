//! A fixed random rotation. It spreads what a model says in a few of its numbers evenly over all of them, so that one bit or
//! one byte of each number is worth the same. Angles and lengths stay as they were.
//!
//! Signs are flipped at random, then a Walsh-Hadamard transform mixes the numbers; a few rounds of that are as good as a
//! random orthogonal matrix and cost n log n. Where the length is no power of two, two overlapping windows are mixed.

use std::ops::Range;

use super::BLOCK;

/// Rounds of flipping and mixing; three are enough in theory, the fourth makes up for the windows.
const ROUNDS: u64 = 4;
/// The longest pair that counts as near.
const NEAR: usize = 16;
/// Part of the file format: another number here is another rotation.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The rotation for vectors of one length.
#[derive(Clone, Debug)]
pub struct Rotation {
    padded: usize,
    /// For each round, -1 or 1 for each number.
    signs: Vec<Vec<f32>>,
}

impl Rotation {
    /// The rotation for vectors of `dimensions` numbers.
    pub fn new(dimensions: usize) -> Self {
        let padded = padded(dimensions);
        let sign = |round: u64, at: usize| if mixed(round << 32 | at as u64) & 1 == 0 { 1.0 } else { -1.0 };
        let signs = (0..ROUNDS).map(|round| (0..padded).map(|at| sign(round, at)).collect()).collect();
        Self { padded, signs }
    }

    /// Rotates a vector made one unit long, with zeros added up to the padded length; a vector without length stays zero.
    pub fn rotate(&self, values: &[f32]) -> Vec<f32> {
        let mut rotated = vec![0.0; self.padded];
        let length = length(values);
        if length > 0.0 {
            rotated.iter_mut().zip(values).for_each(|(to, from)| *to = from / length);
        }
        for signs in &self.signs {
            flip(&mut rotated, signs);
            self.windows().for_each(|window| mix(&mut rotated[window]));
        }
        rotated
    }

    /// Undoes [`Self::rotate`], but for the length that was lost: the first `dimensions` numbers.
    pub fn undo(&self, rotated: &[f32], dimensions: usize) -> Vec<f32> {
        let mut values = rotated.to_vec();
        for signs in self.signs.iter().rev() {
            self.windows().rev().for_each(|window| mix(&mut values[window]));
            flip(&mut values, signs);
        }
        values.truncate(dimensions);
        values
    }

    /// The parts that are mixed one after another: the whole, or two halves that overlap.
    fn windows(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
        let size = 1 << self.padded.ilog2();
        let second = (size < self.padded).then_some(self.padded - size..self.padded);
        std::iter::once(0..size).chain(second)
    }
}

/// The length of codes for vectors of `dimensions` numbers: whole blocks of 64, because their bits fill whole words.
pub fn padded(dimensions: usize) -> usize {
    dimensions.max(1).next_multiple_of(BLOCK)
}

/// The Euclidean length.
pub fn length(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

fn flip(values: &mut [f32], signs: &[f32]) {
    values.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
}

/// The Walsh-Hadamard transform of a power of two of numbers, scaled so that doing it twice changes nothing.
fn mix(values: &mut [f32]) {
    mix_near::<2>(values);
    mix_near::<4>(values);
    mix_near::<8>(values);
    mix_near::<NEAR>(values);
    let mut half = NEAR;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, *low - *high);
            }
        }
        half *= 2;
    }
    let scale = 1.0 / (values.len() as f32).sqrt();
    values.iter_mut().for_each(|value| *value *= scale);
}

/// One step of the transform where the two halves of a pair are short: as a loop of known length it is a few instructions.
fn mix_near<const PAIR: usize>(values: &mut [f32]) {
    for pair in values.as_chunks_mut::<PAIR>().0 {
        for at in 0..PAIR / 2 {
            (pair[at], pair[at + PAIR / 2]) = (pair[at] + pair[at + PAIR / 2], pair[at] - pair[at + PAIR / 2]);
        }
    }
}

/// A well-mixed number for each number (the finalizer of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(SEED).wrapping_add(SEED);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(left: &[f32], right: &[f32]) -> f32 {
        left.iter().zip(right).map(|(left, right)| left * right).sum()
    }

    #[test]
    fn angles_stay_and_everything_is_spread() {
        for dimensions in [1, 3, 64, 384, 512, 1000, 1536] {
            let rotation = Rotation::new(dimensions);
            let one: Vec<f32> = (0..dimensions).map(|at| (at as f32 * 0.7).sin() + 0.2).collect();
            let mut other = vec![0.0; dimensions];
            other[dimensions / 2] = 3.0;
            let (turned, turned_other) = (rotation.rotate(&one), rotation.rotate(&other));
            assert_eq!(turned.len(), padded(dimensions));
            let expected = dot(&one, &other) / length(&one) / length(&other);
            assert!((dot(&turned, &turned_other) - expected).abs() < 1e-5, "{dimensions}");
            let highest = turned_other.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!(dimensions < 64 || highest < 6.0 / (padded(dimensions) as f32).sqrt(), "{dimensions}: {highest}");
        }
    }

    #[test]
    fn undoing_brings_the_direction_back() {
        let values: Vec<f32> = (0..384).map(|at| (at as f32).cos()).collect();
        let rotation = Rotation::new(384);
        let back = rotation.undo(&rotation.rotate(&values), 384);
        let length = length(&values);
        assert!(back.iter().zip(&values).all(|(back, value)| (back - value / length).abs() < 1e-6));
    }

    #[test]
    fn a_vector_without_length_stays_zero() {
        assert_eq!(Rotation::new(10).rotate(&[0.0; 10]), vec![0.0; 64]);
    }
}
