//! The one way from a question to passages: by words, by meaning where there is an embedding model, and with a second look
//! where there is a reranker. What enters is a principal and a question, what leaves is what the index found and how it was
//! looked for. A model that is slow or gone costs the meaning of a question or the second look, and a moment; never the answer.

mod recent;
mod reranking;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tracing::warn;

use self::recent::Recent;
use self::reranking::Reranking;
use crate::cache::{Cache, Key};
use crate::chat::passage_terms::{PassageTerms, TermCache};
use crate::chat::patience::Patience;
use crate::document::{Embedding, Passage, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::index::filter::Filter;
use crate::index::{Found, Hit, Index, Query};
use crate::models::embedding::EmbeddingModel;
use crate::models::rerank::Reranker;
use crate::telemetry::steps::step;
use crate::telemetry::{metrics, one_line};

/// A question waits this long for its embedding and as long for its second look, or a quarter of the time for its answer,
/// whichever is less.
const WAIT: Duration = Duration::from_secs(2);

/// How passages were looked for.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retrieval {
    /// By words alone.
    Lexical,
    /// By words and by meaning.
    Hybrid,
    /// By words, the best passages then put in order by a reranker.
    #[serde(rename = "lexical+reranked")]
    LexicalReranked,
    /// By words and by meaning, the best passages then put in order by a reranker.
    #[serde(rename = "hybrid+reranked")]
    HybridReranked,
}

impl Retrieval {
    /// The word that answers and figures have for it.
    fn word(self) -> &'static str {
        match self {
            Self::Lexical => "lexical",
            Self::Hybrid => "hybrid",
            Self::LexicalReranked => "lexical+reranked",
            Self::HybridReranked => "hybrid+reranked",
        }
    }

    fn reranked(self) -> Self {
        match self {
            Self::Lexical | Self::LexicalReranked => Self::LexicalReranked,
            Self::Hybrid | Self::HybridReranked => Self::HybridReranked,
        }
    }
}

/// Finds passages.
#[derive(Debug)]
pub struct Retriever {
    index: Arc<Index>,
    questions: Option<Questions>,
    reranking: Option<Reranking>,
    kept: Option<Kept>,
    terms: TermCache,
}

/// Where what was found is kept, and for how long.
#[derive(Debug)]
struct Kept {
    cache: Arc<Cache>,
    time: Duration,
}

/// How questions get their embeddings.
#[derive(Debug)]
struct Questions {
    model: Arc<EmbeddingModel>,
    recent: Recent,
    patience: Patience,
}

impl Retriever {
    /// A retriever on an index; by words alone without an embedding model. A reranker comes with the number of passages it
    /// looks at. An answer may take `answer_time`.
    pub fn new(
        index: Arc<Index>,
        embedding: Option<Arc<EmbeddingModel>>,
        reranker: Option<(Reranker, usize)>,
        answer_time: Duration,
    ) -> Self {
        let wait = WAIT.min(answer_time / 4);
        let questions =
            embedding.map(|model| Questions { model, recent: Recent::default(), patience: Patience::new(wait) });
        let reranking = reranker.map(|(model, passages)| Reranking::new(model, passages, wait));
        Self { index, questions, reranking, kept: None, terms: TermCache::default() }
    }

    /// The terms of a passage, as the index would find them.
    pub fn terms_of(&self, passage: &Passage) -> PassageTerms {
        self.terms.of(passage, &|text| self.index.terms(text))
    }

    /// Keeps what was found for `time`, for whoever may read the same and asks the same of the same index.
    pub fn keeping(mut self, cache: Arc<Cache>, time: Duration) -> Self {
        self.kept = Some(Kept { cache, time });
        self
    }

    /// The index itself.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The embedding model of questions.
    pub fn embedding_model(&self) -> Option<&EmbeddingModel> {
        self.questions.as_ref().map(|questions| questions.model.as_ref())
    }

    /// The reranker.
    pub fn reranker(&self) -> Option<&Reranker> {
        self.reranking.as_ref().map(|reranking| &reranking.model)
    }

    /// How passages are looked for as long as the models answer.
    pub fn retrieval(&self) -> Retrieval {
        let found = if self.questions.is_some() { Retrieval::Hybrid } else { Retrieval::Lexical };
        if self.reranking.is_some() { found.reranked() } else { found }
    }

    /// The same for a person, with the models' names.
    pub fn describe(&self) -> String {
        let found = match &self.questions {
            Some(questions) => format!("hybrid, with {}", questions.model.name()),
            None => "lexical".to_owned(),
        };
        match &self.reranking {
            Some(reranking) => format!("{found}; reranked, with {}", reranking.model.name()),
            None => found,
        }
    }

    /// The passages that fit a question best, of documents that the filter admits and `principal` may read, and how they
    /// were looked for.
    pub async fn search(
        &self,
        principal: &Principal,
        question: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Found, Retrieval)> {
        let began = Instant::now();
        let (found, retrieval) = step("retrieve", self.look(principal, question, filter, limit)).await?;
        metrics::retrieved(retrieval.word(), began.elapsed());
        Ok((found, retrieval))
    }

    async fn look(
        &self,
        principal: &Principal,
        question: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Found, Retrieval)> {
        let (Some(kept), Some(state)) = (&self.kept, self.index.state().await?) else {
            return self.search_anew(principal, question, filter, limit).await;
        };
        let parts = (principal.readers(), question, filter, limit, self.describe(), self.index.ranking(), &state);
        let key = Key::of("search", &parts);
        if let Some(found) = kept.cache.get(&key).await {
            return Ok(found);
        }
        let _turn = kept.cache.turn(&key).await;
        if let Some(found) = kept.cache.get(&key).await {
            return Ok(found);
        }
        let found = self.search_anew(principal, question, filter, limit).await?;
        // Neither what a missing model made worse, nor what may be of another state of the index than the key says.
        if found.1 == self.retrieval() && self.index.state().await? == Some(state) {
            kept.cache.put(key, &found, kept.time).await;
        }
        Ok(found)
    }

    async fn search_anew(
        &self,
        principal: &Principal,
        question: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Found, Retrieval)> {
        let looked_at = self.reranking.as_ref().map_or(limit, |reranking| reranking.passages.max(limit));
        let embedding = match &self.questions {
            Some(questions) => questions.embedding(question).await,
            None => None,
        };
        let query = Query { embedding, filter: filter.clone(), ..Query::words(question, looked_at) };
        let (mut found, mut retrieval) = self.find(principal, query).await?;
        if self.rerank(question, &mut found.hits).await {
            retrieval = retrieval.reranked();
        }
        found.hits.truncate(limit);
        Ok((found, retrieval))
    }

    /// Gives the first hits their second look. Without a reranker, or one that answers in time, the order stays and this is
    /// `false`.
    pub async fn rerank(&self, question: &str, hits: &mut Vec<Hit>) -> bool {
        let Some(reranking) = &self.reranking else { return false };
        reranking.rerank(question, hits).await.unwrap_or_else(|e| {
            tell(&e, "leaving the passages in their first order");
            false
        })
    }

    async fn find(&self, principal: &Principal, query: Query) -> Result<(Found, Retrieval)> {
        if query.embedding.is_some() {
            match self.index.search(principal, &query).await {
                // The model was changed, and maintenance has not come to any passage yet: until then they have their words.
                Err(e) if e.kind() == ErrorKind::EmbeddingMismatch => tell(&e, BY_WORDS),
                searched => return Ok((searched?, Retrieval::Hybrid)),
            }
        }
        let found = self.index.search(principal, &Query { embedding: None, ..query }).await?;
        Ok((found, Retrieval::Lexical))
    }
}

impl Questions {
    async fn embedding(&self, question: &str) -> Option<Embedding> {
        let key = Recent::key(&self.model.word(), question);
        if let Some(embedding) = self.recent.get(&key) {
            return Some(embedding);
        }
        match self.patience.ask(|deadline| self.model.question(question, deadline)).await? {
            Ok(embedding) => {
                self.recent.put(key, embedding.clone());
                Some(embedding)
            }
            Err(e) => {
                tell(&e, BY_WORDS);
                None
            }
        }
    }
}

/// What a question without its embedding comes to.
const BY_WORDS: &str = "searching by words alone";

fn tell(e: &Error, outcome: &str) {
    warn!(error.code = e.kind().row().code, cause = %one_line(&e.chain()), "{outcome}");
}
