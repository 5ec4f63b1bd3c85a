//! The whole index made anew from the documents in storage, one document after the other. Each one's old passages answer
//! until its new ones take their place in one step, so nobody who asks notices.
//!
//! Resumable: a record says that a rebuild is under way, and another one for each document says that it has been made anew.
//! Whoever starts a rebuild while these are there goes on with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::pipeline::{Ingest, Synced};
use super::reconcile::{COLLECT_GRACE, CONCURRENCY, is_hidden};
use crate::document::{DocumentId, DocumentName};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::list_all;
use crate::stores::records::{Precondition, RecordStore};

/// The record that says that a rebuild is under way.
const UNDER_WAY: (&str, &str) = ("maintenance", "rebuild");
/// The partition with a record for each document that it has made anew.
const MADE: &str = "rebuild";
/// After so many documents the segments they came in are merged, so that searches stay fast meanwhile.
const TIDY_EVERY: usize = 256;
/// Putting the rest in line may take this long: nobody waits for it but a person.
const RECONCILE_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// When it began; earlier than this call when it went on with one that was interrupted.
    pub started: DateTime<Utc>,
    /// Documents that an interrupted one had made anew before.
    pub made_before: usize,
    /// Documents that were made anew by this call.
    pub indexed: usize,
    /// Documents that cannot be read; the ledger says why.
    pub quarantined: usize,
    /// Documents that were gone when their turn came.
    pub removed: usize,
    /// Documents that failed for a passing reason and keep their old passages; the next call tries them again.
    pub failed: usize,
    /// Segments merged away.
    pub merged_segments: usize,
    /// Unused files deleted.
    pub collected_files: usize,
}

impl Rebuilt {
    /// Whether every document was made anew.
    pub fn is_finished(&self) -> bool {
        self.failed == 0
    }
}

/// A step of a rebuild, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum RebuildStep<'a> {
    /// So many documents there are, of which so many have been made anew before.
    Begun {
        /// All of them.
        documents: usize,
        /// Those that were made before.
        made_before: usize,
    },
    /// A document has had its turn.
    Document(&'a DocumentName),
}

#[derive(Serialize, Deserialize)]
struct UnderWay {
    started: DateTime<Utc>,
}

impl Ingest {
    /// Makes everything anew. With `from_the_first`, an interrupted rebuild is forgotten instead of gone on with.
    pub async fn rebuild(
        &self,
        records: &Arc<dyn RecordStore>,
        from_the_first: bool,
        step: impl Fn(RebuildStep<'_>),
    ) -> Result<Rebuilt> {
        if from_the_first {
            forget(records).await?;
        }
        let started = self.begin(records).await?;
        self.index.forget_damaged().await?;
        let made = made(records).await?;
        let blobs = list_all(&self.documents, "").await?;
        let names = blobs.iter().filter(|blob| !is_hidden(&blob.name));
        let names: Vec<DocumentName> = names.filter_map(|blob| DocumentName::parse(&blob.name).ok()).collect();
        let documents = names.len();
        let left: Vec<DocumentName> =
            names.into_iter().filter(|name| !made.contains(DocumentId::of(name).as_str())).collect();
        step(RebuildStep::Begun { documents, made_before: documents - left.len() });
        let mut rebuilt = Rebuilt { made_before: documents - left.len(), ..nothing_yet(started) };
        for part in left.chunks(TIDY_EVERY) {
            let mut turns = futures_util::stream::iter(part)
                .map(|name| async move { (name, self.turn_of(name, records).await) })
                .buffer_unordered(CONCURRENCY);
            while let Some((name, turn)) = turns.next().await {
                match turn? {
                    Some(Synced::Indexed { .. } | Synced::Unchanged) => rebuilt.indexed += 1,
                    Some(Synced::Quarantined { .. }) => rebuilt.quarantined += 1,
                    Some(Synced::Removed) => rebuilt.removed += 1,
                    None => rebuilt.failed += 1,
                }
                step(RebuildStep::Document(name));
            }
            drop(turns);
            let tidied = self.index.tidy(COLLECT_GRACE, Instant::now() + RECONCILE_TIME).await?;
            rebuilt.merged_segments += tidied.merged_segments;
            rebuilt.collected_files += tidied.collected_files;
        }
        // What is in the index or the ledger and not in storage, and what came meanwhile.
        self.reconcile(Instant::now() + RECONCILE_TIME, records).await?;
        if rebuilt.is_finished() {
            forget(records).await?;
        }
        Ok(rebuilt)
    }

    /// Makes one document anew and notes that; `None` when it failed for a passing reason, which is in the ledger.
    async fn turn_of(&self, name: &DocumentName, records: &Arc<dyn RecordStore>) -> Result<Option<Synced>> {
        let Ok(synced) = self.sync_until(name, self.embed_deadline(), true).await else { return Ok(None) };
        let id = DocumentId::of(name);
        records.put(MADE, id.as_str(), &json!({"name": name}), Precondition::Always, None).await?;
        Ok(Some(synced))
    }

    /// When the rebuild under way began; begins one when there is none.
    async fn begin(&self, records: &Arc<dyn RecordStore>) -> Result<DateTime<Utc>> {
        if let Some(record) = records.get(UNDER_WAY.0, UNDER_WAY.1).await? {
            let unreadable = |e| Error::new(ErrorKind::Internal, "the record of a rebuild cannot be read").caused_by(e);
            let under_way: UnderWay = serde_json::from_value(record.body).map_err(unreadable)?;
            return Ok(under_way.started);
        }
        // Left over from one whose end was cut off.
        forget(records).await?;
        let started = self.clock.now();
        records.put(UNDER_WAY.0, UNDER_WAY.1, &json!({ "started": started }), Precondition::Always, None).await?;
        Ok(started)
    }
}

/// Ids of the documents that the rebuild under way has made anew.
async fn made(records: &Arc<dyn RecordStore>) -> Result<BTreeSet<String>> {
    let (mut ids, mut after) = (BTreeSet::new(), None);
    loop {
        let page = records.list(MADE, after.as_deref(), 1_000).await?;
        ids.extend(page.records.into_iter().map(|record| record.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(ids),
        }
    }
}

/// Forgets the rebuild under way. First that there is one: whoever is cut off here leaves records that the next one clears.
async fn forget(records: &Arc<dyn RecordStore>) -> Result<()> {
    records.delete(UNDER_WAY.0, UNDER_WAY.1).await?;
    for id in made(records).await? {
        records.delete(MADE, &id).await?;
    }
    Ok(())
}

fn nothing_yet(started: DateTime<Utc>) -> Rebuilt {
    Rebuilt {
        started,
        made_before: 0,
        indexed: 0,
        quarantined: 0,
        removed: 0,
        failed: 0,
        merged_segments: 0,
        collected_files: 0,
    }
}
