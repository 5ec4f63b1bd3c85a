//! A second look at the best passages. What enters is a question with what the index found, what leaves is the same with the
//! first few in the order of a model that reads question and passage together. When that model is slow, gone or wrong, the
//! order stays.

use std::time::Duration;

use crate::chat::patience::Patience;
use crate::error::Result;
use crate::index::Hit;
use crate::models::rerank::Reranker;
use crate::telemetry::calls;

/// How passages get their second look.
#[derive(Debug)]
pub(super) struct Reranking {
    pub(super) model: Reranker,
    /// How many passages it looks at.
    pub(super) passages: usize,
    patience: Patience,
}

impl Reranking {
    pub(super) fn new(model: Reranker, passages: usize, wait: Duration) -> Self {
        Self { model, passages, patience: Patience::new(wait) }
    }

    /// Puts the first hits in the model's order. `Ok(false)` when it is being left alone after a failure.
    pub(super) async fn rerank(&self, question: &str, hits: &mut Vec<Hit>) -> Result<bool> {
        let looked_at = self.passages.min(hits.len());
        // One passage has no order that could be wrong.
        if looked_at < 2 {
            return Ok(true);
        }
        let texts: Vec<String> = hits[..looked_at].iter().map(|hit| hit.passage.in_context()).collect();
        let ask = |deadline| {
            let call = calls::outside("rerank", "rerank").with_model(self.model.name());
            call.run(self.model.scores(question, &texts, deadline))
        };
        let Some(scores) = self.patience.ask(ask).await else {
            return Ok(false);
        };
        let mut judged: Vec<(f32, Hit)> = scores?.into_iter().zip(hits.drain(..looked_at)).collect();
        // Stable, so that of equal scores the index's order stays.
        judged.sort_by(|(left, _), (right, _)| right.total_cmp(left));
        hits.splice(0..0, judged.into_iter().map(|(_, hit)| hit));
        Ok(true)
    }
}
