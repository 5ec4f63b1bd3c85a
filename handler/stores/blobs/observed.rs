//! A blob store whose calls leave the process, with a span and a measurement for each.

use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Blob, BlobMeta, BlobPage, BlobStore, PutOptions, Reread};
use crate::error::Result;
use crate::telemetry::calls::{Call, outside};

/// Wraps a store that is somewhere else.
#[derive(Debug)]
pub struct ObservedBlobs<S> {
    store: S,
}

impl<S: BlobStore> ObservedBlobs<S> {
    /// Observes the calls to a store.
    pub fn new(store: S) -> Self {
        Self { store }
    }

    fn call(&self, operation: &'static str) -> Call {
        outside("blob", operation)
    }
}

#[async_trait]
impl<S: BlobStore> BlobStore for ObservedBlobs<S> {
    async fn head(&self, name: &str) -> Result<Option<BlobMeta>> {
        self.call("head").run(self.store.head(name)).await
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>> {
        self.call("get").run(self.store.get(name, range)).await
    }

    async fn get_unless(&self, name: &str, known: &str) -> Result<Reread> {
        self.call("get").run(self.store.get_unless(name, known)).await
    }

    async fn put_with(&self, name: &str, bytes: Bytes, options: PutOptions) -> Result<BlobMeta> {
        self.call("put").run(self.store.put_with(name, bytes, options)).await
    }

    async fn delete(&self, name: &str) -> Result<bool> {
        self.call("delete").run(self.store.delete(name)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage> {
        self.call("list").run(self.store.list(prefix, after, limit)).await
    }

    fn local_path(&self, name: &str) -> Option<PathBuf> {
        self.store.local_path(name)
    }

    fn location(&self) -> String {
        self.store.location()
    }
}
