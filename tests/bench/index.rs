//! Measures the index on this machine's disk: building, opening, searching, and what its embeddings cost and find. Prints one
//! JSON line. `scripts/bench index` calls it, and lets a Python peer do the same work on the files it leaves.
//!
//! Usage: `bench-index FOLDER PASSAGES DIMENSIONS QUERIES`. The folder gets `index/`, `vectors.f32`, `queries.f32`,
//! `passages.txt` and `queries.txt`. Or `bench-index recall FOLDER DIMENSIONS`: only what a search by embedding finds, with the
//! `vectors.f32` and `queries.f32` that lie there (`scripts/bench quality`). Or `bench-index cold FOLDER CONNECTION`: what the
//! first answer takes when the index of that folder lies in a storage account and nothing of it here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot go on fails, and says where")]

#[path = "../support/vectors.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod vectors;

mod cold;
mod work;

use std::path::Path;
use std::time::Instant;

use knowledge_worker::document::Principal;
use knowledge_worker::index::filter::Filter;
use knowledge_worker::index::{Index, Query};
use serde_json::json;

use work::{Work, build, given, hybrid, open, prepare};

/// Searches for each figure, after some that are not counted.
const WARM_UP: usize = 5;
/// Openings of which the fastest counts: each is over in a moment, in which a machine may have other work.
const OPENINGS: usize = 10;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (folder, numbers) = match args.as_slice() {
        ["recall", folder, dimensions] => {
            let work = given(Path::new(folder), dimensions.parse().unwrap());
            return println!("{}", runtime.block_on(measure_recall(&work)));
        }
        ["cold", folder, account] => {
            return println!("{}", runtime.block_on(cold::measure(Path::new(folder), account)));
        }
        [folder, numbers @ ..] => (folder, numbers),
        [] => panic!("usage: bench-index FOLDER PASSAGES DIMENSIONS QUERIES, or as the first lines of this file say"),
    };
    let [passages, dimensions, queries] = numbers.iter().map(|n| n.parse().unwrap()).collect::<Vec<usize>>()[..] else {
        panic!("three numbers are needed: passages, dimensions, queries")
    };
    let work = prepare(Path::new(folder), passages, dimensions, queries);
    println!("{}", runtime.block_on(measure(&work)));
}

async fn measure_recall(work: &Work) -> serde_json::Value {
    build(work).await;
    let index = open(work);
    let recall = recall(work, &index, work.questions.len(), |at| hybrid(work, at)).await;
    json!({"passages": work.passages, "dimensions": work.space.dimensions, "recall_at_10": round(recall)})
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
    let mut warm_answer_ms = f64::MAX;
    for at in 1..=OPENINGS {
        let opening = Instant::now();
        let again = open(work);
        again.search(&Principal::anonymous(), &hybrid(work, at)).await.unwrap();
        warm_answer_ms = warm_answer_ms.min(opening.elapsed().as_secs_f64() * 1e3);
        again.checked().await;
    }
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
        "recall_at_10": round(recall(work, &index, work.questions.len().min(50), vector).await),
        "memory_mb": memory_mb(),
    });
    let scan_ms = line["vectors_ms"]["median"].as_f64().unwrap();
    let one_bit_bytes = work.passages as f64 * (f64::from(work.space.dimensions) / 8.0 + 16.0);
    line["scan_gb_s"] = json!(round(one_bit_bytes / scan_ms / 1e6));
    line["memory_gb_s"] = json!(round(memory_bandwidth()));
    line
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

/// The share of the exact ten nearest that a search by embedding finds, over the first `count` questions.
async fn recall(work: &Work, index: &Index, count: usize, query: impl Fn(usize) -> Query) -> f64 {
    let mut found = 0;
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
