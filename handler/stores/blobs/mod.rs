//! Blob stores: named byte strings with an ETag. Enters: names and bytes. Leaves: bytes, ETags, pages of a listing.

pub mod azure;
pub mod local;
mod local_file;
pub mod observed;
mod side_file;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::error::Result;

/// Words about a blob by name.
pub type Words = BTreeMap<String, String>;

/// What a store knows about a blob without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobMeta {
    /// The name within the store, `/` between its parts.
    pub name: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Changes whenever the content or the metadata does. Opaque.
    pub etag: String,
    /// When the blob last changed, as the store says.
    pub modified: DateTime<Utc>,
    /// What was said about the blob when it was put; names in lower case.
    pub metadata: Words,
    /// What has been said about it since, without writing it: the index tags of Azure, where they are read. A change of theirs
    /// leaves the ETag as it is. Names in lower case.
    pub tags: Words,
}

/// A blob's content, or the part of it that was asked for, with what is known about the whole.
#[derive(Clone, Debug)]
pub struct Blob {
    /// About the whole blob.
    pub meta: BlobMeta,
    /// The bytes of the whole or of the range.
    pub bytes: Bytes,
}

/// When a write may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    Always,
    /// Only if no blob of that name is there.
    IfAbsent,
    /// Only if the blob still has this ETag.
    IfMatch(String),
}

/// How a blob is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOptions {
    /// When the write may happen.
    pub condition: Condition,
    /// All that is said about the blob from now on; names are lower-case identifiers.
    pub metadata: Words,
}

/// The answer to a read that names the ETag already known.
#[derive(Clone, Debug)]
pub enum Reread {
    /// No such blob.
    Absent,
    /// Still the known ETag; nothing was transferred.
    Unchanged,
    /// Another content.
    Changed(Blob),
}

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct BlobPage {
    /// In ascending order of name.
    pub blobs: Vec<BlobMeta>,
    /// Pass it back to get the next page; `None` on the last.
    pub next: Option<String>,
}

/// The contract of every blob store.
///
/// Names follow [`crate::document::DocumentName::parse`]; any other is refused with `InvalidName` and touches nothing.
/// A write is seen whole or not at all. A failed condition is `PreconditionFailed`; a store that cannot be reached is
/// `StoreUnavailable`. All calls may be repeated.
#[async_trait]
pub trait BlobStore: Debug + Send + Sync {
    /// What is known about a blob; `None` if there is none.
    async fn head(&self, name: &str) -> Result<Option<BlobMeta>>;

    /// A blob, or the bytes of `range` (cut at its end); `None` if there is none.
    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>>;

    /// A blob, unless it still has the ETag `known`.
    async fn get_unless(&self, name: &str, known: &str) -> Result<Reread>;

    /// Writes a blob and its metadata, together or not at all, when the condition holds; says what is stored now.
    async fn put_with(&self, name: &str, bytes: Bytes, options: PutOptions) -> Result<BlobMeta>;

    /// Writes a blob without metadata; what was said about an earlier one of that name is forgotten.
    async fn put(&self, name: &str, bytes: Bytes, condition: Condition) -> Result<BlobMeta> {
        self.put_with(name, bytes, PutOptions { condition, metadata: Words::new() }).await
    }

    /// Removes a blob; `false` if there was none.
    async fn delete(&self, name: &str) -> Result<bool>;

    /// Blobs whose name starts with `prefix`, at most `limit` of them, from the page `after` names.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage>;

    /// The file that holds the blob, when it lies on this machine: it can then be mapped without a copy.
    fn local_path(&self, _name: &str) -> Option<PathBuf> {
        None
    }

    /// Where the store is, for people: a folder or an address, never a secret.
    fn location(&self) -> String;
}

/// Every blob whose name starts with `prefix`, page after page.
pub async fn list_all(store: &Arc<dyn BlobStore>, prefix: &str) -> Result<Vec<BlobMeta>> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list(prefix, after.as_deref(), 1_000).await?;
        all.extend(page.blobs);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}
