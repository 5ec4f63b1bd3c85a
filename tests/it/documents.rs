//! The documents API: pick, count, look, upload, try again, delete; and the report of maintenance.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use knowledge_worker::document::DocumentId;
use knowledge_worker::ingest::ledger::State;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, document_name, get, post_json};

const BOUNDARY: &str = "----a-boundary";

/// A form of parts: the part's name, the file's name if it is one, its content.
fn form(path: &str, parts: &[(&str, Option<&str>, &str)]) -> Request<Body> {
    let mut body = String::new();
    for (name, file, content) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        body.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n"
        ));
    }
    body.push_str(&format!("--{BOUNDARY}--\r\n"));
    let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
    Request::post(path).header(header::CONTENT_TYPE, media_type).body(body.into()).unwrap()
}

fn id(name: &str) -> DocumentId {
    DocumentId::of(&document_name(name))
}

async fn names(test: &TestApp, query: &str) -> Vec<String> {
    let listed = test.send(get(&format!("/api/documents?{query}"))).await;
    assert_eq!(listed.status, StatusCode::OK, "{listed:?}");
    let mut names: Vec<String> = listed.json()["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

async fn retry(test: &TestApp, name: &str) -> Answer {
    test.send(post_json(&format!("/api/documents/{}/retry", id(name)), "")).await
}

#[tokio::test]
async fn a_page_is_full_of_what_was_asked_for_and_the_next_goes_on() {
    let test = TestApp::new();
    for number in 0..9 {
        let (name, broken) = (format!("{number}.txt"), format!("broken-{number}.pdf"));
        test.ingest(&name, "The ferry leaves at nine.").await;
        test.ingest(&broken, "%PDF-1.7 and nothing else").await;
    }
    let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = test.send(get(&format!("/api/documents?state=quarantined&limit=4&after={after}"))).await.json();
        let rows = page["documents"].as_array().unwrap().clone();
        assert!(rows.iter().all(|row| row["state"] == "quarantined"), "{page}");
        seen.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => {
                assert_eq!(rows.len(), 4, "a page that is not the last is full");
                after = next.to_owned();
            }
            None => break,
        }
    }
    assert_eq!((seen.len(), pages), (9, 3));
    assert!(seen.is_sorted(), "{seen:?}");
    let exact = test.send(get("/api/documents?state=quarantined&limit=9")).await.json();
    assert_eq!((exact["documents"].as_array().unwrap().len(), &exact["next"]), (9, &Value::Null));
    assert_eq!(names(&test, "state=failed").await, Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_keeps_its_category_wherever_that_stands_in_the_form() {
    let test = TestApp::new();
    let file = |name| ("file", Some(name), "The lamp on the pier is green.");
    let first = test.send(form("/api/upload", &[("category", None, " rules "), file("a.txt"), file("b.txt")])).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{first:?}");
    let last = test.send(form("/api/upload", &[file("c.txt"), file("d.txt"), ("category", None, "maps")])).await;
    assert_eq!(last.json()["documents"][0]["category"], "maps", "{last:?}");
    let none = test.send(form("/api/documents", &[file("e.txt"), ("category", None, "  ")])).await;
    assert_eq!(none.json()["documents"][0]["category"], Value::Null, "{none:?}");
    assert_eq!(names(&test, "category=rules").await, ["a.txt", "b.txt"]);
    assert_eq!(names(&test, "category=maps&state=queued").await, ["c.txt", "d.txt"]);
    for name in ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"] {
        test.sync(name).await;
    }
    assert_eq!(names(&test, "category=maps&state=indexed").await, ["c.txt", "d.txt"]);
    assert_eq!(names(&test, "category=maps&state=queued").await, Vec::<String>::new());
    let long = "x".repeat(101);
    for category in ["a\u{1}b", long.as_str()] {
        test.send(form("/api/upload", &[("category", None, category), file("f.txt")]))
            .await
            .assert_problem("invalid-request");
    }
    test.send(form("/api/upload", &[("category", None, "only")])).await.assert_problem("invalid-request");
    assert!(test.row("f.txt").await.is_none());
}

#[tokio::test]
async fn an_upload_that_breaks_off_names_what_was_stored() {
    let test = TestApp::new();
    let file = |name| ("file", Some(name), "The lamp on the pier is green.");
    let answer = test.send(form("/api/upload", &[file("a.txt"), file("b.txt"), file(".hidden"), file("c.txt")])).await;
    answer.assert_problem("invalid-name");
    let problem = answer.json();
    let stored = [&problem["documents"][0]["name"], &problem["documents"][1]["name"], &problem["documents"][2]];
    assert_eq!(stored, [&json!("a.txt"), &json!("b.txt"), &Value::Null]);
    assert_eq!(names(&test, "").await, ["a.txt", "b.txt"], "all that is in storage is named, and nothing else");
}

#[tokio::test]
async fn a_file_that_ends_early_is_indexed_with_a_remark() {
    let test = TestApp::new();
    let whole = include_bytes!("../fixtures/documents/running-heads.pdf");
    let end = whole.windows(9).rposition(|window| window == b"startxref").unwrap();
    test.write("manual.pdf", &whole[..end]);
    test.sync("manual.pdf").await;
    let row = test.send(get(&format!("/api/documents/{}", id("manual.pdf")))).await.json();
    assert_eq!((&row["state"], &row["remark"]), (&json!("indexed"), &json!("the file ends early; 4 pages were read")));
    test.write("manual.pdf", whole);
    test.sync("manual.pdf").await;
    assert_eq!(test.row("manual.pdf").await.unwrap().remark, None);
}

#[tokio::test]
async fn the_sums_are_those_of_the_rows() {
    let test = TestApp::new();
    test.send(form("/api/upload", &[("file", Some("a.txt"), "The lamp is green."), ("category", None, "maps")])).await;
    test.sync("a.txt").await;
    test.ingest("b.txt", "The ferry leaves at nine.").await;
    test.ingest("broken.pdf", "%PDF-1.7 and nothing else").await;
    test.ingest("gone.txt", "The pool is closed.").await;
    test.delete("gone.txt");
    test.sync("gone.txt").await;
    let stats = test.send(get("/api/documents/stats")).await.json();
    let tokens = test.row("a.txt").await.unwrap().tokens + test.row("b.txt").await.unwrap().tokens;
    let expected = json!({
        "documents": 3,
        "by_state": {"indexed": 2, "quarantined": 1, "deleted": 1},
        "by_category": {"maps": 1},
        "without_category": 2,
        "size_bytes": 18 + 25 + 25,
        "pages": 0,
        "passages": 2,
        "tokens": tokens,
    });
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn a_document_that_was_given_up_is_tried_again_at_once() {
    let test =
        TestApp::with(&[("MAX_DOCUMENT_ATTEMPTS", "1"), ("INDEX_REFRESH_SECONDS", "0"), ("MAX_DOCUMENT_SIZE", "20")]);
    test.ingest("a.txt", "The lamp on the pier is green.").await;
    assert_eq!(test.row("a.txt").await.unwrap().state, State::Quarantined);
    let again = retry(&test, "a.txt").await;
    assert_eq!((again.status, again.json()["state"].as_str()), (StatusCode::OK, Some("quarantined")), "{again:?}");
    assert_eq!(again.json()["attempts"], 1, "attempts are counted from the beginning");
    // Whoever raised the limit does not wait for the timer.
    let raised = test.again(&[("MAX_DOCUMENT_SIZE", "1000")]);
    let row = raised.ingest.retry(&test.row("a.txt").await.unwrap()).await.unwrap();
    assert_eq!((row.state, row.error, row.attempts), (State::Indexed, None, 1));
    assert!(test.ask("Which lamp is on the pier?").await.contains("green"));
    retry(&test, "a.txt").await.assert_problem("invalid-request");
    retry(&test, "never-seen.txt").await.assert_problem("not-found");
}

#[tokio::test]
async fn a_row_remembers_what_happened_to_its_document() {
    let test = TestApp::new();
    test.send(form("/api/upload", &[("file", Some("a.txt"), "The lamp is green.")])).await;
    test.sync("a.txt").await;
    test.sync("a.txt").await;
    test.ingest("a.txt", " ").await;
    let retried = retry(&test, "a.txt").await.json();
    test.delete("a.txt");
    test.sync("a.txt").await;
    let row = test.row("a.txt").await.unwrap();
    let words: Vec<String> = row.events.iter().map(|event| json!(event.what).as_str().unwrap().to_owned()).collect();
    let expected =
        ["queued", "started", "indexed", "started", "quarantined", "retried", "started", "quarantined", "removed"];
    assert_eq!(words, expected);
    assert!(row.events.is_sorted_by_key(|event| event.time));
    assert_eq!(row.events[1].detail.as_deref(), Some("attempt 1"));
    assert!(row.events[2].detail.as_ref().unwrap().starts_with("1 passages in "), "{row:?}");
    assert_eq!(row.events[4].detail.as_deref(), Some("document-empty"));
    assert_eq!(retried["events"].as_array().unwrap().len(), 8, "a document is shown with its history");
    test.ingest("b.txt", "The ferry leaves at nine.").await;
    let listed = test.send(get("/api/documents")).await.json();
    assert_eq!(listed["documents"][0].get("events"), None, "a listing is not: {listed}");
}

#[tokio::test]
async fn what_is_gone_from_storage_is_gone_after_a_retry() {
    let test = TestApp::new();
    test.ingest("broken.pdf", "%PDF-1.7 and nothing else").await;
    test.delete("broken.pdf");
    let retried = retry(&test, "broken.pdf").await;
    assert_eq!((retried.status, retried.json()["state"].as_str()), (StatusCode::OK, Some("deleted")), "{retried:?}");
    retry(&test, "broken.pdf").await.assert_problem("not-found");
}

#[tokio::test]
async fn a_row_about_a_name_that_cannot_be_touches_no_other_document() {
    let test = TestApp::new();
    test.ingest("a\\nb.txt", "The lamp on the pier is green.").await;
    let refused = knowledge_worker::document::DocumentName::parse("a\nb.txt").unwrap_err();
    test.app.ingest.refuse_name("a\nb.txt", &refused).await.unwrap();
    let id = DocumentId::of_raw("a\nb.txt");
    assert_eq!(test.app.ingest.ledger.get(&id).await.unwrap().unwrap().name, "a\\nb.txt", "it is shown like the other");
    let path = format!("/api/documents/{id}");
    test.send(Request::delete(&path).body(Body::empty()).unwrap()).await.assert_problem("invalid-name");
    test.send(post_json(&format!("{path}/retry"), "")).await.assert_problem("invalid-name");
    assert!(test.ask("Which lamp is on the pier?").await.contains("green"));
}

#[tokio::test]
async fn the_report_of_maintenance_can_be_read() {
    let test = TestApp::new();
    test.send(get("/api/maintenance/report")).await.assert_problem("not-found");
    test.write("a.txt", "The lamp on the pier is green.");
    let mut report =
        test.app.ingest.reconcile(Instant::now() + Duration::from_secs(60), &test.app.records).await.unwrap();
    assert_eq!(report.examples.len(), 1);
    // Not everybody who may ask for the report may know the names of all documents.
    report.examples.clear();
    let answer = test.send(get("/api/maintenance/report")).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!(report)));
    assert_eq!(answer.json()["drift"]["missing"], 1);
}
