//! The ledger: a row for every document ever seen, with its state, its attempts and its last error. Every failure of
//! ingestion ends here, where a person can read it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::history::{self, Happening, LedgerEvent};
use super::rights::Standing;
use crate::clock::{Clock, is_over};
use crate::document::{DocumentId, DocumentVersion};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::{Precondition, Record, RecordStore};

/// The partition of the record store that holds the rows.
const PARTITION: &str = "documents";
/// Longest error sentence that is kept.
const MAX_MESSAGE_CHARS: usize = 500;

/// No lease is longer: an invocation ends before.
const LONGEST_LEASE: TimeDelta = TimeDelta::days(1);

/// Where a document is on its way.
#[derive(utoipa::ToSchema)]
#[schema(as = DocumentState)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was uploaded, and nobody has begun with it.
    Queued,
    /// Somebody is at it, until the lease ends.
    Processing,
    /// Its passages can be found.
    Indexed,
    /// A passing trouble; it is tried again.
    Failed,
    /// A lasting trouble; it waits for a new version or for a person.
    Quarantined,
    /// It is gone from storage and cannot be found.
    Deleted,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Processing, Self::Indexed, Self::Failed, Self::Quarantined, Self::Deleted];

    /// The word that figures have for it, as in a row.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Indexed => "indexed",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
            Self::Deleted => "deleted",
        }
    }
}

/// Why the last attempt failed.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// The code of the error's kind.
    pub code: String,
    /// A sentence for a person.
    pub message: String,
}

/// What is known of a document.
#[derive(utoipa::ToSchema)]
#[schema(as = Document)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// The document's id; also the row's.
    pub id: DocumentId,
    /// Its name as storage has it.
    pub name: String,
    /// Where it is on its way.
    pub state: State,
    /// The version the state is about.
    pub version: Option<DocumentVersion>,
    /// SHA-256 of the content that was indexed.
    pub content_hash: Option<String>,
    /// How its passages were made.
    pub recipe: Option<String>,
    /// Attempts at this version.
    pub attempts: u32,
    /// Attempts before the present one that never came to an end, one after the other: the process died over them.
    #[serde(default)]
    pub unfinished: u32,
    /// Why the last attempt failed; none after a success.
    pub error: Option<LastError>,
    /// Who uploaded it through the API; none for documents put into storage directly.
    pub owner: Option<String>,
    /// What people sort it under; none when nobody said.
    #[serde(default)]
    pub category: Option<String>,
    /// Marks of those who may read what can be found of it; of a document without passages, who may know of it.
    #[serde(default)]
    pub readers: Vec<String>,
    /// Size of the content.
    pub size_bytes: u64,
    /// Pages, for formats that have them.
    pub pages: Option<u32>,
    /// What a person should know of a document that can be found: for example that its file ends early.
    #[serde(default)]
    pub remark: Option<String>,
    /// Passages that can be found.
    pub passages: u32,
    /// Estimated tokens of those passages.
    pub tokens: u64,
    /// Tokens that the embedding model has counted for the document so far, in all its versions and attempts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub embedding_tokens: u64,
    /// What they cost at the price of their time; none while no price was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_cost: Option<f64>,
    /// Milliseconds of the last successful ingestion, by phase.
    pub phases_ms: BTreeMap<String, u64>,
    /// When the document was first seen.
    pub first_seen: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
    /// Until when whoever processes it may be believed to be alive.
    pub lease_until: Option<DateTime<Utc>>,
    /// What happened to it, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<LedgerEvent>,
}

impl LedgerRow {
    fn new(id: DocumentId, name: &str, now: DateTime<Utc>) -> Self {
        Self {
            id,
            name: name.to_owned(),
            state: State::Queued,
            version: None,
            content_hash: None,
            recipe: None,
            attempts: 0,
            unfinished: 0,
            error: None,
            owner: None,
            category: None,
            readers: Vec::new(),
            size_bytes: 0,
            pages: None,
            remark: None,
            passages: 0,
            tokens: 0,
            embedding_tokens: 0,
            embedding_cost: None,
            phases_ms: BTreeMap::new(),
            first_seen: now,
            updated: now,
            lease_until: None,
            events: Vec::new(),
        }
    }

    /// Remembers what happened, as of the change that is being made.
    pub fn note(&mut self, what: Happening, detail: Option<&str>) {
        history::note(&mut self.events, self.updated, what, detail);
    }

    /// Takes over how the document stands. Who may read its passages changes with the passages, and not before.
    pub fn stands(&mut self, standing: &Standing) {
        self.owner.clone_from(&standing.owner);
        self.category.clone_from(&standing.category);
        if self.passages == 0 {
            self.readers.clone_from(&standing.readers);
        }
    }

    /// Adds what embedding has cost.
    pub fn pays(&mut self, tokens: u64, cost: Option<f64>) {
        self.embedding_tokens += tokens;
        if let Some(cost) = cost {
            self.embedding_cost = Some(self.embedding_cost.unwrap_or(0.0) + cost);
        }
    }

    /// Whether the row says that somebody is at it who can no longer be alive.
    pub fn is_stuck(&self, now: DateTime<Utc>) -> bool {
        self.state == State::Processing && self.lease_until.is_none_or(|until| is_over(until, now, LONGEST_LEASE))
    }

    /// Whether the row says that the document cannot be read, and that trying again cannot help.
    pub fn is_settled(&self) -> bool {
        let kind = self.error.as_ref().and_then(|error| ErrorKind::of_code(&error.code));
        self.state == State::Quarantined && kind.is_none_or(|kind| !kind.row().passing)
    }

    /// When a failed document may be tried again: later with each attempt.
    pub fn retry_at(&self) -> DateTime<Utc> {
        self.updated + TimeDelta::seconds(30 * (1 << self.attempts.min(6)))
    }
}

/// One page of rows.
#[derive(utoipa::ToSchema)]
#[schema(as = DocumentPage)]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LedgerPage {
    /// In order of id.
    pub documents: Vec<LedgerRow>,
    /// Pass it back to get the next page.
    pub next: Option<String>,
}

/// The rows, kept in a record store.
#[derive(Clone, Debug)]
pub struct Ledger {
    records: Arc<dyn RecordStore>,
    clock: Clock,
    lease: Duration,
}

impl Ledger {
    /// A ledger in `records`; whoever claims a document is believed to be alive for `lease`.
    pub fn new(records: Arc<dyn RecordStore>, clock: Clock, lease: Duration) -> Self {
        Self { records, clock, lease }
    }

    /// The row of a document.
    pub async fn get(&self, id: &DocumentId) -> Result<Option<LedgerRow>> {
        Ok(self.read(id).await?.map(|(row, _)| row))
    }

    /// Rows after `after`, at most `limit`.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<LedgerPage> {
        let page = self.records.list(PARTITION, after, limit).await?;
        let documents = page.records.into_iter().map(parse).collect::<Result<Vec<_>>>()?;
        Ok(LedgerPage { documents: documents.into_iter().map(|(row, _)| row).collect(), next: page.next })
    }

    /// Every row.
    pub async fn all(&self) -> Result<Vec<LedgerRow>> {
        let mut rows = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.list(after.as_deref(), 500).await?;
            rows.extend(page.documents);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(rows),
            }
        }
    }

    /// Changes the row of a document, making it if there is none. `change` may be called again when another writer was
    /// faster.
    pub async fn update(&self, id: &DocumentId, name: &str, change: impl Fn(&mut LedgerRow)) -> Result<LedgerRow> {
        loop {
            let now = self.clock.now();
            let (mut row, precondition) = match self.read(id).await? {
                Some((row, etag)) => (row, Precondition::IfMatch(etag)),
                None => (LedgerRow::new(id.clone(), name, now), Precondition::IfAbsent),
            };
            row.updated = now;
            change(&mut row);
            let body = serde_json::to_value(&row)
                .map_err(|e| Error::new(ErrorKind::Internal, "cannot write a ledger row").caused_by(e))?;
            match self.records.put(PARTITION, id.as_str(), &body, precondition, None).await {
                Ok(_) => return Ok(row),
                Err(e) if e.kind() == ErrorKind::PreconditionFailed => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Says that a caller uploaded a document, which is now in storage. Whoever began with it meanwhile is not disturbed.
    pub async fn queue(&self, id: &DocumentId, name: &str, standing: &Standing, size_bytes: u64) -> Result<LedgerRow> {
        self.update(id, name, |row| {
            row.stands(standing);
            if row.version.is_none() || row.state == State::Deleted {
                row.state = State::Queued;
                row.size_bytes = size_bytes;
            }
            row.note(Happening::Queued, None);
        })
        .await
    }

    /// How many documents of an owner are in storage, as far as the ledger knows.
    pub async fn count_of(&self, owner: &str) -> Result<u64> {
        let rows = self.all().await?;
        let owned = rows.iter().filter(|row| row.state != State::Deleted && row.owner.as_deref() == Some(owner));
        Ok(owned.count() as u64)
    }

    /// Says that somebody starts on a version, and counts the attempt before anything can go wrong.
    pub async fn claim(
        &self,
        id: &DocumentId,
        name: &str,
        version: &DocumentVersion,
        standing: &Standing,
        size_bytes: u64,
    ) -> Result<LedgerRow> {
        let lease_until = self.clock.now() + self.lease;
        self.update(id, name, |row| {
            let same = row.version.as_ref() == Some(version) && !matches!(row.state, State::Deleted | State::Indexed);
            let never_ended = same && row.state == State::Processing;
            row.attempts = if same { row.attempts + 1 } else { 1 };
            row.unfinished = if never_ended { row.unfinished + 1 } else { 0 };
            row.state = State::Processing;
            row.stands(standing);
            row.version = Some(version.clone());
            row.size_bytes = size_bytes;
            row.lease_until = Some(lease_until);
            row.note(Happening::Started, Some(&format!("attempt {}", row.attempts)));
        })
        .await
    }

    /// Forgets the attempts at a document, so that it is taken up as if it were new. What is visible of it stays visible.
    pub async fn reset(&self, id: &DocumentId, name: &str) -> Result<LedgerRow> {
        self.update(id, name, |row| {
            row.state = State::Queued;
            row.attempts = 0;
            row.unfinished = 0;
            row.lease_until = None;
            row.note(Happening::Retried, None);
        })
        .await
    }

    /// Says that an attempt failed, for good or for now. A row that is about another version than `version` meanwhile is
    /// left alone.
    pub async fn fail(
        &self,
        id: &DocumentId,
        name: &str,
        version: Option<&DocumentVersion>,
        state: State,
        error: &Error,
    ) -> Result<LedgerRow> {
        let last = LastError {
            code: error.kind().row().code.to_owned(),
            message: error.message().chars().take(MAX_MESSAGE_CHARS).collect(),
        };
        self.update(id, name, |row| {
            if version.is_some_and(|version| row.version.as_ref() != Some(version)) {
                return;
            }
            row.state = state;
            row.error = Some(last.clone());
            row.lease_until = None;
            if state == State::Quarantined && !error.is_passing() {
                row.content_hash = None;
                row.pages = None;
                row.remark = None;
                row.passages = 0;
                row.tokens = 0;
            }
            let what = if state == State::Quarantined { Happening::Quarantined } else { Happening::Failed };
            row.note(what, Some(&last.code));
        })
        .await
    }

    /// Forgets who brought a document that is gone.
    pub async fn disown(&self, row: &LedgerRow) -> Result<()> {
        self.update(&row.id, &row.name, |row| {
            row.owner = None;
            row.readers.clear();
        })
        .await
        .map(|_| ())
    }

    /// Says that a document is gone. One that was never seen gets no row.
    pub async fn delete(&self, id: &DocumentId, name: &str) -> Result<()> {
        if self.get(id).await?.is_none_or(|row| row.state == State::Deleted) {
            return Ok(());
        }
        self.update(id, name, |row| {
            row.state = State::Deleted;
            row.error = None;
            row.content_hash = None;
            row.remark = None;
            row.passages = 0;
            row.tokens = 0;
            row.lease_until = None;
            row.note(Happening::Removed, None);
        })
        .await
        .map(|_| ())
    }

    async fn read(&self, id: &DocumentId) -> Result<Option<(LedgerRow, String)>> {
        self.records.get(PARTITION, id.as_str()).await?.map(parse).transpose()
    }
}

/// What is nought is not shown.
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn parse(record: Record) -> Result<(LedgerRow, String)> {
    let row = serde_json::from_value(record.body)
        .map_err(|e| Error::new(ErrorKind::Internal, "a ledger row cannot be read").caused_by(e))?;
    Ok((row, record.etag))
}
