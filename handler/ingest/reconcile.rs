//! The timer's work: storage, ledger and index are laid side by side, and what differs is brought in line. This, not the
//! events, is the guarantee: an event that never came is made good here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::ledger::{LedgerRow, State};
use super::pipeline::{Ingest, Synced, version_of};
use crate::document::{DocumentId, DocumentName};
use crate::error::{Error, ErrorKind, Result};
use crate::index::segments::manifest::DocumentEntry;
use crate::stores::blobs::{BlobMeta, list_all};
use crate::stores::records::{Precondition, RecordStore};
use crate::telemetry::{metrics, one_line};

/// How many documents are brought in line at once.
pub(super) const CONCURRENCY: usize = 4;
/// Names in the report for each reason; the counts are of all.
const NAMES_SHOWN: usize = 20;
/// Segment files younger than this may belong to a writer who has not named them yet.
pub const COLLECT_GRACE: Duration = Duration::from_secs(15 * 60);

/// Why a document was looked at again.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// In storage, not in the index.
    Missing,
    /// In storage with another version than in the index.
    Changed,
    /// In the index or the ledger, no longer in storage.
    Gone,
    /// Claimed by somebody who is no longer alive.
    Stuck,
    /// Failed for a passing reason, and due again.
    Failed,
    /// Made with other settings than the present ones.
    Outdated,
}

/// What a run found and did.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftReport {
    /// When it began.
    pub started: DateTime<Utc>,
    /// How long it took.
    pub took_ms: u64,
    /// Blobs in storage.
    pub blobs: usize,
    /// How many documents differed, by reason.
    pub drift: BTreeMap<Drift, usize>,
    /// The first few of them, by reason.
    pub examples: BTreeMap<Drift, Vec<String>>,
    /// Documents that were made findable.
    pub indexed: usize,
    /// Documents that were removed.
    pub removed: usize,
    /// Documents that cannot be read.
    pub quarantined: usize,
    /// Documents that failed again for a passing reason.
    pub failed: usize,
    /// Whether time ran out; the next run goes on.
    pub unfinished: bool,
    /// Damaged parts of the index that were forgotten, so that their documents were made anew.
    #[serde(default)]
    pub damaged_segments: usize,
    /// Segments merged away.
    pub merged_segments: usize,
    /// Unused files deleted.
    pub collected_files: usize,
}

impl fmt::Display for DriftReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} blobs: {} indexed, {} removed, {} quarantined, {} failed, {} segments merged, {} files deleted{}",
            self.blobs,
            self.indexed,
            self.removed,
            self.quarantined,
            self.failed,
            self.merged_segments,
            self.collected_files,
            if self.unfinished { "; time ran out, the next run goes on" } else { "" },
        )
    }
}

/// One thing to look at again.
struct Task {
    drift: Drift,
    id: DocumentId,
    /// As storage or ledger has it; it may be one that no document can have.
    name: String,
}

impl Ingest {
    /// Compares and repairs until all is in line or `deadline` comes. Idempotent: a second run at once finds nothing to do.
    /// Resumable: whatever was done stays done, and the next run finds the rest.
    pub async fn reconcile(&self, deadline: Instant, records: &Arc<dyn RecordStore>) -> Result<DriftReport> {
        let (started, began) = (self.clock.now(), Instant::now());
        let damaged_segments = self.index.forget_damaged().await?;
        let (blobs, tasks) = self.compare().await?;
        let mut report = DriftReport { damaged_segments, ..empty_report(started, blobs) };
        for task in &tasks {
            *report.drift.entry(task.drift).or_default() += 1;
            let examples = report.examples.entry(task.drift).or_default();
            if examples.len() < NAMES_SHOWN {
                examples.push(task.name.clone());
            }
        }
        let mut done = futures_util::stream::iter(tasks)
            .map(|task| async move {
                if Instant::now() >= deadline { None } else { Some(self.repair(task, deadline).await) }
            })
            .buffer_unordered(CONCURRENCY);
        while let Some(outcome) = done.next().await {
            match outcome {
                None => report.unfinished = true,
                Some(Ok(Synced::Indexed { .. })) => report.indexed += 1,
                Some(Ok(Synced::Removed)) => report.removed += 1,
                Some(Ok(Synced::Quarantined { .. })) => report.quarantined += 1,
                Some(Ok(Synced::Unchanged)) => {}
                Some(Err(_)) => report.failed += 1,
            }
        }
        drop(done);
        if Instant::now() < deadline {
            let tidied = self.index.tidy(COLLECT_GRACE, deadline).await?;
            (report.merged_segments, report.collected_files) = (tidied.merged_segments, tidied.collected_files);
        }
        report.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.keep_report(&report, records).await?;
        Ok(report)
    }

    /// The names of the documents that differ now, by reason; repairs nothing and notes nothing.
    pub async fn drift(&self) -> Result<BTreeMap<Drift, Vec<String>>> {
        let (_, tasks) = self.compare().await?;
        let mut drift: BTreeMap<Drift, Vec<String>> = BTreeMap::new();
        tasks.into_iter().for_each(|task| drift.entry(task.drift).or_default().push(task.name));
        Ok(drift)
    }

    async fn keep_report(&self, report: &DriftReport, records: &Arc<dyn RecordStore>) -> Result<()> {
        let body = serde_json::to_value(report)
            .map_err(|e| Error::new(ErrorKind::Internal, "cannot write the drift report").caused_by(e))?;
        records.put("maintenance", "last-report", &body, Precondition::Always, None).await?;
        info!(
            blobs = report.blobs,
            indexed = report.indexed,
            removed = report.removed,
            quarantined = report.quarantined,
            failed = report.failed,
            took_ms = report.took_ms,
            "compared storage and index"
        );
        Ok(())
    }

    /// How many blobs there are, and what differs.
    async fn compare(&self) -> Result<(usize, Vec<Task>)> {
        let blobs = list_all(&self.documents, "").await?;
        let rows: BTreeMap<DocumentId, LedgerRow> =
            self.ledger.all().await?.into_iter().map(|row| (row.id.clone(), row)).collect();
        for state in State::ALL {
            metrics::documents(state.word(), rows.values().filter(|row| row.state == state).count() as u64);
        }
        let entries: BTreeMap<DocumentId, DocumentEntry> = self.index.entries().await?.into_iter().collect();
        let mut stored: BTreeMap<DocumentId, ()> = BTreeMap::new();
        let mut tasks = Vec::new();
        for blob in blobs.iter().filter(|blob| !is_hidden(&blob.name)) {
            let id = DocumentId::of_raw(&blob.name);
            if let Some(drift) = self.drift_of(blob, rows.get(&id), entries.get(&id)) {
                tasks.push(Task { drift, id: id.clone(), name: blob.name.clone() });
            }
            stored.insert(id, ());
        }
        let live_rows = rows.values().filter(|row| row.state != State::Deleted).map(|row| (&row.id, row.name.clone()));
        let known = entries.iter().map(|(id, entry)| (id, entry.name.to_string())).chain(live_rows);
        let gone: BTreeMap<&DocumentId, String> = known.filter(|(id, _)| !stored.contains_key(*id)).collect();
        tasks.extend(gone.into_iter().map(|(id, name)| Task { drift: Drift::Gone, id: id.clone(), name }));
        Ok((blobs.len(), tasks))
    }

    fn drift_of(&self, blob: &BlobMeta, row: Option<&LedgerRow>, entry: Option<&DocumentEntry>) -> Option<Drift> {
        let (version, recipe, now) = (version_of(blob), self.recipe(&self.standing(blob)), self.clock.now());
        if DocumentName::parse(&blob.name).is_err() && row.is_some_and(|row| row.state == State::Quarantined) {
            return None;
        }
        let Some(row) = row else {
            let agrees = entry.is_some_and(|entry| entry.version == version);
            return Some(if agrees { Drift::Stuck } else { Drift::Missing });
        };
        if row.is_stuck(now) {
            return Some(Drift::Stuck);
        }
        match row.state {
            State::Processing => None,
            State::Queued => Some(Drift::Missing),
            _ if row.version.as_ref() != Some(&version) => Some(Drift::Changed),
            State::Failed => (row.retry_at() <= now).then_some(Drift::Failed),
            State::Quarantined if !row.is_settled() => (row.retry_at() <= now).then_some(Drift::Failed),
            State::Deleted => Some(Drift::Missing),
            State::Indexed if entry.is_none() => Some(Drift::Missing),
            State::Indexed if entry.is_some_and(|entry| !row.agrees_with(entry)) => Some(Drift::Changed),
            State::Indexed | State::Quarantined => {
                (row.recipe.as_deref() != Some(recipe.as_str())).then_some(Drift::Outdated)
            }
        }
    }

    async fn repair(&self, task: Task, deadline: Instant) -> Result<Synced> {
        let embed_until = self.embed_deadline_in_a_run(deadline.into());
        let repaired = match DocumentName::parse(&task.name) {
            Ok(name) if DocumentId::of(&name) == task.id => match self.sync_until(&name, embed_until, false).await {
                // A name that the store cannot even keep is not in it.
                Ok(Synced::Quarantined { code: "invalid-name" }) if task.drift == Drift::Gone => {
                    self.ledger.delete(&task.id, &task.name).await.map(|()| Synced::Removed)
                }
                synced => synced,
            },
            _ if task.drift == Drift::Gone => self.ledger.delete(&task.id, &task.name).await.map(|()| Synced::Removed),
            Ok(_) => Ok(Synced::Unchanged),
            Err(e) => self.refuse_name(&task.name, &e).await,
        };
        if let Err(e) = &repaired {
            warn!(error.code = e.kind().row().code, cause = %one_line(&e.chain()), "could not bring a document in line");
        }
        repaired
    }
}

/// The report of the last run, if there was one.
pub async fn last_report(records: &Arc<dyn RecordStore>) -> Result<Option<DriftReport>> {
    let Some(record) = records.get("maintenance", "last-report").await? else { return Ok(None) };
    let report = serde_json::from_value(record.body)
        .map_err(|e| Error::new(ErrorKind::Internal, "the drift report cannot be read").caused_by(e))?;
    Ok(Some(report))
}

/// Files that programs leave beside documents and nobody wants to ask about: hidden ones, and the locks of office programs.
pub fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.') || part.starts_with("~$"))
}

fn empty_report(started: DateTime<Utc>, blobs: usize) -> DriftReport {
    DriftReport {
        started,
        took_ms: 0,
        blobs,
        drift: BTreeMap::new(),
        examples: BTreeMap::new(),
        indexed: 0,
        removed: 0,
        quarantined: 0,
        failed: 0,
        unfinished: false,
        damaged_segments: 0,
        merged_segments: 0,
        collected_files: 0,
    }
}
