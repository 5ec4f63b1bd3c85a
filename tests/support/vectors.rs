//! Embeddings that nobody's model made, always the same for a seed: random ones, and ones in clusters.

use std::sync::Arc;

use knowledge_worker::document::{Embedding, EmbeddingSpace};

/// A source of numbers: the finalizer of SplitMix64 over a counter.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// About normally distributed, as the sum of four even numbers is.
    pub fn normal(&mut self) -> f32 {
        let even: f32 = (0..4).map(|_| (self.next() >> 40) as f32 / (1_u64 << 24) as f32 - 0.5).sum();
        even * 3.0_f32.sqrt()
    }

    pub fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        (0..dimensions).map(|_| self.normal()).collect()
    }
}

/// Vectors without any structure.
pub fn random(seed: u64, count: usize, dimensions: usize) -> Vec<Vec<f32>> {
    let mut chance = Chance::new(seed);
    (0..count).map(|_| chance.vector(dimensions)).collect()
}

/// Vectors around `clusters` centres, all of which lie to one side of the origin, as those of real models do.
pub fn clustered(seed: u64, count: usize, dimensions: usize, clusters: usize) -> Vec<Vec<f32>> {
    let mut chance = Chance::new(seed);
    let side = chance.vector(dimensions);
    let centres: Vec<Vec<f32>> = (0..clusters).map(|_| chance.vector(dimensions)).collect();
    let near = |chance: &mut Chance| {
        let centre = &centres[(chance.next() % clusters as u64) as usize];
        side.iter().zip(centre).map(|(side, centre)| side + centre + 0.3 * chance.normal()).collect()
    };
    (0..count).map(|_| near(&mut chance)).collect()
}

/// The vector as an embedding of a model.
pub fn embedding(model: &str, values: &[f32]) -> Embedding {
    let space = EmbeddingSpace { model: model.to_owned(), dimensions: values.len() as u32 };
    Embedding { space: Arc::new(space), values: values.to_vec() }
}

/// The places of the vectors most like `query`, best first, without any shortcut.
pub fn nearest(vectors: &[Vec<f32>], query: &[f32], limit: usize) -> Vec<usize> {
    let length = |values: &[f32]| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let cosine = |values: &[f32]| {
        let product: f64 = values.iter().zip(query).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum();
        product / length(values) / length(query)
    };
    let mut scored: Vec<(f64, usize)> = vectors.iter().map(|values| cosine(values)).zip(0..).collect();
    scored.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    scored.into_iter().take(limit).map(|(_, place)| place).collect()
}
