//! Questions over HTTP: answers, dialects, refusals, and a model at the socket.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::fake_openai::{FakeOpenAi, Refusal, Script};
use crate::support::app::{Answer, TestApp, post_json};

async fn with_documents(settings: &[(&str, &str)]) -> TestApp {
    let test = TestApp::with(settings);
    test.ingest("ferry.txt", "The ferry to Lindesvik leaves at nine. A ticket costs 42 crowns.").await;
    test.ingest("handbook.pdf", include_bytes!("../../samples/documents/handbook/staff-handbook.pdf")).await;
    test
}

fn protocol(question: &str) -> Value {
    json!({"messages": [{"role": "user", "content": question}], "sessionState": {"tab": 7}})
}

#[tokio::test]
async fn an_answer_names_file_and_page() {
    let test = with_documents(&[]).await;
    let answer = test.post("/api/chat", &protocol("How many days of annual leave do I get?")).await.json();
    let content = answer["message"]["content"].as_str().unwrap();
    assert!(content.contains("27 days") && content.contains("[handbook.pdf#page=5]"), "{content}");
    assert_eq!((&answer["message"]["role"], &answer["sessionState"]["tab"]), (&json!("assistant"), &json!(7)));
    let citation = &answer["context"]["citations"][0];
    assert_eq!((&citation["name"], &citation["page"]), (&json!("handbook.pdf"), &json!(5)));
    let points = answer["context"]["data_points"]["text"].as_array().unwrap();
    assert!(points.iter().any(|point| point.as_str().unwrap().starts_with("handbook.pdf#page=5: ")), "{points:?}");
}

#[tokio::test]
async fn the_same_question_has_the_same_answer() {
    let test = with_documents(&[]).await;
    let first = test.ask("What does a ticket to Lindesvik cost?").await;
    assert!(first.contains("42"), "{first}");
    for _ in 0..3 {
        assert_eq!(test.ask("What does a ticket to Lindesvik cost?").await, first);
    }
}

#[tokio::test]
async fn what_the_documents_do_not_say_is_not_made_up() {
    let test = with_documents(&[]).await;
    let answer = test.post("/api/chat", &protocol("Which planet has the most moons?")).await.json();
    assert_eq!(answer["context"]["abstained"], true, "{answer}");
    assert_eq!(answer["context"]["citations"], json!([]));
    assert!(answer["message"]["content"].as_str().unwrap().contains("don't know"));
}

#[tokio::test]
async fn a_stream_begins_with_the_context_and_ends_with_the_citations() {
    let test = with_documents(&[]).await;
    let answer = test.post("/api/chat/stream", &protocol("When does the ferry to Lindesvik leave?")).await;
    assert_eq!((answer.status, answer.headers["content-type"].as_bytes()), (StatusCode::OK, &b"application/jsonl"[..]));
    let lines = lines(&answer);
    assert_eq!(lines[0]["delta"]["role"], "assistant");
    assert!(lines[0]["context"]["data_points"]["text"].is_array());
    let said: String = lines.iter().filter_map(|line| line["delta"]["content"].as_str()).collect();
    assert!(said.contains("nine") && said.contains("[ferry.txt]"), "{said}");
    assert_eq!(lines.last().unwrap()["context"]["citations"][0]["name"], "ferry.txt");
    let whole = test.post("/api/chat", &protocol("When does the ferry to Lindesvik leave?")).await.json();
    assert_eq!(whole["message"]["content"], json!(said), "both forms say the same");
}

#[tokio::test]
async fn the_simple_shape_is_understood_with_its_history() {
    let test = with_documents(&[]).await;
    let history = json!([
        {"role": "user", "content": "When does the ferry to Lindesvik leave?"},
        {"role": "assistant", "content": "At nine."},
    ]);
    let asked = json!({"message": "What does a ticket cost?", "conversation_history": history});
    let answer = test.post("/api/chat", &asked).await.json();
    assert_eq!((&answer["success"], &answer["error"]), (&json!(true), &Value::Null));
    assert!(answer["response"].as_str().unwrap().contains("42"), "{answer}");
    assert_eq!(answer["function_calls"], json!([]));
    assert!(answer["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_refusal_is_a_problem_that_clients_of_the_dialect_understand() {
    let test = TestApp::new();
    let simple = test.post("/api/chat", &json!({"message": ""})).await;
    simple.assert_problem("invalid-request");
    assert_eq!((&simple.json()["success"], &simple.json()["response"]), (&json!(false), &Value::Null));
    assert!(simple.json()["error"].as_str().is_some());
    let protocol = test.send(post_json("/api/chat/stream", r#"{"messages":[]}"#)).await;
    protocol.assert_problem("invalid-request");
    assert!(protocol.json()["error"].as_str().unwrap().contains("messages"));
}

#[tokio::test]
async fn a_models_citations_are_checked() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let test = with_documents(&[("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "scripted")]).await;
    model.push(Script::new(&[
        "The ferry to Lindesvik leaves at nine [1]. ",
        "It costs 99 crowns [1]. ",
        "Ask the captain [7].",
    ]));
    let answer = test.post("/api/chat", &protocol("When does the ferry to Lindesvik leave?")).await.json();
    let content = answer["message"]["content"].as_str().unwrap();
    assert!(content.contains("at nine [ferry.txt]"), "{content}");
    assert!(!content.contains("[7]") && !content.contains("[1]"), "no raw marker is left: {content}");
    assert_eq!(content.matches("[ferry.txt]").count(), 1, "a wrong number is not cited: {content}");
    let sent = model.requests().remove(0).body.to_string();
    assert!(sent.contains("leaves at nine"), "the passages are in the prompt");
}

#[tokio::test]
async fn a_model_streams_where_somebody_watches() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let settings = [("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "scripted"), ("CACHE_ANSWER_SECONDS", "0")];
    let test = with_documents(&settings).await;
    let question = "When does the ferry to Lindesvik leave?";
    let messages = json!([{"role": "user", "content": question}]);
    let completion =
        |is_streamed: bool| json!({"model": "knowledge-worker", "messages": messages, "stream": is_streamed});
    for (path, body, is_streamed) in [
        ("/api/chat", protocol(question), false),
        ("/api/chat/stream", protocol(question), true),
        ("/v1/chat/completions", completion(false), false),
        ("/v1/chat/completions", completion(true), true),
    ] {
        model.push(Script::new(&["The ferry to Lindesvik ", "leaves at nine [1]."]));
        let answer = test.post(path, &body).await;
        assert!(answer.body.contains("at nine"), "{path}: {answer:?}");
        let sent = model.requests().pop().expect("a request").body;
        assert_eq!(sent["stream"], json!(is_streamed), "{path}");
    }
}

#[tokio::test]
async fn bad_input_29_a_model_that_refuses_or_is_away_is_told_plainly() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let test = with_documents(&[("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "scripted")]).await;
    model.push(Refusal::content_filter());
    test.post("/api/chat", &protocol("When does the ferry to Lindesvik leave?"))
        .await
        .assert_problem("content-filtered");
    drop(model);
    let away = test.post("/api/chat", &protocol("When does the ferry to Lindesvik leave?")).await;
    assert!(away.status.is_server_error(), "{away:?}");
    let streamed = lines(&test.post("/api/chat/stream", &protocol("When does the ferry to Lindesvik leave?")).await);
    assert!(streamed.last().unwrap()["error"].as_str().is_some(), "{streamed:?}");
    let health = test.send(crate::support::app::get("/api/health")).await.json();
    assert_eq!(
        (&health["services"]["openai"], &health["services"]["search"]),
        (&json!("unhealthy"), &json!("healthy"))
    );
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// A body as a frontend of azure-search-openai-demo sends it.
fn frontend(question: &str, more: Value) -> Value {
    let mut overrides = json!({"top": 3, "retrieval_mode": "text", "suggest_followup_questions": false});
    overrides.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let messages = json!([{"content": question, "role": "user"}]);
    json!({"messages": messages, "context": {"overrides": overrides}, "session_state": "tab"})
}

#[tokio::test]
async fn frontends_of_azure_samples_are_answered_in_their_shapes() {
    let test = with_documents(&[]).await;
    let question = "When does the ferry to Lindesvik leave?";
    for root in ["", "/api"] {
        let before = test.post(&format!("{root}/chat"), &frontend(question, json!({}))).await.json();
        let content = before["message"]["content"].as_str().unwrap();
        assert!(content.contains("nine") && content.contains("[ferry.txt]"), "{before}");
        assert_eq!((&before["session_state"], &before["message"]["tool_calls"]), (&json!("tab"), &Value::Null));
        let agentic = json!({"use_agentic_knowledgebase": false});
        let current = test.post(&format!("{root}/chat"), &frontend(question, agentic.clone())).await.json();
        assert_eq!(current["output_text"], content);
        assert_eq!(current["context"]["data_points"]["citations"][0], "ferry.txt");
        let streamed = test.post(&format!("{root}/chat/stream"), &frontend(question, agentic)).await;
        assert_eq!(streamed.headers["content-type"], "application/json-lines");
        let lines = lines(&streamed);
        assert!(lines.iter().all(|line| line["type"].is_string()), "{lines:?}");
        let said: String = lines.iter().filter_map(|line| line["delta"].as_str()).collect();
        assert_eq!(said, content);
    }
    let body = frontend(question, json!({})).to_string();
    let named = post_json("/chat/stream", body);
    let (mut head, body) = named.into_parts();
    head.headers.insert("x-chat-dialect", "azure-samples".parse().unwrap());
    let streamed = test.send(axum::http::Request::from_parts(head, body)).await;
    assert_eq!(lines(&streamed)[0]["type"], "response.context", "the header tells what the body cannot");
}

#[tokio::test]
async fn a_frontend_finds_its_settings() {
    let test = TestApp::new();
    let config = test.send(crate::support::app::get("/config")).await.json();
    assert_eq!((&config["streamingEnabled"], &config["showVectorOption"]), (&json!(true), &json!(false)));
    let auth = test.send(crate::support::app::get("/auth_setup")).await.json();
    assert_eq!((&auth["useLogin"], &auth["enableUnauthenticatedAccess"]), (&json!(false), &json!(true)));
    assert_eq!((&auth["requireAccessControl"], &auth["loginRequest"]), (&json!(false), &json!({"scopes": []})));
}
