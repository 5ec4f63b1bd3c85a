//! A model on several servers, at the socket: who is asked when one does not serve, how often, and with what proof.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::{Duration as TokenLife, OffsetDateTime};
use futures_util::StreamExt;
use knowledge_worker::error::ErrorKind;
use knowledge_worker::models::openai::{Authorization, OpenAiModel, OpenAiSettings, Server, ServerKind};
use knowledge_worker::models::{Message, ModelEvent, ModelRequest, Speaker};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::fake_openai::{Ending, FakeOpenAi, Refusal, Reply, Script};

/// Longer than anything here takes; what would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

/// A model on these servers, in this order.
fn model_on(servers: &[&FakeOpenAi], authorization: &Authorization) -> OpenAiModel {
    let server = |fake: &&FakeOpenAi| Server {
        endpoint: fake.url().parse().expect("an address"),
        authorization: authorization.clone(),
    };
    let settings = OpenAiSettings {
        servers: servers.iter().map(server).collect(),
        model: "gpt-test".to_owned(),
        kind: ServerKind::Azure,
        api_version: None,
        connect_timeout: Duration::from_secs(5),
    };
    OpenAiModel::open(settings).expect("good settings")
}

fn with_key() -> Authorization {
    Authorization::Key("s3cret".into())
}

#[tokio::test]
async fn with_several_servers_the_first_word_tells_that_one_serves() {
    let (first, second) = (FakeOpenAi::start().await, FakeOpenAi::start().await);
    for (servers, is_streamed) in [(vec![&first, &second], true), (vec![&first], false)] {
        first.push(Script::new(&["whole"]));
        let messages = vec![Message::said(Speaker::User, "How many days?")];
        let request = ModelRequest::of(messages, 77, Instant::now() + PATIENCE);
        let whole = model_on(&servers, &with_key()).whole(request).await.expect("an answer");
        assert_eq!(whole.text, "whole");
        let asked = first.requests().pop().expect("a request");
        assert_eq!(asked.body["stream"], json!(is_streamed), "{} servers", servers.len());
    }
}

#[tokio::test]
async fn whole_answers_that_take_too_long_do_not_make_a_server_seem_dead() {
    let fake = FakeOpenAi::start().await;
    let model = model_on(&[&fake], &with_key());
    for round in 0..8 {
        fake.push(Script::new(&["long"]).ending(Ending::Hang));
        let messages = vec![Message::said(Speaker::User, "Tell me all.")];
        let request = ModelRequest::of(messages, 77, Instant::now() + Duration::from_millis(100));
        let late = model.whole(request).await.err().map(|e| e.kind());
        assert_eq!(late, Some(ErrorKind::DeadlineExceeded), "{round}");
        assert_eq!(fake.requests().len(), round + 1, "it is asked each time");
    }
    let asked: Vec<bool> = fake.requests().iter().map(|request| request.body["stream"] == true).collect();
    assert_eq!(asked[..4], [false, true, false, true], "the word after a failure tells that it works");
}

/// The words of the answer, or how asking failed.
async fn ask_within(model: &OpenAiModel, time: Duration) -> Result<String, ErrorKind> {
    let messages = vec![Message::said(Speaker::User, "How many days?")];
    let request = ModelRequest { is_streamed: true, ..ModelRequest::of(messages, 77, Instant::now() + time) };
    let mut stream = pin!(model.stream(request));
    let mut text = String::new();
    while let Some(event) = timeout(PATIENCE, stream.next()).await.expect("the model hangs") {
        if let ModelEvent::Text(more) = event.map_err(|e| e.kind())? {
            text.push_str(&more);
        }
    }
    Ok(text)
}

async fn ask(model: &OpenAiModel) -> Result<String, ErrorKind> {
    ask_within(model, PATIENCE).await
}

fn broken() -> Refusal {
    Refusal::new(500, json!("broken")).header("retry-after-ms", "0")
}

/// What comes of one question when the first of two servers answers so; and how many requests each got.
async fn when_the_first(says: impl Into<Reply>) -> (Result<String, ErrorKind>, usize, usize) {
    let (first, second) = (FakeOpenAi::start().await, FakeOpenAi::start().await);
    first.push(says);
    second.push(Script::new(&["from the second"]));
    let answer = ask_within(&model_on(&[&first, &second], &with_key()), Duration::from_secs(4)).await;
    (answer, first.requests().len(), second.requests().len())
}

#[tokio::test]
async fn the_next_server_answers_what_the_first_does_not() {
    let served = (Ok("from the second".to_owned()), 1, 1);
    assert_eq!(when_the_first(broken()).await, served);
    assert_eq!(when_the_first(Refusal::busy("retry-after", "86400")).await, served);
    let quota = Refusal::new(429, json!({"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}));
    assert_eq!(when_the_first(quota).await, served);
    assert_eq!(when_the_first(Refusal::new(401, json!({}))).await, served);
    assert_eq!(when_the_first(Refusal::new(404, json!({"error": {"code": "DeploymentNotFound"}}))).await, served);
    assert_eq!(when_the_first(Script::new(&[]).ending(Ending::Cut)).await, served);
    assert_eq!(when_the_first(Reply::Hang).await, served, "a silent server gets its share of the time alone");
}

#[tokio::test]
async fn what_is_wrong_with_the_question_is_wrong_everywhere() {
    let filtered = (Err(ErrorKind::ContentFiltered), 1, 0);
    assert_eq!(when_the_first(Refusal::content_filter()).await, filtered);
    let too_long = Refusal::new(400, json!({"error": {"code": "context_length_exceeded"}}));
    assert_eq!(when_the_first(too_long).await, (Err(ErrorKind::ModelFailed), 1, 0));
}

#[tokio::test]
async fn a_server_that_is_gone_is_passed_over() {
    let (first, second) = (FakeOpenAi::start().await, FakeOpenAi::start().await);
    second.push(Script::new(&["from the second"]));
    let model = model_on(&[&first, &second], &with_key());
    drop(first);
    assert_eq!(ask(&model).await, Ok("from the second".to_owned()));
}

#[tokio::test]
async fn a_question_makes_three_calls_at_most_on_all_servers_together() {
    let (first, second) = (FakeOpenAi::start().await, FakeOpenAi::start().await);
    for _ in 0..3 {
        first.push(broken());
        second.push(broken());
    }
    assert_eq!(ask(&model_on(&[&first, &second], &with_key())).await, Err(ErrorKind::ModelFailed));
    assert_eq!(first.requests().len() + second.requests().len(), 3);
}

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let (first, second) = (FakeOpenAi::start().await, FakeOpenAi::start().await);
    first.push(Refusal::busy("retry-after", "20"));
    let model = model_on(&[&first, &second], &with_key());
    for _ in 0..5 {
        second.push(Script::new(&["ok"]));
        assert_eq!(ask(&model).await, Ok("ok".to_owned()));
    }
    assert_eq!((first.requests().len(), second.requests().len()), (1, 5));
}

#[tokio::test]
async fn an_outage_costs_few_calls_and_ends_by_itself() {
    const QUESTIONS: usize = 200;
    let fake = FakeOpenAi::start().await;
    // Nothing is in line, so every request is answered with status 500.
    let model = model_on(&[&fake], &with_key());
    for _ in 0..QUESTIONS {
        assert!(matches!(ask(&model).await, Err(ErrorKind::ModelFailed | ErrorKind::ModelBusy)));
    }
    let calls = fake.requests().len();
    assert!(calls * 10 <= QUESTIONS * 11, "{calls} calls for {QUESTIONS} questions");
    fake.push(Script::new(&["back"]));
    let comes_back = async {
        while ask(&model).await != Ok("back".to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, comes_back).await.expect("the server is tried again");
}

#[tokio::test]
async fn many_questions_at_once_do_not_multiply_an_outage() {
    const QUESTIONS: usize = 100;
    let fake = FakeOpenAi::start().await;
    let model = model_on(&[&fake], &with_key());
    let answers = futures_util::future::join_all((0..QUESTIONS).map(|_| ask(&model))).await;
    assert!(answers.iter().all(Result::is_err));
    let calls = fake.requests().len();
    assert!(calls * 10 <= QUESTIONS * 11, "{calls} calls for {QUESTIONS} questions");
}

/// A credential whose every token is another one.
#[derive(Debug, Default)]
struct Numbered {
    given: AtomicUsize,
    is_empty: bool,
}

#[async_trait]
impl TokenCredential for Numbered {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://cognitiveservices.azure.com/.default"]);
        if self.is_empty {
            return Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Credential, "no identity"));
        }
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        Ok(AccessToken::new(format!("token-{number}"), OffsetDateTime::now_utc() + TokenLife::hours(1)))
    }
}

#[tokio::test]
async fn the_identity_signs_each_call_and_sends_no_key() {
    let fake = FakeOpenAi::start().await;
    fake.push(Refusal::busy("retry-after-ms", "1"));
    fake.push(Script::new(&["ok"]));
    let model = model_on(&[&fake], &Authorization::Identity(Arc::new(Numbered::default())));
    assert_eq!(ask(&model).await, Ok("ok".to_owned()));
    let shown: Vec<_> = fake.requests().iter().map(|sent| sent.headers["authorization"].clone()).collect();
    assert_eq!(shown, ["Bearer token-0", "Bearer token-1"], "a token can run out between two calls");
    assert!(fake.requests().iter().all(|sent| !sent.headers.contains_key("api-key")));
    assert!(!format!("{model:?}").contains("token"));
}

#[tokio::test]
async fn without_a_token_nobody_is_called() {
    let fake = FakeOpenAi::start().await;
    let nobody = Numbered { is_empty: true, ..Numbered::default() };
    let model = model_on(&[&fake, &fake], &Authorization::Identity(Arc::new(nobody)));
    assert_eq!(ask(&model).await, Err(ErrorKind::ModelFailed));
    assert_eq!(fake.requests().len(), 0);
}
