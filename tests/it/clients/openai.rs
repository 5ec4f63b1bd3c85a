//! OpenAI's client for Python.

use serde_json::json;

use super::{ANSWER, python, served};
use crate::fake_openai::{Ending, FakeOpenAi, Script};

#[tokio::test(flavor = "multi_thread")]
async fn the_client_gets_answers_whole_and_in_chunks() {
    let (_place, server) = served(&[]).await;
    let told = python("openai_client.py", &["answers", &server.url("")]).await;
    for form in ["whole", "streamed", "put_together", "asynchronous"] {
        assert_eq!(told[form], ANSWER, "{form}: {told}");
    }
    assert_eq!(told["models"], json!(["knowledge-worker"]));
    assert_eq!(
        (&told["finish_reason"], &told["usage"], &told["usage_at_the_end"]),
        (&json!("stop"), &json!(0), &json!(0))
    );
    assert_eq!((&told["citations"], &told["citations_at_the_end"]), (&json!(["harbour.md"]), &json!(["harbour.md"])));
    assert_eq!(told["raw"], json!([200, "application/json", ANSWER]));
    assert_eq!((&told["ids"], &told["request_id"], &told["elsewhere"]), (&json!(1), &json!(true), &json!(true)));
    assert!(told["pieces"].as_u64().unwrap() >= 2, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_understands_every_refusal() {
    let (_place, server) = served(&[]).await;
    let told = python("openai_client.py", &["refusals", &server.url("")]).await;
    let invalid = |param: &str, code: &str| json!(["BadRequestError", 400, "invalid_request_error", param, code, true]);
    assert_eq!(told["tools"], invalid("tools", "unsupported_parameter"));
    assert_eq!(told["tools_streamed"], told["tools"]);
    assert_eq!(told["functions"], invalid("functions", "unsupported_parameter"));
    assert_eq!(told["two_answers"], invalid("n", "unsupported_value"));
    assert_eq!(told["json"], invalid("response_format", "unsupported_value"));
    assert_eq!(told["nothing"], invalid("messages", "invalid-request"));
    assert_eq!(told["tool_message"], invalid("messages[0].role", "unsupported_value"));
    let absent = json!(["NotFoundError", 404, "invalid_request_error", "model", "model_not_found", true]);
    assert_eq!(told["model"], absent);
    assert_eq!(told["no_such_model"], json!(["model_not_found"]));
    assert_eq!(told["long"], json!(["APIStatusError", 413, "invalid_request_error", null, "body-too-large", true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_in_the_middle_stops_the_model() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let (_place, server) = served(&[("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "scripted")]).await;
    model.push(Script::new(&["The basin is 14 metres deep [1]. ", "And ", "more ", "of it."]).ending(Ending::Hang));
    let told = python("openai_client.py", &["leaves", &server.url("")]).await;
    assert!(told.as_str().is_some_and(|words| words.contains("basin")), "{told}");
    // Ends only when the model's server has seen its caller go.
    model.departure().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_the_middle_is_thrown_by_the_client() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let (_place, server) = served(&[("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "scripted")]).await;
    model.push(Script::new(&["The basin is 14 metres deep [1]. ", "And "]).ending(Ending::Cut));
    let told = python("openai_client.py", &["fails", &server.url("")]).await;
    assert_eq!(told, json!(["APIError", "model-failed"]));
}
