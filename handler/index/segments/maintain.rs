//! Keeping the index small: many small segments become one, rows nobody sees go, files nobody names go.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use tantivy::{DocAddress, TantivyDocument};

use super::manifest::SegmentEntry;
use super::segment::{self, Row};
use super::snapshot::Snapshot;
use super::{SegmentIndex, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::list_all;

/// From this many segments of similar size on, they are merged into one.
const MERGE_FACTOR: usize = 8;
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

    async fn merge(&self) -> Result<usize> {
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

/// The segments worth rewriting: the smallest ones when there are many, and any that are mostly dead.
fn choose(snapshot: &Snapshot) -> Vec<SegmentEntry> {
    let manifest = &snapshot.manifest;
    let live_passages = |segment: &SegmentEntry| -> u64 {
        let entries = manifest.documents.values().filter_map(|entry| match &entry.place {
            super::manifest::Place::Live { segment: place, passages } if *place == segment.id => {
                Some(u64::from(*passages))
            }
            _ => None,
        });
        entries.sum()
    };
    let mut sized: Vec<(u64, &SegmentEntry)> =
        manifest.segments.iter().map(|segment| (live_passages(segment), segment)).collect();
    sized.sort_by_key(|(live, _)| *live);
    let mostly_dead =
        |(live, segment): &&(u64, &SegmentEntry)| (*live as f64) < segment.passages as f64 * LEAST_LIVE_SHARE;
    let candidates: Vec<(u64, &SegmentEntry)> =
        if sized.len() >= MERGE_FACTOR { sized } else { sized.iter().filter(mostly_dead).copied().collect() };
    let mut rows = 0;
    let fitting = candidates.into_iter().take_while(|(live, _)| {
        rows += live;
        rows <= MERGE_ROWS
    });
    let chosen: Vec<SegmentEntry> = fitting.map(|(_, segment)| segment.clone()).collect();
    let lone_and_whole = chosen.len() == 1 && live_passages(&chosen[0]) == chosen[0].passages;
    if lone_and_whole { Vec::new() } else { chosen }
}

/// The visible rows of some segments.
fn live_rows_of(snapshot: &Snapshot, segments: &[String]) -> Result<Vec<Row>> {
    let damaged = |e| Error::new(ErrorKind::IndexDamaged, "a segment cannot be read for merging").caused_by(e);
    let mut rows = Vec::new();
    for (ordinal, reader) in snapshot.searcher.segment_readers().iter().enumerate() {
        for row in (0..reader.max_doc()).filter(|row| snapshot.live[ordinal].contains(*row)) {
            let address = DocAddress::new(u32::try_from(ordinal).unwrap_or(u32::MAX), row);
            let stored: TantivyDocument = snapshot.searcher.doc(address).map_err(damaged)?;
            let row = segment::to_row(&stored, snapshot.fields)?;
            let place = snapshot.manifest.segment_of(&row.passage.document_id);
            if place.is_some_and(|place| segments.iter().any(|segment| segment == place)) {
                rows.push(row);
            }
        }
    }
    Ok(rows)
}
