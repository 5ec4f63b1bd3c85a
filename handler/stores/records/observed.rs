//! A record store whose calls leave the process, with a span and a measurement for each.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::{Precondition, Record, RecordPage, RecordStore};
use crate::error::Result;
use crate::telemetry::calls::{Call, outside};

/// Wraps a store that is somewhere else.
#[derive(Debug)]
pub struct ObservedRecords<S> {
    store: S,
    peer: String,
}

impl<S: RecordStore> ObservedRecords<S> {
    /// Observes the calls to a store of Cosmos DB at `peer`, of which host and port are shown.
    pub fn new(store: S, peer: &str) -> Self {
        Self { store, peer: peer.to_owned() }
    }

    fn call(&self, operation: &'static str) -> Call {
        outside("cosmos", operation).to(&self.peer)
    }
}

#[async_trait]
impl<S: RecordStore> RecordStore for ObservedRecords<S> {
    async fn get(&self, partition: &str, id: &str) -> Result<Option<Record>> {
        self.call("get").run(self.store.get(partition, id)).await
    }

    async fn put(
        &self,
        partition: &str,
        id: &str,
        body: &Value,
        precondition: Precondition,
        ttl: Option<Duration>,
    ) -> Result<String> {
        self.call("put").run(self.store.put(partition, id, body, precondition, ttl)).await
    }

    async fn delete(&self, partition: &str, id: &str) -> Result<bool> {
        self.call("delete").run(self.store.delete(partition, id)).await
    }

    async fn list(&self, partition: &str, after: Option<&str>, limit: usize) -> Result<RecordPage> {
        self.call("list").run(self.store.list(partition, after, limit)).await
    }

    async fn count(&self, partition: &str) -> Result<u64> {
        self.call("count").run(self.store.count(partition)).await
    }

    async fn partitions(&self) -> Result<Vec<String>> {
        self.call("partitions").run(self.store.partitions()).await
    }
}
