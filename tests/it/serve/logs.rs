//! What is written while the product serves: lines of JSON that a machine can read, without a word of what was asked, what
//! the documents say, or what opens a door.

use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use super::{post, until_told};
use crate::support::process::{Place, Server, eventually};

/// Stands in every text and every secret of these tests.
const CANARY: &str = "quokkamarmalade";

/// Asserts that standard output is lines of JSON, and that no stream holds what none may hold.
fn assert_discreet(server: &Server) -> Vec<Value> {
    let (stdout, stderr) = (server.stdout(), server.stderr());
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?}"));
    let lines: Vec<Value> = stdout.lines().map(parse).collect();
    for line in &lines {
        assert!(line["level"].is_string() && line["timestamp"].is_string() && line["message"].is_string(), "{line}");
    }
    for text in stdout.lines().chain(stderr.lines()) {
        assert!(!text.to_lowercase().contains(CANARY), "{text}");
    }
    lines
}

/// Waits until the log tells of a request to a path.
async fn until_logged(server: &Server, path: &str) {
    eventually(&format!("{path} is in the log"), async || server.stdout().contains(path).then_some(())).await;
}

#[tokio::test]
async fn a_log_line_holds_neither_question_nor_document_nor_key() {
    let place = Place::new();
    place.write("documents/tide.md", format!("# {CANARY}\n\nThe {CANARY} gate closes at dusk."));
    place.write("documents/broken.json", format!("{{\"{CANARY}\": \"{CANARY}"));
    place.write("documents/broken.pdf", format!("%PDF-1.4\n({CANARY}) Tj"));
    let mut server = place.serve(&[("LOG_LEVEL", "trace"), ("OPENAI_API_KEY", CANARY), ("SECRET_KEY", CANARY)]);
    until_told(&server, &format!("When does the {CANARY} gate close?"), "dusk").await;
    let question = json!({"messages": [{"role": "user", "content": format!("Who is {CANARY}?")}]});
    post(&server, "/api/chat/stream", &question).await.bytes().await.unwrap();
    post(&server, "/api/search", &json!({"query": CANARY})).await.bytes().await.unwrap();
    // Bodies that are wrong in ways whose error might repeat them.
    let bodies = [
        json!(CANARY),
        json!([CANARY]),
        json!({CANARY: CANARY}),
        json!({"message": {CANARY: CANARY}}),
        json!({"messages": CANARY}),
        json!({"messages": [{"role": CANARY, "content": CANARY}]}),
        json!({"query": [CANARY]}),
        json!({"query": "x", CANARY: 1}),
        json!({"query": "x", "top_results": CANARY}),
        json!({"message": CANARY, "conversation_history": CANARY}),
    ];
    for path in ["/api/chat", "/api/chat/stream", "/api/search"] {
        for body in &bodies {
            post(&server, path, body).await.bytes().await.unwrap();
        }
        let cut = Client::new().post(server.url(path)).header(CONTENT_TYPE, "application/json");
        let refused = cut.body(format!("{{\"message\": \"{CANARY}")).send().await.unwrap();
        assert!(refused.status().is_client_error(), "{path}");
    }
    for query in ["code=", "CODE=", "c%6fde=", "limit=1&code=", "x-functions-key=", "sig=", "access_token="] {
        let address = server.url(&format!("/api/documents?{query}{CANARY}"));
        let request = Client::new().get(address).header(AUTHORIZATION, format!("Bearer {CANARY}"));
        request.header("x-functions-key", CANARY).send().await.unwrap();
    }
    let part = reqwest::multipart::Part::text(format!("The {CANARY} winch.")).file_name("winch.txt");
    let form = reqwest::multipart::Form::new().part("file", part);
    Client::new().post(server.url("/api/documents")).multipart(form).send().await.unwrap();
    Client::new().get(server.url("/last-of-all")).send().await.unwrap();
    until_logged(&server, "/last-of-all").await;
    server.terminate();
    assert_eq!(server.status().await.code(), Some(0));
    let lines = assert_discreet(&server);
    let answered = lines.iter().filter(|line| line["message"] == "answered");
    assert!(answered.clone().count() > 20, "each request has its line");
    for line in answered {
        assert!(line["status"].is_u64() && line["span"]["request.id"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn an_invocation_that_is_refused_leaves_nothing_of_itself_in_the_log() {
    let place = Place::new();
    let mut server = place.serve_the_host(&[("LOG_LEVEL", "trace")]);
    eventually("it answers", async || Client::new().get(server.url("/")).send().await.ok()).await;
    let twice = |text: &str| json!(json!(text).to_string());
    let envelopes = [
        json!(CANARY),
        json!([CANARY]),
        json!({"Data": CANARY}),
        json!({"Data": {}, "Metadata": CANARY}),
        json!({"Data": {"blob": CANARY, "event": CANARY, "message": CANARY}}),
        json!({"Data": {"event": twice(&json!(CANARY).to_string()), "message": twice(&json!(CANARY).to_string())}}),
        json!({"Data": {"message": twice(&json!({"ContainerName": [CANARY], "BlobName": CANARY}).to_string())}}),
        json!({"Data": {"blob": CANARY}, "Metadata": {"Uri": CANARY}}),
    ];
    for path in ["/ingest_document", "/document_events", "/document_poison", "/maintain_index"] {
        for envelope in &envelopes {
            post(&server, path, envelope).await.bytes().await.unwrap();
        }
    }
    until_logged(&server, "/maintain_index").await;
    server.terminate();
    server.status().await;
    assert!(assert_discreet(&server).iter().filter(|line| line["level"] == "WARN").count() > 10);
}

#[tokio::test]
async fn nothing_a_caller_sends_begins_a_line_of_its_own() {
    let place = Place::new();
    let mut server = place.serve(&[("LOG_LEVEL", "trace")]);
    let forged = "%0A%7B%22level%22:%22ERROR%22%7D%0d%1b[31m%E2%80%AE";
    for path in [format!("/{forged}"), format!("/api/documents?after={forged}"), format!("/api/documents/{forged}")] {
        Client::new()
            .get(server.url(&path))
            .header("x-azure-functions-invocationid", "forged id")
            .send()
            .await
            .unwrap();
    }
    place.write("documents/a\n{\"level\":\"ERROR\"}\n.txt", "words");
    let listed = async || {
        let listed: Value = Client::new().get(server.url("/api/documents")).send().await.ok()?.json().await.ok()?;
        (!listed["documents"].as_array()?.is_empty()).then_some(())
    };
    eventually("the forged name is in the ledger", listed).await;
    server.terminate();
    server.status().await;
    let lines = assert_discreet(&server);
    assert!(lines.iter().all(|line| line["level"] != "ERROR"), "{lines:?}");
    assert!(!server.stdout().contains("forged id") && !server.stdout().contains('\u{202e}'));
}
