//! Measures the index on this machine's disk: building, opening, searching, and what its embeddings cost and find. Prints one
//! JSON line. `scripts/bench index` calls it, and lets a Python peer do the same work on the files it leaves.
//!
//! Usage: `bench-index FOLDER PASSAGES DIMENSIONS QUERIES`. The folder gets `index/`, `vectors.f32`, `queries.f32`,
//! `passages.txt` and `queries.txt`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot go on fails, and says where")]

#[path = "../support/vectors.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod vectors;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use knowledge_worker::clock::Clock;
use knowledge_worker::document::{
    DocumentId, DocumentName, DocumentVersion, Embedding, EmbeddingSpace, Passage, Principal,
};
use knowledge_worker::index::filter::Filter;
use knowledge_worker::index::rank::RankSettings;
use knowledge_worker::index::segments::segment::Row;
use knowledge_worker::index::segments::writer::Upsert;
use knowledge_worker::index::segments::{SegmentIndex, SegmentSettings};
use knowledge_worker::index::{Index, Query};
use knowledge_worker::stores::blobs::local::LocalBlobs;
use serde_json::json;
use vectors::Chance;

/// Passages of one document.
const PASSAGES_A_DOCUMENT: usize = 20;
/// Documents that are handed to the index at once.
const DOCUMENTS_AT_ONCE: usize = 2_500;
/// Words there are, rare and common.
const VOCABULARY: f64 = 60_000.0;
/// Searches for each figure, after some that are not counted.
const WARM_UP: usize = 5;

struct Work {
    folder: std::path::PathBuf,
    passages: usize,
    space: Arc<EmbeddingSpace>,
    vectors: Vec<Vec<f32>>,
    texts: Vec<String>,
    questions: Vec<(String, Vec<f32>)>,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, numbers @ ..] = args.as_slice() else {
        panic!("usage: bench-index FOLDER PASSAGES DIMENSIONS QUERIES")
    };
    let [passages, dimensions, queries] = numbers.iter().map(|n| n.parse().unwrap()).collect::<Vec<usize>>()[..] else {
        panic!("three numbers are needed: passages, dimensions, queries")
    };
    let work = prepare(Path::new(folder), passages, dimensions, queries);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("{}", runtime.block_on(measure(&work)));
}

fn prepare(folder: &Path, passages: usize, dimensions: usize, queries: usize) -> Work {
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

fn open(work: &Work) -> Index {
    let store = Arc::new(LocalBlobs::open(&work.folder.join("index")).unwrap());
    let settings = SegmentSettings {
        cache: work.folder.join("cache"),
        refresh: Duration::from_secs(3_600),
        stale: Duration::from_secs(300),
        language: "english".parse().unwrap(),
    };
    Index::on_segments(SegmentIndex::new(store, settings, Clock::system()), RankSettings::default())
}

async fn measure(work: &Work) -> serde_json::Value {
    let (built, build_cpu) = (Instant::now(), cpu_seconds());
    build(work).await;
    let (build_seconds, build_cpu) = (built.elapsed().as_secs_f64(), cpu_seconds() - build_cpu);
    let opening = Instant::now();
    let index = open(work);
    let first = index.search(&Principal::anonymous(), &hybrid(work, 0)).await.unwrap();
    let first_answer_ms = opening.elapsed().as_secs_f64() * 1e3;
    assert!(!first.hits.is_empty());
    index.checked().await;
    let opening = Instant::now();
    let again = open(work);
    again.search(&Principal::anonymous(), &hybrid(work, 1)).await.unwrap();
    let warm_answer_ms = opening.elapsed().as_secs_f64() * 1e3;
    again.checked().await;
    drop(again);
    let status = index.status().await.unwrap();
    let words = |at: usize| Query::words(work.questions[at].0.clone(), 10);
    let vector = |at: usize| Query { text: String::new(), ..hybrid(work, at) };
    let filtered = |at: usize| {
        let filter = Filter { path_prefix: Some("folder-1/".to_owned()), ..Filter::default() };
        Query { filter, ..hybrid(work, at) }
    };
    let mut line = json!({
        "passages": work.passages,
        "dimensions": work.space.dimensions,
        "build_s": round(build_seconds),
        "build_cpu_s": round(build_cpu),
        "segments_count": status.segments,
        "disk_a_passage_bytes": status.size_bytes / work.passages as u64,
        "vectors_a_passage_bytes": vector_bytes(work) / work.passages as u64,
        "first_answer_ms": round(first_answer_ms),
        "open_and_answer_ms": round(warm_answer_ms),
        "words_ms": timed(work, &index, words).await,
        "vectors_ms": timed(work, &index, vector).await,
        "hybrid_ms": timed(work, &index, |at| hybrid(work, at)).await,
        "filtered_ms": timed(work, &index, filtered).await,
        "recall_at_10": round(recall(work, &index, vector).await),
        "memory_mb": memory_mb(),
    });
    let scan_ms = line["vectors_ms"]["median"].as_f64().unwrap();
    let one_bit_bytes = work.passages as f64 * (f64::from(work.space.dimensions) / 8.0 + 16.0);
    line["scan_gb_s"] = json!(round(one_bit_bytes / scan_ms / 1e6));
    line["memory_gb_s"] = json!(round(memory_bandwidth()));
    line
}

fn hybrid(work: &Work, at: usize) -> Query {
    let (text, values) = &work.questions[at % work.questions.len()];
    let embedding = Embedding { space: Arc::clone(&work.space), values: values.clone() };
    Query { embedding: Some(embedding), ..Query::words(text.clone(), 10) }
}

async fn build(work: &Work) {
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

/// Median and 99th percentile of a search, one after another.
async fn timed(work: &Work, index: &Index, query: impl Fn(usize) -> Query) -> serde_json::Value {
    let mut times = Vec::new();
    for at in 0..work.questions.len() + WARM_UP {
        let query = query(at % work.questions.len());
        let began = Instant::now();
        index.search(&Principal::anonymous(), &query).await.unwrap();
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let mut times = times.split_off(WARM_UP);
    times.sort_by(f64::total_cmp);
    json!({"median": round(times[times.len() / 2]), "p99": round(times[times.len() * 99 / 100])})
}

/// The share of the exact ten nearest that a search by embedding finds.
async fn recall(work: &Work, index: &Index, query: impl Fn(usize) -> Query) -> f64 {
    let (mut found, count) = (0, work.questions.len().min(50));
    for at in 0..count {
        let wanted = vectors::nearest(&work.vectors, &work.questions[at].1, 10);
        let hits = index.search(&Principal::anonymous(), &query(at)).await.unwrap().hits;
        found += hits.iter().filter(|hit| wanted.contains(&hit.passage.title.parse().unwrap())).count();
    }
    found as f64 / (10 * count) as f64
}

fn vector_bytes(work: &Work) -> u64 {
    let files = std::fs::read_dir(work.folder.join("index/segments")).unwrap().flatten();
    let vectors = files.filter(|file| file.file_name().to_string_lossy().contains(".vectors"));
    vectors.map(|file| file.metadata().unwrap().len()).sum()
}

/// How fast one thread reads memory that fits no cache, in GB a second: what a scan can reach at best.
fn memory_bandwidth() -> f64 {
    let numbers = vec![1_u64; 1 << 27];
    let best = (0..3).map(|_| {
        let began = Instant::now();
        let sum = numbers.iter().fold(0_u64, |sum, number| sum.wrapping_add(*number));
        assert_eq!(std::hint::black_box(sum), 1 << 27);
        began.elapsed().as_secs_f64()
    });
    (numbers.len() * 8) as f64 / best.fold(f64::MAX, f64::min) / 1e9
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in hundredths of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
