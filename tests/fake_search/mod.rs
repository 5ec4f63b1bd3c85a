//! A search service at the socket, as the published interface of Azure AI Search (2026-04-01) has it: what enters are
//! requests of the real client, what leaves are answers with a state behind them. It is strict: what the interface does
//! not know, and the parts of its languages that nobody here sends, are refused with 400. A test can make it busy, and
//! can make it show changes late, as the service does. Include it with `#[path]`.

#![allow(dead_code, reason = "each test binary uses another part of it")]

mod definition;
mod documents;
mod filter;
mod ranking;
mod resources;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The version of the interface.
pub const API_VERSION: &str = "2026-04-01";
/// The key that it accepts.
pub const KEY: &str = "0123456789abcdef-admin";

/// The service. It stops when it is dropped.
pub struct FakeSearch {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    /// Path without the query.
    pub path: String,
    pub body: Value,
}

/// Trouble for the next request whose path holds some words.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Words of the path.
    pub path: &'static str,
    /// The status it is answered with.
    pub status: u16,
    /// When to come back, in seconds.
    pub retry_after: Option<&'static str>,
    /// How many such requests it lets pass first.
    pub skip: usize,
    /// Whether the request is done all the same and only its answer is lost.
    pub after_the_fact: bool,
}

impl Trouble {
    /// A refusal that changes nothing.
    pub fn of(path: &'static str, status: u16) -> Self {
        Self { path, status, retry_after: None, skip: 0, after_the_fact: false }
    }
}

struct Shared {
    state: Mutex<Service>,
    requests: Mutex<Vec<Recorded>>,
    troubles: Mutex<VecDeque<Trouble>>,
}

/// What the service holds.
#[derive(Default)]
struct Service {
    indexes: BTreeMap<String, Index>,
    aliases: BTreeMap<String, Alias>,
    /// Makes ETags.
    changes: u64,
    /// Changes are stored and not shown.
    is_late: bool,
    /// Rows that the service will have no time for, with the status it says so.
    busy_rows: VecDeque<u16>,
    /// Rows whose text holds this are refused for good.
    refused_text: Option<String>,
    /// Reranking takes too long.
    is_reranker_slow: bool,
}

struct Index {
    definition: Value,
    etag: String,
    stored: Rows,
    shown: Rows,
}

struct Alias {
    index: String,
    etag: String,
}

type Rows = BTreeMap<String, Map<String, Value>>;

/// An answer: status, body.
type Reply = (u16, Option<Value>);

/// A request that was taken apart.
struct Asked<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    query: &'a BTreeMap<String, String>,
    body: &'a Bytes,
}

impl FakeSearch {
    /// Starts on a free port of the loopback address.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared =
            Arc::new(Shared { state: Mutex::default(), requests: Mutex::default(), troubles: Mutex::default() });
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let task =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("the server runs until it is dropped") });
        Self { address, shared, task }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts trouble in line.
    pub fn trouble(&self, trouble: Trouble) {
        lock(&self.shared.troubles).push_back(trouble);
    }

    /// Has no time for the next rows.
    pub fn busy_for_rows(&self, statuses: &[u16]) {
        lock(&self.shared.state).busy_rows.extend(statuses);
    }

    /// Refuses rows whose text holds some words, or none any more.
    pub fn refuse_text(&self, words: Option<&str>) {
        lock(&self.shared.state).refused_text = words.map(str::to_owned);
    }

    /// From now on changes are stored and not shown, or shown again with all that was held back.
    pub fn be_late(&self, is_late: bool) {
        let mut service = lock(&self.shared.state);
        service.is_late = is_late;
        for index in service.indexes.values_mut().filter(|_| !is_late) {
            index.shown.clone_from(&index.stored);
        }
    }

    /// Lets reranking take too long.
    pub fn slow_reranker(&self) {
        lock(&self.shared.state).is_reranker_slow = true;
    }

    /// The requests so far whose path holds some words.
    pub fn requests(&self, path: &str) -> Vec<Recorded> {
        lock(&self.shared.requests).iter().filter(|request| request.path.contains(path)).cloned().collect()
    }

    /// The names of the indexes.
    pub fn indexes(&self) -> Vec<String> {
        lock(&self.shared.state).indexes.keys().cloned().collect()
    }

    /// The index that an alias names.
    pub fn alias(&self, name: &str) -> Option<String> {
        Some(lock(&self.shared.state).aliases.get(name)?.index.clone())
    }

    /// The rows of an index, as stored.
    pub fn rows(&self, index: &str) -> Vec<Value> {
        let service = lock(&self.shared.state);
        service.indexes[index].stored.values().map(|row| Value::Object(row.clone())).collect()
    }
}

impl Drop for FakeSearch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
    let recorded = Recorded {
        method: parts.method.to_string(),
        path: path.clone(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    lock(&shared.requests).push(recorded);
    let trouble = take_trouble(&shared, &path);
    if let Some(trouble) = trouble.as_ref().filter(|trouble| !trouble.after_the_fact) {
        return respond((trouble.status, Some(error("Trouble", "a test wants it so"))), trouble.retry_after);
    }
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let asked = Asked { method: &parts.method, headers: &parts.headers, query: &query, body: &body };
    let reply = match check(&asked) {
        Some(refusal) => refusal,
        None => resources::route(&mut lock(&shared.state), &path, &asked),
    };
    match trouble {
        Some(trouble) => respond((trouble.status, None), trouble.retry_after),
        None => respond(reply, None),
    }
}

fn take_trouble(shared: &Shared, path: &str) -> Option<Trouble> {
    let mut troubles = lock(&shared.troubles);
    let at = troubles.iter().position(|trouble| path.contains(trouble.path))?;
    if troubles[at].skip > 0 {
        troubles[at].skip -= 1;
        return None;
    }
    troubles.remove(at)
}

/// What every request needs: the version, a key, and for a PUT the wish to see what was stored.
fn check(asked: &Asked<'_>) -> Option<Reply> {
    if asked.query.get("api-version").map(String::as_str) != Some(API_VERSION) {
        return Some((
            400,
            Some(error("MissingApiVersionParameter", "the api-version query parameter is missing or unknown")),
        ));
    }
    match asked.headers.get("api-key").map(|key| key.as_bytes()) {
        None if has_token(asked.headers) => {}
        None => return Some((401, None)),
        Some(key) if key != KEY.as_bytes() => return Some((403, Some(error("Forbidden", "the key is not valid")))),
        Some(_) => {}
    }
    let prefers = asked.headers.get("prefer").is_some_and(|value| value.as_bytes() == b"return=representation");
    (*asked.method == Method::PUT && !prefers).then(|| (400, Some(error("MissingHeader", "Prefer is required"))))
}

/// Whether a token for search services came with the request.
fn has_token(headers: &HeaderMap) -> bool {
    let claims = || {
        let token = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        serde_json::from_slice::<Value>(&claims).ok()
    };
    claims().is_some_and(|claims| claims["aud"] == "https://search.azure.com")
}

fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

fn bad(message: impl Into<String>) -> Reply {
    (400, Some(error("InvalidRequestParameter", &message.into())))
}

fn respond((status, body): Reply, retry_after: Option<&str>) -> Response {
    let status = StatusCode::from_u16(status).expect("a status of ours");
    let mut response = Response::builder().status(status).header("content-type", "application/json; charset=utf-8");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).expect("the headers are sound")
}

/// A lock that a failed test on another thread cannot spoil.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
