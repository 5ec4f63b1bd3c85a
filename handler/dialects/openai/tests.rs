//! Bodies in, requests out; events in, completions out.

use chrono::{DateTime, TimeZone, Utc};
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::super::tests::events;
use super::*;
use crate::chat::ChatEvent;
use crate::error::{Error, ErrorKind};

const LIMITS: RequestLimits = RequestLimits { question_chars: 20, messages: 4 };
const ID: &str = "0d4f7a8e-6c1b-4f0e-9d3a-2b1c0d9e8f7a";

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 5, 1, 10, 0, 0).single().expect("a valid time")
}

/// A request for an answer to "Leave?" with something added or replaced.
fn body(changed: Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Leave?"}]});
    for (name, value) in changed.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn decoded(changed: Value) -> Asked {
    decode(body(changed).to_string().as_bytes(), LIMITS).expect("a request")
}

/// Field, code and sentence of a refusal.
fn refused(changed: Value) -> (Value, Value, String) {
    let refusal = decode(body(changed.clone()).to_string().as_bytes(), LIMITS).expect_err(&changed.to_string());
    let error = body_of(&refusal)["error"].take();
    assert_eq!(error["type"], "invalid_request_error", "{changed}");
    assert!(!error["message"].as_str().expect("a sentence").contains("secret"), "{error}");
    (error["param"].clone(), error["code"].clone(), refusal.error.message().to_owned())
}

#[test]
fn decodes_what_clients_send() {
    let asked = decoded(json!({
        "messages": [
            {"role": "developer", "content": "Obey."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [{"type": "text", "text": "Hello."}], "tool_calls": null},
            {"role": "user", "content": [{"type": "text", "text": "Annual"}, {"type": "text", "text": "leave?"}], "name": "x"},
        ],
        "stream": true, "stream_options": {"include_usage": true},
        "temperature": 0.2, "max_tokens": 5, "user": "x", "seed": 7, "n": 1, "tool_choice": "none",
        "response_format": {"type": "text"}, "filter": {"category": "law"}, "metadata": {"a": "b"},
    }));
    assert_eq!(asked.request.question.as_str(), "Annual\nleave?");
    let history: Vec<(Role, &str)> = asked.request.history.iter().map(|turn| (turn.role, turn.text.as_str())).collect();
    assert_eq!(
        history,
        [(Role::User, "Hi"), (Role::Assistant, "Hello.")],
        "instructions from outside are not followed"
    );
    assert_eq!(asked.request.filter.category.as_deref(), Some("law"));
    assert!(asked.request.is_streamed && asked.is_usage_wanted);
    let plain = decoded(json!({"stream": null, "stream_options": null, "tools": null, "n": null, "logprobs": false}));
    assert!(!plain.request.is_streamed && !plain.is_usage_wanted);
}

#[test]
fn refuses_what_would_not_be_kept_and_names_the_field() {
    let check = |changed: Value, param: &str, code: &str| {
        let (named, coded, sentence) = refused(changed.clone());
        assert_eq!((named, coded), (json!(param), json!(code)), "{changed}: {sentence}");
    };
    check(json!({"tools": [{"type": "function", "function": {"name": "secret"}}]}), "tools", "unsupported_parameter");
    check(json!({"functions": []}), "functions", "unsupported_parameter");
    check(json!({"tool_choice": "required"}), "tool_choice", "unsupported_value");
    check(json!({"n": 2}), "n", "unsupported_value");
    check(json!({"n": "1"}), "n", "unsupported_value");
    check(json!({"response_format": {"type": "json_object"}}), "response_format", "unsupported_value");
    check(json!({"modalities": ["audio"]}), "modalities", "unsupported_value");
    check(json!({"logprobs": true}), "logprobs", "unsupported_value");
    check(json!({"model": "secret"}), "model", "model_not_found");
    check(json!({"model": 7}), "model", "invalid-request");
    check(json!({"stream": "true"}), "stream", "invalid-request");
    check(json!({"stream_options": {"include_usage": 1}}), "stream_options.include_usage", "invalid-request");
    check(json!({"filter": {"secret": 1}}), "filter", "invalid-request");
    check(json!({"messages": []}), "messages", "invalid-request");
    check(json!({"messages": "secret"}), "messages", "invalid-request");
    check(json!({"messages": vec![json!({"role": "user", "content": "a"}); 5]}), "messages", "invalid-request");
}

#[test]
fn refuses_messages_that_cannot_be_answered() {
    let check = |message: Value, param: &str, code: &str| {
        let (named, coded, sentence) = refused(json!({"messages": [message]}));
        assert_eq!((named, coded), (json!(param), json!(code)), "{sentence}");
    };
    check(json!("secret"), "messages[0]", "invalid-request");
    check(json!({"role": "secret", "content": "a"}), "messages[0].role", "invalid-request");
    check(json!({"role": "tool", "content": "a", "tool_call_id": "x"}), "messages[0].role", "unsupported_value");
    check(json!({"role": "assistant", "content": "a"}), "messages[0].role", "invalid-request");
    check(json!({"role": "system", "content": "a"}), "messages[0].role", "invalid-request");
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [{}]});
    check(calls, "messages[0].tool_calls", "unsupported_parameter");
    let with_content = |content: Value| json!({"role": "user", "content": content});
    let image = json!([{"type": "image_url", "image_url": {"url": "secret"}}, {"type": "text", "text": "a"}]);
    check(with_content(image), "messages[0].content", "unsupported_value");
    for content in [json!(null), json!(7), json!(["a"]), json!([{"type": "text"}]), json!([{"text": "a"}]), json!({})] {
        check(with_content(content), "messages[0].content", "invalid-request");
    }
    for content in [json!(""), json!([]), json!("012345678901234567890")] {
        check(with_content(content), "messages[0].content", "invalid-request");
    }
}

#[test]
fn encodes_a_completion() {
    let whole = whole(&events(), ID, now());
    let choice = json!({
        "index": 0,
        "message": {"role": "assistant", "content": "25 days [hr/hand%5Bbook%5D.pdf#page=4].", "refusal": null},
        "logprobs": null,
        "finish_reason": "stop",
    });
    assert_eq!((&whole["object"], &whole["model"]), (&json!("chat.completion"), &json!(MODEL)));
    assert_eq!(whole["choices"], json!([choice]));
    assert_eq!(whole["usage"], json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}));
    assert_eq!(
        (&whole["id"], &whole["created"]),
        (&json!("chatcmpl-0d4f7a8e6c1b4f0e9d3a2b1c0d9e8f7a"), &json!(1_777_629_600))
    );
    assert_eq!((&whole["citations"][0]["page"], &whole["abstained"]), (&json!(4), &json!(false)));
}

async fn streamed(is_usage_wanted: bool, events: Vec<crate::error::Result<ChatEvent>>) -> Vec<String> {
    let sent = chunks(is_usage_wanted, stream::iter(events), ID, now()).map(|event| {
        let text = String::from_utf8(event.to_vec()).expect("text");
        let data = text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\n")).expect("an event");
        assert!(!data.contains('\n'), "{data}");
        data.to_owned()
    });
    sent.collect().await
}

#[tokio::test]
async fn streams_chunks_with_the_citations_on_the_last() {
    let data = streamed(true, events().into_iter().map(Ok).collect()).await;
    assert_eq!(data.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> =
        data[..data.len() - 1].iter().map(|data| serde_json::from_str(data).expect("JSON")).collect();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["content"]).collect();
    let expected =
        [json!(""), json!("25 days"), json!(" [hr/hand%5Bbook%5D.pdf#page=4]"), json!("."), json!(null), json!(null)];
    assert_eq!(deltas, expected.iter().collect::<Vec<_>>());
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[4]["citations"][0]["page"], 4);
    assert_eq!((&chunks[5]["choices"], &chunks[5]["usage"]["total_tokens"]), (&json!([]), &json!(7)));
    assert!(chunks[..5].iter().all(|chunk| chunk["usage"].is_null() && chunk["id"] == chunks[5]["id"]));
    let without = streamed(false, events().into_iter().map(Ok).collect()).await;
    assert_eq!(without.len(), data.len() - 1);
    assert!(!without.iter().any(|data| data.contains("usage")), "{without:?}");
}

#[tokio::test]
async fn a_failure_ends_the_stream_without_done() {
    let failure = Error::new(ErrorKind::ModelBusy, "the model is busy").caused_by("secret");
    let data = streamed(true, vec![Ok(events().remove(0)), Err(failure)]).await;
    let error: Value = serde_json::from_str(&data[1]).expect("JSON");
    let expected = json!({"message": "the model is busy", "type": "server_error", "param": null, "code": "model-busy"});
    assert_eq!((data.len(), &error["error"]), (2, &expected));
}

#[test]
fn failures_have_the_status_that_clients_look_for() {
    let shape = |kind| {
        let error = Error::new(kind, "a sentence");
        let (status, mut body) = (status_of(&error), body_of(&error.into()));
        (status, body["error"]["type"].take(), body["error"]["code"].take())
    };
    assert_eq!(shape(ErrorKind::InvalidRequest), (400, json!("invalid_request_error"), json!("invalid-request")));
    assert_eq!(shape(ErrorKind::ContentFiltered), (400, json!("invalid_request_error"), json!("content_filter")));
    assert_eq!(shape(ErrorKind::ModelBusy), (503, json!("server_error"), json!("model-busy")));
    assert_eq!(shape(ErrorKind::NotFound), (404, json!("invalid_request_error"), json!("not-found")));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
        if let Err(refusal) = decode(&body, LIMITS) {
            proptest::prop_assert!(matches!(refusal.error.kind(), ErrorKind::MalformedJson | ErrorKind::InvalidRequest));
        }
    }

    #[test]
    fn any_value_of_any_field_is_answered(at in 0usize..12, text in ".{0,12}", number in proptest::num::f64::ANY) {
        let names = ["model", "messages", "stream", "stream_options", "tools", "n", "filter", "logprobs", "tool_choice",
            "response_format", "modalities", "x"];
        for value in [json!(text), json!(number), json!([text]), json!({ &text: number }), json!([{"role": "user", "content": text}])] {
            if let Err(refusal) = decode(body(json!({names[at]: value})).to_string().as_bytes(), LIMITS) {
                proptest::prop_assert!(status_of(&refusal.error) < 500);
            }
        }
    }
}
