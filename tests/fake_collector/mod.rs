//! Somebody who takes traces and metrics, at the socket: what enters are requests of the real exporter, what leaves is what
//! they hold in plain words. It can also refuse, or never answer. Include it with `#[path]`.

mod decode;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Takes it.
    Take,
    /// Takes it without ever answering.
    Hang,
    /// Refuses it.
    Refuse,
}

/// A finished span.
#[derive(Clone, Debug, Default)]
pub struct TakenSpan {
    pub name: String,
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// The same of its parent; empty without one.
    pub parent: String,
    /// As the protocol numbers them: 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// 0 unset, 1 good, 2 bad.
    pub status: i32,
    pub took_ms: u64,
    pub attributes: BTreeMap<String, String>,
    pub events: Vec<(String, BTreeMap<String, String>)>,
}

/// One point of a figure: the number, or how many measurements there were.
#[derive(Clone, Debug)]
pub struct TakenPoint {
    pub metric: String,
    pub attributes: BTreeMap<String, String>,
    pub value: f64,
}

/// The server. It stops when it is dropped.
pub struct FakeCollector {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    habit: Habit,
    connections: AtomicUsize,
    spans: Mutex<Vec<TakenSpan>>,
    points: Mutex<Vec<TakenPoint>>,
    raw: Mutex<Vec<u8>>,
    headers: Mutex<Vec<HeaderMap>>,
}

impl FakeCollector {
    /// Starts on a free port of the loopback address.
    pub async fn start(habit: Habit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            habit,
            connections: AtomicUsize::new(0),
            spans: Mutex::default(),
            points: Mutex::default(),
            raw: Mutex::default(),
            headers: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v1/traces", post(take_spans))
            .route("/v1/metrics", post(take_metrics))
            .with_state(Arc::clone(&shared));
        let counting = Arc::clone(&shared);
        let listener = axum::serve::ListenerExt::tap_io(listener, move |_| {
            counting.connections.fetch_add(1, Ordering::SeqCst);
        });
        let task =
            tokio::spawn(async move { axum::serve(listener, routes).await.expect("it runs until it is dropped") });
        Self { address, shared, task }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often somebody has connected.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<TakenSpan> {
        lock(&self.shared.spans).clone()
    }

    /// The spans of one trace.
    pub fn trace(&self, id: &str) -> Vec<TakenSpan> {
        self.spans().into_iter().filter(|span| span.trace == id).collect()
    }

    /// The last value of a figure with some attributes, if it was sent.
    pub fn value(&self, metric: &str, about: &[(&str, &str)]) -> Option<f64> {
        let fits = |point: &&TakenPoint| {
            let has = |(name, value): &(&str, &str)| point.attributes.get(*name).is_some_and(|is| is == value);
            point.metric == metric && about.iter().all(has)
        };
        lock(&self.shared.points).iter().rev().find(fits).map(|point| point.value)
    }

    /// The headers of every request.
    pub fn headers(&self) -> Vec<HeaderMap> {
        lock(&self.shared.headers).clone()
    }

    /// Whether a text stands anywhere in what was sent.
    pub fn holds(&self, text: &str) -> bool {
        lock(&self.shared.raw).windows(text.len()).any(|part| part == text.as_bytes())
    }
}

impl Drop for FakeCollector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take_spans(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let status = shared.receive(headers, &body).await;
    if status == StatusCode::OK {
        lock(&shared.spans).extend(decode::spans(body));
    }
    status
}

async fn take_metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let status = shared.receive(headers, &body).await;
    if status == StatusCode::OK {
        lock(&shared.points).extend(decode::points(body));
    }
    status
}

impl Shared {
    async fn receive(&self, headers: HeaderMap, body: &Bytes) -> StatusCode {
        lock(&self.headers).push(headers);
        lock(&self.raw).extend_from_slice(body);
        match self.habit {
            Habit::Take => StatusCode::OK,
            Habit::Hang => std::future::pending().await,
            Habit::Refuse => StatusCode::FORBIDDEN,
        }
    }
}

/// A lock that a failed test on another thread cannot spoil.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
