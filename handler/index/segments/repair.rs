//! What is damaged in the index, and how it gets well: the documents are in storage, so whatever cannot be read is forgotten,
//! and maintenance makes it anew.

use serde::Serialize;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::manifest::{FileEntry, MANIFEST_NAME};
use super::stored::{StoredManifest, StoredSegment};
use super::{SegmentIndex, Stored};
use crate::document::hex;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are read at once.
const PART_BYTES: u64 = 8 << 20;

/// What a look at every byte of the index found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Files that were read.
    pub files: usize,
    /// Their bytes.
    pub size_bytes: u64,
    /// What is wrong; empty when all is well.
    pub damage: Vec<Damage>,
}

/// A file that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file in the store.
    pub file: String,
    /// Passages of its segment, which cannot be answered from until their documents are made anew.
    pub passages: u64,
    /// What is wrong with it, as a sentence.
    pub reason: String,
}

impl SegmentIndex {
    /// Reads every file that the manifest names, from the store, and compares it with its checksum. `step` is told of each.
    pub async fn verify(&self, step: impl Fn(&FileEntry)) -> Result<Verified> {
        let manifest = match self.read_stored().await {
            Ok(stored) => stored.map(|(manifest, _)| manifest).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::IndexDamaged => {
                let damage = Damage { file: MANIFEST_NAME.to_owned(), passages: 0, reason: e.message().to_owned() };
                return Ok(Verified { damage: vec![damage], ..Verified::default() });
            }
            Err(e) => return Err(e),
        };
        let mut verified = Verified::default();
        for StoredSegment { entry: segment, .. } in &manifest.segments {
            for file in &segment.files {
                step(file);
                verified.files += 1;
                verified.size_bytes += file.size_bytes;
                if let Some(reason) = self.trouble(file).await? {
                    let damage = Damage { file: file.name.clone(), passages: segment.passages, reason };
                    verified.damage.push(damage);
                    self.shared.checks.mark(&segment.id);
                    self.reopen_without(&segment.id);
                }
            }
        }
        Ok(verified)
    }

    async fn trouble(&self, file: &FileEntry) -> Result<Option<String>> {
        let mut hash = Sha256::new();
        let mut start = 0;
        while start < file.size_bytes {
            let range = start..(start + PART_BYTES).min(file.size_bytes);
            let Some(blob) = self.shared.store.get(&file.name, Some(range)).await? else {
                return Ok(Some("it is missing".to_owned()));
            };
            if blob.meta.size_bytes != file.size_bytes || blob.bytes.is_empty() {
                return Ok(Some(format!("it has {} bytes instead of {}", blob.meta.size_bytes, file.size_bytes)));
            }
            hash.update(&blob.bytes);
            start += blob.bytes.len() as u64;
        }
        Ok((hex(&hash.finalize()) != file.sha256).then(|| "its bytes do not match its checksum".to_owned()))
    }

    /// Forgets what is known to be damaged, so that its documents count as missing and are made anew. Returns how many
    /// segments that were; a manifest that cannot be read counts as one, and everything is made anew. Doing it again does
    /// nothing.
    pub async fn forget_damaged(&self) -> Result<usize> {
        match self.refresh().await {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::IndexDamaged => return self.begin_anew().await,
            Err(e) => return Err(e),
        }
        let stored = self.read_manifest().await?;
        if stored.manifest.unread.is_empty() {
            // What could not be read a moment ago can be read now.
            if self.current().is_some_and(|current| !current.snapshot.manifest.unread.is_empty()) {
                self.must_reopen();
                self.refresh().await?;
            }
            return Ok(0);
        }
        let segments = stored.manifest.unread.len();
        warn!(segments, "forgetting damaged segments of the index; their documents are made anew");
        self.swap(stored, None, |manifest| {
            let forgotten = manifest.forget_unread();
            (forgotten, forgotten > 0)
        })
        .await
    }

    async fn begin_anew(&self) -> Result<usize> {
        let Some(unreadable) = self.shared.store.get(MANIFEST_NAME, None).await? else { return Ok(0) };
        match StoredManifest::from_bytes(&unreadable.bytes) {
            Err(e) if e.kind() == ErrorKind::IndexDamaged => {}
            // Somebody was faster, or it is one of a newer release.
            readable => return readable.map(|_| 0),
        }
        warn!("the manifest of the index cannot be read; the whole index is made anew");
        let stored = Stored { etag: Some(unreadable.meta.etag), ..Stored::default() };
        let begun = self.swap(stored, None, |manifest| {
            manifest.generation += 1;
            (1, true)
        });
        match begun.await {
            // Somebody else was faster.
            Err(e) if e.kind() == ErrorKind::IndexDamaged => {
                Err(Error::new(ErrorKind::StoreUnavailable, "the manifest of the index keeps changing").caused_by(e))
            }
            begun => begun,
        }
    }
}
