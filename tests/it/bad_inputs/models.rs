//! Models that refuse, break off and say what nobody understands.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::fake_openai::{Ending, FakeOpenAi, Refusal, Reply, Script};
use crate::support::app::{Answer, TestApp, get};

const QUESTION: &str = "When does the ferry leave?";

struct Scene {
    model: FakeOpenAi,
    test: TestApp,
}

/// The product with a model that says these things, each for one call.
async fn scene(replies: Vec<Reply>) -> Scene {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let test = TestApp::with(&[("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "chat"), ("CACHE_ANSWER_SECONDS", "0")]);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
    replies.into_iter().for_each(|reply| model.push(reply));
    Scene { model, test }
}

impl Scene {
    async fn ask(&self) -> Answer {
        self.test.post("/api/chat", &json!({"message": QUESTION, "conversation_id": "c"})).await
    }

    /// Asserts that a good answer comes next.
    async fn stands(&self) {
        self.model.push(Script::new(&["The ferry leaves at nine [1]."]));
        let answer = self.ask().await;
        assert!(answer.status == StatusCode::OK && answer.body.contains("at nine"), "{answer:?}");
    }
}

/// The product knows 400 for a filtered question, where the promise wrote 422: OpenAI's own clients look for 400.
#[tokio::test]
async fn bad_input_29_a_model_that_refuses_is_told_by_its_kind() {
    let busy = scene(vec![Refusal::busy("retry-after", "86400").into()]).await;
    let answer = busy.ask().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    answer.assert_problem("model-busy");
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
    assert_eq!(busy.model.requests().len(), 1, "nobody waits for a day");

    let filtered = scene(vec![Refusal::content_filter().into()]).await;
    filtered.ask().await.assert_problem("content-filtered");
    filtered.stands().await;

    let results = json!({"error": {"code": "content_filter_error", "message": "canary"}});
    let down = json!({"choices": [{"index": 0, "delta": {"content": "unseen"}, "content_filter_results": results}]});
    let unfiltered = scene(vec![Script::new(&[]).then_chunk(down).into()]).await;
    let answer = unfiltered.ask().await;
    answer.assert_problem("model-failed");
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(!answer.body.contains("unseen") && !answer.body.contains("canary"), "{answer:?}");
    unfiltered.stands().await;
}

#[tokio::test]
async fn bad_input_29_an_answer_that_breaks_off_is_an_error_and_incomplete() {
    let nonsense = Script::new(&["The ferry "]).then_chunk(json!({"choices": "canary"})).ending(Ending::Stop);
    for script in
        [Script::new(&["The ferry "]).ending(Ending::Cut), Script::new(&["The ferry "]).ending(Ending::Stop), nonsense]
    {
        let broken = scene(vec![script.into()]).await;
        let question = json!({
            "messages": [{"role": "user", "content": QUESTION}], "context": {"conversation_id": "c"},
        });
        let streamed = broken.test.post("/api/chat/stream", &question).await;
        let last: Value = serde_json::from_str(streamed.body.trim_end().lines().last().unwrap()).unwrap();
        assert!(last["error"].is_string(), "{streamed:?}");
        assert!(!streamed.body.contains("canary"), "{streamed:?}");
        let kept = broken.test.send(get("/api/conversations/c")).await.json();
        assert_ne!(kept["turns"][0]["state"], "complete", "{kept}");
        broken.stands().await;
    }
}

#[tokio::test]
async fn bad_input_29_calls_of_tools_that_nobody_offered_do_nothing() {
    let calling = Script::new(&[]).calling(&[("run_shell", r#"{"command": "canary"}"#)]);
    let calm = scene(vec![calling.into(), Script::new(&["The ferry leaves at nine [1]."]).into()]).await;
    let answer = calm.ask().await;
    assert!(answer.status == StatusCode::OK && answer.body.contains("at nine"), "{answer:?}");
    assert!(!answer.body.contains("canary"), "{answer:?}");
    assert_eq!(calm.model.requests().len(), 2);
    calm.stands().await;
}
