//! One generation, opened: the live segments side by side under one searcher, and for each the rows that may be seen.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, DocId, DocSet, Index, ReloadPolicy, Searcher, SegmentReader, TERMINATED, Term};

use super::analyze::Analyzer;
use super::bundle::{Bundle, BundleDirectory, DOCUMENTS_FILE, META_FILE};
use super::files::LocalFile;
use super::manifest::{FileEntry, Manifest, SegmentEntry};
use super::passages::{Opening, PassageCache, ReadPassage};
use super::rows::RowSet;
use super::segment::{self, Fields};
use super::stored::{Table, table_from_bytes};
use super::vectors::Vectors;
use crate::document::{DocumentId, EmbeddingSpace, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::index::filter::Filter;

/// Marks whose rows are kept; beyond that all are forgotten, because so many readers share little.
const MOST_MARKS: usize = 256;

/// Filters whose rows are kept.
const MOST_FILTERS: usize = 32;

/// The files of a segment, opened.
#[derive(Clone)]
pub struct OpenSegment {
    /// Terms, postings and stored passages.
    pub lexical: Bundle,
    /// Codes of the embeddings, if its passages have any.
    pub vectors: Option<Arc<Vectors>>,
    /// What its file says of the documents in it, to be seen or not.
    pub table: Arc<Table>,
    /// Which opening of the segment this is.
    opening: Opening,
    /// Whether its files here turned out to be bad.
    pub(super) is_bad: Arc<AtomicBool>,
    /// Files that were opened before anybody compared them with their checksums.
    unchecked: Arc<Mutex<Vec<(LocalFile, FileEntry)>>>,
    /// The rows of its documents, found when it is first searched.
    runs: Arc<OnceLock<Vec<Run>>>,
}

impl OpenSegment {
    /// Segment `id` of these files.
    pub(super) fn new(
        id: &str,
        lexical: Bundle,
        vectors: Option<Vectors>,
        unchecked: Vec<(LocalFile, FileEntry)>,
    ) -> io::Result<Self> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "a segment without a table of its documents");
        let table = lexical.file(DOCUMENTS_FILE).ok_or_else(bad)?;
        Ok(Self {
            table: table_from_bytes(id, table.as_slice())?,
            lexical,
            vectors: vectors.map(Arc::new),
            opening: Opening::next(),
            is_bad: Arc::default(),
            unchecked: Arc::new(Mutex::new(unchecked)),
            runs: Arc::default(),
        })
    }

    /// Files that are still to be compared with their checksums; asked again, none.
    pub(super) fn take_unchecked(&self) -> Vec<(LocalFile, FileEntry)> {
        std::mem::take(&mut *self.unchecked.lock().expect("no holder of this lock panics"))
    }
}

/// Rows of one document that follow each other.
#[derive(Clone, Debug)]
struct Run {
    document: DocumentId,
    rows: Range<DocId>,
}

/// The embeddings of a segment.
#[derive(Clone)]
pub struct SegmentVectors {
    /// What they can be compared with.
    pub space: EmbeddingSpace,
    /// Their codes.
    pub vectors: Arc<Vectors>,
}

/// An opened generation. It stays readable while newer ones come, as long as somebody holds it.
pub struct Snapshot {
    /// What it shows.
    pub manifest: Arc<Manifest>,
    /// Over all live segments, so that term statistics are those of the whole.
    pub searcher: Searcher,
    /// Ids of the segments, in the order of the searcher.
    pub segment_ids: Vec<String>,
    /// The live rows, a set for each segment of the searcher, in its order.
    pub live: Vec<RowSet>,
    /// The embeddings, for each segment of the searcher that has them.
    pub vectors: Vec<Option<SegmentVectors>>,
    /// The rows of the documents, for each segment.
    runs: Vec<Arc<OnceLock<Vec<Run>>>>,
    /// The rows that a filter admits, by filter, as far as somebody asked.
    admitted: Mutex<HashMap<Filter, Arc<Vec<RowSet>>>>,
    /// The live rows with a mark, by mark, as far as somebody asked.
    marked: Mutex<HashMap<String, Arc<Vec<RowSet>>>>,
    /// The columns.
    pub fields: Fields,
    /// What was read of rows lately, of any generation.
    passages: Arc<PassageCache>,
    /// Which opening of each segment of the searcher this shows.
    openings: Vec<Opening>,
}

impl Snapshot {
    /// Opens `manifest`; `segments` are those of its segments that can be read.
    pub fn open(
        manifest: Arc<Manifest>,
        segments: &[(&SegmentEntry, &OpenSegment)],
        analyzer: &Analyzer,
        passages: Arc<PassageCache>,
    ) -> Result<Self> {
        let damaged = |e: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::IndexDamaged, "the index cannot be opened").caused_by(e)
        };
        let (schema, fields) = segment::schema();
        let mut segment_lists = Vec::with_capacity(segments.len());
        let mut owners: HashMap<String, (&SegmentEntry, &OpenSegment)> = HashMap::new();
        for (entry, open) in segments {
            let list = segment_list(&open.lexical).map_err(|e| damaged(e.into()))?;
            for meta in &list {
                if let Some(id) = meta.get("segment_id").and_then(|id| id.as_str()) {
                    owners.insert(id.replace('-', ""), (entry, open));
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
        let directory =
            BundleDirectory::new(segments.iter().map(|(_, open)| &open.lexical), meta.to_string().into_bytes());
        let mut index = Index::open(directory).map_err(|e| damaged(e.into()))?;
        index.set_tokenizers(segment::tokenizers(analyzer));
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
        let reader: tantivy::IndexReader = reader.map_err(|e: tantivy::TantivyError| damaged(e.into()))?;
        let searcher = reader.searcher();
        let mut segment_ids = Vec::new();
        let (mut runs, mut live, mut vectors, mut openings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for segment_reader in searcher.segment_readers() {
            let owner = owners.get(&segment_reader.segment_id().uuid_string().replace('-', ""));
            let id = owner.map_or("", |(entry, _)| &entry.id);
            segment_ids.push(id.to_owned());
            let found = owner.map(|(_, open)| Arc::clone(&open.runs)).unwrap_or_default();
            if found.get().is_none() {
                let read = runs_of(segment_reader).map_err(|e| damaged(e.into()))?;
                found.get_or_init(|| read);
            }
            live.push(rows_where(segment_reader, &found, |document| manifest.segment_of(document) == Some(id)));
            runs.push(found);
            openings.push(owner.map_or_else(Opening::next, |(_, open)| open.opening));
            vectors.push(owner.and_then(|(entry, open)| vectors_of(entry, open)));
        }
        drop(owners);
        Ok(Self {
            manifest,
            searcher,
            segment_ids,
            live,
            vectors,
            fields,
            passages,
            openings,
            runs,
            admitted: Mutex::default(),
            marked: Mutex::default(),
        })
    }

    /// The passage of a row.
    pub fn passage(&self, row: DocAddress) -> Result<ReadPassage> {
        self.passages.read(self.openings[row.segment_ord as usize], &self.searcher, self.fields, row)
    }

    /// The live rows that carry one of the principal's marks, a set for each segment. No mark, no row.
    pub fn visible(&self, principal: &Principal) -> tantivy::Result<Vec<RowSet>> {
        let readers = self.searcher.segment_readers();
        let mut visible: Vec<RowSet> = readers.iter().map(|reader| RowSet::none(reader.max_doc())).collect();
        for mark in principal.readers() {
            let marked = self.marked(mark)?;
            visible.iter_mut().zip(marked.iter()).for_each(|(visible, marked)| visible.unite(marked));
        }
        Ok(visible)
    }

    /// The rows of the documents that a filter admits, a set for each segment.
    pub fn admitted(&self, filter: &Filter) -> Arc<Vec<RowSet>> {
        if let Some(rows) = self.admitted.lock().expect("no holder of this lock panics").get(filter) {
            return Arc::clone(rows);
        }
        let admits = |id: &DocumentId| self.manifest.live(id).is_some_and(|entry| filter.admits(id, entry));
        let readers = self.searcher.segment_readers().iter().zip(&self.runs);
        let sets: Arc<Vec<RowSet>> = Arc::new(readers.map(|(reader, runs)| rows_where(reader, runs, admits)).collect());
        keep(&self.admitted, filter.clone(), &sets, MOST_FILTERS);
        sets
    }

    /// The live rows with a mark. Kept, because a generation never changes and its readers ask often.
    fn marked(&self, mark: &str) -> tantivy::Result<Arc<Vec<RowSet>>> {
        if let Some(rows) = self.marked.lock().expect("no holder of this lock panics").get(mark) {
            return Ok(Arc::clone(rows));
        }
        let term = Term::from_field_text(self.fields.readers, mark);
        let mut sets = Vec::with_capacity(self.live.len());
        for (reader, live) in self.searcher.segment_readers().iter().zip(&self.live) {
            let mut rows = RowSet::none(reader.max_doc());
            let index = reader.inverted_index(self.fields.readers)?;
            if let Some(mut postings) = index.read_postings(&term, IndexRecordOption::Basic)? {
                while postings.doc() != TERMINATED {
                    rows.insert(postings.doc());
                    postings.advance();
                }
            }
            rows.intersect(live);
            sets.push(rows);
        }
        let sets = Arc::new(sets);
        keep(&self.marked, mark.to_owned(), &sets, MOST_MARKS);
        Ok(sets)
    }
}

/// Remembers what was found for whoever asks next; what there is too much of is forgotten as a whole.
fn keep<K: Eq + Hash>(kept: &Mutex<HashMap<K, Arc<Vec<RowSet>>>>, key: K, sets: &Arc<Vec<RowSet>>, most: usize) {
    let mut kept = kept.lock().expect("no holder of this lock panics");
    if kept.len() >= most {
        kept.clear();
    }
    kept.insert(key, Arc::clone(sets));
}

fn vectors_of(entry: &SegmentEntry, open: &OpenSegment) -> Option<SegmentVectors> {
    Some(SegmentVectors { space: entry.embedding.clone()?, vectors: open.vectors.clone()? })
}

/// The segments in a bundle, in the library's own form.
fn segment_list(bundle: &Bundle) -> Result<Vec<serde_json::Value>, std::io::Error> {
    let bad = || std::io::Error::new(std::io::ErrorKind::InvalidData, "a segment without its own description");
    let meta = bundle.file(META_FILE).ok_or_else(bad)?;
    let meta: serde_json::Value = serde_json::from_slice(meta.as_slice())?;
    meta.get("segments").and_then(|segments| segments.as_array()).cloned().ok_or_else(bad)
}

/// Which rows are of which document: those of one document were written one after another.
fn runs_of(reader: &SegmentReader) -> tantivy::Result<Vec<Run>> {
    let Some(column) = reader.fast_fields().str("document")? else { return Ok(Vec::new()) };
    let mut documents = Vec::with_capacity(column.num_terms());
    let mut name = String::new();
    for ordinal in 0..column.num_terms() as u64 {
        name.clear();
        column.ord_to_str(ordinal, &mut name)?;
        documents.push(DocumentId::parse(&name));
    }
    let mut runs: Vec<Run> = Vec::new();
    let mut last = None;
    for row in 0..reader.max_doc() {
        let ordinal = column.term_ords(row).next().and_then(|ordinal| usize::try_from(ordinal).ok());
        match runs.last_mut() {
            Some(run) if ordinal == last => run.rows.end = row + 1,
            _ => {
                let Some(Some(document)) = ordinal.and_then(|ordinal| documents.get(ordinal)) else { continue };
                runs.push(Run { document: document.clone(), rows: row..row + 1 });
            }
        }
        last = ordinal;
    }
    Ok(runs)
}

/// The rows of the documents that are wanted.
fn rows_where(reader: &SegmentReader, runs: &OnceLock<Vec<Run>>, wanted: impl Fn(&DocumentId) -> bool) -> RowSet {
    let mut rows = RowSet::none(reader.max_doc());
    let runs = runs.get().into_iter().flatten().filter(|run| wanted(&run.document));
    runs.for_each(|run| rows.insert_all(run.rows.clone()));
    rows
}
