//! The chat model's client against a server at the socket: what is sent, what comes back, and what happens when it does not.

use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use knowledge_worker::error::{Error, ErrorKind, Result};
use knowledge_worker::models::openai::{Authorization, OpenAiModel, OpenAiSettings, Server, ServerKind};
use knowledge_worker::models::{Finish, Message, ModelEvent, ModelRequest, Speaker, ToolCall, Usage};
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::fake_openai::{Ending, FakeOpenAi, Refusal, Reply, Script};

/// Longer than anything here takes; what would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

fn model(fake: &FakeOpenAi, kind: ServerKind, api_version: Option<&str>) -> OpenAiModel {
    let settings = OpenAiSettings {
        servers: vec![Server {
            endpoint: fake.url().parse().expect("an address"),
            authorization: Authorization::Key("s3cret".into()),
        }],
        model: "gpt-test".to_owned(),
        kind,
        api_version: api_version.map(str::to_owned),
        connect_timeout: Duration::from_secs(5),
    };
    OpenAiModel::open(settings).expect("good settings")
}

fn request(deadline: Duration) -> ModelRequest {
    let messages = vec![
        Message::said(Speaker::System, "Be brief."),
        Message::said(Speaker::User, "Hi"),
        Message::said(Speaker::Assistant, "Hello."),
        Message::said(Speaker::User, "How many days?"),
    ];
    ModelRequest { is_streamed: true, ..ModelRequest::of(messages, 77, Instant::now() + deadline) }
}

/// Everything the model says, and how it failed if it did.
async fn ask(model: &OpenAiModel) -> (String, Vec<ModelEvent>, Option<Error>) {
    read(model.stream(request(PATIENCE))).await
}

async fn read(stream: impl Stream<Item = Result<ModelEvent>>) -> (String, Vec<ModelEvent>, Option<Error>) {
    let mut stream = pin!(stream);
    let (mut text, mut others) = (String::new(), Vec::new());
    while let Some(event) = timeout(PATIENCE, stream.next()).await.expect("the model hangs") {
        match event {
            Ok(ModelEvent::Text(more)) => text.push_str(&more),
            Ok(other) => others.push(other),
            Err(error) => return (text, others, Some(error)),
        }
    }
    (text, others, None)
}

/// Asks once after these replies were put in line; the kind of failure, and how many requests it took.
async fn failure(replies: Vec<Reply>) -> (ErrorKind, usize) {
    let fake = FakeOpenAi::start().await;
    for reply in replies {
        fake.push(reply);
    }
    let (_, _, error) = ask(&model(&fake, ServerKind::Compatible, None)).await;
    let error = error.expect("the model should have failed");
    for secret in ["s3cret", "slow down", "was filtered", "the server's own words"] {
        assert!(!error.chain().contains(secret), "{}", error.chain());
    }
    (error.kind(), fake.requests().len())
}

#[tokio::test]
async fn streams_deltas_usage_and_finish() {
    let fake = FakeOpenAi::start().await;
    fake.push(Script::new(&["25 ", "days"]));
    let (text, others, error) = ask(&model(&fake, ServerKind::Compatible, None)).await;
    assert!(error.is_none());
    assert_eq!(text, "25 days");
    let usage = Usage { prompt_tokens: 11, completion_tokens: 5 };
    assert_eq!(others, [ModelEvent::Usage(usage), ModelEvent::Finished(Finish::Complete)]);
    let sent = &fake.requests()[0];
    assert_eq!(sent.uri, "/v1/chat/completions");
    assert_eq!(sent.headers["authorization"], "Bearer s3cret");
    assert_eq!(
        (&sent.body["model"], &sent.body["stream"], &sent.body["max_tokens"]),
        (&json!("gpt-test"), &json!(true), &json!(77))
    );
    assert_eq!(sent.body["stream_options"]["include_usage"], json!(true));
    assert_eq!(sent.body["temperature"], Value::Null);
    let roles: Vec<&Value> =
        sent.body["messages"].as_array().expect("messages").iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
}

#[tokio::test]
async fn passes_each_delta_on_before_the_next_is_sent() {
    let fake = FakeOpenAi::start().await;
    fake.push(Script::new(&["one", "two"]).gated());
    let model = model(&fake, ServerKind::Compatible, None);
    let mut stream = pin!(model.stream(request(PATIENCE)));
    for expected in ["one", "two"] {
        fake.release(1);
        let event = timeout(PATIENCE, stream.next()).await.expect("a delta").expect("not the end").expect("no failure");
        assert_eq!(event, ModelEvent::Text(expected.to_owned()));
    }
}

#[tokio::test]
async fn speaks_both_forms_of_azure() {
    let fake = FakeOpenAi::start().await;
    for (version, uri) in [
        (None, "/openai/v1/chat/completions"),
        (Some("2024-10-21"), "/openai/deployments/gpt-test/chat/completions?api-version=2024-10-21"),
    ] {
        fake.push(Script::new(&["ok"]));
        assert_eq!(ask(&model(&fake, ServerKind::Azure, version)).await.0, "ok");
        let sent = fake.requests().pop().expect("a request");
        assert_eq!((sent.uri.as_str(), sent.headers.get("authorization")), (uri, None));
        assert_eq!(
            (&sent.headers["api-key"], &sent.body["max_completion_tokens"]),
            (&HeaderValue::from_static("s3cret"), &json!(77))
        );
    }
}

#[tokio::test]
async fn asks_again_when_the_server_is_busy() {
    let fake = FakeOpenAi::start().await;
    fake.push(Refusal::busy("retry-after-ms", "1"));
    fake.push(Refusal::busy("retry-after", "0"));
    fake.push(Script::new(&["at last"]));
    assert_eq!(ask(&model(&fake, ServerKind::Compatible, None)).await.0, "at last");
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn asks_three_times_and_no_more() {
    let busy = || {
        Reply::from(
            Refusal::busy("retry-after", "Fri, 01 May 2026 10:00:00 GMT")
                .header("date", "Fri, 01 May 2026 10:00:00 GMT"),
        )
    };
    assert_eq!(failure(vec![busy(), busy(), busy(), busy()]).await, (ErrorKind::ModelBusy, 3));
    let broken = || Reply::from(Refusal::new(500, json!("the server's own words")).header("retry-after-ms", "0"));
    assert_eq!(failure(vec![broken(), broken(), broken()]).await, (ErrorKind::ModelFailed, 3));
}

#[tokio::test]
async fn does_not_ask_again_where_that_cannot_help() {
    let quota = Refusal::new(429, json!({"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}));
    assert_eq!(failure(vec![quota.into()]).await, (ErrorKind::ModelBusy, 1));
    assert_eq!(failure(vec![Refusal::content_filter().into()]).await, (ErrorKind::ContentFiltered, 1));
    assert_eq!(
        failure(vec![Refusal::new(401, json!({"error": "the server's own words"})).into()]).await,
        (ErrorKind::ModelFailed, 1)
    );
    // A day is longer than the deadline, so there is no point in waiting at all.
    assert_eq!(failure(vec![Refusal::busy("retry-after", "86400").into()]).await, (ErrorKind::ModelBusy, 1));
}

#[tokio::test]
async fn the_content_filter_has_the_last_word() {
    assert_eq!(
        failure(vec![Script::new(&["x"]).ending(Ending::Finish("content_filter")).into()]).await,
        (ErrorKind::ContentFiltered, 1)
    );
    let results = json!({"error": {"code": "content_filter_error", "message": "the server's own words"}});
    let down = json!({"choices": [{"index": 0, "delta": {"content": "unseen"}, "content_filter_results": results}]});
    let fake = FakeOpenAi::start().await;
    fake.push(Script::new(&["seen "]).then_chunk(down));
    let (text, _, error) = ask(&model(&fake, ServerKind::Azure, None)).await;
    assert_eq!((text.as_str(), error.map(|e| e.kind())), ("seen ", Some(ErrorKind::ModelFailed)));
}

#[tokio::test]
async fn a_broken_stream_is_a_failure_and_is_not_asked_again() {
    let fake = FakeOpenAi::start().await;
    fake.push(Script::new(&["half an "]).gated().ending(Ending::Cut));
    let model = model(&fake, ServerKind::Compatible, None);
    let mut stream = pin!(model.stream(request(PATIENCE)));
    fake.release(1);
    assert!(timeout(PATIENCE, stream.next()).await.expect("a delta").expect("not the end").is_ok());
    fake.release(1);
    let (_, _, error) = read(stream).await;
    assert_eq!((error.map(|e| e.kind()), fake.requests().len()), (Some(ErrorKind::ModelFailed), 1));
    assert_eq!(
        failure(vec![Script::new(&["half an "]).ending(Ending::Stop).into()]).await,
        (ErrorKind::ModelFailed, 1)
    );
    let nonsense = Script::new(&["a"]).then_chunk(json!({"choices": "the server's own words"}));
    assert_eq!(failure(vec![nonsense.into()]).await, (ErrorKind::ModelFailed, 1));
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_first_word_is_asked_again() {
    let fake = FakeOpenAi::start().await;
    fake.push(Script::new(&[]).ending(Ending::Cut));
    fake.push(Script::new(&["whole"]));
    assert_eq!(ask(&model(&fake, ServerKind::Compatible, None)).await.0, "whole");
}

/// What the model says when nobody wants to see its words come, and what it was asked.
async fn ask_for_all(script: Script) -> (String, Vec<ModelEvent>, Option<Error>, Vec<Value>) {
    let fake = FakeOpenAi::start().await;
    fake.push(script);
    fake.push(Script::new(&["whole"]));
    let request = ModelRequest { is_streamed: false, may_call: true, ..request(PATIENCE) };
    let (text, others, error) = read(model(&fake, ServerKind::Compatible, None).stream(request)).await;
    (text, others, error, fake.requests().into_iter().map(|recorded| recorded.body).collect())
}

#[tokio::test]
async fn an_answer_that_nobody_watches_comes_in_one() {
    let (text, others, error, asked) = ask_for_all(Script::new(&["25 ", "days"])).await;
    assert!(error.is_none());
    assert_eq!(
        (text.as_str(), &asked[0]["stream"], &asked[0]["stream_options"]),
        ("25 days", &json!(false), &Value::Null)
    );
    let usage = Usage { prompt_tokens: 11, completion_tokens: 5 };
    assert_eq!(others, [ModelEvent::Usage(usage), ModelEvent::Finished(Finish::Complete)]);
    let (text, others, ..) =
        ask_for_all(Script::new(&["I look."]).calling(&[("list", "{}"), ("search", r#"{"q": 1}"#)])).await;
    assert_eq!(text, "I look.");
    let call = |id: &str, name: &str, arguments: &str| ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    let calls = vec![call("call_0_list", "list", "{}"), call("call_1_search", "search", r#"{"q": 1}"#)];
    assert_eq!(others[1..], [ModelEvent::ToolCalls(calls), ModelEvent::Finished(Finish::Complete)]);
    let (_, _, error, asked) = ask_for_all(Script::new(&["x"]).ending(Ending::Finish("content_filter"))).await;
    assert_eq!((error.map(|e| e.kind()), asked.len()), (Some(ErrorKind::ContentFiltered), 1));
}

#[tokio::test]
async fn an_answer_in_one_that_breaks_off_is_asked_for_again() {
    let (text, _, error, asked) = ask_for_all(Script::new(&["half an "]).ending(Ending::Cut)).await;
    assert_eq!((text.as_str(), error.is_none(), asked.len()), ("whole", true, 2));
    // One that says itself that it is not finished is as it is.
    let (_, _, error, asked) = ask_for_all(Script::new(&["half an "]).ending(Ending::Stop)).await;
    assert_eq!((error.map(|e| e.kind()), asked.len()), (Some(ErrorKind::ModelFailed), 1));
}

#[tokio::test]
async fn a_truncated_answer_says_so() {
    let fake = FakeOpenAi::start().await;
    fake.push(Script::new(&["long"]).ending(Ending::Finish("length")));
    let (_, others, _) = ask(&model(&fake, ServerKind::Compatible, None)).await;
    assert_eq!(others.last(), Some(&ModelEvent::Finished(Finish::Truncated)));
}

#[tokio::test]
async fn dropping_the_stream_ends_the_call() {
    let fake = FakeOpenAi::start().await;
    let model = model(&fake, ServerKind::Compatible, None);
    fake.push(Script::new(&["first"]).ending(Ending::Hang));
    let mut stream = Box::pin(model.stream(request(PATIENCE)));
    assert!(timeout(PATIENCE, stream.next()).await.expect("a delta").is_some());
    drop(stream);
    timeout(PATIENCE, fake.departure()).await.expect("the server should see the client go");
    // The same before the first word.
    fake.arrival().await;
    fake.push(Reply::Hang);
    let mut stream = Box::pin(model.stream(request(PATIENCE)));
    tokio::select! {
        _ = stream.next() => panic!("there is no answer"),
        () = fake.arrival() => {}
    }
    drop(stream);
    timeout(PATIENCE, fake.departure()).await.expect("the server should see the client go");
}

#[tokio::test]
async fn the_deadline_holds_before_and_in_the_answer() {
    for reply in [Reply::Hang, Script::new(&["first"]).ending(Ending::Hang).into()] {
        let fake = FakeOpenAi::start().await;
        fake.push(reply);
        let model = model(&fake, ServerKind::Compatible, None);
        let (_, _, error) = read(model.stream(request(Duration::from_millis(150)))).await;
        assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::DeadlineExceeded));
        timeout(PATIENCE, fake.departure()).await.expect("the server should see the client go");
    }
}

#[tokio::test]
async fn an_absent_server_is_a_failure() {
    let fake = FakeOpenAi::start().await;
    let model = model(&fake, ServerKind::Compatible, None);
    drop(fake);
    let error = ask(&model).await.2.expect("nobody is there");
    assert_eq!(error.kind(), ErrorKind::ModelFailed);
    assert!(!error.chain().contains("127.0.0.1"), "{}", error.chain());
}
