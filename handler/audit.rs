//! The audit: who did what to what, when, and how it ended, in records that are only ever added. What enters is a principal
//! and an event, what leaves are the events of a time in the order in which they came. It never holds what was said in a
//! document, a mail or a question: where one has to be told from another, it holds a SHA-256.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::Clock;
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::{Precondition, Record, RecordStore};

/// How the names of the partitions begin; the month follows, as `2026-05`.
const PARTITION: &str = "audit/";
/// Tells records of one millisecond apart.
static NEXT: AtomicU32 = AtomicU32::new(0);
/// Records that are read at once.
const PAGE: usize = 200;

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// What was done: a thing and a verb in the past, `action.confirmed`, `document.deleted`.
    pub what: &'a str,
    /// To what: the id of an action, a document, a conversation.
    pub subject: &'a str,
    /// How it ended: `ok`, or the code of an error.
    pub outcome: &'a str,
    /// What else an auditor has to know. Names, numbers and hashes; no text of anybody.
    pub about: Value,
}

/// An event with its time and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: the owner's name of a principal.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To what.
    pub subject: String,
    /// How it ended.
    pub outcome: String,
    /// What else there is to know.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub about: Value,
}

/// The audit.
#[derive(Clone, Debug)]
pub struct Audit {
    records: Arc<dyn RecordStore>,
    clock: Clock,
    /// How long a record is kept.
    keep: Duration,
}

impl Audit {
    /// An audit in a record store, whose records go after `keep`.
    pub fn new(records: Arc<dyn RecordStore>, clock: Clock, keep: Duration) -> Self {
        Self { records, clock, keep }
    }

    /// Adds a record. It is durable when this returns; whoever must not act unseen acts after that.
    pub async fn append(&self, principal: &Principal, event: Event<'_>) -> Result<AuditRecord> {
        let record = AuditRecord {
            at: self.clock.now(),
            who: principal.owner().to_owned(),
            what: event.what.to_owned(),
            subject: event.subject.to_owned(),
            outcome: event.outcome.to_owned(),
            about: event.about,
        };
        let partition = format!("{PARTITION}{}", record.at.format("%Y-%m"));
        // Ids in the order of time, within one process also in that of a millisecond, and never the same one twice.
        let (ms, next) = (record.at.timestamp_millis(), NEXT.fetch_add(1, Ordering::Relaxed));
        let id = format!("{ms:013}-{next:08x}-{}", Uuid::new_v4().simple());
        self.records.put(&partition, &id, &json!(record), Precondition::IfAbsent, Some(self.keep)).await?;
        Ok(record)
    }

    /// Gives `each` the records from `from` on and before `to`, oldest first, without holding all of them at once.
    pub async fn read(
        &self,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        mut each: impl FnMut(AuditRecord),
    ) -> Result<()> {
        let is_within = |at: DateTime<Utc>| from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to);
        let month = |time: DateTime<Utc>| format!("{PARTITION}{}", time.format("%Y-%m"));
        let (first, last) = (from.map(month), to.map(month));
        let mut partitions = self.records.partitions().await?;
        partitions.retain(|name| {
            let is_late_enough = first.as_ref().is_none_or(|first| name >= first);
            name.starts_with(PARTITION) && is_late_enough && last.as_ref().is_none_or(|last| name <= last)
        });
        partitions.sort_unstable();
        for partition in partitions {
            let mut after = None;
            loop {
                let page = self.records.list(&partition, after.as_deref(), PAGE).await?;
                for record in page.records {
                    let record = parse(record)?;
                    if is_within(record.at) {
                        each(record);
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn parse(record: Record) -> Result<AuditRecord> {
    let unreadable = |e| Error::new(ErrorKind::Internal, "a record of the audit cannot be read").caused_by(e);
    serde_json::from_value(record.body).map_err(unreadable)
}
