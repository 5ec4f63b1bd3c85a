//! From a file in the documents folder to passages and a row in the ledger, and back out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use knowledge_worker::document::{DocumentId, Principal};
use knowledge_worker::index::segments::manifest::Place;
use knowledge_worker::index::segments::segment::Row;
use knowledge_worker::index::segments::writer::Upsert;
use knowledge_worker::ingest::ledger::State;
use knowledge_worker::ingest::pipeline::Synced;
use knowledge_worker::ingest::reconcile::{Drift, last_report};
use knowledge_worker::ingest::rights::Standing;

use crate::support::app::{TestApp, document_name};

/// A PDF of 26 pages, a section on each.
const HANDBOOK: &[u8] = include_bytes!("../../samples/documents/handbook/staff-handbook.pdf");

#[tokio::test]
async fn every_format_keeps_what_a_citation_needs() {
    let test = TestApp::new();
    test.ingest("handbook.pdf", HANDBOOK).await;
    test.ingest("a.md", "# Buoys\n\nText.\n\n## Anchors\n\nThe kedge anchor weighs 12 kg.\n").await;
    test.ingest("b.html", "<title>Site</title><h1>Harbour</h1><script>var kedge=1</script><p>Berths: 40</p>").await;
    test.ingest("c.csv", "part,price\nshackle,3.50\nswivel,7.20\n").await;
    test.ingest("d.json", r#"{"buoy":{"mast":{"height_m":4.2}}}"#).await;
    test.ingest("e.txt", "Plain words about ropes.").await;
    let passages = |name: &'static str| {
        let (app, id) = (Arc::clone(&test.app), DocumentId::of(&document_name(name)));
        async move { app.index.passages(&Principal::anonymous(), &id).await.unwrap() }
    };
    let handbook = passages("handbook.pdf").await;
    assert_eq!(handbook.last().unwrap().page, Some(26));
    assert!(handbook.windows(2).all(|pair| pair[0].page <= pair[1].page), "pages are in order");
    assert_eq!(test.row("handbook.pdf").await.unwrap().pages, Some(26));
    let anchors = passages("a.md").await.into_iter().find(|passage| passage.text.contains("kedge")).unwrap();
    // Short sections share a passage; it carries the headings above all of it, and its text the others.
    assert_eq!(anchors.heading_path, ["Buoys"]);
    assert!(anchors.text.contains("Anchors"));
    let site = passages("b.html").await;
    assert!(site.iter().all(|passage| !passage.text.contains("kedge")), "a script is no text");
    assert_eq!(site[0].title, "Site");
    let parts = passages("c.csv").await;
    assert!(parts[0].text.contains("shackle") && parts[0].text.contains("price"), "{parts:?}");
    assert!(passages("d.json").await[0].text.contains("4.2"));
    assert_eq!(passages("e.txt").await[0].text, "Plain words about ropes.");
}

#[tokio::test]
async fn unchanged_content_is_skipped_and_a_new_version_replaces_the_old() {
    let test = TestApp::new();
    assert_eq!(test.ingest("a.txt", "The ferry leaves at nine.").await, Synced::Indexed { passages: 1 });
    let generation = test.app.index.status().await.unwrap().generation;
    assert_eq!(test.sync("a.txt").await, Synced::Unchanged);
    assert_eq!(
        test.ingest("a.txt", "The ferry leaves at nine.").await,
        Synced::Indexed { passages: 1 },
        "only a new date"
    );
    assert_eq!(test.app.index.status().await.unwrap().generation, generation, "nothing was indexed anew");
    test.ingest("a.txt", "The ferry leaves at ten.").await;
    let answer = test.ask("When does the ferry leave?").await;
    assert!(answer.contains("ten") && !answer.contains("nine"), "{answer}");
}

#[tokio::test]
async fn a_version_that_cannot_be_read_takes_the_old_one_out_and_says_why() {
    let test = TestApp::new();
    test.ingest("a.pdf", HANDBOOK).await;
    let broken = test.ingest("a.pdf", b"%PDF-1.7 and nothing else").await;
    assert!(matches!(broken, Synced::Quarantined { .. }));
    assert!(test.app.index.entry(&DocumentId::of(&document_name("a.pdf"))).await.unwrap().is_none());
    let row = test.row("a.pdf").await.unwrap();
    assert_eq!((row.state, row.passages), (State::Quarantined, 0));
    assert!(row.error.unwrap().message.len() > 10);
    let attempts = row.attempts;
    assert!(matches!(test.sync("a.pdf").await, Synced::Quarantined { .. }));
    assert_eq!(test.row("a.pdf").await.unwrap().attempts, attempts, "it is not tried again without need");
    assert!(matches!(test.ingest("a.pdf", HANDBOOK).await, Synced::Indexed { .. }), "a good version is taken at once");
}

#[tokio::test]
async fn the_timer_makes_good_what_was_missed() {
    let test = TestApp::new();
    test.ingest("kept.txt", "The ferry leaves at nine.").await;
    test.ingest("changed.txt", "The bakery opens at six.").await;
    test.ingest("gone.txt", "The pool is closed.").await;
    test.write("changed.txt", "The bakery opens at seven.");
    test.write("new.txt", "The market is on Fridays.");
    test.write(".hidden.txt", "Nobody asks about this.");
    test.delete("gone.txt");
    let report = test.app.ingest.reconcile(in_a_minute(), &test.app.records).await.unwrap();
    for drift in [Drift::Missing, Drift::Changed, Drift::Gone] {
        assert_eq!(report.drift.get(&drift), Some(&1), "{drift:?} in {report:?}");
    }
    assert_eq!((report.indexed, report.removed, report.unfinished), (2, 1, false));
    assert!(test.ask("When does the bakery open?").await.contains("seven"));
    assert!(test.ask("When is the market?").await.contains("Fridays"));
    assert!(test.ask("Is the pool closed?").await.contains("don't know"));
    assert_eq!(test.row("gone.txt").await.unwrap().state, State::Deleted);
    assert_eq!(last_report(&test.app.records).await.unwrap().unwrap(), report);
    let again = test.app.ingest.reconcile(in_a_minute(), &test.app.records).await.unwrap();
    assert!(again.drift.is_empty(), "a second run finds nothing to do: {again:?}");
}

#[tokio::test]
async fn a_run_that_has_no_time_leaves_the_rest_to_the_next() {
    let test = TestApp::new();
    test.write("a.txt", "The ferry leaves at nine.");
    let cut = test.app.ingest.reconcile(Instant::now(), &test.app.records).await.unwrap();
    assert!(cut.unfinished && cut.indexed == 0);
    let whole = test.app.ingest.reconcile(in_a_minute(), &test.app.records).await.unwrap();
    assert_eq!((whole.unfinished, whole.indexed), (false, 1));
}

#[tokio::test]
async fn passages_made_with_other_settings_are_made_anew() {
    let test = TestApp::new();
    test.ingest("handbook.pdf", HANDBOOK).await;
    let other = test.again(&[("CHUNK_TOKENS", "100"), ("CHUNK_OVERLAP_TOKENS", "10")]);
    let passages = |app: &Arc<knowledge_worker::app::App>| {
        let (app, id) = (Arc::clone(app), DocumentId::of(&document_name("handbook.pdf")));
        async move {
            match app.index.entry(&id).await.unwrap().unwrap().place {
                Place::Live { passages, .. } => passages,
                Place::Removed { .. } => 0,
            }
        }
    };
    let before = passages(&other).await;
    let report = other.ingest.reconcile(in_a_minute(), &other.records).await.unwrap();
    assert_eq!(report.drift.get(&Drift::Outdated), Some(&1), "{report:?}");
    assert!(passages(&other).await > before);
}

#[tokio::test]
async fn a_document_claimed_by_a_dead_process_is_taken_up_again() {
    let test = TestApp::new();
    test.ingest("a.txt", "The ferry leaves at nine.").await;
    let name = document_name("a.txt");
    let row = test.row("a.txt").await.unwrap();
    let elsewhere = test.again(&[("INVOCATION_TIMEOUT_SECONDS", "1")]);
    let mut version = row.version.unwrap();
    version.etag = "claimed-by-somebody-else".to_owned();
    elsewhere.ingest.ledger.claim(&row.id, name.as_str(), &version, &Standing::default(), 1).await.unwrap();
    let too_early = test.app.ingest.reconcile(in_a_minute(), &test.app.records).await.unwrap();
    assert!(too_early.drift.is_empty(), "its lease has not ended: {too_early:?}");
    let later = knowledge_worker::clock::Clock::manual(test.clock.now() + chrono::TimeDelta::seconds(2));
    let later = TestApp::with_clock_of(&test, later);
    let report = later.ingest.reconcile(in_a_minute(), &later.records).await.unwrap();
    assert_eq!(report.drift.get(&Drift::Stuck), Some(&1), "{report:?}");
    assert_eq!(test.row("a.txt").await.unwrap().state, State::Indexed);
}

#[tokio::test]
async fn a_document_that_is_too_large_is_named_as_such() {
    let test = TestApp::with(&[("MAX_DOCUMENT_SIZE", "100")]);
    assert_eq!(test.ingest("a.txt", "x ".repeat(60)).await, Synced::Quarantined { code: "document-too-large" });
    assert!(test.row("a.txt").await.unwrap().error.unwrap().message.contains("MAX_DOCUMENT_SIZE"));
    assert!(matches!(test.ingest("a.txt", "x ".repeat(40)).await, Synced::Indexed { .. }));
}

#[tokio::test]
async fn the_same_name_at_once_is_worked_on_once() {
    let test = TestApp::new();
    test.write("a.txt", "The ferry leaves at nine.");
    let runs = (0..10).map(|_| {
        let app = Arc::clone(&test.app);
        tokio::spawn(async move { app.ingest.sync(&document_name("a.txt")).await.unwrap() })
    });
    let mut indexed = 0;
    for run in runs.collect::<Vec<_>>() {
        indexed += u32::from(matches!(run.await.unwrap(), Synced::Indexed { .. }));
    }
    assert_eq!((indexed, test.row("a.txt").await.unwrap().attempts), (1, 1));
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn a_name_that_the_store_cannot_keep_is_in_the_ledger_too() {
    let test = TestApp::new();
    // Azure would take it; a file system takes no part of a name that is longer than 255 bytes.
    let name = format!("{}.txt", "x".repeat(300));
    assert_eq!(test.sync(&name).await, Synced::Quarantined { code: "invalid-name" });
    assert_eq!(test.row(&name).await.unwrap().state, State::Quarantined);
    test.app.ingest.reconcile(in_a_minute(), &test.app.records).await.unwrap();
    let again = test.app.ingest.reconcile(in_a_minute(), &test.app.records).await.unwrap();
    assert!(again.drift.is_empty(), "{again:?}");
}

#[tokio::test]
async fn settings_may_change_more_often_than_a_document_may_fail() {
    let test = TestApp::new();
    test.ingest("a.txt", "The ferry leaves at nine.").await;
    for tokens in ["100", "110", "120", "130", "140", "150", "160", "170"] {
        let app = test.again(&[("CHUNK_TOKENS", tokens)]);
        let report = app.ingest.reconcile(in_a_minute(), &app.records).await.unwrap();
        assert_eq!((report.indexed, report.quarantined), (1, 0), "with {tokens} tokens: {report:?}");
    }
}

#[tokio::test]
async fn another_instance_with_a_ledger_of_its_own_is_not_trusted_blindly() {
    let (here, elsewhere) = (TestApp::new(), tempfile::tempdir().unwrap());
    let index = here.data().join("index");
    std::os::unix::fs::symlink(&index, elsewhere.path().join("index")).unwrap();
    let there = here.beside(elsewhere.path());
    here.ingest("a.txt", "The ferry leaves at nine.").await;
    here.write("a.txt", "The ferry leaves at ten.");
    there.ingest.sync(&document_name("a.txt")).await.unwrap();
    // Back to the first content: this ledger knows it, but the index shows the other instance's version.
    here.ingest("a.txt", "The ferry leaves at nine.").await;
    assert!(here.ask("When does the ferry leave?").await.contains("nine"));
}

#[tokio::test]
async fn a_clock_that_was_wrong_does_not_keep_an_old_version() {
    let test = TestApp::new();
    test.ingest("a.txt", "The ferry leaves at nine.").await;
    let name = document_name("a.txt");
    let entry = test.app.index.entry(&DocumentId::of(&name)).await.unwrap().unwrap();
    let mut version = entry.version;
    version.modified += chrono::TimeDelta::days(400);
    let rows = test.app.index.passages(&Principal::anonymous(), &DocumentId::of(&name)).await.unwrap();
    let rows = rows
        .into_iter()
        .map(|passage| Row { passage, readers: vec![Principal::EVERYONE.to_owned()], embedding: None })
        .collect();
    let upsert = Upsert {
        name: name.clone(),
        version,
        content_hash: "of-the-future".to_owned(),
        category: None,
        recipe: entry.recipe,
        forced: false,
        rows,
    };
    test.app.index.upsert(upsert).await.unwrap();
    test.ingest("a.txt", "The ferry leaves at ten.").await;
    assert!(test.ask("When does the ferry leave?").await.contains("ten"), "storage is the authority");
}
