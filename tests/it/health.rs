//! What the product says of itself: whether its parts answer, and what runs.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::fake_openai::{FakeOpenAi, Refusal};
use crate::support::app::{TestApp, get};

fn with_models(url: &str) -> Vec<(&str, &str)> {
    vec![
        ("OPENAI_BASE_URL", url),
        ("OPENAI_MODEL", "chat"),
        ("OPENAI_API_KEY", "k3y"),
        ("OPENAI_EMBEDDING_MODEL", "embed"),
        ("RERANK_BASE_URL", url),
        ("RERANK_MODEL", "rerank"),
    ]
}

async fn health(test: &TestApp) -> Value {
    let answer = test.send(get("/health")).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()
}

#[tokio::test]
async fn every_part_is_asked_and_all_are_well() {
    let fake = FakeOpenAi::start().await;
    fake.lock_with("k3y");
    let test = TestApp::with(&with_models(&fake.url()));
    let told = health(&test).await;
    assert_eq!(told["status"], "healthy", "{told}");
    for part in ["storage", "search", "records", "openai", "embedding", "reranker"] {
        assert_eq!(told["services"][part], "healthy", "{part}: {told}");
    }
    assert!(told["services"].get("cache").is_none(), "there is none: {told}");
    assert_eq!(fake.requests().len(), 0, "nothing was paid for");
}

#[tokio::test]
async fn a_model_that_does_not_let_us_in_is_not_well() {
    let fake = FakeOpenAi::start().await;
    fake.lock_with("another");
    let test = TestApp::with(&with_models(&fake.url()));
    let told = health(&test).await;
    assert_eq!(told["status"], "degraded");
    assert_eq!((&told["services"]["openai"], &told["services"]["storage"]), (&json!("unhealthy"), &json!("healthy")));
    let ready = test.send(get("/api/health/ready")).await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(test.send(get("/health/live")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_region_is_enough() {
    let (gone, other) = (FakeOpenAi::start().await, FakeOpenAi::start().await);
    let (first, second) = (gone.url(), other.url());
    let settings =
        [("OPENAI_BASE_URL", first.as_str()), ("OPENAI_FALLBACK_BASE_URLS", &second), ("OPENAI_MODEL", "chat")];
    let test = TestApp::with(&settings);
    drop(gone);
    assert_eq!(health(&test).await["services"]["openai"], "healthy");
    assert_eq!(test.send(get("/api/health/ready")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn many_who_want_to_know_ask_once() {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let test = TestApp::with(&[("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "chat")]);
    let router = test.router();
    let ask = async || {
        use tower::ServiceExt;
        router.clone().oneshot(get("/api/health")).await.expect("the router always answers").status()
    };
    let answers = futures_util::future::join_all((0..50).map(|_| ask())).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(fake.pings(), 1);
}

#[tokio::test]
async fn status_tells_what_runs_and_nothing_of_what_others_may_read() {
    let (first, second) = (FakeOpenAi::start().await, FakeOpenAi::start().await);
    let (a, b) = (first.url(), second.url());
    let test = TestApp::with(&[
        ("OPENAI_BASE_URL", a.as_str()),
        ("OPENAI_FALLBACK_BASE_URLS", &b),
        ("OPENAI_MODEL", "chat"),
        ("FOLDER_RIGHTS", "hr/=group:hr"),
    ]);
    test.ingest("open.md", "# Open\n\nThe ferry leaves at nine.\n").await;
    test.ingest("hr/pay.md", "# Pay\n\nSalaries rise in May.\n").await;
    let told = test.send(get("/api/status")).await.json();
    assert_eq!(told["documents"], json!({"total": 1, "by_state": {"indexed": 1}, "passages": 1}), "{told}");
    assert_eq!(told["index"]["generation"], 2);
    assert!(told["index"].get("documents").is_none() && told["index"].get("passages").is_none());
    let states = |told: &Value| -> Vec<Value> {
        told["endpoints"]["chat"].as_array().unwrap().iter().map(|server| server["state"].clone()).collect()
    };
    assert_eq!(states(&told), ["open", "open"]);
    assert!(told["functions"].as_array().unwrap().contains(&json!("maintain_index")));
    // The first refuses for being busy, and the second answers with status 500.
    first.push(Refusal::busy("retry-after", "20"));
    test.post("/api/chat", &json!({"message": "When does the ferry leave?"})).await.assert_problem("model-failed");
    let told = test.send(get("/api/status")).await.json();
    assert_eq!(states(&told), ["busy", "open"]);
    assert!(!told.to_string().contains(&a["http://".len()..]), "hosts, not addresses: {told}");
}
