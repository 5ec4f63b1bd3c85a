//! A blob becomes passages. [`Ingest::sync`] brings index and ledger in line with what storage holds under one name, now.
//!
//! Every trigger ends here, whatever it said: created, replaced, deleted, late, twice. Storage is asked anew each time, so
//! the order of events does not matter, and doing it again changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::Instant as Deadline;
use tracing::{info, warn};

use super::chunk::{ChunkSettings, chunk};
use super::embed::Embedder;
use super::extract::Extractor;
use super::history::Happening;
use super::ledger::{Ledger, LedgerRow, State};
use super::locks::NameLocks;
use super::rights::{self, RightsSettings, Standing};
use crate::clock::Clock;
use crate::crash;
use crate::document::{DocumentId, DocumentName, DocumentVersion, Embedding, Passage, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::index::segments::manifest::Outcome;
use crate::index::segments::segment::Row;
use crate::index::segments::writer::Upsert;
use crate::stores::blobs::{Blob, BlobMeta, BlobStore};
use crate::telemetry::steps::{document_step, step};
use crate::telemetry::{metrics, one_line};
use crate::tokens;

/// Raised whenever extraction or chunking change what they make of a document.
const RECIPE_VERSION: u32 = 3;
/// How often a document that keeps changing under our hands is started over within one call.
const MAX_ROUNDS: u32 = 4;

/// The numbers ingestion works with.
#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// A larger document is refused, in bytes.
    pub max_document_bytes: u64,
    /// Attempts at one version before it is quarantined.
    pub max_attempts: u32,
    /// Documents that one owner may have uploaded.
    pub max_documents_per_owner: u64,
    /// Who may read what says nothing of itself.
    pub rights: RightsSettings,
    /// How documents are cut.
    pub chunk: ChunkSettings,
    /// How long whoever works on a document is believed to be alive.
    pub lease: Duration,
}

/// Everything ingestion needs.
#[derive(Clone)]
pub struct Ingest {
    /// Where documents are.
    pub documents: Arc<dyn BlobStore>,
    /// What is known of them.
    pub ledger: Ledger,
    /// Where their passages go.
    pub index: Arc<Index>,
    /// How their text is read.
    pub extractor: Arc<Extractor>,
    /// How their passages get embeddings; none when there is no embedding model.
    pub embedder: Option<Embedder>,
    /// The numbers.
    pub settings: IngestSettings,
    /// The time.
    pub clock: Clock,
    /// One lock for each name under way in this process.
    pub locks: NameLocks,
}

/// What a call found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// A version was made findable.
    Indexed {
        /// How many passages it has.
        passages: u32,
    },
    /// Index and storage already agreed.
    Unchanged,
    /// The document is gone from storage, and now from the index.
    Removed,
    /// The document cannot be read, and the ledger says why; trying again cannot help.
    Quarantined {
        /// The code of the trouble's kind.
        code: &'static str,
    },
}

/// How an attempt at one version ended.
enum Attempt {
    /// There is nothing more to do for this version.
    Done(Synced),
    /// Storage holds another version meanwhile.
    StartOver,
    /// The index holds a version that counts as later, although storage holds this one.
    Overruled,
}

/// What was made of one version.
struct Read {
    version: DocumentVersion,
    standing: Standing,
    content_hash: String,
    pages: Option<u32>,
    remark: Option<String>,
    passages: Vec<Passage>,
    /// One for each passage; none without an embedding model.
    embeddings: Option<Vec<Embedding>>,
    phases_ms: BTreeMap<String, u64>,
}

impl Ingest {
    /// Brings index and ledger in line with storage for one name.
    ///
    /// Idempotent: a second run finds everything as it should be and answers [`Synced::Unchanged`]. An error is passing:
    /// it is in the ledger, and the caller should have the event delivered again.
    pub async fn sync(&self, name: &DocumentName) -> Result<Synced> {
        self.sync_until(name, self.embed_deadline(), false).await
    }

    /// The same for callers whose invocation ends at another time: embedding, which may take long, is over by `embed_until`.
    /// With `anew`, the document is read and its passages are made even if nothing has changed.
    pub(super) async fn sync_until(&self, name: &DocumentName, embed_until: Deadline, anew: bool) -> Result<Synced> {
        let id = DocumentId::of(name);
        let done = document_step("ingest", id.as_str(), self.settle(&id, name, embed_until, anew)).await;
        match &done {
            Ok(Synced::Indexed { .. }) => metrics::ingested("indexed"),
            Ok(Synced::Removed) => metrics::ingested("removed"),
            Ok(Synced::Quarantined { code }) => metrics::ingested(code),
            Ok(Synced::Unchanged) => {}
            Err(e) => metrics::ingested(e.kind().row().code),
        }
        done
    }

    async fn settle(&self, id: &DocumentId, name: &DocumentName, embed_until: Deadline, anew: bool) -> Result<Synced> {
        let _alone = self.locks.lock(id).await;
        // Storage may say nothing of it; then its name alone decides who may know.
        let unseen = self.settings.rights.standing(name.as_str(), &BTreeMap::new());
        let mut forced = anew;
        for _ in 0..MAX_ROUNDS {
            let found = match self.documents.head(name.as_str()).await {
                Ok(Some(found)) => found,
                Ok(None) => match self.remove(id, name).await? {
                    Some(removed) => return Ok(removed),
                    None => continue,
                },
                Err(e) => return self.failed(id, name, None, &unseen, e).await,
            };
            let version = version_of(&found);
            if !anew && let Some(settled) = self.settled(id, name, &found).await? {
                return Ok(settled);
            }
            let standing = self.standing(&found);
            let row = self.ledger.claim(id, name.as_str(), &version, &standing, found.size_bytes).await?;
            crash::point("claimed");
            let attempt = self.attempt(name, &found, &row, embed_until, forced).await;
            // Whoever replaced or deleted the document meanwhile may have had to give way to us: look once more. What is
            // no longer in storage neither counts as done nor may it fail those who came after.
            if self.documents.head(name.as_str()).await?.as_ref().map(version_of) != Some(version.clone()) {
                continue;
            }
            match attempt {
                Ok(Attempt::Done(done)) => return Ok(done),
                Ok(Attempt::StartOver) => {}
                // Storage is the authority, whatever the clocks say.
                Ok(Attempt::Overruled) => forced = true,
                Err(e) => return self.failed(id, name, Some(&version), &standing, e).await,
            }
        }
        let restless = Error::new(ErrorKind::StoreUnavailable, "the document keeps changing while it is read");
        self.failed(id, name, None, &unseen, restless).await
    }

    /// Counts a failure that the platform reports after its own retries, and quarantines the document.
    pub async fn give_up(&self, name: &DocumentName) -> Result<Synced> {
        match self.sync(name).await {
            Ok(settled) => Ok(settled),
            Err(e) => {
                let id = DocumentId::of(name);
                let told = Error::new(e.kind(), format!("{}; the platform stopped trying", e.message()));
                self.ledger.fail(&id, name.as_str(), None, State::Quarantined, &told).await?;
                Ok(Synced::Quarantined { code: e.kind().row().code })
            }
        }
    }

    /// Records a blob whose name no document can have.
    pub async fn refuse_name(&self, raw: &str, error: &Error) -> Result<Synced> {
        let shown: String = raw.chars().take(200).flat_map(char::escape_debug).collect();
        let id = DocumentId::of_raw(raw);
        self.ledger.fail(&id, &shown, None, State::Quarantined, error).await?;
        let standing = self.settings.rights.standing(raw, &BTreeMap::new());
        self.ledger.update(&id, &shown, |row| row.stands(&standing)).await?;
        Ok(Synced::Quarantined { code: error.kind().row().code })
    }

    /// How a blob stands among people.
    pub fn standing(&self, meta: &BlobMeta) -> Standing {
        self.settings.rights.standing(&meta.name, &rights::said(meta))
    }

    /// How passages are made at present, for which readers and in which category; a document made otherwise is made anew by the timer.
    pub fn recipe(&self, standing: &Standing) -> String {
        let (chunk, analyzer) = (&self.settings.chunk, self.index.analyzer_name());
        let standing = standing.mark();
        let embedded = self.embedder.as_ref().map(|embedder| format!("/{}", embedder.word())).unwrap_or_default();
        format!("{RECIPE_VERSION}/{analyzer}/{}-{}/{standing}{embedded}", chunk.tokens, chunk.overlap_tokens)
    }

    /// Takes a document out that storage no longer has; `None` when it is back meanwhile.
    async fn remove(&self, id: &DocumentId, name: &DocumentName) -> Result<Option<Synced>> {
        let outcome = self.index.remove(id, None).await?;
        crash::point("removed");
        if self.documents.head(name.as_str()).await?.is_some() {
            return Ok(None);
        }
        self.ledger.delete(id, name.as_str()).await?;
        if outcome == Outcome::Applied {
            info!(document.id = %id, "removed a document");
            return Ok(Some(Synced::Removed));
        }
        Ok(Some(Synced::Unchanged))
    }

    /// One attempt at the version that storage holds. A forced one takes the place of whatever the index has: an earlier
    /// attempt was overruled by a version that storage does not hold any more, or all is to be made anew.
    async fn attempt(
        &self,
        name: &DocumentName,
        found: &BlobMeta,
        row: &LedgerRow,
        embed_until: Deadline,
        forced: bool,
    ) -> Result<Attempt> {
        let id = &row.id;
        if row.unfinished >= self.settings.max_attempts {
            let message = format!("reading it was tried {} times and never came to an end", row.unfinished);
            return Err(Error::new(ErrorKind::DocumentOverLimit, message));
        }
        self.check_size(found)?;
        let fetching = Instant::now();
        let Some(blob) = self.documents.get(name.as_str(), None).await? else { return Ok(Attempt::StartOver) };
        let fetch_ms = elapsed_ms(fetching);
        crash::point("fetched");
        let (hash, standing) = (content_hash(&blob.bytes), self.standing(&blob.meta));
        let recipe = self.recipe(&standing);
        let entry = self.index.entry(id).await?;
        if !forced && entry.is_some_and(|entry| entry.content_hash == hash && entry.recipe == recipe) {
            self.finish_unchanged(row, &version_of(&blob.meta), &standing, &hash).await?;
            return Ok(Attempt::Done(Synced::Indexed { passages: row.passages }));
        }
        let mut read = self.read(name, blob).await?;
        read.phases_ms.insert("fetch".to_owned(), fetch_ms);
        crash::point("extracted");
        // Asked twice, because embedding costs money before and time after.
        if !self.is_current(name, &read.version).await? {
            return Ok(Attempt::StartOver);
        }
        let embedding = Instant::now();
        if let Some(embeddings) = self.embeddings(row, &read.passages, embed_until).await? {
            read.embeddings = Some(embeddings);
            read.phases_ms.insert("embed".to_owned(), elapsed_ms(embedding));
            crash::point("embedded");
            if !self.is_current(name, &read.version).await? {
                return Ok(Attempt::StartOver);
            }
        }
        self.publish(name, row, read, forced).await
    }

    async fn is_current(&self, name: &DocumentName, version: &DocumentVersion) -> Result<bool> {
        Ok(self.documents.head(name.as_str()).await?.as_ref().map(version_of).as_ref() == Some(version))
    }

    fn check_size(&self, found: &BlobMeta) -> Result<()> {
        let most = self.settings.max_document_bytes;
        if found.size_bytes > most {
            let message = format!("it has {} bytes; MAX_DOCUMENT_SIZE allows {most}", found.size_bytes);
            return Err(Error::new(ErrorKind::DocumentTooLarge, message));
        }
        Ok(())
    }

    async fn read(&self, name: &DocumentName, blob: Blob) -> Result<Read> {
        let (version, content_hash) = (version_of(&blob.meta), content_hash(&blob.bytes));
        let standing = self.standing(&blob.meta);
        let extracting = Instant::now();
        let extracted = step("extract", self.extractor.extract(name, blob.bytes)).await?;
        let extract_ms = elapsed_ms(extracting);
        let chunking = Instant::now();
        let (pages, remark) = (extracted.pages, extracted.remark.clone());
        let (chunk_name, settings) = (name.clone(), self.settings.chunk.clone());
        let cut = tokio::task::spawn_blocking(move || chunk(&chunk_name, &extracted, &settings)).await;
        let passages = cut.map_err(|_| Error::new(ErrorKind::DocumentDamaged, "it cannot be cut into passages"))?;
        if passages.is_empty() {
            return Err(Error::new(ErrorKind::DocumentWithoutText, "no text was found in it"));
        }
        let phases_ms =
            BTreeMap::from([("extract".to_owned(), extract_ms), ("chunk".to_owned(), elapsed_ms(chunking))]);
        Ok(Read { version, standing, content_hash, pages, remark, passages, embeddings: None, phases_ms })
    }

    /// Makes the version visible and says so in the ledger.
    async fn publish(&self, name: &DocumentName, row: &LedgerRow, read: Read, forced: bool) -> Result<Attempt> {
        let indexing = Instant::now();
        let count = u32::try_from(read.passages.len()).unwrap_or(u32::MAX);
        let token_count: usize = read.passages.iter().map(|passage| tokens::estimate(&passage.text)).sum();
        let (standing, recipe) = (&read.standing, self.recipe(&read.standing));
        let embeddings = read.embeddings.into_iter().flatten().map(Some).chain(std::iter::repeat(None));
        let to_row = |(passage, embedding)| Row { passage, readers: standing.readers.clone(), embedding };
        let rows = read.passages.into_iter().zip(embeddings).map(to_row).collect();
        let upsert = Upsert {
            name: name.clone(),
            version: read.version.clone(),
            content_hash: read.content_hash.clone(),
            category: standing.category.clone(),
            recipe: recipe.clone(),
            forced,
            rows,
        };
        if step("index", self.index.upsert(upsert)).await? == Outcome::Superseded {
            return Ok(Attempt::Overruled);
        }
        let mut phases_ms = read.phases_ms;
        phases_ms.insert("index".to_owned(), elapsed_ms(indexing));
        let took_ms: u64 = phases_ms.values().sum();
        for (phase, took_ms) in &phases_ms {
            metrics::ingestion_phase(phase, Duration::from_millis(*took_ms));
        }
        self.ledger
            .update(&row.id, name.as_str(), |row| {
                row.state = State::Indexed;
                row.version = Some(read.version.clone());
                row.content_hash = Some(read.content_hash.clone());
                row.recipe = Some(recipe.clone());
                row.stands(standing);
                row.readers.clone_from(&standing.readers);
                row.error = None;
                row.pages = read.pages;
                row.remark.clone_from(&read.remark);
                row.passages = count;
                row.tokens = token_count as u64;
                row.phases_ms.clone_from(&phases_ms);
                row.lease_until = None;
                row.note(Happening::Indexed, Some(&format!("{count} passages in {took_ms} ms")));
            })
            .await?;
        crash::point("finished");
        info!(document.id = %row.id, num_passages = count, took_ms, "indexed a document");
        Ok(Attempt::Done(Synced::Indexed { passages: count }))
    }

    async fn finish_unchanged(
        &self,
        row: &LedgerRow,
        version: &DocumentVersion,
        standing: &Standing,
        content_hash: &str,
    ) -> Result<()> {
        let recipe = self.recipe(standing);
        let finish = |row: &mut LedgerRow| {
            row.state = State::Indexed;
            row.version = Some(version.clone());
            row.content_hash = Some(content_hash.to_owned());
            row.recipe = Some(recipe.clone());
            row.stands(standing);
            row.error = None;
            row.lease_until = None;
            row.note(Happening::Indexed, Some("the content is the same"));
        };
        self.ledger.update(&row.id, &row.name, finish).await.map(|_| ())
    }

    /// Records a failed attempt. Lasting trouble is settled by that; passing trouble goes back to the caller.
    async fn failed(
        &self,
        id: &DocumentId,
        name: &DocumentName,
        version: Option<&DocumentVersion>,
        standing: &Standing,
        error: Error,
    ) -> Result<Synced> {
        let code = error.kind().row().code;
        if error.is_passing() {
            let attempts = self.ledger.fail(id, name.as_str(), version, State::Failed, &error).await?.attempts;
            warn!(document.id = %id, document.name = %one_line(name.as_str()), error.code = code, cause = %one_line(&error.chain()), attempts, "could not ingest a document, will try again");
            return Err(error);
        }
        // What was visible is no longer what storage holds.
        self.index.remove(id, version.cloned()).await?;
        let attempts = self.ledger.fail(id, name.as_str(), version, State::Quarantined, &error).await?.attempts;
        let recipe = self.recipe(standing);
        let settle = |row: &mut LedgerRow| {
            if row.state == State::Quarantined {
                row.stands(standing);
                row.recipe = Some(recipe.clone());
            }
        };
        self.ledger.update(id, name.as_str(), settle).await?;
        warn!(document.id = %id, document.name = %one_line(name.as_str()), error.code = code, cause = %one_line(&error.chain()), attempts, "quarantined a document");
        Ok(Synced::Quarantined { code })
    }
}

/// The version of a blob.
pub fn version_of(meta: &BlobMeta) -> DocumentVersion {
    DocumentVersion { modified: meta.modified, etag: meta.etag.clone() }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
