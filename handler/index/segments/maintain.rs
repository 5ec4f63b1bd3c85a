//! Keeping the index small: many small segments become one, rows nobody sees go, files nobody names go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tantivy::{DocAddress, TantivyDocument};

use super::manifest::{DocumentEntry, Manifest, Place};
use super::segment::{self, Batch, StoredEmbedding};
use super::snapshot::{SegmentVectors, Snapshot};
use super::{SegmentIndex, blocking, tiers};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::list_all;

/// What maintenance of the segments did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Segments that were merged away.
    pub merged_segments: usize,
    /// Files that nobody named any more and that were deleted.
    pub collected_files: usize,
}

impl SegmentIndex {
    /// Merges and collects. Doing it again at once does nothing; stopping it anywhere leaves the index as it was or as it
    /// is to be. No merge is begun after `until`: the next call goes on. Files younger than `grace` are left alone: their
    /// writer may be about to name them.
    pub async fn tidy(&self, grace: Duration, until: Instant) -> Result<Tidied> {
        let mut merged_segments = 0;
        while Instant::now() < until {
            match self.merge().await? {
                0 => break,
                merged => merged_segments += merged,
            }
        }
        let collected_files = self.collect(grace).await?;
        Ok(Tidied { merged_segments, collected_files })
    }

    /// Writes every segment anew that holds a passage nobody can find, so that nothing of it is left; for the rest as
    /// [`Self::tidy`].
    pub async fn purge(&self, grace: Duration, until: Instant) -> Result<Tidied> {
        let mut merged_segments = 0;
        while Instant::now() < until {
            match self.rewrite(tiers::worth_purging).await? {
                0 => break,
                merged => merged_segments += merged,
            }
        }
        let collected_files = self.collect(grace).await?;
        Ok(Tidied { merged_segments, collected_files })
    }

    /// One merge; how many segments went into it.
    pub(super) async fn merge(&self) -> Result<usize> {
        self.rewrite(tiers::worth_merging).await
    }

    async fn rewrite(&self, choose: impl Fn(&Manifest) -> Vec<String>) -> Result<usize> {
        // Every byte is looked at first: a merge would give damage a good checksum.
        let snapshot = self.looked_over().await?;
        let old = choose(&snapshot.manifest);
        if old.is_empty() {
            return Ok(0);
        }
        let ids = old.clone();
        let batch = blocking(move || live_rows_of(&snapshot, &ids)).await?;
        let merged = if batch.rows.is_empty() { None } else { Some(self.store_segment(batch).await?) };
        let stored = self.read_manifest().await?;
        self.swap(stored, merged.as_ref(), |manifest| {
            let replaced = manifest.replace_segments(&old, merged.as_ref().map(|merged| &merged.entry));
            (replaced, replaced)
        })
        .await?;
        Ok(old.len())
    }

    async fn collect(&self, grace: Duration) -> Result<usize> {
        // Listed first: a file that a writer names after this look is younger than any grace.
        let files = list_all(&self.shared.store, "segments/").await?;
        let manifest = self.read_stored().await?.map(|(manifest, _)| manifest).unwrap_or_default();
        let named: BTreeSet<&str> = manifest.files().map(|file| file.name.as_str()).collect();
        let youngest = self.shared.clock.now() - TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
        let mut collected = 0;
        for file in files.iter().filter(|file| !named.contains(file.name.as_str()) && file.modified < youngest) {
            collected += usize::from(self.shared.store.delete(&file.name).await?);
        }
        Ok(collected)
    }
}

/// The visible rows of some segments, whose embeddings all live in one space.
fn live_rows_of(snapshot: &Snapshot, segments: &[String]) -> Result<Batch> {
    let damaged = |e| Error::new(ErrorKind::IndexDamaged, "a segment cannot be read for merging").caused_by(e);
    let documents = snapshot.manifest.documents.iter().filter(|(_, entry)| match &entry.place {
        Place::Live { segment, .. } => segments.contains(segment),
        Place::Removed { .. } => false,
    });
    let documents = documents.map(|(id, entry)| (id.clone(), DocumentEntry::clone(entry))).collect();
    let mut batch = Batch { documents, ..Batch::default() };
    for (ordinal, reader) in snapshot.searcher.segment_readers().iter().enumerate() {
        if !segments.contains(&snapshot.segment_ids[ordinal]) {
            continue;
        }
        for row in (0..reader.max_doc()).filter(|row| snapshot.live[ordinal].contains(*row)) {
            let address = DocAddress::new(u32::try_from(ordinal).unwrap_or(u32::MAX), row);
            let stored: TantivyDocument = snapshot.searcher.doc(address).map_err(damaged)?;
            batch.rows.push(segment::to_row(&stored, snapshot.fields)?);
            if let Some(SegmentVectors { space, vectors }) = &snapshot.vectors[ordinal] {
                batch.space = Some(space.clone());
                batch.stored.push(StoredEmbedding { vectors: Arc::clone(vectors), row: row as usize });
            }
        }
    }
    Ok(batch)
}
