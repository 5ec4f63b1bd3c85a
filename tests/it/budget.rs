//! Money: how many tokens a day anybody may spend, whatever becomes of the answers and of those who make them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use futures_util::StreamExt;
use futures_util::future::join_all;
use knowledge_worker::access::budget::{Budget, Unused};
use knowledge_worker::clock::Clock;
use knowledge_worker::document::Principal;
use knowledge_worker::error::{Error, ErrorKind, Result};
use knowledge_worker::stores::records::{Precondition, Record, RecordPage, RecordStore};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fake_openai::{FakeOpenAi, Refusal, Script};
use crate::support::app::{TestApp, post_json};
use crate::support::process::eventually;

/// A hundred tokens a day, on records of a test.
fn budget(test: &TestApp, clock: Clock) -> Arc<Budget> {
    Arc::new(Budget::new(Arc::clone(&test.app.records), clock, 100, Duration::from_secs(60)))
}

#[tokio::test]
async fn money_is_bounded_among_instances_that_ask_at_once() {
    let test = TestApp::new();
    let instances = [budget(&test, Clock::system()), budget(&test, Clock::system()), budget(&test, Clock::system())];
    let ann = Principal::user("home", "ann", []).unwrap();
    let asked = instances.iter().cycle().take(60).map(|budget| budget.reserve(&ann, 9));
    let (granted, refused): (Vec<_>, Vec<_>) = join_all(asked).await.into_iter().partition(Result::is_ok);
    assert_eq!(granted.len(), 11, "99 of 100 tokens are set aside");
    assert!(refused.iter().all(|refused| refused.as_ref().is_err_and(|e| e.kind() == ErrorKind::TokenBudgetUsed)));
    // Ten cost less than was thought, and one more.
    for (n, reservation) in granted.into_iter().enumerate() {
        reservation.unwrap().settle(if n == 0 { 12 } else { 2 }).await;
    }
    assert!(instances[0].reserve(&ann, 68).await.is_ok(), "32 are spent");
    let bob = Principal::user("home", "bob", []).unwrap();
    assert!(instances[1].reserve(&bob, 100).await.is_ok(), "everybody has his own");
}

#[tokio::test]
async fn what_is_set_aside_for_an_answer_that_never_begins_is_given_back() {
    let test = TestApp::new();
    let budget = budget(&test, Clock::system());
    let ann = Principal::user("home", "ann", []).unwrap();
    drop(Unused::from(budget.reserve(&ann, 100).await.unwrap()));
    let free = async || budget.reserve(&ann, 60).await.ok();
    let reservation = eventually("the tokens are free", free).await;
    let begun = Unused::from(reservation).begin().expect("it has not begun before");
    assert!(budget.reserve(&ann, 41).await.is_err(), "what has begun stays set aside");
    begun.settle(0).await;
}

#[tokio::test]
async fn what_a_killed_process_had_set_aside_is_spent_after_a_while() {
    let test = TestApp::new();
    let start = "2026-03-01T10:00:00Z".parse().unwrap();
    let ann = Principal::user("home", "ann", []).unwrap();
    let never_settled = budget(&test, Clock::manual(start)).reserve(&ann, 60).await.unwrap();
    let later = budget(&test, Clock::manual(start + Duration::from_secs(61)));
    let refused = later.reserve(&ann, 41).await.unwrap_err();
    // Until midnight.
    assert_eq!(refused.seconds_to_wait(), Some(14 * 3_600 - 61));
    later.reserve(&ann, 40).await.unwrap().settle(40).await;
    // It was not killed, only slow: what counts as spent is not given back.
    never_settled.settle(5).await;
    assert!(later.reserve(&ann, 1).await.is_err());
    let tomorrow = budget(&test, Clock::manual(start + Duration::from_secs(86_400)));
    assert!(tomorrow.reserve(&ann, 100).await.is_ok());
}

#[tokio::test]
async fn an_answer_costs_what_the_model_says_and_one_that_was_kept_nothing() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let test = TestApp::with(&[("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "chat"), ("TOKEN_BUDGET_PER_DAY", "60000")]);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
    model.push(Script::new(&["The ferry leaves ", "at nine [1]."]));
    let answer = test.post("/api/chat", &json!({"message": "When does the ferry leave?"})).await;
    assert_eq!(answer.status, StatusCode::OK);
    let first = spent(&test).await.unwrap();
    assert!(first > 0);
    test.post("/api/chat", &json!({"message": "When does the ferry leave?"})).await;
    assert_eq!(spent(&test).await, Some(first), "the same question again is free");
    // Somebody leaves in the middle: what was said so far is paid, and nothing stays set aside.
    model.push(Script::new(&["The ferry leaves ", "at nine [1]."]).gated());
    let stream = post_json("/api/chat/stream", json!({"message": "Does the ferry leave at nine?"}).to_string());
    let mut streaming = test.router().oneshot(stream).await.unwrap().into_body().into_data_stream();
    streaming.next().await.unwrap().unwrap();
    assert_eq!(spent(&test).await, None, "tokens are set aside while the model talks");
    drop(streaming);
    eventually("the rest is given back", async || spent(&test).await).await;
}

#[tokio::test]
async fn whoever_leaves_before_a_whole_answer_is_there_pays_for_the_longest() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let longest = ("MAX_ANSWER_TOKENS", "700");
    let test = TestApp::with(&[("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "chat"), longest]);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
    model.push(Script::new(&["The ferry leaves at nine [1]."]).gated());
    let request = post_json("/api/chat", json!({"message": "When does the ferry leave?"}).to_string());
    tokio::select! {
        _ = test.router().oneshot(request) => panic!("there is no answer"),
        () = model.arrival() => {}
    }
    let paid = eventually("it is paid", async || spent(&test).await).await;
    assert!(paid > 700, "{paid}");
    model.push(Refusal::content_filter());
    test.post("/api/chat", &json!({"message": "When does the ferry leave?"})).await.assert_problem("content-filtered");
    let after = eventually("it is settled", async || spent(&test).await).await;
    assert_eq!(after, paid, "what a model refuses is free");
}

/// What was spent, when nothing is set aside.
async fn spent(test: &TestApp) -> Option<u64> {
    let partitions = test.app.records.partitions().await.unwrap();
    let partition = partitions.iter().find(|name| name.starts_with("budget/")).unwrap();
    let page = test.app.records.list(partition, None, 10).await.unwrap();
    let account = page.records[0].body.clone();
    account["held"].as_object().unwrap().is_empty().then(|| account["spent"].as_u64().unwrap())
}

#[tokio::test]
async fn what_is_forgotten_of_somebody_is_theirs_to_spend_again() {
    let test = TestApp::new();
    let budget = budget(&test, Clock::system());
    let [ann, bob] = ["ann", "bob"].map(|name| Principal::user("home", name, []).unwrap());
    for who in [&ann, &bob] {
        budget.reserve(who, 100).await.unwrap().settle(100).await;
    }
    budget.erase(&ann).await.unwrap();
    assert!(budget.reserve(&ann, 100).await.is_ok());
    assert!(budget.reserve(&bob, 1).await.is_err(), "nobody else's are");
}

/// Records that cannot be written, and how often somebody tried.
#[derive(Debug, Default)]
struct Unwritable(AtomicUsize);

#[async_trait]
impl RecordStore for Unwritable {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Record>> {
        Ok(None)
    }

    async fn put(&self, _: &str, _: &str, _: &Value, _: Precondition, _: Option<Duration>) -> Result<String> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(Error::new(ErrorKind::Internal, "the disk is full"))
    }

    async fn delete(&self, _: &str, _: &str) -> Result<bool> {
        Ok(false)
    }

    async fn list(&self, _: &str, _: Option<&str>, _: usize) -> Result<RecordPage> {
        Ok(RecordPage::default())
    }

    async fn count(&self, _: &str) -> Result<u64> {
        Ok(0)
    }

    async fn partitions(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn records_that_cannot_be_written_are_told_at_once() {
    let records = Arc::new(Unwritable::default());
    let budget =
        Arc::new(Budget::new(Arc::<Unwritable>::clone(&records), Clock::system(), 100, Duration::from_secs(60)));
    let ann = Principal::user("home", "ann", []).unwrap();
    assert_eq!(budget.reserve(&ann, 1).await.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(records.0.load(Ordering::SeqCst), 1, "only what others wrote meanwhile is tried again");
}
