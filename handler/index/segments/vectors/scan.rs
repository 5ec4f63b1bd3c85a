//! The search: every visible row passes three gates, each dearer and more exact than the one before.
//!
//! 1. *Signs*: the product with the query is estimated for 64 rows at a time, from one bit a number, with the error to expect.
//!    The rows that look best are scored exactly at once: the worst of them is the score to beat.
//! 2. *High bytes*: rows whose estimate plus some errors beats it are scored by the byte.
//! 3. *Both bytes*: rows that still beat it are scored as exactly as the file allows.
//!
//! So the number of rows looked at again follows from the vectors themselves: few when a question has clear neighbours, many
//! when all rows are about as far, as among random vectors. `over_sampling` is how many standard errors the second gate grants.

use tantivy::DocAddress;

use super::kernels::{Estimator, PLANES, above, differing_bits, estimates, product};
use super::rotation::length;
use super::{BLOCK, Vectors};
use crate::index::segments::best::Best;
use crate::index::segments::rows::RowSet;

/// Errors the second gate grants: a byte's rounding errors are even, and their sum is never this far off in practice.
const BYTE_ERRORS: f32 = 5.0;
/// Levels of a query's numbers in the first gate, which are odd multiples of half a step.
const LEVELS: f32 = 16.0;

/// What is searched of one segment.
pub struct Searched<'a> {
    /// The segment's place among those of the snapshot.
    pub segment: u32,
    /// Its embeddings.
    pub vectors: &'a Vectors,
    /// The rows that may be found.
    pub rows: &'a RowSet,
}

/// A query relative to one segment's mean.
struct Aimed {
    remainder: Vec<f32>,
    length: f32,
    /// The product of the whole query with the mean.
    mean_score: f32,
    planes: Vec<[u64; PLANES]>,
    estimator: Estimator,
}

/// The rows most like a query, best first, scored with the cosine; at most `limit`. `over_sampling` is in standard errors, from
/// about 1 (fast) to 3 (finds all). Segments with embeddings of another length are passed over.
pub fn nearest(searched: &[Searched<'_>], query: &[f32], over_sampling: f32, limit: usize) -> Vec<(f32, DocAddress)> {
    let mut fitting = searched.iter().filter(|searched| searched.vectors.layout.dimensions == query.len()).peekable();
    // All of one length have the same.
    let Some(rotated) = fitting.peek().map(|searched| searched.vectors.rotation.rotate(query)) else {
        return Vec::new();
    };
    let aimed: Vec<(&Searched<'_>, Aimed)> =
        fitting.map(|searched| (searched, searched.vectors.aim(&rotated, over_sampling))).collect();
    let mut likely = Best::new(limit);
    let mut highest: Vec<Vec<f32>> =
        aimed.iter().map(|(searched, aimed)| searched.estimate(aimed, &mut likely)).collect();
    let mut best = Best::new(limit);
    for (_, row) in likely.into_rows() {
        let place = aimed.iter().position(|(searched, _)| searched.segment == row.segment_ord);
        let Some(place) = place else { continue };
        let (searched, aimed) = &aimed[place];
        searched.look_closer(aimed, row.doc_id as usize, &mut best);
        highest[place][row.doc_id as usize] = f32::MIN;
    }
    for ((searched, aimed), highest) in aimed.iter().zip(&highest) {
        for (block, highest) in highest.chunks(BLOCK).enumerate() {
            let mut rows = above(highest, best.threshold());
            while rows != 0 {
                searched.look_closer(aimed, block * BLOCK + rows.trailing_zeros() as usize, &mut best);
                rows &= rows - 1;
            }
        }
    }
    best.into_rows()
}

impl Searched<'_> {
    /// The first gate: offers each visible row with its estimate, and tells for every row how high it may be, which is
    /// `f32::MIN` for those that are not visible.
    fn estimate(&self, aimed: &Aimed, likely: &mut Best) -> Vec<f32> {
        let (vectors, facts) = (self.vectors, self.vectors.facts());
        let mut highest = vec![f32::MIN; vectors.layout.rows];
        for (block, highest) in highest.chunks_mut(BLOCK).enumerate() {
            let mut rows = self.rows.word(block);
            if rows == 0 {
                continue;
            }
            let sums = differing_bits(vectors.bits(block), &aimed.planes);
            let (mut scores, mut bounds) = estimates(&sums, &facts[block * BLOCK..][..highest.len()], &aimed.estimator);
            if rows != u64::MAX {
                for at in (0..BLOCK).filter(|at| rows >> at & 1 == 0) {
                    (scores[at], bounds[at]) = (f32::MIN, f32::MIN);
                }
            }
            highest.copy_from_slice(&bounds[..highest.len()]);
            rows = above(&scores, likely.threshold());
            while rows != 0 {
                let at = rows.trailing_zeros() as usize;
                rows &= rows - 1;
                likely.offer(scores[at], DocAddress::new(self.segment, (block * BLOCK + at) as u32));
            }
        }
        highest
    }

    /// The second and third gate: offers a row with its score when that may be among the best.
    fn look_closer(&self, aimed: &Aimed, row: usize, best: &mut Best) {
        if let Some(score) = self.vectors.score(aimed, row, best.threshold()) {
            best.offer(score, DocAddress::new(self.segment, row as u32));
        }
    }
}

impl Vectors {
    /// The score of a row, unless it has none or is certainly not above `threshold`.
    fn score(&self, aimed: &Aimed, row: usize, threshold: f32) -> Option<f32> {
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

    fn aim(&self, rotated: &[f32], over_sampling: f32) -> Aimed {
        let mean = self.mean();
        let remainder: Vec<f32> = rotated.iter().zip(mean).map(|(query, mean)| query - mean).collect();
        let mean_score = rotated.iter().zip(mean).map(|(query, mean)| query * mean).sum();
        let highest = remainder.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let step = 2.0 * highest / LEVELS;
        let mut planes = vec![[0; PLANES]; remainder.len() / BLOCK];
        for (at, value) in remainder.iter().enumerate() {
            // None is below zero, so that what is cut off is what `floor` would.
            let level = ((value + highest) / step).min(LEVELS - 1.0) as usize;
            for (plane, word) in planes[at / BLOCK].iter_mut().enumerate() {
                *word |= ((level >> plane & 1) as u64) << (at % BLOCK);
            }
        }
        let length = length(&remainder);
        // A number of the query is half a step times (±1 ±2 ±4 ±8), a sign for each plane, and one of a row is ±1: their product
        // over all numbers is 15 a number, less twice the weight of the bits that differ.
        let (whole, half_step) = ((LEVELS - 1.0) * remainder.len() as f32, step / 2.0);
        let estimator = Estimator {
            base: mean_score,
            none_differ: half_step * whole,
            a_bit_differs: -2.0 * half_step,
            granted: over_sampling * length,
        };
        Aimed { length, mean_score, planes, estimator, remainder }
    }
}
