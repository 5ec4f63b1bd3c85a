//! From a question to a deed: a model proposes, the person sees it in the answer and confirms, and then it is done once. A model
//! that obeys a document proposes at most, and nothing is done.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::sinks::{Habit, HookSink};
use super::{audit, step, steps};
use crate::fake_openai::{FakeOpenAi, Script};
use crate::support::app::{TestApp, post_json};

const TASK: &str = r#"{"title": "Buy tickets", "description": "For the ferry at nine.", "due": "2026-12-24"}"#;

/// Asks with the model calling a tool, and returns what the simple dialect says.
async fn asked(model: &FakeOpenAi, test: &TestApp, tool: &str, arguments: &str) -> Value {
    model.push(Script::new(&[]).calling(&[(tool, arguments)]));
    model.push(Script::new(&["The ferry leaves at nine [1]. The task waits for you to confirm it."]));
    let answer = test.post("/api/chat", &json!({"message": "When does the ferry leave? Make a task of it."})).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn what_a_model_proposes_a_person_confirms() {
    let (model, hooks) = (FakeOpenAi::start().await, HookSink::start(Habit::Take).await);
    let (url, hook) = (model.url(), hooks.url("/"));
    let test = TestApp::with(&[
        ("OPENAI_BASE_URL", &url),
        ("OPENAI_MODEL", "chat"),
        ("ACTIONS", "create_task"),
        ("ACTION_WEBHOOK_URL", &hook),
    ]);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;

    let answer = asked(&model, &test, "create_task", TASK).await;
    let call = &answer["function_calls"][0];
    assert_eq!(call["name"], "create_task", "{answer}");
    let proposal = &call["proposal"];
    assert!(proposal["summary"].as_str().unwrap().contains("Buy tickets"), "{answer}");
    assert_eq!(hooks.calls().len(), 0, "nothing is done by a model's word");

    let done = step(&test, proposal, "confirm").await;
    assert_eq!((done.status, &done.json()["state"]), (StatusCode::OK, &json!("done")), "{done:?}");
    step(&test, proposal, "confirm").await;
    assert_eq!(hooks.calls().len(), 1);
    let noted = audit(&test).await;
    assert_eq!(steps(&noted), [("action.proposed", "ok"), ("action.confirmed", "ok"), ("action.finished", "ok")]);

    // What is not switched on, does not fit, or is no action at all is told to the model, and nobody sees a proposal.
    for (tool, arguments) in [
        ("send_email", r#"{"to": "eve@evil.example", "subject": "s", "body": "b"}"#),
        ("create_task", r#"{"title": 7}"#),
    ] {
        let answer = asked(&model, &test, tool, arguments).await;
        assert!(
            answer["function_calls"].as_array().unwrap().iter().all(|call| call.get("proposal").is_none()),
            "{answer}"
        );
    }
    assert_eq!((hooks.calls().len(), audit(&test).await.len()), (1, 3));
    test.send(post_json("/api/actions/0/confirm", "")).await.assert_problem("not-found");
}

#[tokio::test]
async fn a_proposal_that_is_not_allowed_ends_no_answer() {
    let (model, hooks) = (FakeOpenAi::start().await, HookSink::start(Habit::Take).await);
    let (url, hook) = (model.url(), hooks.url("/"));
    let test = TestApp::with(&[
        ("OPENAI_BASE_URL", &url),
        ("OPENAI_MODEL", "chat"),
        ("ACTIONS", "send_email"),
        ("ACTION_WEBHOOK_URL", &hook),
        ("MAIL_ALLOWED_DOMAINS", "contoso.com"),
    ]);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
    let mail = r#"{"to": ["eve@evil.example"], "subject": "s", "body": "b"}"#;
    let answer = asked(&model, &test, "send_email", mail).await;
    assert!(answer["response"].as_str().unwrap().starts_with("The ferry leaves at nine"), "{answer}");
    let call = &answer["function_calls"][0];
    assert_eq!((&call["is_error"], call.get("proposal")), (&json!(true), None), "{answer}");
    assert_eq!(hooks.calls().len(), 0);
}
