//! The first answer of an instance that has nothing of the index yet, beside fetching the same bytes and nothing else.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use knowledge_worker::document::Principal;
use knowledge_worker::index::Query;
use knowledge_worker::stores::blobs::azure::AzureBlobs;
use knowledge_worker::stores::blobs::local::LocalBlobs;
use knowledge_worker::stores::blobs::{BlobMeta, BlobStore, Condition, list_all};
use knowledge_worker::stores::storage_account::StorageAccount;
use serde_json::json;

use crate::work::open_at;

/// Of both, the best of so many: the machine has other work too.
const TRIES: usize = 5;
/// As the index fetches.
const PART_BYTES: u64 = 8 << 20;
const PARTS_AT_ONCE: usize = 8;

/// Copies the index of `folder` to the account that a connection string names, and measures both. One line of JSON.
pub async fn measure(folder: &Path, connection: &str) -> serde_json::Value {
    let account = StorageAccount::from_connection_string(connection).unwrap();
    let container = format!("bench-{}", uuid::Uuid::new_v4().simple());
    let remote: Arc<dyn BlobStore> = Arc::new(AzureBlobs::open(&account, &container));
    let local: Arc<dyn BlobStore> = Arc::new(LocalBlobs::open(&folder.join("index")).unwrap());
    let blobs = list_all(&local, "").await.unwrap();
    for blob in &blobs {
        let found = local.get(&blob.name, None).await.unwrap().unwrap();
        remote.put(&blob.name, found.bytes, Condition::Always).await.unwrap();
    }
    let question = std::fs::read_to_string(folder.join("queries.txt")).unwrap();
    let question = Query::words(question.lines().next().unwrap(), 10);
    let (mut fetched, mut answered) = (f64::MAX, f64::MAX);
    for _ in 0..TRIES {
        let began = Instant::now();
        let bytes = fetch(&remote, &blobs).await;
        assert_eq!(bytes, blobs.iter().map(|blob| blob.size_bytes).sum::<u64>());
        fetched = fetched.min(began.elapsed().as_secs_f64());
        let cache = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let index = open_at(Arc::clone(&remote), cache.path());
        let found = index.search(&Principal::anonymous(), &question).await.unwrap();
        answered = answered.min(began.elapsed().as_secs_f64());
        assert!(!found.hits.is_empty());
    }
    json!({
        "cold_bytes_mb": blobs.iter().map(|blob| blob.size_bytes).sum::<u64>() / 1_000_000,
        "cold_fetch_ms": (fetched * 1e3).round(),
        "cold_first_answer_ms": (answered * 1e3).round(),
    })
}

/// Fetches every byte in parts, several at once, and keeps none; how many those were.
async fn fetch(store: &Arc<dyn BlobStore>, blobs: &[BlobMeta]) -> u64 {
    let parts = blobs.iter().flat_map(|blob| {
        let ends = move |start: u64| start..(start + PART_BYTES).min(blob.size_bytes);
        (0..blob.size_bytes).step_by(PART_BYTES as usize).map(move |start| (&blob.name, ends(start)))
    });
    let lengths = stream::iter(parts)
        .map(async |(name, range)| store.get(name, Some(range)).await.map(|blob| blob.unwrap().bytes.len() as u64))
        .buffer_unordered(PARTS_AT_ONCE);
    lengths.try_fold(0, async |sum, length| Ok(sum + length)).await.unwrap()
}
