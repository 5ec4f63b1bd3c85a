//! One generation, opened: the live segments side by side under one searcher, and for each the rows that may be seen.

use std::collections::HashMap;
use std::sync::Arc;

use tantivy::{DocId, Index, ReloadPolicy, Searcher, SegmentReader};

use super::analyze::Analyzer;
use super::bundle::{Bundle, BundleDirectory, META_FILE};
use super::manifest::Manifest;
use super::segment::{self, Fields};
use crate::document::DocumentId;
use crate::error::{Error, ErrorKind, Result};

/// A set of rows of one segment, a bit for each.
#[derive(Clone, Debug, Default)]
pub struct RowSet {
    words: Vec<u64>,
}

impl RowSet {
    /// No row of `rows`.
    pub fn none(rows: u32) -> Self {
        Self { words: vec![0; (rows as usize).div_ceil(64)] }
    }

    /// Adds a row.
    pub fn insert(&mut self, row: DocId) {
        if let Some(word) = self.words.get_mut(row as usize / 64) {
            *word |= 1 << (row % 64);
        }
    }

    /// Whether the row is in the set.
    pub fn contains(&self, row: DocId) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Keeps only the rows that are in `other` too.
    pub fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }
}

/// An opened generation. It stays readable while newer ones come, as long as somebody holds it.
pub struct Snapshot {
    /// What it shows.
    pub manifest: Arc<Manifest>,
    /// Over all live segments, so that term statistics are those of the whole.
    pub searcher: Searcher,
    /// The live rows, a set for each segment of the searcher, in its order.
    pub live: Vec<RowSet>,
    /// The id of the index's own segment that each segment of the searcher belongs to, in its order.
    pub owners: Vec<String>,
    /// The columns.
    pub fields: Fields,
}

impl Snapshot {
    /// Opens `manifest`; `bundles` are the lexical files of its segments, in the manifest's order.
    pub fn open(manifest: Arc<Manifest>, bundles: &[Bundle], analyzer: &Analyzer) -> Result<Self> {
        let damaged = |e: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::IndexDamaged, "the index cannot be opened").caused_by(e)
        };
        let (schema, fields) = segment::schema();
        let mut segment_lists = Vec::with_capacity(bundles.len());
        let mut owners: HashMap<String, String> = HashMap::new();
        for (entry, bundle) in manifest.segments.iter().zip(bundles) {
            let list = segment_list(bundle).map_err(|e| damaged(e.into()))?;
            for meta in &list {
                if let Some(id) = meta.get("segment_id").and_then(|id| id.as_str()) {
                    owners.insert(id.replace('-', ""), entry.id.clone());
                }
            }
            segment_lists.extend(list);
        }
        let meta = serde_json::json!({
            "index_settings": tantivy::IndexSettings::default(),
            "segments": segment_lists,
            "schema": schema,
            "opstamp": 0,
        });
        let directory = BundleDirectory::new(bundles, meta.to_string().into_bytes());
        let mut index = Index::open(directory).map_err(|e| damaged(e.into()))?;
        index.set_tokenizers(segment::tokenizers(analyzer));
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
        let reader: tantivy::IndexReader = reader.map_err(|e: tantivy::TantivyError| damaged(e.into()))?;
        let searcher = reader.searcher();
        let mut live = Vec::with_capacity(searcher.segment_readers().len());
        let mut in_order = Vec::with_capacity(live.capacity());
        for segment_reader in searcher.segment_readers() {
            let owner = owners.remove(&segment_reader.segment_id().uuid_string().replace('-', "")).unwrap_or_default();
            let rows = live_rows(segment_reader, &owner, &manifest);
            live.push(rows.map_err(|e| damaged(e.into()))?);
            in_order.push(owner);
        }
        Ok(Self { manifest, searcher, live, owners: in_order, fields })
    }
}

/// The segments in a bundle, in the library's own form.
fn segment_list(bundle: &Bundle) -> Result<Vec<serde_json::Value>, std::io::Error> {
    let bad = || std::io::Error::new(std::io::ErrorKind::InvalidData, "a segment without its own description");
    let meta = bundle.file(META_FILE).ok_or_else(bad)?;
    let meta: serde_json::Value = serde_json::from_slice(meta.as_slice())?;
    meta.get("segments").and_then(|segments| segments.as_array()).cloned().ok_or_else(bad)
}

/// The rows whose document the manifest shows from this segment. Others are left over from earlier versions.
fn live_rows(reader: &SegmentReader, owner: &str, manifest: &Manifest) -> tantivy::Result<RowSet> {
    let mut rows = RowSet::none(reader.max_doc());
    let Some(column) = reader.fast_fields().str("document")? else { return Ok(rows) };
    let mut is_live = Vec::with_capacity(column.num_terms());
    let mut name = String::new();
    for ordinal in 0..column.num_terms() as u64 {
        name.clear();
        column.ord_to_str(ordinal, &mut name)?;
        let id = DocumentId::parse(&name);
        is_live.push(id.is_some_and(|id| manifest.segment_of(&id) == Some(owner)));
    }
    for row in 0..reader.max_doc() {
        let ordinal = column.term_ords(row).next().and_then(|ordinal| usize::try_from(ordinal).ok());
        if ordinal.is_some_and(|ordinal| is_live.get(ordinal).copied().unwrap_or(false)) {
            rows.insert(row);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_set_holds_what_was_put_in_and_nothing_past_its_end() {
        let mut rows = RowSet::none(130);
        rows.insert(0);
        rows.insert(129);
        rows.insert(5_000);
        assert!(rows.contains(0) && rows.contains(129));
        assert!(!rows.contains(1) && !rows.contains(5_000));
        let mut other = RowSet::none(130);
        other.insert(129);
        rows.intersect(&other);
        assert!(!rows.contains(0) && rows.contains(129));
    }
}
