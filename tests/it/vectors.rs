//! Search by embeddings: it finds what an exact search finds, under rights and filters, after merges, and never across models.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use knowledge_worker::clock::Clock;
use knowledge_worker::document::{DocumentId, DocumentVersion, Passage, Principal};
use knowledge_worker::error::ErrorKind;
use knowledge_worker::index::filter::Filter;
use knowledge_worker::index::rank::RankSettings;
use knowledge_worker::index::segments::segment::Row;
use knowledge_worker::index::segments::writer::Upsert;
use knowledge_worker::index::segments::{SegmentIndex, SegmentSettings};
use knowledge_worker::index::{Index, Query};
use knowledge_worker::stores::blobs::local::LocalBlobs;

use crate::support::app::document_name;
use crate::support::vectors::{clustered, embedding, nearest, random};

const MODEL: &str = "test-model";

struct Place {
    index: Index,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalBlobs::open(&folder.path().join("store")).unwrap());
        let cache = folder.path().join("cache");
        let settings = SegmentSettings {
            cache,
            refresh: Duration::ZERO,
            stale: Duration::from_secs(300),
            language: "english".parse().unwrap(),
        };
        let segments = SegmentIndex::new(store, settings, Clock::manual(start()));
        Self { index: Index::on_segments(segments, RankSettings::default()), _folder: folder }
    }

    /// One document with a passage for each vector; its text is its place among them, as a word.
    async fn add(&self, name: &str, model: &str, vectors: &[Vec<f32>], first: usize) {
        self.add_with(name, model, vectors, first, |_| {}).await;
    }

    async fn add_with(
        &self,
        name: &str,
        model: &str,
        vectors: &[Vec<f32>],
        first: usize,
        change: impl Fn(&mut Upsert),
    ) {
        let name = document_name(name);
        let document_id = DocumentId::of(&name);
        let rows = vectors.iter().enumerate().map(|(at, values)| {
            let ordinal = u32::try_from(at).unwrap();
            let passage = Passage {
                id: Passage::id_of(&document_id, ordinal),
                document_id: document_id.clone(),
                name: name.clone(),
                title: String::new(),
                ordinal,
                page: None,
                place: None,
                heading_path: Vec::new(),
                text: word(first + at),
            };
            let readers = vec![Principal::EVERYONE.to_owned()];
            Row { passage, readers, embedding: Some(embedding(model, values)) }
        });
        let mut upsert = Upsert {
            version: DocumentVersion { modified: start(), etag: format!("{model}-{first}") },
            content_hash: String::new(),
            category: None,
            recipe: model.to_owned(),
            forced: false,
            rows: rows.collect(),
            name,
        };
        change(&mut upsert);
        self.index.upsert(upsert).await.unwrap();
    }

    /// The places of the vectors that are found for one, best first.
    async fn like(&self, values: &[f32], limit: usize, filter: Filter) -> Vec<usize> {
        let query = Query { text: String::new(), embedding: Some(embedding(MODEL, values)), limit, filter };
        let found = self.index.search(&Principal::anonymous(), &query).await.unwrap();
        found.hits.iter().map(|hit| hit.passage.text[1..].parse().unwrap()).collect()
    }
}

fn start() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn word(place: usize) -> String {
    format!("w{place}")
}

/// The share of the exact ten best that is found, over all queries.
async fn recall(place: &Place, vectors: &[Vec<f32>], queries: &[Vec<f32>], filter: &Filter, admitted: &[usize]) -> f64 {
    let among: Vec<Vec<f32>> = admitted.iter().map(|place| vectors[*place].clone()).collect();
    let mut found = 0;
    for query in queries {
        let wanted: HashSet<usize> = nearest(&among, query, 10).into_iter().map(|at| admitted[at]).collect();
        found += place.like(query, 10, filter.clone()).await.into_iter().filter(|place| wanted.contains(place)).count();
    }
    found as f64 / (10 * queries.len()) as f64
}

#[tokio::test]
async fn finds_what_an_exact_search_finds() {
    let sets = [("random", random(1, 1_540, 96)), ("clustered", clustered(2, 1_540, 384, 12))];
    for (name, vectors) in sets {
        let (queries, vectors) = vectors.split_at(40);
        let place = Place::new();
        for (at, part) in vectors.chunks(300).enumerate() {
            place.add(&format!("{at}.md"), MODEL, part, at * 300).await;
        }
        let all: Vec<usize> = (0..vectors.len()).collect();
        let recall = recall(&place, vectors, queries, &Filter::default(), &all).await;
        assert!(recall >= 0.99, "{name}: {recall}");
    }
}

#[tokio::test]
async fn merging_keeps_embeddings_and_leaves_dead_ones_behind() {
    let vectors = clustered(3, 920, 100, 5);
    let (queries, vectors) = vectors.split_at(20);
    let place = Place::new();
    for (at, part) in vectors.chunks(100).enumerate() {
        place.add(&format!("{at}.md"), MODEL, part, at * 100).await;
    }
    place.index.remove(&DocumentId::of(&document_name("4.md")), None).await.unwrap();
    let before = place.index.status().await.unwrap();
    place.index.tidy(Duration::ZERO, Instant::now() + Duration::from_secs(60)).await.unwrap();
    let after = place.index.status().await.unwrap();
    assert_eq!((before.segments, after.segments, after.passages), (8, 1, 800));
    let left: Vec<usize> = (0..900).filter(|place| !(400..500).contains(place)).collect();
    let recall = recall(&place, vectors, queries, &Filter::default(), &left).await;
    assert!(recall >= 0.99, "{recall}");
}

#[tokio::test]
async fn nobody_finds_what_they_may_not_read() {
    let vectors = random(4, 200, 64);
    let place = Place::new();
    place.add("open.md", MODEL, &vectors[..100], 0).await;
    let hide = |upsert: &mut Upsert| upsert.rows.iter_mut().for_each(|row| row.readers = vec!["user:home/ada".into()]);
    place.add_with("closed.md", MODEL, &vectors[100..], 100, hide).await;
    let found = place.like(&vectors[150], 100, Filter::default()).await;
    assert!(found.len() == 100 && found.iter().all(|place| *place < 100), "{found:?}");
    let ada = Principal::user("home", "ada", []).unwrap();
    let query = Query {
        text: String::new(),
        embedding: Some(embedding(MODEL, &vectors[150])),
        limit: 1,
        filter: Filter::default(),
    };
    assert_eq!(place.index.search(&ada, &query).await.unwrap().hits[0].passage.text, word(150));
}

#[tokio::test]
async fn filters_narrow_the_search_and_nothing_is_missed_within() {
    let vectors = random(5, 630, 64);
    let (queries, vectors) = vectors.split_at(30);
    let place = Place::new();
    for at in 0..6 {
        let name = format!("{}/{at}.md", if at < 3 { "north" } else { "south" });
        let label = |upsert: &mut Upsert| {
            upsert.category = (at % 2 == 0).then(|| "law".to_owned());
            upsert.version.modified = start() + TimeDelta::days(at as i64);
        };
        place.add_with(&name, MODEL, &vectors[at * 100..][..100], at * 100, label).await;
    }
    let places = |documents: &[usize]| -> Vec<usize> {
        documents.iter().flat_map(|document| document * 100..(document + 1) * 100).collect()
    };
    let day = |day| Some(start() + TimeDelta::days(day));
    let open = Filter::default;
    let cases = [
        (Filter { path_prefix: Some("north/".to_owned()), ..open() }, places(&[0, 1, 2])),
        (Filter { category: Some("law".to_owned()), ..open() }, places(&[0, 2, 4])),
        (Filter { documents: vec![DocumentId::of(&document_name("south/5.md"))], ..open() }, places(&[5])),
        (Filter { modified_from: day(1), modified_before: day(3), ..open() }, places(&[1, 2])),
        (Filter { path_prefix: Some("south/".to_owned()), category: Some("law".to_owned()), ..open() }, places(&[4])),
    ];
    for (filter, admitted) in cases {
        let recall = recall(&place, vectors, queries, &filter, &admitted).await;
        assert!(recall >= 0.99, "{filter:?}: {recall}");
        let found = place.like(&queries[0], 600, filter.clone()).await;
        assert_eq!(found.iter().collect::<HashSet<_>>(), admitted.iter().collect(), "{filter:?}");
    }
    let nowhere = Filter { category: Some("poetry".to_owned()), ..open() };
    assert!(place.like(&queries[0], 5, nowhere).await.is_empty());
}

#[tokio::test]
async fn embeddings_of_another_model_are_refused() {
    let vectors = random(6, 20, 64);
    let place = Place::new();
    place.add("old.md", "old-model", &vectors[..10], 0).await;
    let query = |model: &str, values: &[f32]| Query {
        text: "w3".to_owned(),
        embedding: Some(embedding(model, values)),
        limit: 5,
        filter: Filter::default(),
    };
    let anybody = Principal::anonymous();
    let refused = place.index.search(&anybody, &query(MODEL, &vectors[3])).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::EmbeddingMismatch);
    let refused = place.index.search(&anybody, &query("old-model", &vectors[3][..32])).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::EmbeddingMismatch, "a model with other dimensions is another model");

    // While documents are made anew the old ones are found by words, the new ones by both.
    place.add("new.md", MODEL, &vectors[10..], 10).await;
    let found = place.index.search(&anybody, &query(MODEL, &vectors[12])).await.unwrap();
    let texts: Vec<&str> = found.hits.iter().map(|hit| hit.passage.text.as_str()).collect();
    assert!(texts.contains(&"w3") && texts.contains(&"w12"), "{texts:?}");
    assert_eq!(place.index.search(&anybody, &query("old-model", &vectors[5])).await.unwrap().hits.len(), 5);
}

#[tokio::test]
async fn words_and_meaning_are_joined() {
    let vectors = random(7, 60, 64);
    let place = Place::new();
    place.add("a.md", MODEL, &vectors, 0).await;
    let query =
        Query { text: word(20), embedding: Some(embedding(MODEL, &vectors[40])), limit: 60, filter: Filter::default() };
    let found = place.index.search(&Principal::anonymous(), &query).await.unwrap();
    let texts: Vec<String> = found.hits.into_iter().map(|hit| hit.passage.text.clone()).collect();
    // Found by both: rank 1 by words and some rank by meaning. Found first by meaning alone: second.
    assert_eq!(texts[..2], [word(20), word(40)]);
    assert_eq!(texts.len(), 60, "all others follow by meaning");
}

#[tokio::test]
async fn what_says_the_same_is_given_once() {
    let place = Place::new();
    let vectors = random(8, 3, 64);
    let text =
        "The lighthouse keeper counts the ships that pass the pier each night and writes their names into a book";
    let same = |upsert: &mut Upsert| upsert.rows.iter_mut().for_each(|row| row.passage.text = text.to_owned());
    place.add_with("a.md", MODEL, &vectors[..1], 0, same).await;
    place.add_with("copy of a.md", MODEL, &vectors[1..2], 1, same).await;
    let other = |upsert: &mut Upsert| upsert.rows[0].passage.text = format!("{text}, which nobody reads but the mayor");
    place.add_with("b.md", MODEL, &vectors[2..], 2, other).await;
    let found = place.index.search(&Principal::anonymous(), &Query::words("lighthouse keeper", 5)).await.unwrap();
    assert_eq!(found.hits.len(), 2);
}
