//! The Functions host's protocol, with envelopes as a host sends them, through the router.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, get, post_json};

const BLOB: &str = include_str!("../fixtures/envelopes/blob.json");
const QUEUE_TEXT: &str = include_str!("../fixtures/envelopes/queue_text.json");
const CREATED: &str = include_str!("../fixtures/envelopes/event_grid_created.json");
const DELETED: &str = include_str!("../fixtures/envelopes/event_grid_deleted.json");
const CLOUD_CREATED: &str = include_str!("../fixtures/envelopes/cloud_event_created.json");
const CLOUD_DELETED: &str = include_str!("../fixtures/envelopes/cloud_event_deleted.json");
const POISON: &str = include_str!("../fixtures/envelopes/queue_blob_poison.json");
const TIMERS: &[&str] = &[
    include_str!("../fixtures/envelopes/timer.json"),
    include_str!("../fixtures/envelopes/timer_first_run.json"),
    include_str!("../fixtures/envelopes/timer_without_monitor.json"),
];

/// Asserts what the host needs to complete an invocation: 2xx, JSON, never empty, never null.
fn assert_reply(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
    let reply = answer.json();
    assert!(reply["Outputs"].is_object() && reply["Logs"].is_array(), "{reply}");
    reply
}

/// The name that an envelope's blob has in the container `documents`.
fn blob_name(envelope: &str) -> String {
    let envelope: Value = serde_json::from_str(envelope).unwrap();
    serde_json::from_str(envelope["Metadata"]["name"].as_str().unwrap()).unwrap()
}

/// The name that the event in an envelope is about.
fn event_name(envelope: &str) -> String {
    let envelope: Value = serde_json::from_str(envelope).unwrap();
    let message = envelope["Data"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
    let event: Value = serde_json::from_str(&serde_json::from_str::<String>(message).unwrap()).unwrap();
    let subject = event["subject"].as_str().unwrap();
    subject.strip_prefix("/blobServices/default/containers/documents/blobs/").unwrap().to_owned()
}

#[tokio::test]
async fn a_blob_envelope_ingests_what_storage_holds_and_not_what_it_carries() {
    let test = TestApp::new();
    test.write(&blob_name(BLOB), "The lamp on the pier is green.");
    let reply = assert_reply(&test.send(post_json("/ingest_document", BLOB)).await);
    assert_eq!(reply["Logs"][0], "indexed 1 passages");
    let again = assert_reply(&test.send(post_json("/ingest_document", BLOB)).await);
    assert_eq!(again["Logs"][0], "nothing to do");
    assert!(test.ask("Which lamp is on the pier?").await.contains("green"));
}

#[tokio::test]
async fn a_blob_envelope_without_the_name_is_understood_by_its_address() {
    let test = TestApp::new();
    test.write("a b.txt", "The lamp on the pier is green.");
    let uri = r#""http://127.0.0.1:10000/devstoreaccount1/documents/a%20b.txt""#;
    let envelope = json!({"Data": {"blob": ""}, "Metadata": {"Uri": uri}});
    assert_eq!(assert_reply(&test.post("/ingest_document", &envelope).await)["Logs"][0], "indexed 1 passages");
}

#[tokio::test]
async fn events_in_both_schemas_ingest_and_remove() {
    for (created, deleted) in [(CREATED, DELETED), (CLOUD_CREATED, CLOUD_DELETED)] {
        let test = TestApp::new();
        let name = event_name(created);
        test.write(&name, "The lamp on the pier is green.");
        let reply = assert_reply(&test.send(post_json("/document_events", created)).await);
        assert_eq!(reply["Logs"][0], "indexed 1 passages");
        // An event that says deleted while the blob is there changes nothing: storage is what counts.
        let late = post_json("/document_events", with_event_name(deleted, &name));
        assert_eq!(assert_reply(&test.send(late).await)["Logs"][0], "nothing to do");
        test.delete(&name);
        let now = post_json("/document_events", with_event_name(deleted, &name));
        assert_eq!(assert_reply(&test.send(now).await)["Logs"][0], "removed");
    }
}

/// The envelope about another blob.
fn with_event_name(envelope: &str, name: &str) -> String {
    envelope.replace(&event_name(envelope), name)
}

#[tokio::test]
async fn a_message_that_is_no_event_fails_so_that_the_host_keeps_it() {
    let test = TestApp::new();
    let answer = test.send(post_json("/document_events", QUEUE_TEXT)).await;
    assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{answer:?}");
}

#[tokio::test]
async fn a_poison_message_is_answered_when_the_ledger_has_it() {
    let test = TestApp::with(&[("DOCUMENTS_CONTAINER", "documents")]);
    let envelope: Value = serde_json::from_str(POISON).unwrap();
    let message = envelope["Data"]["message"].as_str().unwrap();
    let message: Value = serde_json::from_str(&serde_json::from_str::<String>(message).unwrap()).unwrap();
    let name = message["BlobName"].as_str().unwrap();
    test.write(name, "%PDF-1.7 broken");
    let reply = assert_reply(&test.send(post_json("/document_poison", POISON)).await);
    assert!(reply["Logs"][0].as_str().is_some(), "{reply}");
    assert!(test.row(name).await.is_some(), "the ledger has it");
}

#[tokio::test]
async fn a_timer_runs_whatever_its_envelope_says() {
    let test = TestApp::new();
    test.write("a.txt", "The lamp on the pier is green.");
    for timer in TIMERS {
        assert_reply(&test.send(post_json("/maintain_index", *timer)).await);
    }
    assert!(test.ask("Which lamp is on the pier?").await.contains("green"));
}

#[tokio::test]
async fn a_body_without_a_length_is_read_up_to_the_limit() {
    let test = TestApp::with(&[("MAX_INVOCATION_SIZE", "100000")]);
    test.write("a.txt", "The lamp on the pier is green.");
    let chunked = |size: usize| {
        let envelope = json!({"Data": {"blob": "A".repeat(size)}, "Metadata": {"name": "\"a.txt\""}}).to_string();
        let chunks: Vec<Result<Bytes, std::io::Error>> =
            envelope.into_bytes().chunks(1_000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        Request::post("/ingest_document").header("content-type", "application/json; charset=utf-8").body(body).unwrap()
    };
    assert_reply(&test.send(chunked(90_000)).await);
    test.send(chunked(110_000)).await.assert_problem("body-too-large");
}

#[tokio::test]
async fn the_invocation_id_is_the_requests_id() {
    let test = TestApp::new();
    let id = "0d4f7a8e-6c1b-4f0e-9d3a-2b1c0d9e8f7a";
    let mut request = post_json("/api/search", "{");
    request.headers_mut().insert("x-azure-functions-invocationid", id.parse().unwrap());
    let answer = test.send(request).await;
    answer.assert_problem("malformed-json");
    assert_eq!((answer.json()["requestId"].as_str(), answer.headers["x-request-id"].to_str().unwrap()), (Some(id), id));
}

#[tokio::test]
async fn the_root_answers_at_once_and_from_nothing() {
    let test = TestApp::new();
    std::fs::remove_dir_all(test.documents()).unwrap();
    assert_eq!(test.send(get("/")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_invocation_that_takes_too_long_ends_itself() {
    let test = TestApp::with(&[("INVOCATION_TIMEOUT_SECONDS", "1"), ("EXTRACT_TIMEOUT_SECONDS", "3600")]);
    // A lock that somebody holds for ever stands for anything that hangs.
    let id = knowledge_worker::document::DocumentId::of(&crate::support::app::document_name("a.txt"));
    let _held = test.app.ingest.locks.lock(&id).await;
    let envelope = json!({"Data": {}, "Metadata": {"name": "\"a.txt\""}});
    test.post("/ingest_document", &envelope).await.assert_problem("deadline-exceeded");
}
