//! What was found and answered a moment ago: given again to those who may read the same, never after a change, and made once
//! for many who ask together; in one process, and in Redis for several.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::{Duration as TokenLife, OffsetDateTime};
use futures_util::TryStreamExt;
use knowledge_worker::app::App;
use knowledge_worker::cache::redis::{Redis, RedisSettings};
use knowledge_worker::chat::answer::answer;
use knowledge_worker::chat::question::Question;
use knowledge_worker::chat::{ChatEvent, ChatRequest, Role, Turn};
use knowledge_worker::document::Principal;
use knowledge_worker::index::filter::Filter;
use knowledge_worker::stores::blobs::{Condition, PutOptions};
use serde_json::json;

use crate::fake_openai::{EmbeddingReply, Ending, FakeOpenAi, Refusal, Script};
use crate::support::app::{TestApp, get};
use crate::support::process::eventually;
use crate::support::redis::RedisServer;

const QUESTION: &str = "When does the ferry leave?";
const ANSWER: &[&str] = &["The ferry leaves ", "at nine [1]."];

fn settings(url: &str) -> Vec<(&str, &str)> {
    vec![("OPENAI_BASE_URL", url), ("OPENAI_MODEL", "chat"), ("INDEX_REFRESH_SECONDS", "0")]
}

/// The product with a chat model and one document.
async fn start(more: &[(&str, &str)]) -> (FakeOpenAi, TestApp) {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let test = TestApp::with(&[&settings(&url), more].concat());
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
    (fake, test)
}

fn request(question: &str) -> ChatRequest {
    ChatRequest::of(Question::parse(question, 1_000).expect("a question"))
}

/// The words of the answer and the number of its citations.
async fn ask_as(app: &Arc<App>, principal: &Principal, request: ChatRequest) -> Result<(String, usize), String> {
    let events: Vec<ChatEvent> =
        answer(Arc::clone(&app.chat), principal.clone(), request).try_collect().await.map_err(|e| e.chain())?;
    let mut text = String::new();
    for event in &events {
        if let ChatEvent::Text(more) = event {
            text.push_str(more);
        }
    }
    match events.last() {
        Some(ChatEvent::Done(done)) => Ok((text, done.citations.len())),
        last => Err(format!("it ends with {last:?}")),
    }
}

async fn ask(test: &TestApp) -> (String, usize) {
    ask_as(&test.app, &Principal::anonymous(), request(QUESTION)).await.expect("an answer")
}

/// Asks, and says whether the model was asked for it.
async fn costs(fake: &FakeOpenAi, app: &Arc<App>, principal: &Principal, request: ChatRequest) -> bool {
    let before = fake.requests().len();
    fake.push(Script::new(ANSWER));
    let answered = ask_as(app, principal, request).await.expect("an answer");
    assert_eq!(answered, ("The ferry leaves at nine.".to_owned(), 1));
    let asked = fake.requests().len() > before;
    if !asked {
        // Nobody took it, so it is taken out of the line.
        fake.clear();
    }
    asked
}

#[tokio::test]
async fn the_same_question_is_answered_once() {
    let (fake, test) = start(&[]).await;
    let anyone = Principal::anonymous();
    assert!(costs(&fake, &test.app, &anyone, request(QUESTION)).await);
    assert!(!costs(&fake, &test.app, &anyone, request(QUESTION)).await);
    let turn = Turn { role: Role::User, text: "About ships.".to_owned() };
    let with_history = ChatRequest { history: vec![turn], ..request(QUESTION) };
    assert!(costs(&fake, &test.app, &anyone, with_history).await, "another history is another question");
    let filter = Filter { path_prefix: Some("fer".to_owned()), ..Filter::default() };
    assert!(costs(&fake, &test.app, &anyone, ChatRequest { filter, ..request(QUESTION) }).await);
    assert!(costs(&fake, &test.app, &anyone, request("When does the ferry leave!")).await);
}

#[tokio::test]
async fn only_who_may_read_the_same_gets_it() {
    let (fake, test) = start(&[]).await;
    let user = |name: &str, groups: &[&str]| Principal::user("t1", name, groups.iter().copied()).expect("a user");
    assert!(costs(&fake, &test.app, &Principal::anonymous(), request(QUESTION)).await);
    assert!(costs(&fake, &test.app, &user("ann", &[]), request(QUESTION)).await);
    assert!(costs(&fake, &test.app, &user("ann", &["crew"]), request(QUESTION)).await);
    assert!(costs(&fake, &test.app, &user("bob", &["crew"]), request(QUESTION)).await);
    assert!(!costs(&fake, &test.app, &user("ann", &["crew"]), request(QUESTION)).await);
}

#[tokio::test]
async fn nothing_is_given_again_after_a_change() {
    let (fake, test) = start(&[]).await;
    let anyone = Principal::anonymous();
    assert!(costs(&fake, &test.app, &anyone, request(QUESTION)).await);
    test.ingest("other.md", "Nothing about ships.").await;
    assert!(costs(&fake, &test.app, &anyone, request(QUESTION)).await, "a document came");
    assert!(!costs(&fake, &test.app, &anyone, request(QUESTION)).await);
    let hidden = PutOptions {
        condition: Condition::Always,
        metadata: BTreeMap::from([("allowed_users".to_owned(), "t1/ann".to_owned())]),
    };
    test.app.documents.put_with("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n".into(), hidden).await.unwrap();
    test.sync("ferry.md").await;
    let (text, citations) = ask(&test).await;
    assert!(text.starts_with("I don't know") && citations == 0, "rights changed: {text}");
    test.delete("ferry.md");
    test.sync("ferry.md").await;
    let ann = Principal::user("t1", "ann", []).expect("a user");
    let (text, _) = ask_as(&test.app, &ann, request(QUESTION)).await.expect("an answer");
    assert!(text.starts_with("I don't know"), "it was deleted: {text}");
}

#[tokio::test]
async fn what_is_not_whole_is_not_kept() {
    let (fake, test) = start(&[]).await;
    fake.push(Script::new(&["The ferry leaves "]).ending(Ending::Cut));
    assert!(ask_as(&test.app, &Principal::anonymous(), request(QUESTION)).await.is_err());
    fake.push(Script::new(ANSWER).ending(Ending::Finish("length")));
    ask(&test).await;
    assert!(costs(&fake, &test.app, &Principal::anonymous(), request(QUESTION)).await);
}

#[tokio::test]
async fn who_asks_together_pays_once() {
    let (fake, test) = start(&[]).await;
    fake.push(Script::new(ANSWER).gated());
    let all = futures_util::future::join_all((0..10).map(|_| ask(&test)));
    let release = async {
        fake.arrival().await;
        fake.release(ANSWER.len() + 1);
    };
    let (answers, ()) = tokio::join!(all, release);
    assert!(answers.iter().all(|answer| answer.0 == "The ferry leaves at nine."));
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn nothing_is_kept_when_it_is_switched_off() {
    let (fake, test) = start(&[("CACHE_ANSWER_SECONDS", "0"), ("CACHE_SEARCH_SECONDS", "0")]).await;
    let anyone = Principal::anonymous();
    assert!(costs(&fake, &test.app, &anyone, request(QUESTION)).await);
    assert!(costs(&fake, &test.app, &anyone, request(QUESTION)).await);
}

#[tokio::test]
async fn a_search_made_worse_by_an_outage_is_not_kept() {
    let redis = RedisServer::start(&["default on >s3cret ~* +@all"]).await;
    let fake = FakeOpenAi::start().await;
    let (url, address) = (fake.url(), redis.url());
    let settings = [
        ("OPENAI_EMBEDDING_BASE_URL", url.as_str()),
        ("OPENAI_EMBEDDING_MODEL", "embed"),
        ("REDIS_URL", &address),
        ("REDIS_PASSWORD", "s3cret"),
    ];
    let test = TestApp::with(&settings);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
    let retrieval = async |test: &TestApp| {
        let answer = test.post("/api/search", &json!({ "query": QUESTION })).await.json();
        answer["retrieval"].as_str().expect("it says how").to_owned()
    };
    fake.push_embedding(EmbeddingReply::Refuse(Refusal::new(401, json!({}))));
    assert_eq!(retrieval(&test).await, "lexical");
    // This one has not seen the outage, but sees what the other has kept.
    let other = TestApp::of(test.again(&settings), &test);
    assert_eq!(retrieval(&other).await, "hybrid");
    fake.always_embed(EmbeddingReply::Refuse(Refusal::new(401, json!({}))));
    let third = TestApp::of(test.again(&settings), &test);
    assert_eq!(retrieval(&third).await, "hybrid", "what was found well is kept for all");
}

#[tokio::test]
async fn instances_share_what_they_keep_and_do_without() {
    let mut redis = RedisServer::start(&["default on >s3cret ~* +@all"]).await;
    let address = redis.url();
    let shared = [("REDIS_URL", address.as_str()), ("REDIS_PASSWORD", "s3cret")];
    let (fake, test) = start(&shared).await;
    let url = fake.url();
    let another = || test.again(&[&settings(&url)[..], &shared[..]].concat());
    let anyone = Principal::anonymous();
    assert!(costs(&fake, &test.app, &anyone, request(QUESTION)).await);
    assert!(!costs(&fake, &another(), &anyone, request(QUESTION)).await, "the other instance has it from Redis");
    let health = test.send(get("/api/health")).await.json();
    assert_eq!((&health["status"], &health["services"]["cache"]), (&json!("healthy"), &json!("healthy")));
    redis.kill();
    let lonely = another();
    assert!(costs(&fake, &lonely, &anyone, request(QUESTION)).await, "it goes on without");
    assert!(!costs(&fake, &lonely, &anyone, request(QUESTION)).await, "and keeps its own");
    let health = TestApp::of(another(), &test).send(get("/api/health")).await.json();
    assert_eq!((&health["status"], &health["services"]["cache"]), (&json!("degraded"), &json!("unhealthy")));
    redis.restart().await;
    let lonely_redis = lonely.redis.as_ref().expect("there is one");
    eventually("Redis is used again", async || lonely_redis.ping().await.ok()).await;
}

#[tokio::test]
async fn a_wrong_password_is_as_good_as_no_redis() {
    let redis = RedisServer::start(&["default on >s3cret ~* +@all"]).await;
    let address = redis.url();
    let (fake, test) = start(&[("REDIS_URL", address.as_str()), ("REDIS_PASSWORD", "an0ther")]).await;
    assert!(costs(&fake, &test.app, &Principal::anonymous(), request(QUESTION)).await);
    let refused = test.app.redis.as_ref().expect("there is one").ping().await.expect_err("a wrong password");
    assert!(!refused.chain().contains("an0ther"), "{}", refused.chain());
}

/// Gives the tokens of Redis: the first, and each time it is told to, the next.
#[derive(Debug, Default)]
struct Tokens {
    number: AtomicUsize,
}

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://redis.azure.com/.default"]);
        let token = format!("token-{}", self.number.load(Ordering::Relaxed));
        Ok(AccessToken::new(token, OffsetDateTime::now_utc() + TokenLife::hours(1)))
    }
}

#[tokio::test]
async fn the_identity_signs_in_at_redis_with_its_tokens() {
    let mut server = RedisServer::start(&["default off", "0b1e on >token-0 ~* +@all"]).await;
    let tokens = Arc::new(Tokens::default());
    let redis = Redis::new(RedisSettings {
        address: server.url().as_str().into(),
        user: Some("0b1e".to_owned()),
        password: None,
        credential: tokens.clone(),
    });
    redis.put("a", b"value", Duration::from_secs(60)).await;
    let (value, left) = redis.get("a").await.expect("it is there");
    assert_eq!(value, b"value");
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60));
    // The first token is at its end, and so are the connections that showed it.
    server.restart_with(&["default off", "0b1e on >token-1 ~* +@all"]).await;
    tokens.number.store(1, Ordering::Relaxed);
    eventually("the next token opens Redis", async || redis.ping().await.ok()).await;
}
