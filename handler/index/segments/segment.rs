//! One segment: passages become immutable files, and rows of such files become passages again.

use std::path::Path;
use std::sync::Arc;

use tantivy::directory::{Directory, RamDirectory};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value as _,
};
use tantivy::tokenizer::TokenizerManager;
use tantivy::{Index, TantivyDocument, TantivyError};
use uuid::Uuid;

use super::analyze::Analyzer;
use super::bundle::{self, DOCUMENTS_FILE, META_FILE};
use super::manifest::{DocumentEntry, FileKind};
use super::stored::table_to_bytes;
use super::vectors::Vectors;
use super::vectors::encode::encode;
use crate::document::{DocumentId, Embedding, EmbeddingSpace, Passage};
use crate::error::{Error, ErrorKind, Result};

/// Memory that building one segment may use before the library complains; segments are kept far smaller.
const BUILD_MEMORY_BYTES: usize = 256 << 20;
/// The name under which the schema refers to the analyzer.
const TOKENIZER: &str = "analyzed";

/// The columns of a row. A row is one passage.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// Terms of the passage's text.
    pub text: Field,
    /// Terms of its title, headings and name.
    pub context: Field,
    /// Id of its document, exact; also a column, to tell live rows from dead ones.
    pub document: Field,
    /// Marks of who may read it, exact.
    pub readers: Field,
    /// The whole passage as JSON, stored.
    pub passage: Field,
    /// Position within the document, exact.
    pub ordinal: Field,
}

/// A passage together with the marks of those who may read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The passage.
    pub passage: Passage,
    /// See [`crate::document::Principal::readers`].
    pub readers: Vec<String>,
    /// Its embedding, when a model made one.
    pub embedding: Option<Embedding>,
}

/// The schema that every segment has.
pub fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let analyzed = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions),
    );
    let fields = Fields {
        text: builder.add_text_field("text", analyzed.clone()),
        context: builder.add_text_field("context", analyzed),
        document: builder.add_text_field("document", STRING | FAST),
        readers: builder.add_text_field("readers", STRING | STORED),
        passage: builder.add_text_field("passage", STORED),
        ordinal: builder.add_u64_field("ordinal", INDEXED | FAST),
    };
    (builder.build(), fields)
}

/// What a segment is built of.
#[derive(Debug, Default)]
pub struct Batch {
    /// The rows.
    pub rows: Vec<Row>,
    /// The documents they are of.
    pub documents: Vec<(DocumentId, DocumentEntry)>,
    /// Where their embeddings live; none when they have none.
    pub space: Option<EmbeddingSpace>,
    /// For each row that comes from an older segment, where its embedding is; empty when the rows bring their own.
    pub stored: Vec<StoredEmbedding>,
}

/// An embedding in an older segment.
#[derive(Clone, Debug)]
pub struct StoredEmbedding {
    /// That segment's vectors.
    pub vectors: Arc<Vectors>,
    /// The row there.
    pub row: usize,
}

/// A segment that was built and is not yet in the store.
#[derive(Debug)]
pub struct Built {
    /// Its id.
    pub id: String,
    /// The bytes of its files.
    pub files: Vec<(FileKind, Vec<u8>)>,
    /// Rows in it.
    pub passages: u64,
}

impl Batch {
    /// Rows that bring their own embeddings, all in one space.
    pub fn of(rows: Vec<Row>, documents: Vec<(DocumentId, DocumentEntry)>) -> Self {
        let space = rows.iter().find_map(|row| row.embedding.as_ref()).map(|embedding| (*embedding.space).clone());
        Self { rows, documents, space, stored: Vec::new() }
    }

    fn embedding(&self, row: usize) -> Option<Vec<f32>> {
        match self.stored.get(row) {
            Some(stored) => stored.vectors.embedding(stored.row),
            None => self.rows[row].embedding.as_ref().map(|embedding| embedding.values.clone()),
        }
    }
}

/// Builds a segment; CPU-heavy, so call it off the async threads.
pub fn build(batch: &Batch, analyzer: &Analyzer) -> Result<Built> {
    let (id, lexical) = build_lexical(batch, analyzer)
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot build an index segment").caused_by(e))?;
    let mut files = vec![(FileKind::Lexical, lexical)];
    if let Some(space) = &batch.space {
        let rows = batch.rows.len();
        files.push((FileKind::Vectors, encode(space.dimensions as usize, rows, |row| batch.embedding(row))));
    }
    Ok(Built { id, files, passages: batch.rows.len() as u64 })
}

fn build_lexical(batch: &Batch, analyzer: &Analyzer) -> Result<(String, Vec<u8>), TantivyError> {
    let (schema, fields) = schema();
    let directory = RamDirectory::create();
    let builder = Index::builder().schema(schema).tokenizers(tokenizers(analyzer));
    let mut writer = builder.single_segment_index_writer::<TantivyDocument>(directory.clone(), BUILD_MEMORY_BYTES)?;
    for row in &batch.rows {
        writer.add_document(to_document(row, fields)?)?;
    }
    let index = writer.finalize()?;
    let mut files = vec![
        (META_FILE.to_owned(), directory.atomic_read(Path::new(META_FILE))?),
        (DOCUMENTS_FILE.to_owned(), table_to_bytes(&batch.documents)),
    ];
    // The list names every file a segment may have; only those that were needed exist.
    let mut paths: Vec<_> = index.load_metas()?.list_segment_files().into_iter().collect();
    paths.sort_unstable();
    for path in paths {
        if directory.exists(&path)? {
            let bytes = directory.open_read(&path)?.read_bytes()?;
            files.push((path.to_string_lossy().into_owned(), bytes.as_slice().to_vec()));
        }
    }
    Ok((Uuid::new_v4().simple().to_string(), bundle::pack(&files)))
}

fn to_document(row: &Row, fields: Fields) -> Result<TantivyDocument, TantivyError> {
    let passage = &row.passage;
    let mut document = TantivyDocument::default();
    document.add_text(fields.text, &passage.text);
    document
        .add_text(fields.context, format!("{}\n{}\n{}", passage.title, passage.heading_path.join("\n"), passage.name));
    document.add_text(fields.document, passage.document_id.as_str());
    for reader in &row.readers {
        document.add_text(fields.readers, reader);
    }
    document.add_text(fields.passage, serde_json::to_string(passage)?);
    document.add_u64(fields.ordinal, u64::from(passage.ordinal));
    Ok(document)
}

/// Reads a stored row back.
pub fn to_row(document: &TantivyDocument, fields: Fields) -> Result<Row> {
    let damaged = || Error::new(ErrorKind::IndexDamaged, "a stored passage cannot be read");
    let stored = document.get_first(fields.passage).and_then(|value| value.as_str()).ok_or_else(damaged)?;
    let passage = serde_json::from_str(stored).map_err(|e| damaged().caused_by(e))?;
    let readers = document.get_all(fields.readers).filter_map(|value| value.as_str().map(str::to_owned)).collect();
    Ok(Row { passage, readers, embedding: None })
}

/// The analyzers by the names the schema uses.
pub fn tokenizers(analyzer: &Analyzer) -> TokenizerManager {
    let manager = TokenizerManager::new();
    manager.register(TOKENIZER, analyzer.for_index());
    manager.register("raw", tantivy::tokenizer::RawTokenizer::default());
    // Asked for by fields that are only stored, and then not used.
    manager.register("default", tantivy::tokenizer::RawTokenizer::default());
    manager
}
