//! The time of an answer holds for all of it: for what is read before the answer and written after it, too.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::StatusCode;
use futures_util::StreamExt;
use knowledge_worker::audit::Audit;
use knowledge_worker::conversations::Conversations;
use knowledge_worker::conversations::once::Once;
use knowledge_worker::error::Result;
use knowledge_worker::stores::records::{Precondition, Record, RecordPage, RecordStore};
use serde_json::{Value, json};

use crate::fake_openai::{FakeOpenAi, Script};
use crate::support::app::{Answer, TestApp, post_json};
use crate::support::process::eventually;

/// A store that says nothing any more when it is told to.
#[derive(Debug)]
struct Silent {
    inner: Arc<dyn RecordStore>,
    is_silent: Arc<AtomicBool>,
}

impl Silent {
    async fn answer<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        if self.is_silent.load(Ordering::SeqCst) { pending().await } else { answer.await }
    }
}

#[async_trait]
impl RecordStore for Silent {
    async fn get(&self, partition: &str, id: &str) -> Result<Option<Record>> {
        self.answer(self.inner.get(partition, id)).await
    }
    async fn put(
        &self,
        partition: &str,
        id: &str,
        body: &Value,
        precondition: Precondition,
        ttl: Option<Duration>,
    ) -> Result<String> {
        self.answer(self.inner.put(partition, id, body, precondition, ttl)).await
    }
    async fn delete(&self, partition: &str, id: &str) -> Result<bool> {
        self.answer(self.inner.delete(partition, id)).await
    }
    async fn list(&self, partition: &str, after: Option<&str>, limit: usize) -> Result<RecordPage> {
        self.answer(self.inner.list(partition, after, limit)).await
    }
    async fn count(&self, partition: &str) -> Result<u64> {
        self.answer(self.inner.count(partition)).await
    }
    async fn partitions(&self) -> Result<Vec<String>> {
        self.answer(self.inner.partitions()).await
    }
}

/// How long an answer may take here.
const ANSWER: Duration = Duration::from_secs(1);
/// How much longer on a busy machine; far less than any other limit there is.
const SLACK: Duration = Duration::from_secs(3);

/// The product, of which conversations and keys, and the audit if wanted, are in a store that can fall silent.
async fn app(settings: &[(&str, &str)], with_audit: bool) -> (TestApp, Arc<AtomicBool>) {
    let mut all = vec![("TIMEOUT_SECONDS", "1"), ("INVOCATION_TIMEOUT_SECONDS", "60"), ("CACHE_ANSWER_SECONDS", "0")];
    all.extend(settings);
    let mut test = TestApp::with(&all);
    test.ingest("ferry.txt", "The ferry leaves at nine.").await;
    let is_silent = Arc::new(AtomicBool::new(false));
    let app = Arc::get_mut(&mut test.app).unwrap();
    let records: Arc<dyn RecordStore> =
        Arc::new(Silent { inner: Arc::clone(&app.records), is_silent: Arc::clone(&is_silent) });
    app.conversations = Conversations::new(Arc::clone(&records), app.clock.clone(), app.config.conversation_time);
    app.once = Once::new(Arc::clone(&records), app.clock.clone(), app.config.invocation_timeout);
    if with_audit {
        app.audit = Audit::new(records, app.clock.clone(), app.config.audit_time);
    }
    (test, is_silent)
}

async fn ask(test: &TestApp, body: &Value, key: Option<&str>) -> (Answer, Duration) {
    let mut request = post_json("/api/chat", body.to_string());
    if let Some(key) = key {
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    }
    let began = Instant::now();
    let answer = test.send(request).await;
    (answer, began.elapsed())
}

#[tokio::test]
async fn records_that_say_nothing_hold_up_no_question() {
    let (test, is_silent) = app(&[], false).await;
    let alone = json!({"message": "When does the ferry leave?"});
    let in_conversation = json!({"message": "When does the ferry leave?", "conversation_id": "c"});
    let cases = [(&alone, Some("key")), (&in_conversation, None), (&in_conversation, Some("other"))];
    for (body, key) in cases {
        is_silent.store(true, Ordering::SeqCst);
        let (answer, took) = ask(&test, body, key).await;
        answer.assert_problem("deadline-exceeded");
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
        assert!(took >= ANSWER && took < ANSWER + SLACK, "{took:?}");
        is_silent.store(false, Ordering::SeqCst);
        let (answer, _) = ask(&test, body, key).await;
        assert!(answer.json().to_string().contains("at nine"), "the next one is answered: {answer:?}");
    }
}

#[tokio::test]
async fn records_that_fall_silent_take_no_answer_back() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let (test, is_silent) = app(&[("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "m")], false).await;
    model.push(Script::new(&["The ferry leaves at nine [1]."]));
    // From the first words on: what is kept of the answer cannot be written.
    let body = json!({"message": "When does the ferry leave?", "conversation_id": "c"});
    let mut request = post_json("/api/chat/stream", body.to_string());
    request.headers_mut().insert("idempotency-key", "key".parse().unwrap());
    let began = Instant::now();
    let streamed = {
        use tower::ServiceExt;
        test.router().oneshot(request).await.unwrap()
    };
    is_silent.store(true, Ordering::SeqCst);
    let pieces: Vec<_> = streamed.into_body().into_data_stream().map(|piece| piece.unwrap()).collect().await;
    let took = began.elapsed();
    let text = String::from_utf8(pieces.concat()).unwrap();
    assert!(text.contains("at nine"), "{text}");
    assert!(took < ANSWER + SLACK, "{took:?}");
    is_silent.store(false, Ordering::SeqCst);
    let id = knowledge_worker::conversations::ConversationId::parse("d").unwrap();
    let principal = knowledge_worker::document::Principal::anonymous();
    eventually("conversations go on", async || test.app.conversations.begin(&principal, &id, "?").await.ok()).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_noted_in_time_fails_in_time() {
    let (test, is_silent) = app(&[("AUDIT_ANSWERS", "on")], true).await;
    is_silent.store(true, Ordering::SeqCst);
    let (answer, took) = ask(&test, &json!({"message": "When does the ferry leave?"}), None).await;
    answer.assert_problem("deadline-exceeded");
    assert!(took < ANSWER + SLACK, "{took:?}");
    is_silent.store(false, Ordering::SeqCst);
    let (answer, _) = ask(&test, &json!({"message": "When does the ferry leave?"}), None).await;
    assert!(answer.json().to_string().contains("at nine"), "{answer:?}");
}
