//! Passages as they are read from the rows of segments. The same few answer most questions, and unpacking one costs more than
//! finding it, so those that were read lately are kept: a row of a segment never changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use tantivy::{DocAddress, DocId, Searcher, TantivyDocument};

use super::segment::{self, Fields};
use crate::document::Passage;
use crate::error::{Error, ErrorKind, Result};
use crate::index::rank::Words;

/// Memory for passages: about a thousand of them.
const MOST_BYTES: u64 = 4 << 20;
/// What a passage takes beside its text.
const FRAME_BYTES: usize = 400;

/// One opening of a segment. A copy that went bad is fetched and opened again under its name, and what was read of it before is
/// not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opening(u64);

impl Opening {
    /// Another one than all before.
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// A passage, and what is compared of it.
#[derive(Clone, Debug)]
pub struct ReadPassage {
    /// The passage.
    pub passage: Arc<Passage>,
    /// The words of its text.
    pub words: Words,
}

/// The passages that were read lately, of all segments of one index.
#[derive(Debug)]
pub struct PassageCache(Cache<(Opening, DocId), ReadPassage>);

impl Default for PassageCache {
    fn default() -> Self {
        let bytes = |_: &(Opening, DocId), read: &ReadPassage| {
            u32::try_from(FRAME_BYTES + read.passage.text.len() + read.words.bytes()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().weigher(bytes).max_capacity(MOST_BYTES).build())
    }
}

impl PassageCache {
    /// The passage of a row of a segment that was opened as `opening`.
    pub fn read(&self, opening: Opening, searcher: &Searcher, fields: Fields, row: DocAddress) -> Result<ReadPassage> {
        let key = (opening, row.doc_id);
        if let Some(read) = self.0.get(&key) {
            return Ok(read);
        }
        let passage = read(searcher, fields, row)?;
        let read = ReadPassage { words: Words::of(&passage.text), passage: Arc::new(passage) };
        self.0.insert(key, read.clone());
        Ok(read)
    }
}

/// The passage of a row, read once.
pub fn read(searcher: &Searcher, fields: Fields, row: DocAddress) -> Result<Passage> {
    let unreadable = |e| Error::new(ErrorKind::IndexDamaged, "the index cannot be read").caused_by(e);
    let document: TantivyDocument = searcher.doc(row).map_err(unreadable)?;
    segment::to_row(&document, fields).map(|row| row.passage)
}
