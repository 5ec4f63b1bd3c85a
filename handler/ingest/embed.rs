//! Passages get their embeddings. What enters are passages, what leaves is an embedding for each. What was paid for once is
//! kept in the record store under the text's hash: cutting anew, a retry after a crash or a copy of a document cost nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::Instant;

use super::ledger::LedgerRow;
use super::pipeline::Ingest;
use crate::document::{Embedding, EmbeddingSpace, Passage, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::models::embedding::EmbeddingModel;
use crate::stores::records::{Precondition, RecordStore};
use crate::telemetry::metrics;
use crate::telemetry::steps::step;

/// Raised whenever [`Passage::in_context`] says the same passage otherwise.
const TEXT_VERSION: u32 = 1;
/// How long an embedding is kept after it was paid for: longer than a change of settings and its reversal take.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How often the embeddings of a document are begun when the model behind a name becomes another one meanwhile.
const MAX_ROUNDS: u32 = 3;

/// Vectors by the hash of their text.
type Known = HashMap<String, Vec<f32>>;

/// Makes the embeddings of passages.
#[derive(Clone)]
pub struct Embedder {
    model: Arc<EmbeddingModel>,
    cache: Arc<dyn RecordStore>,
    price_per_million: Option<f64>,
}

/// What embedding some passages came to.
#[derive(Debug)]
pub struct Outcome {
    /// The embeddings in the order of the passages; or why there are none, which always passes.
    pub embeddings: Result<Vec<Embedding>>,
    /// Tokens that were paid, also when there are no embeddings.
    pub tokens: u64,
}

/// Some work under way: until when, what it has cost so far, and who wants to know.
struct Work<'a> {
    deadline: Instant,
    tokens: u64,
    progress: &'a (dyn Fn(usize) + Send + Sync),
}

impl fmt::Debug for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Embedder").field(&self.model).finish()
    }
}

impl Embedder {
    /// An embedder that keeps in `cache` what it was given. The price is that of a million tokens.
    pub fn new(model: Arc<EmbeddingModel>, cache: Arc<dyn RecordStore>, price_per_million: Option<f64>) -> Self {
        Self { model, cache, price_per_million }
    }

    /// The model that makes the embeddings.
    pub fn model(&self) -> &EmbeddingModel {
        &self.model
    }

    /// A word that changes with whatever changes the embeddings.
    pub fn word(&self) -> String {
        format!("embed-{TEXT_VERSION}-{}", self.model.word())
    }

    /// What tokens cost; none when nobody named a price.
    pub fn cost_of(&self, tokens: u64) -> Option<f64> {
        self.price_per_million.map(|price| price * tokens as f64 / 1e6)
    }

    /// The embeddings of some passages. A text that stands in several of them is sent once. `progress` is told of every
    /// batch how many texts it had.
    pub async fn embed(
        &self,
        passages: &[Passage],
        deadline: Instant,
        progress: &(dyn Fn(usize) + Send + Sync),
    ) -> Outcome {
        let mut work = Work { deadline, tokens: 0, progress };
        let embeddings = self.work(passages, &mut work).await.map_err(|e| {
            // Whatever a model server says, the document is not to blame.
            if e.is_passing() { e } else { Error::new(ErrorKind::ModelFailed, e.message().to_owned()).caused_by(e) }
        });
        Outcome { embeddings, tokens: work.tokens }
    }

    async fn work(&self, passages: &[Passage], work: &mut Work<'_>) -> Result<Vec<Embedding>> {
        let texts: Vec<String> = passages.iter().map(Passage::in_context).collect();
        let keys: Vec<String> = texts.iter().map(|text| content_hash(text.as_bytes())).collect();
        let mut known = self.kept(&keys).await?;
        for _ in 0..MAX_ROUNDS {
            let fresh = self.fetch(missing(&keys, &texts, &known), &mut known, work).await?;
            let length = fresh.or_else(|| known.values().next().map(Vec::len)).unwrap_or(0);
            if known.values().all(|vector| vector.len() == length) {
                return Ok(self.in_order(&keys, &known, length));
            }
            // Another model answers to the name by now: what was kept of the old one is of no use.
            let is_fresh = |vector: &Vec<f32>| fresh == Some(vector.len());
            known.retain(|_, vector| is_fresh(vector));
        }
        Err(Error::new(ErrorKind::ModelFailed, "the embedding model keeps changing the length of its vectors"))
    }

    /// Asks the model for what is missing and keeps each batch as it comes. The length of the new vectors, if there are any.
    async fn fetch(
        &self,
        missing: Vec<(String, String)>,
        known: &mut Known,
        work: &mut Work<'_>,
    ) -> Result<Option<usize>> {
        let (keys, texts): (Vec<String>, Vec<String>) = missing.into_iter().unzip();
        let (mut length, mut failure) = (None, None);
        let mut batches = pin!(self.model.batches(&texts, work.deadline));
        while let Some(batch) = batches.next().await {
            match batch {
                Ok(batch) => {
                    work.tokens += batch.embedded.tokens;
                    (work.progress)(batch.texts.len());
                    for (key, embedding) in keys[batch.texts].iter().zip(batch.embedded.embeddings) {
                        self.keep(key, &embedding.values).await?;
                        length = Some(embedding.values.len());
                        known.insert(key.clone(), embedding.values);
                    }
                }
                // The requests under way are paid for, whatever became of this one.
                Err(e) => failure = failure.or(Some(e)),
            }
        }
        failure.map_or(Ok(length), Err)
    }

    fn in_order(&self, keys: &[String], known: &Known, length: usize) -> Vec<Embedding> {
        let dimensions = u32::try_from(length).unwrap_or(u32::MAX);
        let space = Arc::new(EmbeddingSpace { model: self.model.name().to_owned(), dimensions });
        let values = keys.iter().filter_map(|key| known.get(key));
        values.map(|values| Embedding { space: Arc::clone(&space), values: values.clone() }).collect()
    }

    /// The part of the record store that holds the embedding of a text by this model. There are sixteen, by the first digit
    /// of the hash, because one partition of a shared store holds 20 GB: some two million embeddings.
    fn partition(&self, key: &str) -> String {
        format!("embeddings/{}/{}", self.model.word(), key.get(..1).unwrap_or_default())
    }

    /// What is there already. A record that cannot be read is none.
    async fn kept(&self, keys: &[String]) -> Result<Known> {
        let mut known = Known::new();
        for key in keys {
            if let Some(record) = self.cache.get(&self.partition(key), key).await?
                && let Some(vector) = vector_of(&record.body)
            {
                known.insert(key.clone(), vector);
            }
        }
        Ok(known)
    }

    async fn keep(&self, key: &str, vector: &[f32]) -> Result<()> {
        let body = body_of(vector);
        self.cache.put(&self.partition(key), key, &body, Precondition::Always, Some(KEPT)).await.map(|_| ())
    }
}

impl Ingest {
    /// When embedding ends in an invocation that begins now: so early that a document which takes longer fails, which passes,
    /// before the invocation is ended over it, which would count against the document. The next attempt finds what was paid.
    pub(super) fn embed_deadline(&self) -> Instant {
        Instant::now() + self.settings.lease.mul_f32(0.75)
    }

    /// The same in a run that begins no further document after `end`, and itself ends a fifth of the lease later.
    pub(super) fn embed_deadline_in_a_run(&self, end: Instant) -> Instant {
        self.embed_deadline().min(end + self.settings.lease.mul_f32(0.1))
    }

    /// The embeddings of a document's passages; none without an embedding model. What they cost goes into its row.
    pub(super) async fn embeddings(
        &self,
        row: &LedgerRow,
        passages: &[Passage],
        deadline: Instant,
    ) -> Result<Option<Vec<Embedding>>> {
        let Some(embedder) = &self.embedder else { return Ok(None) };
        let outcome = step("embed", embedder.embed(passages, deadline, &|_| {})).await;
        if outcome.tokens > 0 {
            let cost = embedder.cost_of(outcome.tokens);
            cost.into_iter().for_each(|cost| metrics::cost("embedding", cost));
            self.ledger.update(&row.id, &row.name, |row| row.pays(outcome.tokens, cost)).await?;
        }
        outcome.embeddings.map(Some)
    }
}

/// The texts whose vector is not known, each once, with their keys.
fn missing(keys: &[String], texts: &[String], known: &Known) -> Vec<(String, String)> {
    let mut seen = HashSet::new();
    let unknown = keys.iter().zip(texts).filter(|(key, _)| !known.contains_key(*key) && seen.insert(*key));
    unknown.map(|(key, text)| (key.clone(), text.clone())).collect()
}

/// A vector as a record keeps it: base64 of four bytes a number, the least significant first.
fn body_of(vector: &[f32]) -> Value {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    Value::String(STANDARD.encode(bytes))
}

fn vector_of(body: &Value) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(body.as_str()?).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    let vector: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    (rest.is_empty() && !vector.is_empty()).then_some(vector)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::fixture::passage;

    #[test]
    fn a_vector_comes_back_from_its_record() {
        let vector = vec![1.0, -0.5, f32::MIN_POSITIVE];
        assert_eq!(vector_of(&body_of(&vector)), Some(vector));
        for body in [json!(null), json!("?"), json!("AADA"), json!("")] {
            assert_eq!(vector_of(&body), None, "{body}");
        }
    }

    #[test]
    fn the_model_is_told_where_a_passage_stands() {
        let mut leave = passage("hr/handbook.md", 0, "Handbook > Annual leave", "It is 25 days.");
        assert_eq!(leave.in_context(), "Handbook\nAnnual leave\nIt is 25 days.", "the name of a file is no title");
        leave.title = "Handbook".to_owned();
        assert_eq!(leave.in_context(), "Handbook\nAnnual leave\nIt is 25 days.", "a title is not said twice");
        leave.title = "Handbook for Norway".to_owned();
        assert_eq!(leave.in_context(), "Handbook for Norway\nHandbook\nAnnual leave\nIt is 25 days.");
    }
}
