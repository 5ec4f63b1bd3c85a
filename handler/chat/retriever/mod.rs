//! The one way from a question to passages: by words, and by meaning where there is an embedding model. What enters is a
//! principal and a question, what leaves is what the index found and how it was looked for. A model that is slow or gone
//! costs the meaning of a question and a moment, never the answer.

mod patience;
mod recent;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use self::patience::Patience;
use self::recent::Recent;
use crate::document::{Embedding, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::index::{Found, Index, Query};
use crate::models::embedding::EmbeddingModel;
use crate::telemetry::one_line;

/// A question waits this long for its embedding, or a quarter of the time for its answer, whichever is less.
const WAIT: Duration = Duration::from_secs(2);

/// How passages were looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Retrieval {
    /// By words alone.
    Lexical,
    /// By words and by meaning.
    Hybrid,
}

/// Finds passages.
#[derive(Debug)]
pub struct Retriever {
    index: Arc<Index>,
    questions: Option<Questions>,
}

/// How questions get their embeddings.
#[derive(Debug)]
struct Questions {
    model: Arc<EmbeddingModel>,
    wait: Duration,
    recent: Recent,
    patience: Patience,
}

impl Retriever {
    /// A retriever on an index; by words alone without a model. An answer may take `answer_time`.
    pub fn new(index: Arc<Index>, model: Option<Arc<EmbeddingModel>>, answer_time: Duration) -> Self {
        let wait = WAIT.min(answer_time / 4);
        let questions =
            model.map(|model| Questions { model, wait, recent: Recent::default(), patience: Patience::default() });
        Self { index, questions }
    }

    /// The index itself.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// How passages are looked for as long as the model answers.
    pub fn retrieval(&self) -> Retrieval {
        if self.questions.is_some() { Retrieval::Hybrid } else { Retrieval::Lexical }
    }

    /// The same for a person, with the model's name.
    pub fn describe(&self) -> String {
        match &self.questions {
            Some(questions) => format!("hybrid, with {}", questions.model.name()),
            None => "lexical".to_owned(),
        }
    }

    /// The passages that fit a question best and that `principal` may read, and how they were looked for.
    pub async fn search(&self, principal: &Principal, question: &str, limit: usize) -> Result<(Found, Retrieval)> {
        let query = self.query(question, limit).await;
        if query.embedding.is_some() {
            match self.index.search(principal, &query).await {
                // The model was changed, and maintenance has not come to any passage yet: until then they have their words.
                Err(e) if e.kind() == ErrorKind::EmbeddingMismatch => tell(&e),
                searched => return Ok((searched?, Retrieval::Hybrid)),
            }
        }
        let found = self.index.search(principal, &Query { embedding: None, ..query }).await?;
        Ok((found, Retrieval::Lexical))
    }

    /// The query that a question becomes. Without an embedding when there is no model, or none that answers in time.
    pub async fn query(&self, question: &str, limit: usize) -> Query {
        let embedding = match &self.questions {
            Some(questions) => questions.embedding(question).await,
            None => None,
        };
        Query { embedding, ..Query::words(question, limit) }
    }
}

impl Questions {
    async fn embedding(&self, question: &str) -> Option<Embedding> {
        let key = Recent::key(&self.model.word(), question);
        if let Some(embedding) = self.recent.get(&key) {
            return Some(embedding);
        }
        let began = Instant::now();
        if !self.patience.allows_another(began, self.wait) {
            return None;
        }
        let deadline = began + self.wait;
        let too_late = |_| Error::new(ErrorKind::DeadlineExceeded, "the embedding model did not answer in time");
        let answered = timeout_at(deadline, self.model.question(question, deadline)).await.map_err(too_late);
        match answered.and_then(|embedding| embedding) {
            Ok(embedding) => {
                self.patience.is_rewarded();
                self.recent.put(key, embedding.clone());
                Some(embedding)
            }
            Err(e) => {
                // That is about this question, not about the server.
                if e.kind() != ErrorKind::ContentFiltered {
                    self.patience.is_at_its_end(Instant::now());
                }
                tell(&e);
                None
            }
        }
    }
}

fn tell(e: &Error) {
    warn!(error.code = e.kind().row().code, cause = %one_line(&e.chain()), "searching by words alone");
}
