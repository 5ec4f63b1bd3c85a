//! Which segments are worth rewriting: the smallest ones when there are many, and any that are mostly dead. A segment joins
//! when it is small, or holds no more than all smaller ones together: so a large one is rewritten only when what came since
//! has grown to its size, and a passage a few times in its life.

use std::collections::{BTreeMap, HashMap};

use super::manifest::{Manifest, Place, SegmentEntry};
use crate::document::EmbeddingSpace;

/// From this many segments of similar size on, they are merged into one.
const MERGE_FACTOR: usize = 8;
/// A segment with no more rows than this is merged whatever the sizes of the others are.
const SMALL_ROWS: u64 = 1_000;
/// A writer who finds this many segments merges before it adds another one: the timer alone would let a thousand uploads
/// leave a segment each, and whoever opens the index opens all of them.
pub(super) const CROWDED: usize = 24;
/// Rows of one merge, so that it fits into memory and into an invocation.
const MERGE_ROWS: u64 = 200_000;
/// Bytes of the files that go into one merge, for the same reason: embeddings may be long.
const MERGE_BYTES: u64 = 512 << 20;
/// A segment of which less than this share is live is rewritten.
const LEAST_LIVE_SHARE: f64 = 0.5;

/// Ids of segments to make one new segment of; none when all is well. They have embeddings of one space, or none have any.
pub fn worth_merging(manifest: &Manifest) -> Vec<String> {
    let live = live_passages(manifest);
    let mut spaces: BTreeMap<Option<&EmbeddingSpace>, Vec<_>> = BTreeMap::new();
    // What cannot be read cannot be merged.
    for segment in manifest.segments.iter().filter(|segment| !manifest.unread.contains_key(&segment.id)) {
        let rows = live.get(segment.id.as_str()).copied().unwrap_or(0);
        spaces.entry(segment.embedding.as_ref()).or_default().push((rows, segment));
    }
    let chosen = spaces.into_values().map(|mut segments| {
        segments.sort_by_key(|(rows, _)| *rows);
        let similar = similar(&segments);
        if similar >= MERGE_FACTOR { segments[..similar].to_vec() } else { mostly_dead(&segments) }
    });
    let chosen = chosen.into_iter().find(|chosen| !chosen.is_empty()).unwrap_or_default();
    chosen.into_iter().map(|(_, segment)| segment.id.clone()).collect()
}

/// Ids of segments that hold a passage nobody can find, as many as fit into one merge; none when there are none.
pub fn worth_purging(manifest: &Manifest) -> Vec<String> {
    let live = live_passages(manifest);
    let holds_dead = |segment: &&SegmentEntry| {
        live.get(segment.id.as_str()).copied().unwrap_or(0) < segment.passages
            && !manifest.unread.contains_key(&segment.id)
    };
    let Some(first) = manifest.segments.iter().find(holds_dead) else { return Vec::new() };
    let (mut rows, mut bytes) = (0, 0);
    let alike = manifest.segments.iter().filter(holds_dead).filter(|segment| segment.embedding == first.embedding);
    let fitting = alike.take_while(|segment| {
        let is_first = rows == 0 && bytes == 0;
        rows += live.get(segment.id.as_str()).copied().unwrap_or(0);
        bytes += segment.size_bytes();
        is_first || rows <= MERGE_ROWS && bytes <= MERGE_BYTES
    });
    fitting.map(|segment| segment.id.clone()).collect()
}

/// How many of the segments, smallest first, are similar enough to be merged.
fn similar(segments: &[(u64, &SegmentEntry)]) -> usize {
    let (mut rows, mut bytes) = (0, 0);
    let joining = segments.iter().take_while(|(live, segment)| {
        bytes += segment.size_bytes();
        let joins = *live <= rows.max(SMALL_ROWS) && rows + live <= MERGE_ROWS && bytes <= MERGE_BYTES;
        rows += live;
        joins
    });
    joining.count()
}

/// Segments that hold little that can be found, as many as fit into one.
fn mostly_dead<'a>(segments: &[(u64, &'a SegmentEntry)]) -> Vec<(u64, &'a SegmentEntry)> {
    let (mut rows, mut bytes) = (0, 0);
    let dead = segments.iter().filter(|(live, segment)| (*live as f64) < segment.passages as f64 * LEAST_LIVE_SHARE);
    let fitting = dead.take_while(|(live, segment)| {
        rows += live;
        bytes += segment.size_bytes() * live / segment.passages.max(1);
        rows <= MERGE_ROWS && bytes <= MERGE_BYTES
    });
    fitting.copied().collect()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::document::{DocumentId, DocumentName, DocumentVersion};
    use crate::index::segments::manifest::DocumentEntry;

    /// A manifest of segments given as live rows, all rows, and a model.
    fn manifest(segments: &[(u32, u64, Option<&str>)]) -> Manifest {
        let mut manifest = Manifest::default();
        for (at, (live, passages, model)) in segments.iter().enumerate() {
            let embedding = model.map(|model| EmbeddingSpace { model: model.to_owned(), dimensions: 4 });
            let id = format!("s{at:02}");
            let entry =
                SegmentEntry { id: id.clone(), files: vec![], passages: *passages, analyzer: String::new(), embedding };
            manifest.segments.push(entry);
            let name = DocumentName::parse(&format!("{at}.md")).unwrap();
            let entry = DocumentEntry {
                version: DocumentVersion { modified: "2026-01-01T00:00:00Z".parse().unwrap(), etag: String::new() },
                content_hash: String::new(),
                category: None,
                recipe: String::new(),
                place: Place::Live { segment: id, passages: *live },
                name,
            };
            manifest.documents.insert(DocumentId::of(&entry.name), entry.into());
        }
        manifest
    }

    #[test]
    fn eight_of_a_size_are_merged_and_the_large_are_left_alone() {
        let mut segments = vec![(10, 10, None); 7];
        segments.push((90_000, 90_000, None));
        assert!(worth_merging(&manifest(&segments)).is_empty());
        segments.push((500, 500, None));
        let chosen = worth_merging(&manifest(&segments));
        assert_eq!(chosen.len(), 8);
        assert!(!chosen.contains(&"s07".to_owned()));
    }

    #[test]
    fn one_dead_passage_is_enough_to_purge_a_segment() {
        assert!(worth_purging(&manifest(&[(10, 10, None), (5_000, 5_000, None)])).is_empty());
        let some = manifest(&[(10, 10, None), (4_999, 5_000, None), (0, 3, Some("m")), (9, 10, None)]);
        assert_eq!(worth_purging(&some), ["s01", "s03"], "of one model at once");
    }

    #[test]
    fn spaces_do_not_mix() {
        let segments: Vec<_> = (0..14).map(|at| (10, 10, if at % 2 == 0 { Some("a") } else { Some("b") })).collect();
        assert!(worth_merging(&manifest(&segments)).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_not_merged() {
        let mut manifest = manifest(&[(10, 10, None); 8]);
        manifest.unread.insert("s03".to_owned(), BTreeSet::new());
        assert!(worth_merging(&manifest).is_empty());
    }

    #[test]
    fn what_is_mostly_dead_is_rewritten() {
        assert_eq!(worth_merging(&manifest(&[(10, 10, None), (4, 10, None)])), ["s01"]);
    }

    #[test]
    fn a_merge_has_a_limit() {
        let mut segments = vec![(1_000, 1_000, None); 300];
        assert_eq!(worth_merging(&manifest(&segments)).len(), 200, "as many as fit");
        segments = vec![(150_000, 150_000, None); 20];
        assert!(worth_merging(&manifest(&segments)).is_empty());
    }
}
