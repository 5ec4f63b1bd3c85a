//! What an operator does with the index: `handler index` from outside, and the rebuild from within.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use knowledge_worker::app::App;
use knowledge_worker::clock::Clock;
use knowledge_worker::document::{DocumentId, DocumentVersion, Passage, Principal};
use knowledge_worker::index::Query;
use knowledge_worker::index::segments::segment::Row;
use knowledge_worker::index::segments::writer::Upsert;
use knowledge_worker::index::segments::{SegmentIndex, SegmentSettings};
use knowledge_worker::ingest::ledger::State;
use knowledge_worker::ingest::rebuild::RebuildStep;
use knowledge_worker::ingest::reconcile::Drift;
use knowledge_worker::stores::blobs::local::LocalBlobs;
use serde_json::{Value, json};

use crate::support::app::{TestApp, document_name};
use crate::support::process::Place;
use crate::support::vectors::{embedding, random};

fn ferries() -> Place {
    let place = Place::new();
    place.write("papers/ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n\n# Fare\n\nIt costs four crowns.");
    place.write("papers/bakery.txt", "The bakery opens at six.");
    place.write("papers/crew/lamp.txt", "The lamp on the pier is green.");
    place.run_with(&[("FOLDER_RIGHTS", "crew/=group:crew")], &["ingest", "papers"]).assert_status(0);
    place
}

const RIGHTS: [(&str, &str); 1] = [("FOLDER_RIGHTS", "crew/=group:crew")];

/// Flips a byte in every file of words.
fn damage(place: &Place) -> usize {
    let files = std::fs::read_dir(place.path("data/index/segments")).unwrap();
    let damaged = files.map(|entry| {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        // Another file of that name: somebody may have this one mapped.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    });
    damaged.count()
}

#[test]
fn status_counts_documents_rows_and_what_differs_from_storage() {
    let place = ferries();
    place.run(&["documents", "delete", "bakery.txt"]).assert_status(0);
    let status = place.run_with(&RIGHTS, &["index", "status", "--json"]).assert_status(0).json();
    assert_eq!((&status["documents"], &status["passages"], &status["drift"]), (&json!(2), &json!(3), &json!({})));
    let segments = status["by_segment"].as_array().unwrap();
    let sum = |name: &str| segments.iter().map(|segment| segment[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("documents"), sum("live_passages")), (2, 3), "{status}");
    assert_eq!(sum("passages") - sum("live_passages"), status["dead_passages"].as_u64().unwrap());
    assert_eq!(sum("words_bytes") + sum("vectors_bytes"), status["size_bytes"].as_u64().unwrap());
    let told = place.run_with(&RIGHTS, &["index", "status"]).assert_status(0).stdout;
    assert!(told.contains("2 documents, 3 passages") && told.contains("storage and index agree"), "{told}");

    place.write("data/documents/new.txt", "The crane lifts forty tonnes.");
    std::fs::remove_file(place.path("data/documents/ferry.md")).unwrap();
    let status = place.run_with(&RIGHTS, &["index", "status", "--json"]).assert_status(0).json();
    assert_eq!(status["drift"], json!({"missing": 1, "gone": 1}));
    let told = place.run_with(&RIGHTS, &["index", "status"]).assert_status(0).stdout;
    assert!(told.contains("2 documents differ from storage: 1 missing, 1 gone"), "{told}");
    assert_eq!(
        place.run(&["documents", "--json"]).json()["documents"].as_array().unwrap().len(),
        3,
        "nothing is noted"
    );
}

#[test]
fn damage_is_told_with_its_documents_and_repaired_when_wanted() {
    let place = ferries();
    let whole = place.run(&["index", "verify", "--json"]).assert_status(0).json();
    assert!(whole["verified"]["files"].as_u64().unwrap() > 0 && whole["verified"]["damage"] == json!([]), "{whole}");
    let damaged = damage(&place);
    let told = place.run_with(&RIGHTS, &["index", "verify"]).assert_status(1);
    for name in ["ferry.md", "bakery.txt", "crew/lamp.txt", "checksum", "--repair"] {
        assert!(told.stdout.contains(name), "{name} in {told:?}");
    }
    let found = place.run_with(&RIGHTS, &["index", "verify", "--json"]).assert_status(1).json();
    assert_eq!((&found["unanswered"].as_array().unwrap().len(), &found["repaired"]), (&3, &Value::Null), "{found}");
    assert!(found["verified"]["damage"].as_array().unwrap().len() <= damaged, "{found}");
    place.run(&["index", "status"]).assert_status(1);
    place.run_with(&RIGHTS, &["index", "verify", "--repair"]).assert_status(0);
    place.run_with(&RIGHTS, &["index", "verify"]).assert_status(0);
    place.run_with(&RIGHTS, &["ask", "When does the ferry leave?"]).assert_status(0);

    std::fs::write(place.path("data/index/manifest.json"), "damaged").unwrap();
    let told = place.run_with(&RIGHTS, &["index", "verify"]).assert_status(1);
    assert!(told.stdout.contains("manifest.json"), "{told:?}");
    place.run_with(&RIGHTS, &["index", "verify", "--repair"]).assert_status(0);
    place.run_with(&RIGHTS, &["ask", "When does the ferry leave?"]).assert_status(0);
}

#[test]
fn maintaining_says_what_it_merged() {
    let place = Place::new();
    for number in 0..9 {
        place.write(&format!("papers/{number}.txt"), format!("The ferry number {number} leaves at nine."));
        place.run(&["ingest", "papers"]).assert_status(0);
    }
    let told = place.run(&["index", "maintain", "--json"]).assert_status(0).json();
    assert!(told["did"]["merged_segments"].as_u64().unwrap() >= 8, "{told}");
    assert!(told["after"]["segments"].as_u64() < told["before"]["segments"].as_u64(), "{told}");
    let again = place.run(&["index", "maintain"]).assert_status(0).stdout;
    assert!(again.starts_with("0 segments merged"), "{again}");
    place.run(&["ask", "When does the ferry number 3 leave?"]).assert_status(0);
}

#[test]
fn an_export_holds_every_passage_and_says_who_may_read_it() {
    let place = ferries();
    let exported = place.run(&["index", "export"]).assert_status(0);
    let lines: Vec<Value> = exported.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(exported.stderr.contains("4 passages"), "{exported:?}");
    let names: BTreeSet<&str> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!((lines.len(), names.len()), (4, 3));
    let lamp = lines.iter().find(|line| line["name"] == "crew/lamp.txt").unwrap();
    assert_eq!(lamp["readers"], json!(["group:home/crew"]));
    assert_eq!(lamp["text"], "The lamp on the pier is green.");
    for member in ["id", "document", "title", "ordinal", "heading_path", "content_hash"] {
        assert!(!lamp[member].is_null(), "{member} in {lamp}");
    }
    assert!(lamp["version"]["modified"].is_string() && lamp.get("embedding").is_none(), "{lamp}");
    let out = place.path("passages.jsonl");
    let told = place.run(&["index", "export", "--vectors", "--out", out.to_str().unwrap()]).assert_status(0);
    assert!(told.stdout.is_empty(), "{told:?}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), exported.stdout);
    let help = place.run(&["index", "export", "--help"]).assert_status(0).stdout;
    assert!(help.contains("ALL passages"), "{help}");
    damage(&place);
    place.run(&["index", "export"]).assert_status(1);
}

#[tokio::test]
async fn an_export_has_embeddings_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalBlobs::open(&folder.path().join("index")).unwrap());
    let settings = SegmentSettings {
        cache: folder.path().join("cache"),
        refresh: Duration::ZERO,
        stale: Duration::from_secs(300),
        language: "english".parse().unwrap(),
    };
    let index = SegmentIndex::new(store, settings, Clock::system());
    let vectors = random(7, 3, 64);
    let rows = vectors.iter().enumerate().map(|(ordinal, vector)| row("a.txt", ordinal, "harbour", vector)).collect();
    index.upsert(upsert("a.txt", rows)).await.unwrap();
    for with_embeddings in [true, false] {
        let (sender, lines) = std::sync::mpsc::channel();
        let each = move |passage: &_| {
            sender.send(json!(passage)).unwrap();
            Ok(())
        };
        let exported = index.export_all_passages(with_embeddings, each).await.unwrap();
        assert_eq!((exported.passages, exported.damaged_segments), (3, 0));
        for line in lines {
            let Some(found) = line.get("embedding") else {
                assert!(!with_embeddings);
                continue;
            };
            assert!(with_embeddings && found["model"] == "model", "{found}");
            let values: Vec<f64> = found["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            let vector = &vectors[line["ordinal"].as_u64().unwrap() as usize];
            let length = |of: &[f64]| of.iter().map(|v| v * v).sum::<f64>().sqrt();
            let vector: Vec<f64> = vector.iter().map(|v| f64::from(*v)).collect();
            let product: f64 = values.iter().zip(&vector).map(|(a, b)| a * b).sum();
            assert!(product / length(&values) / length(&vector) > 0.9999, "{product}");
        }
    }
}

fn row(name: &str, ordinal: usize, text: &str, vector: &[f32]) -> Row {
    let (name, ordinal) = (document_name(name), u32::try_from(ordinal).unwrap());
    let document_id = DocumentId::of(&name);
    let passage = Passage {
        id: Passage::id_of(&document_id, ordinal),
        document_id,
        title: name.to_string(),
        name,
        ordinal,
        page: None,
        place: None,
        heading_path: vec![],
        text: text.to_owned(),
    };
    let embedding = (!vector.is_empty()).then(|| embedding("model", vector));
    Row { passage, readers: vec![Principal::EVERYONE.to_owned()], embedding }
}

fn upsert(name: &str, rows: Vec<Row>) -> Upsert {
    let version = DocumentVersion { modified: "2026-01-01T00:00:00Z".parse().unwrap(), etag: "1".to_owned() };
    let (content_hash, category, recipe) = (String::new(), None, String::new());
    Upsert { name: document_name(name), version, content_hash, category, recipe, forced: false, rows }
}

async fn with_ferries(count: usize) -> TestApp {
    let test = TestApp::with(&[("INDEX_REFRESH_SECONDS", "0")]);
    for number in 0..count {
        test.ingest(&format!("{number}.txt"), format!("The ferry called ship{number} leaves at nine.")).await;
    }
    test
}

async fn segments(app: &App) -> BTreeSet<String> {
    let overview = app.index.segments().unwrap().overview().await.unwrap();
    overview.into_iter().map(|segment| segment.id).collect()
}

async fn found(app: &App, words: &str) -> Vec<String> {
    let hits = app.index.search(&Principal::anonymous(), &Query::words(words, 99)).await.unwrap().hits;
    hits.into_iter().map(|hit| hit.passage.text.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_makes_everything_anew_and_nobody_who_asks_notices() {
    let test = with_ferries(12).await;
    test.ingest("broken.pdf", "%PDF-1.7 broken").await;
    test.ingest("gone.txt", "The bakery opens at six.").await;
    test.delete("gone.txt");
    // What the index says of one document is not what is in it, and nothing but a rebuild can see that.
    let id = DocumentId::of(&document_name("3.txt"));
    let entry = test.app.index.entry(&id).await.unwrap().unwrap();
    let rows = vec![row("3.txt", 0, "The ferry called ship3 never leaves.", &[])];
    let spoiled = Upsert {
        name: entry.name,
        version: entry.version,
        content_hash: entry.content_hash,
        category: entry.category,
        recipe: entry.recipe,
        forced: true,
        rows,
    };
    test.app.index.upsert(spoiled).await.unwrap();
    let drift = test.app.ingest.drift().await.unwrap();
    assert_eq!(drift, [(Drift::Gone, vec!["gone.txt".to_owned()])].into(), "nothing else is seen");
    assert_eq!(found(&test.app, "ship3").await, ["The ferry called ship3 never leaves."]);
    let before = segments(&test.app).await;

    let over = Arc::new(AtomicBool::new(false));
    let (asking, until) = (test.again(&[("INDEX_REFRESH_SECONDS", "0")]), Arc::clone(&over));
    let asked = tokio::spawn(async move {
        let mut asked = 0;
        while !until.load(Ordering::SeqCst) {
            let number = asked % 12;
            let hits = found(&asking, &format!("ship{number}")).await;
            let answers = hits.iter().filter(|text| text.contains(&format!("ship{number} "))).count();
            assert_eq!(answers, 1, "ship{number}: {hits:?}");
            asked += 1;
        }
        asked
    });
    let rebuilt = test.app.ingest.rebuild(&test.app.records, false, |_| ()).await.unwrap();
    over.store(true, Ordering::SeqCst);
    assert!(asked.await.unwrap() > 12);
    assert_eq!((rebuilt.indexed, rebuilt.quarantined, rebuilt.failed, rebuilt.made_before), (12, 1, 0, 0));
    assert!(before.is_disjoint(&segments(&test.app).await));
    assert_eq!(found(&test.app, "ship3").await, ["The ferry called ship3 leaves at nine."]);
    assert!(found(&test.app, "bakery").await.is_empty());
    assert_eq!(test.row("gone.txt").await.unwrap().state, State::Deleted);
    assert_eq!(test.row("broken.pdf").await.unwrap().state, State::Quarantined);
    assert_eq!(test.app.ingest.drift().await.unwrap().len(), 0);
    assert_eq!(test.app.records.count("rebuild").await.unwrap(), 0, "nothing is left of it");
}

#[tokio::test]
async fn an_interrupted_rebuild_goes_on_where_it_was() {
    let test = with_ferries(10).await;
    let (done, stop) = (AtomicUsize::new(0), tokio::sync::Notify::new());
    let step = |step: RebuildStep<'_>| {
        if matches!(step, RebuildStep::Document(_)) && done.fetch_add(1, Ordering::SeqCst) == 2 {
            stop.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = stop.notified() => {}
        ended = test.app.ingest.rebuild(&test.app.records, false, step) => panic!("it was to be interrupted: {ended:?}"),
    }
    let next = test.again(&[]);
    let begun = std::sync::Mutex::new(Vec::new());
    let step = |step: RebuildStep<'_>| {
        if let RebuildStep::Begun { documents, made_before } = step {
            begun.lock().unwrap().push((documents, made_before));
        }
    };
    let rebuilt = next.ingest.rebuild(&next.records, false, step).await.unwrap();
    let begun = begun.into_inner().unwrap();
    let [(10, made)] = begun[..] else { panic!("{begun:?}") };
    // What was being written when it was interrupted may be there, too.
    assert!((3..10).contains(&made), "{made}");
    assert_eq!((rebuilt.made_before, rebuilt.indexed), (made, 10 - made));
    assert!(next.ingest.ledger.all().await.unwrap().iter().all(|row| row.state == State::Indexed));
    let anew = next.ingest.rebuild(&next.records, false, |_| ()).await.unwrap();
    assert_eq!((anew.made_before, anew.indexed), (0, 10), "a finished one is forgotten");
}

#[test]
fn a_rebuild_from_the_command_line_says_what_it_did() {
    let place = ferries();
    let told = place.run_with(&RIGHTS, &["index", "rebuild"]).assert_status(0).stdout;
    assert!(told.contains("3 documents made anew, 0 quarantined"), "{told}");
    let told = place.run_with(&RIGHTS, &["index", "rebuild", "--from-the-first", "--json"]).assert_status(0).json();
    assert_eq!((&told["finished"], &told["rebuilt"]["indexed"]), (&json!(true), &json!(3)), "{told}");
    place.run(&["ask", "When does the ferry leave?"]).assert_status(0);
}
