//! Record stores: small JSON bodies found by partition and id, with an ETag and an optional time to live.

pub mod cosmos;
pub mod observed;
pub mod sqlite;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::error::Result;

/// A stored record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Unique within its partition.
    pub id: String,
    /// What was put.
    pub body: Value,
    /// Changes with every put.
    pub etag: String,
    /// From when on it is gone; none for one that stays.
    pub expires: Option<DateTime<Utc>>,
}

/// When a write may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Always.
    Always,
    /// Only if no such record is there, or it has expired.
    IfAbsent,
    /// Only if the record still has this ETag.
    IfMatch(String),
}

/// One page of a partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordPage {
    /// In ascending order of id.
    pub records: Vec<Record>,
    /// Pass it back as `after` to get the next page; `None` on the last.
    pub next: Option<String>,
}

/// Deletes every record of a partition; how many there were.
pub async fn clear(store: &dyn RecordStore, partition: &str) -> Result<usize> {
    const AT_ONCE: usize = 100;
    let mut deleted = 0;
    loop {
        let page = store.list(partition, None, AT_ONCE).await?;
        if page.records.is_empty() {
            return Ok(deleted);
        }
        for record in page.records {
            deleted += usize::from(store.delete(partition, &record.id).await?);
        }
    }
}

/// The contract of every record store.
///
/// A put is durable when it returns. An expired record is as absent as one that never was. A failed precondition is
/// `PreconditionFailed`, a store that cannot be reached `StoreUnavailable`.
#[async_trait]
pub trait RecordStore: Debug + Send + Sync {
    /// One record; `None` if absent or expired.
    async fn get(&self, partition: &str, id: &str) -> Result<Option<Record>>;

    /// Writes a record when `precondition` holds, to live for `ttl` (for ever without one). Returns the new ETag.
    async fn put(
        &self,
        partition: &str,
        id: &str,
        body: &Value,
        precondition: Precondition,
        ttl: Option<Duration>,
    ) -> Result<String>;

    /// Removes a record; `false` if there was none.
    async fn delete(&self, partition: &str, id: &str) -> Result<bool>;

    /// Records of a partition with an id greater than `after`, at most `limit`, in order of id.
    async fn list(&self, partition: &str, after: Option<&str>, limit: usize) -> Result<RecordPage>;

    /// How many records a partition holds.
    async fn count(&self, partition: &str) -> Result<u64>;

    /// The partitions that hold a record, in order.
    async fn partitions(&self) -> Result<Vec<String>>;

    /// Leaves nothing of deleted records in files of ours. Stores that have none have nothing to do.
    async fn settle(&self) -> Result<()> {
        Ok(())
    }
}
