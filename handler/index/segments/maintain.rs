//! Keeping the index small: many small segments become one, rows nobody sees go, files nobody names go.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::TimeDelta;
use tantivy::{DocAddress, TantivyDocument};

use super::manifest::{Manifest, Place, SegmentEntry};
use super::segment::{self, Row};
use super::snapshot::Snapshot;
use super::{SegmentIndex, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::list_all;

/// From this many segments of similar size on, they are merged into one.
const MERGE_FACTOR: usize = 8;
/// A segment with no more rows than this is merged whatever the sizes of the others are.
const SMALL_ROWS: u64 = 1_000;
/// A writer who finds this many segments merges before it adds another one: the timer alone would let a thousand uploads
/// leave a segment each, and whoever opens the index opens all of them.
pub(super) const CROWDED: usize = 24;
/// Rows of one merge, so that it fits into memory and into an invocation.
const MERGE_ROWS: u64 = 200_000;
/// A segment of which less than this share is live is rewritten.
const LEAST_LIVE_SHARE: f64 = 0.5;

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
    /// is to be. Files younger than `grace` are left alone: their writer may be about to name them.
    pub async fn tidy(&self, grace: Duration) -> Result<Tidied> {
        let merged_segments = self.merge().await?;
        let collected_files = self.collect(grace).await?;
        Ok(Tidied { merged_segments, collected_files })
    }

    pub(super) async fn merge(&self) -> Result<usize> {
        let snapshot = self.refresh().await?;
        let chosen = choose(&snapshot);
        if chosen.is_empty() {
            return Ok(0);
        }
        let old: Vec<String> = chosen.iter().map(|segment| segment.id.clone()).collect();
        let ids = old.clone();
        let rows = blocking(move || live_rows_of(&snapshot, &ids)).await?;
        let merged = if rows.is_empty() { None } else { Some(self.store_segment(rows).await?) };
        let stored = self.read_manifest().await?;
        self.swap(stored, |manifest| {
            let replaced = manifest.replace_segments(&old, merged.as_ref());
            (replaced, replaced)
        })
        .await?;
        Ok(old.len())
    }

    async fn collect(&self, grace: Duration) -> Result<usize> {
        // Listed first: a file that a writer names after this look is younger than any grace.
        let files = list_all(&self.shared.store, "segments/").await?;
        let manifest = self.read_manifest().await?.manifest;
        let named: BTreeSet<&str> =
            manifest.segments.iter().flat_map(|segment| segment.files.iter().map(|file| file.name.as_str())).collect();
        let youngest = self.shared.clock.now() - TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
        let mut collected = 0;
        for file in files.iter().filter(|file| !named.contains(file.name.as_str()) && file.modified < youngest) {
            collected += usize::from(self.shared.store.delete(&file.name).await?);
        }
        self.drop_copies(&named).await;
        Ok(collected)
    }

    /// Deletes copies on this machine of segments that are gone. A snapshot that still has one open keeps reading it.
    async fn drop_copies(&self, named: &BTreeSet<&str>) {
        let kept: BTreeSet<String> = named.iter().map(|name| name.replace('/', "-")).collect();
        let Ok(mut entries) = tokio::fs::read_dir(&self.shared.settings.cache).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let is_copy = entry.file_name().to_string_lossy().starts_with("segments-");
            if is_copy && !kept.contains(entry.file_name().to_string_lossy().as_ref()) {
                let _gone_already = tokio::fs::remove_file(entry.path()).await;
            }
        }
    }
}

/// The segments worth rewriting: the smallest ones when there are many, and any that are mostly dead. A segment joins when
/// it is small, or holds no more than all smaller ones together: so a large one is rewritten only when what came since has
/// grown to its size, and a passage a few times in its life.
fn choose(snapshot: &Snapshot) -> Vec<SegmentEntry> {
    let manifest = &snapshot.manifest;
    let live = live_passages(manifest);
    let mut sized: Vec<(u64, &SegmentEntry)> = manifest
        .segments
        .iter()
        .map(|segment| (live.get(segment.id.as_str()).copied().unwrap_or(0), segment))
        .collect();
    sized.sort_by_key(|(live, _)| *live);
    let mut rows = 0;
    let similar = sized.iter().take_while(|(live, _)| {
        let joins = *live <= rows.max(SMALL_ROWS) && rows + live <= MERGE_ROWS;
        rows += live;
        joins
    });
    let similar = similar.count();
    if similar >= MERGE_FACTOR {
        return sized[..similar].iter().map(|(_, segment)| (*segment).clone()).collect();
    }
    let mut rows = 0;
    let mostly_dead =
        sized.iter().filter(|(live, segment)| (*live as f64) < segment.passages as f64 * LEAST_LIVE_SHARE);
    let fitting = mostly_dead.take_while(|(live, _)| {
        rows += live;
        rows <= MERGE_ROWS
    });
    fitting.map(|(_, segment)| (*segment).clone()).collect()
}

/// How many passages can be found in each segment.
fn live_passages(manifest: &Manifest) -> HashMap<&str, u64> {
    let mut live = HashMap::new();
    for entry in manifest.documents.values() {
        if let Place::Live { segment, passages } = &entry.place {
            *live.entry(segment.as_str()).or_default() += u64::from(*passages);
        }
    }
    live
}

/// The visible rows of some segments.
fn live_rows_of(snapshot: &Snapshot, segments: &[String]) -> Result<Vec<Row>> {
    let damaged = |e| Error::new(ErrorKind::IndexDamaged, "a segment cannot be read for merging").caused_by(e);
    let mut rows = Vec::new();
    for (ordinal, reader) in snapshot.searcher.segment_readers().iter().enumerate() {
        if !segments.contains(&snapshot.owners[ordinal]) {
            continue;
        }
        for row in (0..reader.max_doc()).filter(|row| snapshot.live[ordinal].contains(*row)) {
            let address = DocAddress::new(u32::try_from(ordinal).unwrap_or(u32::MAX), row);
            let stored: TantivyDocument = snapshot.searcher.doc(address).map_err(damaged)?;
            rows.push(segment::to_row(&stored, snapshot.fields)?);
        }
    }
    Ok(rows)
}
