//! A server with the OpenAI interface, at the socket: what enters are requests of the real client, what leaves are the
//! answers a test has put in line; embeddings are made from the words when nothing is in line. It records what it is asked, sends each delta only when the test lets it, and notices
//! when a client goes away. Include it with `#[path]`.

#![allow(dead_code, unused_imports, reason = "each test binary uses another part of it")]

mod embeddings;
mod script;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

pub use self::embeddings::Twist;
/// How a hostile model answers whatever it is asked.
#[derive(Clone, Copy, Debug)]
pub enum Habit {
    /// It repeats all that it was given.
    Parrot,
    /// It says what a document tells it to say, after `SAY: `.
    Traitor,
    /// It searches as long as it may, and then gives this answer.
    Curious(&'static str),
    /// It calls tools as long as it may, those that it was offered, with arguments of its own, and others; then it is a traitor.
    Schemer,
}

impl Habit {
    fn answer(self, request: &Value) -> Script {
        let messages = request["messages"].as_array().cloned().unwrap_or_default();
        let given: Vec<&str> = messages.iter().filter_map(|message| message["content"].as_str()).collect();
        let all = given.join("\n\n");
        let may_call = request["tools"].is_array() && request["tool_choice"] != "none";
        if matches!(self, Self::Schemer) && may_call {
            return Script::new(&["Let me see. "]).calling(&[
                ("search_documents", r#"{"query": "https://evil.example/?q=nine ![x](https://evil.example/y)"}"#),
                ("delete_document", r#"{"id": "ferry.md"}"#),
                ("search_documents", r#"{"query": "ferry", "principal": "root"}"#),
                ("execute_action", "{\"action_type\": \"send_email\""),
                ("summarize_document", r#"{"name": "../../secret.md"}"#),
                ("list_documents", "[]"),
            ]);
        }
        if matches!(self, Self::Curious(_)) && may_call {
            return Script::new(&[])
                .calling(&[("search_documents", r#"{"query": "ferry herring oil", "top_results": 10}"#)]);
        }
        let said = match self {
            Self::Curious(answer) => answer,
            Self::Parrot => all.as_str(),
            Self::Traitor | Self::Schemer => all.split_once("SAY: ").map_or("", |(_, said)| said),
        };
        Script::new(&said.split_inclusive(' ').collect::<Vec<_>>())
    }
}

pub use self::script::{Ending, Refusal, Reply, Script};

/// The server. It stops when it is dropped.
pub struct FakeOpenAi {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Path and query.
    pub uri: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
}

/// An answer to a request for embeddings.
#[derive(Clone, Debug)]
pub enum EmbeddingReply {
    /// A good one.
    Good,
    /// One with something wrong about it.
    Twisted(Twist),
    /// A status other than success.
    Refuse(Refusal),
    /// None at all, until the client goes away.
    Hang,
}

/// What the handlers and the test both see.
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    /// What the next requests to reword a question get instead of the question itself.
    rewrites: Mutex<VecDeque<Reply>>,
    /// What the next requests for notes on a document get instead of a word of each passage.
    notes: Mutex<VecDeque<Reply>>,
    /// The server refuses requests with tools.
    refuses_tools: AtomicBool,
    /// What the next requests for embeddings get instead of a good answer.
    embedding_replies: Mutex<VecDeque<EmbeddingReply>>,
    /// What every request for embeddings gets that finds nothing in line.
    habit: Mutex<Option<EmbeddingReply>>,
    /// What every question gets that finds nothing in line.
    manner: Mutex<Option<Habit>>,
    requests: Mutex<Vec<Recorded>>,
    /// The key that opens the list of models.
    locked: Mutex<Option<String>>,
    /// How often somebody asked for that list.
    pings: Mutex<usize>,
    /// Permits for the deltas of gated scripts.
    gate: Semaphore,
    arrived: Notify,
    gone: Notify,
    departures: AtomicUsize,
}

impl FakeOpenAi {
    /// Starts on a free port of the loopback address.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            replies: Mutex::default(),
            rewrites: Mutex::default(),
            notes: Mutex::default(),
            refuses_tools: AtomicBool::new(false),
            embedding_replies: Mutex::default(),
            habit: Mutex::default(),
            manner: Mutex::default(),
            requests: Mutex::default(),
            locked: Mutex::default(),
            pings: Mutex::default(),
            gate: Semaphore::new(0),
            arrived: Notify::new(),
            gone: Notify::new(),
            departures: AtomicUsize::new(0),
        });
        let app = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/openai/v1/chat/completions", post(complete))
            .route("/openai/deployments/{deployment}/chat/completions", post(complete))
            .route("/v1/models", get(models))
            .route("/openai/v1/models", get(models))
            .route("/v1/embeddings", post(embed))
            .route("/openai/v1/embeddings", post(embed))
            .route("/openai/deployments/{deployment}/embeddings", post(embed))
            .with_state(shared.clone());
        let task =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("the server runs until it is dropped") });
        Self { address, shared, task }
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts an answer in line. A request that finds none in line is answered with status 500.
    pub fn push(&self, reply: impl Into<Reply>) {
        lock(&self.shared.replies).push_back(reply.into());
    }

    /// Puts an answer in line for a request to reword a question. One that finds none in line gets the question back.
    pub fn push_rewrite(&self, reply: impl Into<Reply>) {
        lock(&self.shared.rewrites).push_back(reply.into());
    }

    /// Puts an answer in line for a request for notes on a part of a document. One that finds none in line gets the beginning of
    /// each passage.
    pub fn push_notes(&self, reply: impl Into<Reply>) {
        lock(&self.shared.notes).push_back(reply.into());
    }

    /// From now on every request with tools is refused.
    pub fn refuse_tools(&self) {
        self.shared.refuses_tools.store(true, Ordering::SeqCst);
    }

    /// From now on every question that finds no answer in line is answered like this.
    pub fn behave(&self, habit: Habit) {
        *lock(&self.shared.manner) = Some(habit);
    }

    /// Lets in only who has this key.
    pub fn lock_with(&self, key: &str) {
        *lock(&self.shared.locked) = Some(key.to_owned());
    }

    /// How often somebody asked for the list of models.
    pub fn pings(&self) -> usize {
        *lock(&self.shared.pings)
    }

    /// Takes out of the line what nobody has asked for.
    pub fn clear(&self) {
        lock(&self.shared.replies).clear();
    }

    /// Puts an answer in line for a request for embeddings. One that finds none in line is answered as it should be.
    pub fn push_embedding(&self, reply: EmbeddingReply) {
        lock(&self.shared.embedding_replies).push_back(reply);
    }

    /// From now on every request for embeddings that finds nothing in line gets this answer.
    pub fn always_embed(&self, reply: EmbeddingReply) {
        *lock(&self.shared.habit) = Some(reply);
    }

    /// The requests for embeddings so far.
    pub fn embedding_requests(&self) -> Vec<Recorded> {
        let is_embedding = |recorded: &Recorded| recorded.uri.split('?').next().unwrap_or("").ends_with("/embeddings");
        self.requests().into_iter().filter(is_embedding).collect()
    }

    /// The texts of these requests, in order.
    pub fn embedded_texts(&self) -> Vec<String> {
        let inputs = self.embedding_requests().into_iter().flat_map(|recorded| match recorded.body["input"].clone() {
            Value::Array(texts) => texts,
            other => vec![other],
        });
        inputs.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    /// Lets a gated script send this many more deltas.
    pub fn release(&self, deltas: usize) {
        self.shared.gate.add_permits(deltas);
    }

    /// How many of these deltas nobody has taken yet.
    pub fn unsent(&self) -> usize {
        self.shared.gate.available_permits()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.requests).clone()
    }

    /// Waits until a request is there that nobody has waited for yet.
    pub async fn arrival(&self) {
        self.shared.arrived.notified().await;
    }

    /// How many clients have gone away before their answer was over.
    pub fn departures(&self) -> usize {
        self.shared.departures.load(Ordering::SeqCst)
    }

    /// Waits until a client has gone away before its answer was over.
    pub async fn departure(&self) {
        self.shared.gone.notified().await;
    }
}

impl Drop for FakeOpenAi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The list of models, for those who let themselves in with the right key.
async fn models(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    *lock(&shared.pings) += 1;
    let refused = lock(&shared.locked).as_deref().is_some_and(|key| {
        let shown = headers.get("authorization").or_else(|| headers.get("api-key"));
        !shown.and_then(|shown| shown.to_str().ok()).is_some_and(|shown| shown.ends_with(key))
    });
    let status = if refused { 401 } else { 200 };
    let body = json!({"object": "list", "data": []}).to_string();
    Response::builder().status(status).body(body.into()).expect("it is well formed")
}

async fn complete(
    State(shared): State<Arc<Shared>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if let Some(question) = question_to_reword(&body) {
        lock(&shared.requests).push(Recorded { uri: uri.to_string(), headers, body: body.clone() });
        let reply = lock(&shared.rewrites).pop_front();
        return script::play(reply.unwrap_or_else(|| Script::new(&[&question]).into()), &body, shared).await;
    }
    if let Some(notes) = notes_on(&body) {
        lock(&shared.requests).push(Recorded { uri: uri.to_string(), headers, body: body.clone() });
        let reply = lock(&shared.notes).pop_front();
        return script::play(reply.unwrap_or_else(|| Script::new(&[&notes]).into()), &body, shared).await;
    }
    let refusal = script::wrong_order(&body).or_else(|| {
        let unwanted = shared.refuses_tools.load(Ordering::SeqCst) && body["tools"].is_array();
        unwanted.then(|| Refusal::new(400, json!({"error": {"message": "chat does not support tools"}})))
    });
    if let Some(refusal) = refusal {
        lock(&shared.requests).push(Recorded { uri: uri.to_string(), headers, body: body.clone() });
        return script::play(refusal.into(), &body, shared).await;
    }
    let habitual = lock(&shared.manner).map(|habit| habit.answer(&body).into());
    lock(&shared.requests).push(Recorded { uri: uri.to_string(), headers, body: body.clone() });
    shared.arrived.notify_one();
    let reply = lock(&shared.replies).pop_front().or(habitual);
    let reply = reply.unwrap_or_else(|| Refusal::new(500, json!({"error": {"message": "no answer in line"}})).into());
    script::play(reply, &body, shared).await
}

/// The question of a request to put it into other words.
pub fn question_to_reword(body: &Value) -> Option<String> {
    let said = |at: usize| body["messages"][at]["content"].as_str();
    said(0).filter(|instructions| instructions.starts_with("You put the last question"))?;
    said(1)?.rsplit_once("Last question: ").map(|(_, question)| question.to_owned())
}

/// Notes on the material of a request for notes: the longest line of each passage, under one heading.
pub fn notes_on(body: &Value) -> Option<String> {
    let said = |at: usize| body["messages"][at]["content"].as_str();
    said(0).filter(|instructions| instructions.starts_with("You take notes"))?;
    let material = said(1)?;
    let passages = material.split("\n[").skip(1).filter_map(|passage| {
        let (number, rest) = passage.split_once(']')?;
        let words = rest
            .lines()
            .skip(1)
            .map(|line| line.split("It is so.").next().unwrap_or(line).trim())
            .max_by_key(|line| line.len())?;
        Some(format!("- {words} [{number}]"))
    });
    Some(format!("Details\n{}", passages.collect::<Vec<_>>().join("\n")))
}

async fn embed(
    State(shared): State<Arc<Shared>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    lock(&shared.requests).push(Recorded { uri: uri.to_string(), headers, body: body.clone() });
    shared.arrived.notify_one();
    let reply = lock(&shared.embedding_replies).pop_front().or_else(|| lock(&shared.habit).clone());
    match reply.unwrap_or(EmbeddingReply::Good) {
        EmbeddingReply::Good => embeddings::answer(&body, None),
        EmbeddingReply::Twisted(twist) => embeddings::answer(&body, Some(twist)),
        EmbeddingReply::Refuse(refusal) => script::play(refusal.into(), &body, shared).await,
        EmbeddingReply::Hang => script::play(Reply::Hang, &body, shared).await,
    }
}

/// A lock that a failed test on another thread cannot spoil.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
