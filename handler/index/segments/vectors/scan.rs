//! The search: every visible row passes three gates, each dearer and more exact than the one before.
//!
//! 1. *Signs*: 64 rows at a time, the product with the query is estimated from one bit a number, with the error to expect.
//! 2. *High bytes*: rows whose estimate plus some errors reaches the best found so far are scored by the byte.
//! 3. *Both bytes*: rows that still reach it are scored as exactly as the file allows, and offered.
//!
//! So the number of rows looked at again follows from the vectors themselves: few when a question has clear neighbours, many
//! when all rows are about as far, as among random vectors. `over_sampling` is how many standard errors the first gate grants.

use tantivy::DocAddress;

use super::kernels::{PLANES, differing_bits, product};
use super::rotation::{Rotation, length};
use super::{BLOCK, Vectors};
use crate::index::segments::best::Best;
use crate::index::segments::snapshot::RowSet;

/// Errors the second gate grants: a byte's rounding errors are even, and their sum is never this far off in practice.
const BYTE_ERRORS: f32 = 5.0;
/// Levels of a query's numbers in the first gate, which are odd multiples of half a step.
const LEVELS: f32 = 16.0;

/// A query, ready for segments of its dimensions.
#[derive(Clone, Debug)]
pub struct VectorQuery {
    rotated: Vec<f32>,
    over_sampling: f32,
}

/// A query relative to one segment's mean.
struct Aimed {
    remainder: Vec<f32>,
    length: f32,
    /// The product of the whole query with the mean.
    mean_score: f32,
    planes: Vec<[u64; PLANES]>,
    /// Half a step of the levels in `planes`.
    half_step: f32,
}

impl VectorQuery {
    /// A query from an embedding; `over_sampling` in standard errors, from about 1 (fast) to 3 (finds all).
    pub fn new(values: &[f32], over_sampling: f32) -> Self {
        Self { rotated: Rotation::new(values.len()).rotate(values), over_sampling }
    }
}

impl Vectors {
    /// Offers the rows of `visible` that are most like the query, scored with the cosine. `segment` is this file's place
    /// among the segments of the snapshot. A query of another length finds nothing.
    pub fn scan(&self, segment: u32, query: &VectorQuery, visible: &RowSet, best: &mut Best) {
        if query.rotated.len() != self.layout.padded {
            return;
        }
        let aimed = self.aim(query);
        let facts = self.facts();
        for block in 0..self.layout.rows.div_ceil(BLOCK) {
            let mut candidates = visible.word(block);
            if candidates == 0 {
                continue;
            }
            let sums = differing_bits(self.bits(block), &aimed.planes);
            let facts = &facts[block * BLOCK..];
            candidates &= aimed.first_gate(&sums, facts, query.over_sampling, best.threshold());
            while candidates != 0 {
                let at = candidates.trailing_zeros() as usize;
                candidates &= candidates - 1;
                let row = block * BLOCK + at;
                if let Some(score) = self.closer_look(&aimed, row, best.threshold()) {
                    best.offer(score, DocAddress::new(segment, row as u32));
                }
            }
        }
    }

    /// The second and third gate.
    fn closer_look(&self, aimed: &Aimed, row: usize, threshold: f32) -> Option<f32> {
        let facts = self.facts()[row];
        if facts.step <= 0.0 {
            return None;
        }
        let base = aimed.mean_score + facts.offset;
        let high = product(&aimed.remainder, self.high_codes(row)) * 256.0 * facts.step;
        // A byte rounds evenly within a step of 256: a standard error of 256 / sqrt(12) for each number.
        let error = BYTE_ERRORS * 256.0 / 12.0_f32.sqrt() * facts.step * aimed.length;
        if base + high + error <= threshold {
            return None;
        }
        Some(base + high + product(&aimed.remainder, self.low_codes(row)) * facts.step)
    }

    fn aim(&self, query: &VectorQuery) -> Aimed {
        let mean = self.mean();
        let remainder: Vec<f32> = query.rotated.iter().zip(mean).map(|(query, mean)| query - mean).collect();
        let mean_score = query.rotated.iter().zip(mean).map(|(query, mean)| query * mean).sum();
        let highest = remainder.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let step = 2.0 * highest / LEVELS;
        let mut planes = vec![[0; PLANES]; remainder.len() / BLOCK];
        for (at, value) in remainder.iter().enumerate() {
            let level = ((value + highest) / step).floor().clamp(0.0, LEVELS - 1.0) as usize;
            for (plane, word) in planes[at / BLOCK].iter_mut().enumerate() {
                *word |= ((level >> plane & 1) as u64) << (at % BLOCK);
            }
        }
        Aimed { length: length(&remainder), mean_score, planes, half_step: step / 2.0, remainder }
    }
}

impl Aimed {
    /// Which of 64 rows may score above `threshold`, a bit for each. Rows past the end of `facts` may not.
    ///
    /// A number of the query is `half_step * (±1 ±2 ±4 ±8)`, a sign for each plane, and one of a row is `±1`: their product
    /// over all numbers is 15 a number, less twice the weight of the bits that differ.
    fn first_gate(&self, sums: &[u64; BLOCK], facts: &[super::Facts], over_sampling: f32, threshold: f32) -> u64 {
        let whole = (LEVELS - 1.0) * self.remainder.len() as f32;
        let granted = over_sampling * self.length;
        let mut passed = 0;
        for (at, (sum, facts)) in sums.iter().zip(facts).enumerate() {
            let signs = self.half_step * (whole - 2.0 * *sum as f32);
            let estimate = self.mean_score + facts.offset + facts.sign_scale * signs;
            passed |= u64::from(estimate + granted * facts.sign_error > threshold) << at;
        }
        passed
    }
}
