//! The product with its records in Cosmos DB, from outside: it does what it does with the embedded form, several instances
//! know the same, and what an instance kept on its own disk is not missed.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use knowledge_worker::app::App;
use knowledge_worker::ingest::ledger::LedgerRow;
use serde_json::{Value, json};

use crate::support::app::{TestApp, get};
use crate::support::azurite;
use crate::support::cosmos::{Container, borrowed};
use crate::support::functions_app::FunctionsApp;
use crate::support::process::Place;

/// A Function App with its documents and its index in Azurite and its records in a container.
async fn function_app(container: &Container) -> FunctionsApp {
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    FunctionsApp::start_with(|options| options.app_settings.extend(container.variables().into_iter().map(owned))).await
}

/// Name, state and number of passages of every document, in the order of their ids.
fn told(rows: &[Value]) -> Vec<(String, String, u64)> {
    let told = |row: &Value| {
        let text = |field: &str| row[field].as_str().unwrap().to_owned();
        (text("name"), text("state"), row["passages"].as_u64().unwrap())
    };
    rows.iter().map(told).collect()
}

#[tokio::test]
async fn documents_come_change_and_go_and_an_empty_disk_is_not_noticed() {
    let container = Container::new().await;
    let app = function_app(&container).await;
    app.upload("notes/harbour.txt", "The harbour master of Lindesvik is called Oda Strand.").await;
    app.upload("ferry.txt", "The ferry leaves at nine.").await;
    assert!(app.ask("Who is the harbour master of Lindesvik?").await.contains("Oda Strand"));
    app.upload("notes/harbour.txt", "The harbour master of Lindesvik is called Pelle Holm.").await;
    let answer = app.ask("Who is the harbour master of Lindesvik?").await;
    assert!(answer.contains("Pelle Holm") && !answer.contains("Oda"), "{answer}");
    app.delete("ferry.txt").await;
    app.event("BlobDeleted", "ferry.txt").await;
    let before = told(&app.ledger().await);
    assert_eq!(before.len(), 2, "{before:?}");
    assert!(before.contains(&("ferry.txt".to_owned(), "deleted".to_owned(), 0)), "{before:?}");

    let app = app.restart_on_an_empty_folder().await;
    assert!(!app.data().join("records.db").exists(), "nothing of the records is on this machine");
    assert_eq!(told(&app.ledger().await), before, "the ledger was not on the disk that is gone");
    let answer = app.ask("Who is the harbour master of Lindesvik?").await;
    assert!(answer.contains("Pelle Holm") && answer.contains("[notes/harbour.txt]"), "{answer}");
    let health: Value = app.request(reqwest::Method::GET, "/api/health").send().await.unwrap().json().await.unwrap();
    assert_eq!(health["services"]["records"], "healthy", "{health}");
}

#[tokio::test]
async fn two_instances_tell_the_same() {
    let container = Container::new().await;
    let app = function_app(&container).await;
    app.upload("one.txt", "The pilot of Lindesvik is called Runa Dahl.").await;

    // Another instance, with a disk of its own, takes the next document.
    let (blob, queue) = azurite::addresses();
    let storage = format!(
        "AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint={blob};QueueEndpoint={queue}"
    );
    let mut settings = container.variables();
    settings.extend([
        ("AzureWebJobsStorage", storage),
        ("DOCUMENTS_CONTAINER", app.documents.clone()),
        ("INDEX_CONTAINER", app.index.clone()),
        ("BACKUP_CONTAINER", app.backups.clone()),
        ("INDEX_REFRESH_SECONDS", "0".to_owned()),
    ]);
    let place = Place::new();
    let other = place.serve_the_host(&borrowed(&settings));
    app.host.storage().put_blob(&app.documents, "two.txt", "text/plain", &[], "A buoy is red.".into()).await.unwrap();
    let envelope = json!({"Data": {"blob": ""}, "Metadata": {"name": "\"two.txt\""}});
    let client = reqwest::Client::new();
    let look = async || client.post(other.url("/ingest_document")).json(&envelope).send().await.ok();
    let taken = crate::support::process::eventually("the other instance answers", look).await;
    assert_eq!(taken.status(), 200);

    let listed: Value = client.get(other.url("/api/documents")).send().await.unwrap().json().await.unwrap();
    let told_by_the_other = told(listed["documents"].as_array().unwrap());
    assert_eq!(told_by_the_other.len(), 2, "{told_by_the_other:?}");
    assert!(told_by_the_other.iter().all(|(_, state, passages)| state == "indexed" && *passages == 1));
    assert_eq!(told(&app.ledger().await), told_by_the_other);
}

/// The product in this process, with its records in a container.
fn with_records_in(container: &Container) -> TestApp {
    TestApp::with(&borrowed(&container.variables()))
}

async fn rows(app: &App) -> Vec<LedgerRow> {
    app.ingest.ledger.all().await.unwrap()
}

#[tokio::test]
async fn a_backup_goes_back_into_another_container() {
    let (container, empty) = (Container::new().await, Container::new().await);
    let test = with_records_in(&container);
    test.ingest("ferry.txt", "The ferry leaves at nine.").await;
    test.ingest("broken.pdf", "%PDF-1.7 broken").await;
    test.ingest("gone.txt", "The bakery opens at six.").await;
    test.delete("gone.txt");
    test.sync("gone.txt").await;
    let made = test.app.backups.create(&|_| ()).await.unwrap();
    let before = rows(&test.app).await;
    assert_eq!(before.len(), 3);

    let elsewhere = test.again(&borrowed(&empty.variables()));
    assert!(rows(&elsewhere).await.is_empty());
    elsewhere.backups.restore(&made, true, &|_| ()).await.unwrap();
    assert_eq!(rows(&elsewhere).await, before);
    // What came after the backup goes when the backup alone is to be there.
    test.ingest("later.txt", "The lamp on the pier is green.").await;
    test.app.backups.restore(&made, true, &|_| ()).await.unwrap();
    assert_eq!(rows(&test.app).await, before);
}

#[tokio::test]
async fn a_document_costs_few_calls_and_a_question_none() {
    let container = Container::new().await;
    let test = with_records_in(&container);
    test.ingest("first.txt", "The ferry leaves at nine.").await;
    container.calls().await;
    test.ingest("second.txt", "The harbour master of Lindesvik is called Oda Strand.").await;
    let ingested = container.calls().await;
    println!("a new document: {ingested}");
    assert_eq!(ingested["operations"], json!({"read": 3, "create": 1, "replace": 1}));
    test.sync("second.txt").await;
    let known = container.calls().await;
    println!("an event about a known document: {known}");
    test.ask("Who is the harbour master of Lindesvik?").await;
    assert_eq!(container.calls().await["operations"], json!({}), "an answer asks for no records");
    test.send(get("/api/health")).await;
    let health = container.calls().await;
    println!("health: {health}");
    assert_eq!(health["operations"], json!({"read": 1}));
    test.send(get("/api/documents?limit=10")).await;
    let listed = container.calls().await;
    println!("a page of documents: {listed}");
    assert_eq!(listed["operations"], json!({"query": 1}));
    let deadline = Instant::now() + Duration::from_secs(60);
    test.app.ingest.reconcile(deadline, &test.app.records).await.unwrap();
    println!("the timer with nothing to do: {}", container.calls().await);
}

#[tokio::test]
async fn nobody_is_called_before_somebody_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let test = TestApp::with(&[("AZURE_COSMOS_ENDPOINT", &endpoint), ("AZURE_COSMOS_KEY", "a2V5")]);
    let called = listener.accept().map(|_| ()).map_err(|e| e.kind());
    assert_eq!(called, Err(std::io::ErrorKind::WouldBlock));
    assert!(!test.data().join("records.db").exists());
}

#[test]
fn an_evaluation_leaves_the_records_of_the_product_alone() {
    let place = Place::new();
    let set = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/beir");
    // Nobody listens there: whoever asked for a record would fail.
    let settings = [("AZURE_COSMOS_ENDPOINT", "http://127.0.0.1:9"), ("AZURE_COSMOS_KEY", "a2V5")];
    place.run_with(&settings, &["evaluate", set, "--json"]).assert_status(0);
    place.run_with(&settings, &["documents"]).assert_status(1);
}

#[tokio::test]
async fn an_outage_of_records_is_told_and_the_next_event_goes_through() {
    let container = Container::new().await;
    let test = with_records_in(&container);
    test.ingest("first.txt", "The ferry leaves at nine.").await;
    container.fail(json!({"times": 1_000, "status": 503})).await;
    test.send(get("/api/documents")).await.assert_problem("store-unavailable");
    let health = test.send(get("/api/health")).await.json();
    assert_eq!((&health["status"], &health["services"]["records"]), (&json!("degraded"), &json!("unhealthy")));
    assert!(test.ask("When does the ferry leave?").await.contains("nine"), "an answer does without records");
    test.write("second.txt", "A buoy is red.");
    let name = crate::support::app::document_name("second.txt");
    let failed = test.app.ingest.sync(&name).await.unwrap_err();
    assert!(failed.is_passing(), "the host brings the event again: {failed}");
    container.heal().await;
    test.sync("second.txt").await;
    assert!(test.ask("Is a buoy red?").await.contains("red"));
}
