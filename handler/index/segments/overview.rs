//! What the index consists of, segment by segment, for whoever looks after it. Reads and changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::SegmentIndex;
use super::manifest::{FileKind, Place};
use super::snapshot::Snapshot;
use crate::document::EmbeddingSpace;
use crate::error::Result;

/// A segment of the generation in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentOverview {
    /// Its id.
    pub id: String,
    /// Documents that are answered from it.
    pub documents: u64,
    /// Passages of theirs: the rows that can be found.
    pub live_passages: u64,
    /// All rows, also those whose documents were replaced or removed since.
    pub passages: u64,
    /// Bytes of its words and stored passages.
    pub words_bytes: u64,
    /// Bytes of its embeddings; 0 without any.
    pub vectors_bytes: u64,
    /// Where its embeddings live; none when it has none.
    pub embedding: Option<EmbeddingSpace>,
    /// The steps that made its terms.
    pub analyzer: String,
    /// Whether it cannot be read; then its documents are not found until maintenance makes them anew.
    pub is_damaged: bool,
}

impl SegmentIndex {
    /// The present generation, of which every file that was opened as it lay here has been looked at byte for byte.
    pub(super) async fn looked_over(&self) -> Result<Arc<Snapshot>> {
        self.refresh().await?;
        self.checked().await;
        self.refresh().await
    }

    /// Every segment of the present generation, in the order of the manifest, after a look at all that is on this machine.
    pub async fn overview(&self) -> Result<Vec<SegmentOverview>> {
        let manifest = &self.looked_over().await?.manifest;
        let mut live: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for entry in manifest.documents.values() {
            if let Place::Live { segment, passages } = &entry.place {
                let (documents, rows) = live.entry(segment).or_default();
                *documents += 1;
                *rows += u64::from(*passages);
            }
        }
        let segments = manifest.segments.iter().map(|segment| {
            let bytes_of = |kind| segment.file(kind).map_or(0, |file| file.size_bytes);
            let (documents, live_passages) = live.get(segment.id.as_str()).copied().unwrap_or_default();
            SegmentOverview {
                id: segment.id.clone(),
                documents,
                live_passages,
                passages: segment.passages,
                words_bytes: bytes_of(FileKind::Lexical),
                vectors_bytes: bytes_of(FileKind::Vectors),
                embedding: segment.embedding.clone(),
                analyzer: segment.analyzer.clone(),
                is_damaged: manifest.unread.contains_key(&segment.id),
            }
        });
        Ok(segments.collect())
    }
}
