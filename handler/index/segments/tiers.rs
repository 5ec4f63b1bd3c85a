//! Which segments are worth rewriting. Segments of about one size are merged when there are several, so that a row is copied
//! once for each tier it climbs and not once for each commit; what is mostly dead is rewritten without its dead rows.

use std::collections::BTreeMap;

use super::manifest::{Manifest, Place, SegmentEntry};
use crate::document::EmbeddingSpace;

/// From this many segments of one tier on, they are merged into one; a tier is as many times larger than the one below.
const MERGE_FACTOR: usize = 8;
/// Live rows up to which a segment is in the lowest tier.
const LOWEST_TIER_ROWS: u64 = 1_000;
/// Rows of one merge, so that it fits into memory and into an invocation.
const MERGE_ROWS: u64 = 200_000;
/// A segment of which less than this share is live is rewritten.
const LEAST_LIVE_SHARE: f64 = 0.5;

/// Ids of segments to make one new segment of; none when all is well. They have embeddings of one space, or none have any.
pub fn worth_merging(manifest: &Manifest) -> Vec<String> {
    let mut live: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in manifest.documents.values() {
        if let Place::Live { segment, passages } = &entry.place {
            *live.entry(segment).or_default() += u64::from(*passages);
        }
    }
    let live_rows = |segment: &SegmentEntry| live.get(segment.id.as_str()).copied().unwrap_or(0);
    let mut tiers: BTreeMap<(u32, Option<&EmbeddingSpace>), Vec<_>> = BTreeMap::new();
    for segment in &manifest.segments {
        let rows = live_rows(segment);
        tiers.entry((tier(rows), segment.embedding.as_ref())).or_default().push((rows, segment));
    }
    let full = tiers.into_values().filter(|tier| tier.len() >= MERGE_FACTOR).find_map(|mut tier| {
        tier.sort_by(|(rows, segment), (other_rows, other)| (rows, &segment.id).cmp(&(other_rows, &other.id)));
        let mut rows = 0;
        let fitting = tier.into_iter().take_while(|(live, _)| {
            rows += live;
            rows <= MERGE_ROWS
        });
        let chosen: Vec<String> = fitting.map(|(_, segment)| segment.id.clone()).collect();
        (chosen.len() > 1).then_some(chosen)
    });
    let mostly_dead = |segment: &&SegmentEntry| {
        let rows = live_rows(segment);
        rows <= MERGE_ROWS && (rows as f64) < segment.passages as f64 * LEAST_LIVE_SHARE
    };
    full.or_else(|| manifest.segments.iter().find(mostly_dead).map(|segment| vec![segment.id.clone()]))
        .unwrap_or_default()
}

fn tier(rows: u64) -> u32 {
    let times_larger = rows / LOWEST_TIER_ROWS;
    if times_larger == 0 { 0 } else { 1 + times_larger.ilog(MERGE_FACTOR as u64) }
}

#[cfg(test)]
mod tests {
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
            manifest.documents.insert(DocumentId::of(&entry.name), entry);
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
    fn spaces_do_not_mix() {
        let segments: Vec<_> = (0..14).map(|at| (10, 10, if at % 2 == 0 { Some("a") } else { Some("b") })).collect();
        assert!(worth_merging(&manifest(&segments)).is_empty());
    }

    #[test]
    fn what_is_mostly_dead_is_rewritten() {
        assert_eq!(worth_merging(&manifest(&[(10, 10, None), (4, 10, None)])), ["s01"]);
    }

    #[test]
    fn a_merge_has_a_limit() {
        let chosen = worth_merging(&manifest(&[(60_000, 60_000, None); 20]));
        assert_eq!(chosen.len(), 3, "as many as fit");
        assert!(worth_merging(&manifest(&[(150_000, 150_000, None); 20])).is_empty());
    }
}
