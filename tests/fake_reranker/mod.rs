//! A server that puts passages in order, at the socket, as Cohere, Jina, vLLM and llama.cpp have it: what enters are requests
//! of the real client, what leaves are scores, or what a test wants instead. It likes texts that hold a certain word.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The server. It stops when it is dropped.
pub struct FakeReranker {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// An answer.
#[derive(Clone, Debug)]
pub enum RerankReply {
    /// Scores for all, best first.
    Good,
    /// This, whatever was asked.
    Say(Value),
    /// A status other than success.
    Refuse(u16),
    /// A body larger than any answer.
    Huge,
    /// None at all, until the client goes away.
    Hang,
}

struct Shared {
    liked: String,
    replies: Mutex<VecDeque<RerankReply>>,
    habit: Mutex<RerankReply>,
    requests: Mutex<Vec<(HeaderMap, Value)>>,
}

impl FakeReranker {
    /// Starts on a free port of the loopback address. Texts that hold `liked` come first.
    pub async fn start(liked: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            liked: liked.to_owned(),
            replies: Mutex::default(),
            habit: Mutex::new(RerankReply::Good),
            requests: Mutex::default(),
        });
        let app = Router::new().route("/v2/rerank", post(rerank)).with_state(Arc::clone(&shared));
        let task =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("the server runs until it is dropped") });
        Self { address, shared, task }
    }

    /// Its address, without the last part of the path.
    pub fn url(&self) -> String {
        format!("http://{}/v2", self.address)
    }

    /// Puts an answer in line.
    pub fn push(&self, reply: RerankReply) {
        lock(&self.shared.replies).push_back(reply);
    }

    /// From now on every request that finds nothing in line gets this answer.
    pub fn always(&self, reply: RerankReply) {
        *lock(&self.shared.habit) = reply;
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<(HeaderMap, Value)> {
        lock(&self.shared.requests).clone()
    }
}

impl Drop for FakeReranker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn rerank(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    lock(&shared.requests).push((headers, body.clone()));
    let reply = lock(&shared.replies).pop_front().unwrap_or_else(|| lock(&shared.habit).clone());
    match reply {
        RerankReply::Good => Json(scores(&body, &shared.liked)).into_response(),
        RerankReply::Say(answer) => Json(answer).into_response(),
        RerankReply::Refuse(status) => {
            let status = StatusCode::from_u16(status).expect("a test's status");
            (status, [("retry-after", "0")], Json(json!({"message": "a secret of the server"}))).into_response()
        }
        RerankReply::Huge => vec![b' '; 5 << 20].into_response(),
        RerankReply::Hang => std::future::pending().await,
    }
}

fn scores(body: &Value, liked: &str) -> Value {
    let texts = body["documents"].as_array().cloned().unwrap_or_default();
    let is_liked = |text: &Value| text.as_str().is_some_and(|text| text.contains(liked));
    let judge = |(index, text): (usize, &Value)| {
        let score = if is_liked(text) { 0.9 } else { 0.1 };
        json!({"index": index, "relevance_score": score})
    };
    let mut results: Vec<Value> = texts.iter().enumerate().map(judge).collect();
    results.sort_by(|a, b| b["relevance_score"].as_f64().partial_cmp(&a["relevance_score"].as_f64()).expect("numbers"));
    results.truncate(body["top_n"].as_u64().unwrap_or(u64::MAX) as usize);
    json!({"id": "r1", "model": body["model"], "results": results, "meta": {"billed_units": {"search_units": 1}}})
}

/// A lock that a failed test on another thread cannot spoil.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
