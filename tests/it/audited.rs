//! What callers do to documents, and what they are shown of them, is in the audit: with ids, and without words.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use knowledge_worker::audit::AuditRecord;
use serde_json::json;
use tower::ServiceExt;

use crate::access::{Lab, SECRET};
use crate::fake_entra::Draft;
use crate::fake_openai::{FakeOpenAi, Script};
use crate::support::app::{Answer, TestApp, document_name, post_json};
use crate::support::process::eventually;

const SHARED: [(&str, &str); 2] = [("AUTH", "shared-key"), ("SECRET_KEY", SECRET)];
const WORDS: &str = "quokkamarmalade";

async fn records(test: &TestApp, what: &str) -> Vec<AuditRecord> {
    let mut records = Vec::new();
    test.app.audit.read(None, None, |record| records.push(record)).await.unwrap();
    let all = serde_json::to_string(&records).unwrap();
    assert!(!all.contains(WORDS), "no words of anybody: {all}");
    records.retain(|record| record.what.starts_with(what));
    records
}

fn steps(records: &[AuditRecord]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (record.what.as_str(), record.outcome.as_str())).collect()
}

/// Sends a request as somebody who may do everything.
async fn send(lab: &Lab, mut request: Request<Body>) -> Answer {
    let token = Draft::shared(lab.now()).claim("roles", json!(["KnowledgeWorker.Operator"])).sealed(SECRET.as_bytes());
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    lab.test.send(request).await
}

fn bare(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

fn upload(name: &str, content: &str, category: &str) -> Request<Body> {
    let file =
        format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n");
    let body = format!(
        "{file}{}--b\r\nContent-Disposition: form-data; name=\"category\"\r\n\r\n{category}\r\n--b--\r\n",
        file.replace(name, "second.md"),
    );
    Request::post("/api/upload").header("content-type", "multipart/form-data; boundary=b").body(body.into()).unwrap()
}

#[tokio::test]
async fn what_callers_do_to_documents_is_in_the_audit() {
    let lab = Lab::with(&SHARED).await;
    let content = format!("%PDF-1.7 {WORDS}");
    let taken = send(&lab, upload("first.pdf", &content, "law")).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{taken:?}");
    let rows = taken.json();
    let id = rows["documents"][0]["id"].as_str().unwrap().to_owned();
    let mut done = records(&lab.test, "document.").await;
    // Records of one millisecond have no order.
    done.sort_by_key(|record| (record.what != "document.uploaded", record.about["name"].to_string()));
    let expected = ["document.uploaded", "document.uploaded", "document.categorized"].map(|what| (what, "ok"));
    assert_eq!(steps(&done), expected);
    assert_eq!((done[0].subject.as_str(), &done[0].about["name"]), (id.as_str(), &json!("first.pdf")));
    assert_eq!((&done[0].about["bytes"], &done[0].about["category"]), (&json!(content.len()), &json!(null)));
    assert_eq!(done[0].about["sha256"], knowledge_worker::document::content_hash(content.as_bytes()));
    assert_eq!((&done[1].about["category"], &done[2].about["category"]), (&json!("law"), &json!("law")));
    assert_eq!(done[2].subject, id);
    assert_eq!(Some(done[0].who.as_str()), lab.test.row("first.pdf").await.unwrap().owner.as_deref());

    lab.test.sync("first.pdf").await;
    let retried = send(&lab, bare("POST", &format!("/api/documents/{id}/retry"))).await;
    assert_eq!(retried.status, StatusCode::OK, "{retried:?}");
    assert_eq!(send(&lab, bare("DELETE", &format!("/api/documents/{id}"))).await.status, StatusCode::OK);
    // One that is gone is nobody's doing.
    assert_eq!(send(&lab, bare("DELETE", &format!("/api/documents/{id}"))).await.status, StatusCode::NOT_FOUND);
    let mut done = records(&lab.test, "document.").await;
    done.retain(|record| ["document.retried", "document.deleted"].contains(&record.what.as_str()));
    done.sort_by_key(|record| (record.what != "document.retried", record.outcome.clone()));
    let code = retried.json()["error"]["code"].as_str().unwrap().to_owned();
    let expected = [("document.retried", code.as_str()), ("document.deleted", "begun"), ("document.deleted", "ok")];
    assert_eq!(steps(&done), expected);
    assert!(done.iter().all(|record| record.subject == id && record.about["name"] == "first.pdf"), "{done:?}");
}

#[tokio::test]
async fn an_answer_is_noted_with_what_it_showed() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let more = [SHARED[0], SHARED[1], ("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "chat")];
    let lab = Lab::with(&more).await;
    lab.test.ingest("ferry.md", format!("# Ferry\n\nThe ferry {WORDS} leaves at nine.\n")).await;
    lab.test.ingest("other.md", "# Prices\n\nThe ferry costs nine crowns.\n").await;
    let asked = json!({"message": format!("When does the ferry {WORDS} leave?"), "conversation_id": "c"}).to_string();
    model.push(Script::new(&["The ferry ", WORDS, " leaves at nine [1]."]));
    let mut keyed = post_json("/api/chat", asked.clone());
    keyed.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    assert_eq!(send(&lab, keyed).await.status, StatusCode::OK);
    let given = records(&lab.test, "answer.").await;
    assert_eq!(steps(&given), [("answer.given", "ok")]);
    assert_eq!(given[0].subject, "c/1");
    let ferry = knowledge_worker::document::DocumentId::of(&document_name("ferry.md"));
    assert!(given[0].about["documents"].as_array().unwrap().contains(&json!(ferry)), "{given:?}");
    let shown = given[0].about["passages"].as_array().unwrap();
    let cited = given[0].about["cited"].as_array().unwrap();
    assert!(cited.len() == 1 && shown.contains(&cited[0]), "{given:?}");
    assert!(given[0].about["generation"].as_u64() > Some(0) && given[0].about["model"] == "chat", "{given:?}");

    // An answer that is given again is shown again.
    let mut again = post_json("/api/chat", asked);
    again.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    assert_eq!(send(&lab, again).await.status, StatusCode::OK);
    let given = records(&lab.test, "answer.").await;
    assert_eq!((given.len(), &given[1].about, &given[1].subject), (2, &given[0].about, &given[0].subject));
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_left_or_fails_is_noted_too_and_refusals_are_not() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let more = [
        ("OPENAI_BASE_URL", url.as_str()),
        ("OPENAI_MODEL", "chat"),
        ("AUDIT_ANSWERS", "on"),
        ("CACHE_ANSWER_SECONDS", "0"),
    ];
    let test = TestApp::with(&more);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
    // The context is there before the model is asked; nobody asks it any more.
    let question = || post_json("/api/chat/stream", json!({"message": "When does the ferry leave?"}).to_string());
    let messages = json!({"messages": [{"role": "user", "content": "When does the ferry leave?"}]}).to_string();
    let streamed = test.router().oneshot(post_json("/api/chat/stream", messages)).await.unwrap();
    let mut streaming = streamed.into_body().into_data_stream();
    streaming.next().await.unwrap().unwrap();
    drop(streaming);
    let left = async || Some(records(&test, "answer.").await).filter(|records| !records.is_empty());
    let left = eventually("it is noted", left).await;
    assert_eq!(steps(&left), [("answer.given", "left")]);
    assert_eq!((left[0].who.as_str(), left[0].about["passages"].as_array().unwrap().len()), ("anonymous", 1));
    model.push(Script::new(&["The ferry "]).ending(crate::fake_openai::Ending::Cut));
    assert!(test.send(question()).await.body.contains("\"success\":false"));
    let given = records(&test, "answer.").await;
    assert_eq!(steps(&given)[1], ("answer.given", "model-failed"));
    // Whoever does not get in is shown nothing.
    let lab = Lab::with(&SHARED).await;
    assert_eq!(lab.test.send(question()).await.status, StatusCode::UNAUTHORIZED);
    assert!(records(&lab.test, "").await.is_empty());
}

#[tokio::test]
async fn where_nobody_signs_in_answers_are_not_noted_unless_somebody_wants_it() {
    for (settings, count) in [(&[][..], 0), (&[("AUDIT_ANSWERS", "on")], 1), (&[("AUDIT_ANSWERS", "off")], 0)] {
        let test = TestApp::with(settings);
        test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
        assert!(test.ask("When does the ferry leave?").await.contains("nine"));
        assert_eq!(records(&test, "answer.").await.len(), count, "{settings:?}");
    }
}

#[tokio::test]
async fn passages_that_are_shown_without_an_answer_are_noted_too() {
    let lab = Lab::with(&SHARED).await;
    lab.test.ingest("ferry.md", format!("# Ferry\n\nThe ferry {WORDS} leaves at nine.\n")).await;
    let manual = include_bytes!("../../samples/documents/handbook/staff-handbook.pdf");
    lab.test.ingest("manual.pdf", manual).await;
    let id = |name| knowledge_worker::document::DocumentId::of(&document_name(name));
    let (ferry, manual) = (id("ferry.md"), id("manual.pdf"));
    let tool = |name: &str, arguments: serde_json::Value| json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
    let read = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": format!("document://{ferry}")}});
    let query = json!({ "query": WORDS });
    let shown = [
        ("search", post_json("/api/search", query.to_string())),
        ("mcp", post_json("/mcp", tool("search_documents", query.clone()).to_string())),
        ("mcp", post_json("/mcp", tool("search", query).to_string())),
        ("mcp", post_json("/mcp", tool("fetch", json!({"id": ferry})).to_string())),
        ("mcp", post_json("/mcp", tool("summarize_document", json!({"document_id": ferry})).to_string())),
        ("mcp", post_json("/mcp", read.to_string())),
    ];
    for (number, (door, request)) in shown.into_iter().enumerate() {
        let answer = send(&lab, request).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let noted = records(&lab.test, "passages.").await;
        assert_eq!(noted.len(), number + 1, "one record a request: {answer:?}");
        let last = &noted[number];
        assert_eq!((last.what.as_str(), last.subject.as_str(), last.outcome.as_str()), ("passages.shown", door, "ok"));
        assert_eq!((&last.about["documents"], &last.about["count"]), (&json!([ferry]), &json!(1)), "{last:?}");
        assert_eq!(last.about["passages"].as_array().unwrap().len(), 1);
        assert!(last.who.ends_with("/alice"), "{last:?}");
    }
    let parts = [
        (&ferry, "", "passages"),
        (&ferry, "/content", "original"),
        (&manual, "/pages/2?passage=0", "page 2"),
        (&manual, "/passages/1", "passage 1"),
    ];
    for (number, (document, path, part)) in parts.into_iter().enumerate() {
        let answer = send(&lab, bare("GET", &format!("/api/documents/{document}{path}"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        let noted = records(&lab.test, "document.shown").await;
        assert_eq!(noted.len(), number + 1, "one record a request");
        let last = &noted[number];
        assert_eq!((last.subject.as_str(), &last.about["part"]), (document.as_str(), &json!(part)), "{last:?}");
    }
    // What is not found shows nothing, and neither do lists of names.
    for request in [
        post_json("/api/search", json!({"query": "xylophone"}).to_string()),
        post_json("/mcp", tool("fetch", json!({"id": "0".repeat(64)})).to_string()),
        bare("GET", "/api/documents"),
        bare("GET", &format!("/api/documents/{manual}/pages/999")),
    ] {
        send(&lab, request).await;
    }
    assert_eq!((records(&lab.test, "passages.").await.len(), records(&lab.test, "document.shown").await.len()), (6, 4));
}

#[tokio::test]
async fn passages_are_not_noted_where_answers_are_not() {
    for (settings, count) in [(&[][..], 0), (&[("AUDIT_ANSWERS", "on")], 2)] {
        let test = TestApp::with(settings);
        test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
        let ferry = knowledge_worker::document::DocumentId::of(&document_name("ferry.md"));
        test.send(post_json("/api/search", json!({"query": "ferry"}).to_string())).await;
        test.send(bare("GET", &format!("/api/documents/{ferry}/content"))).await;
        assert_eq!(records(&test, "").await.len(), count, "{settings:?}");
    }
}
