//! Writing: documents that come together are committed together, in one segment and one swap of the manifest.
//!
//! The order makes every crash harmless: the segment is in the store before the manifest names it. A crash between the two
//! leaves a file that nobody names, which maintenance collects.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::oneshot;
use tracing::warn;
use uuid::Uuid;

use super::manifest::{Change, DocumentEntry, FileEntry, MANIFEST_NAME, Manifest, Outcome, Place, SegmentEntry};
use super::segment::{self, Batch, Row};
use super::stored::StoredManifest;
use super::tiers::CROWDED;
use super::{Current, SegmentIndex, Stored, blocking};
use crate::crash;
use crate::document::{DocumentId, DocumentName, DocumentVersion, EmbeddingSpace, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::Condition;
use crate::telemetry::one_line;
use crate::telemetry::steps::same_trace;

/// How often a swap is tried against other writers before giving up.
const SWAP_TRIES: u32 = 20;
/// Most rows that go into one segment at a commit; what waits beyond that goes into the next.
const COMMIT_ROWS: usize = 50_000;

/// A document as it is to be found.
#[derive(Clone, Debug)]
pub struct Upsert {
    /// Its name.
    pub name: DocumentName,
    /// The version its passages were made from.
    pub version: DocumentVersion,
    /// SHA-256 of the content they were made from.
    pub content_hash: String,
    /// What kind of document it is.
    pub category: Option<String>,
    /// How they were made.
    pub recipe: String,
    /// Takes the place of whatever is there, a later version and this very one too: for a caller who has seen that storage
    /// holds this one and no other.
    pub forced: bool,
    /// Its passages, each with who may read it; at least one.
    pub rows: Vec<Row>,
}

impl Upsert {
    /// Where the embeddings of its passages live.
    fn space(&self) -> Option<&EmbeddingSpace> {
        self.rows.first().and_then(|row| row.embedding.as_ref()).map(|embedding| &*embedding.space)
    }
}

/// What a caller wants done.
#[derive(Debug)]
pub(super) enum Wish {
    Upsert(Upsert),
    Remove(DocumentId, Option<DocumentVersion>),
}

struct Waiting {
    wish: Wish,
    done: oneshot::Sender<Result<Outcome>>,
}

/// A segment that is in the store and that no manifest names yet.
#[derive(Debug)]
pub(super) struct NewSegment {
    pub(super) entry: SegmentEntry,
    /// The documents in it.
    documents: Vec<DocumentId>,
}

/// Wishes that wait for the commit under way to end, to be committed together.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    committing: tokio::sync::Mutex<()>,
}

impl SegmentIndex {
    /// Makes a version of a document visible in place of the one that was, in one step.
    pub async fn upsert(&self, upsert: Upsert) -> Result<Outcome> {
        let space = upsert.space();
        if upsert.rows.iter().any(|row| row.embedding.as_ref().map(|embedding| &*embedding.space) != space) {
            let mixed = "the passages of a document have embeddings of different models";
            return Err(Error::new(ErrorKind::Internal, mixed));
        }
        self.wish(Wish::Upsert(upsert)).await
    }

    /// Makes a document invisible, unless a version is visible that is newer than the one given.
    pub async fn remove(&self, document: &DocumentId, unless_newer_than: Option<DocumentVersion>) -> Result<Outcome> {
        self.wish(Wish::Remove(document.clone(), unless_newer_than)).await
    }

    async fn wish(&self, wish: Wish) -> Result<Outcome> {
        let (done, outcome) = oneshot::channel();
        self.shared.queue.waiting.lock().expect("no holder of this lock panics").push(Waiting { wish, done });
        let this = self.clone();
        // A task of its own: a caller who leaves does not take the wishes of others along.
        tokio::spawn(same_trace(async move {
            let _one_at_a_time = this.shared.queue.committing.lock().await;
            // First, so that whoever comes meanwhile is committed together with those who wait already.
            this.make_room().await;
            let batch = this.shared.queue.take();
            if !batch.is_empty() {
                this.commit(batch).await;
            }
        }));
        outcome.await.map_err(|e| Error::new(ErrorKind::Internal, "a commit was interrupted").caused_by(e))?
    }

    /// Merges segments when there are too many. A failure here is no failure of whoever waits: it is tried again.
    async fn make_room(&self) {
        let is_crowded = |current: Current| current.snapshot.manifest.segments.len() >= CROWDED;
        if self.current().is_some_and(is_crowded)
            && let Err(e) = self.merge().await
        {
            warn!(error.code = e.kind().row().code, cause = %one_line(&e.chain()), "could not merge segments");
        }
    }

    async fn commit(&self, batch: Vec<Waiting>) {
        let (wishes, waiters): (Vec<_>, Vec<_>) = batch.into_iter().map(|waiting| (waiting.wish, waiting.done)).unzip();
        match self.commit_wishes(wishes).await {
            Ok(outcomes) => waiters.into_iter().zip(outcomes).for_each(|(done, outcome)| {
                let _caller_left = done.send(Ok(outcome));
            }),
            Err(e) => waiters.into_iter().for_each(|done| {
                let told = Error::new(e.kind(), e.message()).caused_by(e.chain());
                let _caller_left = done.send(Err(told));
            }),
        }
    }

    async fn commit_wishes(&self, wishes: Vec<Wish>) -> Result<Vec<Outcome>> {
        // As it is known here: most often nobody else writes, and who does is found out by the swap.
        let stored = match self.current() {
            Some(Current { snapshot, segments, etag: Some(etag), .. }) => {
                let manifest = Manifest::clone(&snapshot.manifest);
                Stored { manifest, segments, etag: Some(etag), may_be_old: true }
            }
            _ => self.read_manifest().await?,
        };
        let (changes, rows) = plan(wishes);
        let documents = changes.iter().filter_map(|change| match change {
            Change::Upsert { id, entry, .. } => Some((id.clone(), entry.clone())),
            Change::Remove { .. } => None,
        });
        let batch = Batch::of(rows, documents.collect());
        let new = if batch.rows.is_empty() { None } else { Some(self.store_segment(batch).await?) };
        self.swap(stored, new.as_ref(), |manifest| {
            let entry = new.as_ref().map(|new| &new.entry);
            let changes: Vec<Change> = changes.iter().map(|change| located(change, entry)).collect();
            let outcomes = manifest.apply(&changes, entry, self.shared.clock.now());
            let changed = outcomes.contains(&Outcome::Applied);
            (outcomes, changed)
        })
        .await
    }

    /// Builds a segment and puts it into the store, under a name never used before.
    pub(super) async fn store_segment(&self, batch: Batch) -> Result<NewSegment> {
        let (analyzer, embedding) = (self.shared.analyzer.clone(), batch.space.clone());
        let documents = batch.documents.iter().map(|(id, _)| id.clone()).collect();
        let (built, checksums) = blocking(move || {
            let built = segment::build(&batch, &analyzer)?;
            let checksums: Vec<String> = built.files.iter().map(|(_, bytes)| content_hash(bytes)).collect();
            Ok((built, checksums))
        })
        .await?;
        let id = built.id;
        let stored = built.files.into_iter().zip(checksums).map(|((kind, bytes), sha256)| {
            let name = format!("segments/{id}.{}", kind.extension());
            let file = FileEntry { kind, name, size_bytes: bytes.len() as u64, sha256 };
            async move {
                let bytes = Bytes::from(bytes);
                self.shared.store.put(&file.name, bytes.clone(), Condition::Always).await?;
                self.keep_copy(&file, bytes).await;
                Ok::<_, Error>(file)
            }
        });
        let files = try_join_all(stored).await?;
        crash::point("segment-stored");
        let analyzer = self.shared.analyzer.name();
        let entry = SegmentEntry { id, files, passages: built.passages, analyzer, embedding };
        Ok(NewSegment { entry, documents })
    }

    /// Replaces the manifest by what `change` makes of it, which may name the segment `new`. A loser against another writer
    /// reads again and tries again; `change` says what it did and whether that is worth a new generation.
    pub(super) async fn swap<T>(
        &self,
        mut stored: Stored,
        new: Option<&NewSegment>,
        change: impl Fn(&mut Manifest) -> (T, bool),
    ) -> Result<T> {
        for attempt in 0..SWAP_TRIES {
            let (result, changed) = change(&mut stored.manifest);
            if !changed && stored.may_be_old {
                stored = self.read_manifest().await?;
                continue;
            }
            if !changed {
                return Ok(result);
            }
            let documents = |id: &str| match new.filter(|new| new.entry.id == id) {
                Some(new) => Some(new.documents.iter().collect()),
                None => stored.segments.get(id).map(|segment| segment.table.iter().map(|(id, _)| id).collect()),
            };
            let bytes = StoredManifest::of(&stored.manifest, documents).to_bytes();
            let condition = match stored.etag.take() {
                Some(etag) => Condition::IfMatch(etag),
                None => Condition::IfAbsent,
            };
            let loading = self.shared.loading.lock().await;
            match self.shared.store.put(MANIFEST_NAME, bytes.into(), condition).await {
                Ok(meta) => {
                    crash::point("swapped");
                    let written = Stored { etag: Some(meta.etag), may_be_old: false, ..stored };
                    self.install(written).await?;
                    return Ok(result);
                }
                Err(e) if e.kind() == ErrorKind::PreconditionFailed => {
                    drop(loading);
                    tokio::time::sleep(backoff(attempt)).await;
                    stored = self.read_manifest().await?;
                }
                Err(e) => return Err(e),
            }
        }
        Err(Error::new(ErrorKind::StoreUnavailable, "too many others write to the index at once"))
    }
}

impl Queue {
    /// The wishes to commit next: at most one for each document, not too many rows, and embeddings of one space.
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
        let (mut documents, mut rows) = (HashSet::new(), 0);
        let space = waiting.iter().find_map(|waiting| match &waiting.wish {
            Wish::Upsert(upsert) => Some(upsert.space().cloned()),
            Wish::Remove(..) => None,
        });
        let (batch, left) = std::mem::take(&mut *waiting).into_iter().partition(|waiting| {
            let (document, size, alike) = match &waiting.wish {
                Wish::Upsert(upsert) => {
                    let alike = space.as_ref().is_none_or(|space| space.as_ref() == upsert.space());
                    (DocumentId::of(&upsert.name), upsert.rows.len(), alike)
                }
                Wish::Remove(document, _) => (document.clone(), 0, true),
            };
            let fits = alike && (rows == 0 || rows + size <= COMMIT_ROWS);
            let taken = fits && documents.insert(document);
            rows += if taken { size } else { 0 };
            taken
        });
        *waiting = left;
        batch
    }
}

/// Turns wishes into changes, and collects their rows.
fn plan(wishes: Vec<Wish>) -> (Vec<Change>, Vec<Row>) {
    let mut rows = Vec::new();
    let changes = wishes.into_iter().map(|wish| match wish {
        Wish::Remove(id, unless_newer_than) => Change::Remove { id, unless_newer_than },
        Wish::Upsert(upsert) => {
            let passages = u32::try_from(upsert.rows.len()).unwrap_or(u32::MAX);
            let place = Place::Live { segment: String::new(), passages };
            let (forced, content_hash) = (upsert.forced, upsert.content_hash);
            let (name, version, category, recipe) = (upsert.name, upsert.version, upsert.category, upsert.recipe);
            let entry = DocumentEntry { name, version, content_hash, category, recipe, place };
            let change = Change::Upsert { id: DocumentId::of(&entry.name), entry, forced };
            // Also those that would have no effect now: against the manifest of a faster writer they may have one.
            rows.extend(upsert.rows);
            change
        }
    });
    let changes = changes.collect();
    (changes, rows)
}

/// The change with the segment its rows went into.
fn located(change: &Change, segment: Option<&SegmentEntry>) -> Change {
    let mut change = change.clone();
    if let (Change::Upsert { entry, .. }, Some(segment)) = (&mut change, segment)
        && let Place::Live { segment: place, .. } = &mut entry.place
    {
        place.clone_from(&segment.id);
    }
    change
}

/// Grows with each attempt; random, so that writers who collided once do not collide again.
fn backoff(attempt: u32) -> Duration {
    let most_ms = 20_u64 << attempt.min(5);
    let random = u64::from(Uuid::new_v4().as_bytes()[0]);
    Duration::from_millis(most_ms * random / 255)
}
