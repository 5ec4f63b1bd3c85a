//! Stores of a process that dies: after a number of writes no call returns any more, as if the process were gone. Everything
//! before that is really written.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use knowledge_worker::error::Result;
use knowledge_worker::stores::blobs::{Blob, BlobMeta, BlobPage, BlobStore, PutOptions, Reread};
use knowledge_worker::stores::records::{Precondition, Record, RecordPage, RecordStore};
use serde_json::Value;
use tokio::sync::Notify;

/// How long a process has to live, counted in writes; shared by all its stores.
#[derive(Clone, Debug)]
pub struct Life {
    writes_left: Arc<AtomicI64>,
    died: Arc<Notify>,
}

impl Life {
    /// A life of so many writes.
    pub fn of(writes: i64) -> Self {
        Self { writes_left: Arc::new(AtomicI64::new(writes)), died: Arc::new(Notify::new()) }
    }

    /// Runs work until it ends (`Some`) or the process dies (`None`).
    pub async fn live<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            result = work => Some(result),
            () = self.died.notified() => None,
        }
    }

    async fn write(&self) {
        if self.writes_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.die().await;
        }
    }

    async fn read(&self) {
        if self.writes_left.load(Ordering::SeqCst) < 0 {
            self.die().await;
        }
    }

    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

/// A blob store of such a process.
#[derive(Debug)]
pub struct DyingBlobs(pub Arc<dyn BlobStore>, pub Life);

#[async_trait]
impl BlobStore for DyingBlobs {
    async fn head(&self, name: &str) -> Result<Option<BlobMeta>> {
        self.1.read().await;
        self.0.head(name).await
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>> {
        self.1.read().await;
        self.0.get(name, range).await
    }

    async fn get_unless(&self, name: &str, known: &str) -> Result<Reread> {
        self.1.read().await;
        self.0.get_unless(name, known).await
    }

    async fn put_with(&self, name: &str, bytes: Bytes, options: PutOptions) -> Result<BlobMeta> {
        self.1.write().await;
        self.0.put_with(name, bytes, options).await
    }

    async fn delete(&self, name: &str) -> Result<bool> {
        self.1.write().await;
        self.0.delete(name).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage> {
        self.1.read().await;
        self.0.list(prefix, after, limit).await
    }

    fn location(&self) -> String {
        self.0.location()
    }
}

/// A record store of such a process.
#[derive(Debug)]
pub struct DyingRecords(pub Arc<dyn RecordStore>, pub Life);

#[async_trait]
impl RecordStore for DyingRecords {
    async fn get(&self, partition: &str, id: &str) -> Result<Option<Record>> {
        self.1.read().await;
        self.0.get(partition, id).await
    }

    async fn put(
        &self,
        partition: &str,
        id: &str,
        body: &Value,
        precondition: Precondition,
        ttl: Option<Duration>,
    ) -> Result<String> {
        self.1.write().await;
        self.0.put(partition, id, body, precondition, ttl).await
    }

    async fn delete(&self, partition: &str, id: &str) -> Result<bool> {
        self.1.write().await;
        self.0.delete(partition, id).await
    }

    async fn list(&self, partition: &str, after: Option<&str>, limit: usize) -> Result<RecordPage> {
        self.1.read().await;
        self.0.list(partition, after, limit).await
    }

    async fn count(&self, partition: &str) -> Result<u64> {
        self.1.read().await;
        self.0.count(partition).await
    }

    async fn partitions(&self) -> Result<Vec<String>> {
        self.1.read().await;
        self.0.partitions().await
    }
}
