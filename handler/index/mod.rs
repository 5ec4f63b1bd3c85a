//! How passages are kept and found. Enters: passages with their version and readers, questions with a principal. Leaves:
//! ranked passages, and what became of a change. Knows nothing of formats, of models or of chat.

pub mod azure_search;
pub mod evaluate;
pub mod filter;
pub mod rank;
pub mod segments;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::document::{DocumentId, DocumentVersion, Embedding, Passage, Principal};
use crate::error::Result;
use azure_search::AzureSearchIndex;
use filter::Filter;
use rank::RankSettings;
use segments::analyze::Analyzer;
use segments::maintain::Tidied;
use segments::manifest::{DocumentEntry, Outcome, Place};
use segments::repair::Verified;
use segments::writer::Upsert;
use segments::{SegmentIndex, search};

/// Passages that are searched where they are asked for: with so few, handing the work to another thread costs as much as doing it.
const FEW_PASSAGES: u64 = 10_000;

/// The passages of all documents, and the way to find them. There is no reading without a principal.
#[derive(Clone, Debug)]
pub struct Index {
    backend: Backend,
    ranking: RankSettings,
}

/// Where passages are kept.
#[derive(Clone, Debug)]
enum Backend {
    /// As segments on a blob store.
    Segments(SegmentIndex),
    /// At an Azure AI Search service.
    AzureSearch(AzureSearchIndex),
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The question, in the words of whoever asks.
    pub text: String,
    /// The question's embedding; without one the search is by words alone.
    pub embedding: Option<Embedding>,
    /// How many passages to bring at most.
    pub limit: usize,
    /// Where to look.
    pub filter: Filter,
}

impl Query {
    /// A search by words alone, in all documents.
    pub fn words(text: impl Into<String>, limit: usize) -> Self {
        Self { text: text.into(), embedding: None, limit, filter: Filter::default() }
    }
}

/// A passage that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The passage.
    pub passage: Arc<Passage>,
    /// How well it fits, seen by the index; comparable within one answer only, and never shown to callers.
    pub score: f32,
    /// The cosine of its embedding with the question's, when it is among those most like it. A search service that joins
    /// the rankings itself does not tell.
    pub cosine: Option<f32>,
}

/// What a search brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Best first.
    pub hits: Vec<Hit>,
    /// What was looked for, with the weight of each term.
    pub terms: Vec<QueryTerm>,
    /// The generation of the index that was searched.
    pub generation: u64,
}

/// A term of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryTerm {
    /// The term as the index knows it.
    pub term: String,
    /// Its inverse document frequency: rare terms weigh more, a term that is nowhere weighs most.
    pub weight: f32,
}

/// A term with its place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The term as the index knows it.
    pub term: String,
    /// First byte in the text.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// The index in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IndexStatus {
    /// Grows with every change.
    pub generation: u64,
    /// Documents that can be found.
    pub documents: u64,
    /// Passages that can be found.
    pub passages: u64,
    /// Segments they are in.
    pub segments: usize,
    /// Segments that cannot be read; maintenance makes their documents anew.
    pub damaged_segments: usize,
    /// Bytes of those segments.
    pub size_bytes: u64,
}

impl Index {
    /// The index kept as segments on a blob store.
    pub fn on_segments(segments: SegmentIndex, ranking: RankSettings) -> Self {
        Self { backend: Backend::Segments(segments), ranking }
    }

    /// The index at an Azure AI Search service.
    pub fn on_azure_search(search: AzureSearchIndex, ranking: RankSettings) -> Self {
        Self { backend: Backend::AzureSearch(search), ranking }
    }

    /// The passages that fit best and that `principal` may read.
    pub async fn search(&self, principal: &Principal, query: &Query) -> Result<Found> {
        let segments = match &self.backend {
            Backend::AzureSearch(search) => return search.search(principal, query, &self.ranking).await,
            Backend::Segments(segments) => segments,
        };
        let snapshot = segments.snapshot().await?;
        let terms = segments.analyzer().question_terms(&query.text);
        if snapshot.searcher.num_docs() <= FEW_PASSAGES {
            let searching = || search::found(&snapshot, principal, query, &terms, &self.ranking);
            // A file that went bad may make the library panic, here as on any thread.
            return catch_unwind(AssertUnwindSafe(searching)).map_err(interrupted)?;
        }
        let (principal, query, ranking) = (principal.clone(), query.clone(), self.ranking.clone());
        let searched =
            tokio::task::spawn_blocking(move || search::found(&snapshot, &principal, &query, &terms, &ranking));
        searched.await.map_err(interrupted)?
    }

    /// How rankings are joined.
    pub fn ranking(&self) -> &RankSettings {
        &self.ranking
    }

    /// A word that is another one after every change, of passages or of who may read them. None when there is no telling: then
    /// nothing that was found may be kept.
    pub async fn state(&self) -> Result<Option<String>> {
        match &self.backend {
            Backend::Segments(segments) => segments.state().await,
            Backend::AzureSearch(_) => Ok(None),
        }
    }

    /// The terms of a text, in its order, as the index would find them.
    pub fn terms(&self, text: &str) -> Vec<String> {
        self.analyzer().terms(text).into_iter().map(|term| term.term).collect()
    }

    /// The same with their places.
    pub fn analyze(&self, text: &str) -> Vec<Token> {
        let terms = self.analyzer().terms(text).into_iter();
        terms.map(|term| Token { term: term.term, start: term.start, end: term.end }).collect()
    }

    /// All passages of a document that `principal` may read, in order; none for one that is unknown or not to be read.
    pub async fn passages(&self, principal: &Principal, document: &DocumentId) -> Result<Vec<Passage>> {
        let segments = match &self.backend {
            Backend::AzureSearch(search) => return search.passages(principal, document).await,
            Backend::Segments(segments) => segments,
        };
        let snapshot = segments.snapshot().await?;
        let (principal, document) = (principal.clone(), document.clone());
        let read = tokio::task::spawn_blocking(move || search::of_document(&snapshot, &principal, &document));
        read.await.map_err(interrupted)?
    }

    /// Makes a version of a document findable in place of any earlier one, in one step. Late versions change nothing.
    pub async fn upsert(&self, upsert: Upsert) -> Result<Outcome> {
        match &self.backend {
            Backend::Segments(segments) => segments.upsert(upsert).await,
            Backend::AzureSearch(search) => search.upsert(upsert).await,
        }
    }

    /// Makes a document unfindable, unless a version of it can be found that is newer than the one given.
    pub async fn remove(&self, document: &DocumentId, unless_newer_than: Option<DocumentVersion>) -> Result<Outcome> {
        match &self.backend {
            Backend::Segments(segments) => segments.remove(document, unless_newer_than).await,
            Backend::AzureSearch(search) => search.remove(document, unless_newer_than).await,
        }
    }

    /// What is known of a document that can be found.
    pub async fn entry(&self, document: &DocumentId) -> Result<Option<DocumentEntry>> {
        match &self.backend {
            // Who changes the index does not go by what may be old.
            Backend::Segments(segments) => Ok(segments.newest().await?.manifest.live(document).cloned()),
            Backend::AzureSearch(search) => search.entry(document).await,
        }
    }

    /// Every document that can be found.
    pub async fn entries(&self) -> Result<Vec<(DocumentId, DocumentEntry)>> {
        let segments = match &self.backend {
            Backend::AzureSearch(search) => return search.entries().await,
            Backend::Segments(segments) => segments,
        };
        let snapshot = segments.newest().await?;
        let live = snapshot.manifest.documents.iter().filter(|(_, entry)| matches!(entry.place, Place::Live { .. }));
        Ok(live.map(|(id, entry)| (id.clone(), DocumentEntry::clone(entry))).collect())
    }

    /// How text becomes terms, as a word that changes when the steps do.
    pub fn analyzer_name(&self) -> String {
        match &self.backend {
            Backend::Segments(segments) => segments.analyzer().name(),
            Backend::AzureSearch(search) => search.analyzer_name(),
        }
    }

    fn analyzer(&self) -> &Analyzer {
        match &self.backend {
            Backend::Segments(segments) => segments.analyzer(),
            Backend::AzureSearch(search) => search.analyzer(),
        }
    }

    /// Reads every file of the index and says what is damaged, where the files are ours; `step` is told the name of each file
    /// before it is read.
    pub async fn verify(&self, step: impl Fn(&str)) -> Result<Verified> {
        match &self.backend {
            Backend::Segments(segments) => segments.verify(|file| step(&file.name)).await,
            Backend::AzureSearch(_) => Ok(Verified::default()),
        }
    }

    /// The index as segments on a blob store, for those who look after it; none when it is kept elsewhere.
    pub fn segments(&self) -> Option<&SegmentIndex> {
        match &self.backend {
            Backend::Segments(segments) => Some(segments),
            Backend::AzureSearch(_) => None,
        }
    }

    /// Waits until all that was opened without looking at every byte has been looked at.
    pub async fn checked(&self) {
        if let Backend::Segments(segments) = &self.backend {
            segments.checked().await;
        }
    }

    /// Forgets damaged parts, so that their documents count as missing; how many parts that were.
    pub async fn forget_damaged(&self) -> Result<usize> {
        match &self.backend {
            Backend::Segments(segments) => segments.forget_damaged().await,
            Backend::AzureSearch(_) => Ok(0),
        }
    }

    /// Merges small segments, beginning no merge after `until`, and deletes files that nobody names and that are older than
    /// `grace`.
    pub async fn tidy(&self, grace: Duration, until: Instant) -> Result<Tidied> {
        match &self.backend {
            Backend::Segments(segments) => segments.tidy(grace, until).await,
            Backend::AzureSearch(search) => search.tidy(grace, until).await,
        }
    }

    /// Leaves nothing of deleted passages in the index's files, but in those younger than `grace`; begins nothing after
    /// `until`. A search service deletes by itself.
    pub async fn purge(&self, grace: Duration, until: Instant) -> Result<Tidied> {
        match &self.backend {
            Backend::Segments(segments) => segments.purge(grace, until).await,
            Backend::AzureSearch(search) => search.tidy(grace, until).await,
        }
    }

    /// Whether searches are answered from a generation that may not be the newest, because storage does not tell.
    pub fn is_behind(&self) -> bool {
        self.segments().is_some_and(SegmentIndex::is_behind)
    }

    /// The index in numbers.
    pub async fn status(&self) -> Result<IndexStatus> {
        let segments = match &self.backend {
            Backend::AzureSearch(search) => return search.status().await,
            Backend::Segments(segments) => segments,
        };
        let snapshot = segments.snapshot().await?;
        let (documents, passages) = snapshot.manifest.counts();
        let files = snapshot.manifest.segments.iter().flat_map(|segment| &segment.files);
        Ok(IndexStatus {
            generation: snapshot.manifest.generation,
            documents,
            passages,
            segments: snapshot.manifest.segments.len(),
            damaged_segments: snapshot.manifest.segments.len() - snapshot.vectors.len(),
            size_bytes: files.map(|file| file.size_bytes).sum(),
        })
    }
}

/// The cause is left out: it repeats the message of a panic, which may quote a document.
fn interrupted<Cause>(_cause: Cause) -> crate::error::Error {
    crate::error::Error::new(crate::error::ErrorKind::Internal, "a search was interrupted")
}
