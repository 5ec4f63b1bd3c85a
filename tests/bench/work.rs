//! What is measured: passages, embeddings and questions made for the occasion or lying in a folder, and an index of them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use knowledge_worker::clock::Clock;
use knowledge_worker::document::{
    DocumentId, DocumentName, DocumentVersion, Embedding, EmbeddingSpace, Passage, Principal,
};
use knowledge_worker::index::rank::RankSettings;
use knowledge_worker::index::segments::segment::Row;
use knowledge_worker::index::segments::writer::Upsert;
use knowledge_worker::index::segments::{SegmentIndex, SegmentSettings};
use knowledge_worker::index::{Index, Query};
use knowledge_worker::stores::blobs::BlobStore;
use knowledge_worker::stores::blobs::local::LocalBlobs;

use crate::vectors::{self, Chance};

/// Passages of one document.
const PASSAGES_A_DOCUMENT: usize = 20;
/// Documents that are handed to the index at once.
const DOCUMENTS_AT_ONCE: usize = 2_500;
/// Words there are, rare and common.
const VOCABULARY: f64 = 60_000.0;

/// Passages with their embeddings, and what is asked of them.
pub struct Work {
    pub folder: std::path::PathBuf,
    pub passages: usize,
    pub space: Arc<EmbeddingSpace>,
    pub vectors: Vec<Vec<f32>>,
    pub texts: Vec<String>,
    pub questions: Vec<(String, Vec<f32>)>,
}

/// The embeddings that lie in the folder, each with a text of its own, so that no passage says what another one said.
pub fn given(folder: &Path, dimensions: usize) -> Work {
    let vectors = read_numbers(&folder.join("vectors.f32"), dimensions);
    let asked = read_numbers(&folder.join("queries.f32"), dimensions);
    let questions = asked.into_iter().map(|values| (String::new(), values)).collect();
    let texts = (0..vectors.len()).map(|at| format!("passage{at}")).collect();
    let space = Arc::new(EmbeddingSpace { model: "given".to_owned(), dimensions: dimensions as u32 });
    Work { folder: folder.to_owned(), passages: vectors.len(), space, vectors, texts, questions }
}

fn read_numbers(path: &Path, dimensions: usize) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    bytes.chunks_exact(4 * dimensions).map(|row| row.chunks_exact(4).map(number).collect()).collect()
}

/// Makes all of it, and writes it down for others.
pub fn prepare(folder: &Path, passages: usize, dimensions: usize, queries: usize) -> Work {
    std::fs::create_dir_all(folder).unwrap();
    let clusters = (passages / 200).max(10);
    let mut vectors = vectors::clustered(1, passages + queries, dimensions, clusters);
    let asked = vectors.split_off(passages);
    let mut chance = Chance::new(2);
    let texts: Vec<String> = (0..passages).map(|_| text(&mut chance)).collect();
    let question = |values| {
        let of = &texts[(chance.next() % passages as u64) as usize];
        let words: Vec<&str> = of.split(' ').step_by(11).take(5).collect();
        (words.join(" "), values)
    };
    let questions: Vec<(String, Vec<f32>)> = asked.into_iter().map(question).collect();
    write_numbers(&folder.join("vectors.f32"), vectors.iter());
    write_numbers(&folder.join("queries.f32"), questions.iter().map(|(_, values)| values));
    std::fs::write(folder.join("passages.txt"), texts.join("\n")).unwrap();
    let asked: Vec<&str> = questions.iter().map(|(text, _)| text.as_str()).collect();
    std::fs::write(folder.join("queries.txt"), asked.join("\n")).unwrap();
    let space = Arc::new(EmbeddingSpace { model: "bench".to_owned(), dimensions: dimensions as u32 });
    Work { folder: folder.to_owned(), passages, space, vectors, texts, questions }
}

/// About eighty words, of which a few are common and most are rare, as in any language.
fn text(chance: &mut Chance) -> String {
    let length = 60 + chance.next() % 40;
    let word = |chance: &mut Chance| {
        let even = (chance.next() >> 11) as f64 / (1_u64 << 53) as f64;
        format!("word{}", VOCABULARY.powf(even) as u64)
    };
    (0..length).map(|_| word(chance)).collect::<Vec<_>>().join(" ")
}

fn write_numbers<'a>(path: &Path, vectors: impl Iterator<Item = &'a Vec<f32>>) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for values in vectors {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        file.write_all(&bytes).unwrap();
    }
    file.flush().unwrap();
}

/// The index of the folder, as a new process opens it.
pub fn open(work: &Work) -> Index {
    open_at(local(work), &work.folder.join("cache"))
}

/// The folder's store.
pub fn local(work: &Work) -> Arc<dyn BlobStore> {
    Arc::new(LocalBlobs::open(&work.folder.join("index")).unwrap())
}

/// An index on a store, with its copies in `cache`.
pub fn open_at(store: Arc<dyn BlobStore>, cache: &Path) -> Index {
    let settings = SegmentSettings {
        cache: cache.to_owned(),
        refresh: Duration::from_secs(3_600),
        stale: Duration::from_secs(300),
        language: "english".parse().unwrap(),
    };
    Index::on_segments(SegmentIndex::new(store, settings, Clock::system()), RankSettings::default())
}

/// A search by the words and the embedding of a question.
pub fn hybrid(work: &Work, at: usize) -> Query {
    let (text, values) = &work.questions[at % work.questions.len()];
    let embedding = Embedding { space: Arc::clone(&work.space), values: values.clone() };
    Query { embedding: Some(embedding), ..Query::words(text.clone(), 10) }
}

/// Fills the index of the folder, and merges its segments.
pub async fn build(work: &Work) {
    let index = open(work);
    let documents: Vec<usize> = (0..work.passages.div_ceil(PASSAGES_A_DOCUMENT)).collect();
    for some in documents.chunks(DOCUMENTS_AT_ONCE) {
        let all = some.iter().map(|document| index.upsert(upsert(work, *document)));
        for outcome in futures_util::future::join_all(all).await {
            outcome.unwrap();
        }
    }
    index.tidy(Duration::ZERO, Instant::now() + Duration::from_secs(86_400)).await.unwrap();
}

fn upsert(work: &Work, document: usize) -> Upsert {
    let name = DocumentName::parse(&format!("folder-{}/{document}.md", document % 10)).unwrap();
    let document_id = DocumentId::of(&name);
    let from = document * PASSAGES_A_DOCUMENT;
    let rows = (from..(from + PASSAGES_A_DOCUMENT).min(work.passages)).map(|at| {
        let ordinal = (at - from) as u32;
        let passage = Passage {
            id: Passage::id_of(&document_id, ordinal),
            document_id: document_id.clone(),
            name: name.clone(),
            title: format!("{at}"),
            ordinal,
            page: None,
            place: None,
            heading_path: Vec::new(),
            text: work.texts[at].clone(),
        };
        let embedding = Embedding { space: Arc::clone(&work.space), values: work.vectors[at].clone() };
        Row { passage, readers: vec![Principal::EVERYONE.to_owned()], embedding: Some(embedding) }
    });
    Upsert {
        version: DocumentVersion { modified: chrono::DateTime::UNIX_EPOCH, etag: "1".to_owned() },
        content_hash: String::new(),
        category: None,
        recipe: "bench".to_owned(),
        forced: false,
        rows: rows.collect(),
        name,
    }
}
