//! The product in this process, on a folder of its own that goes away with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use knowledge_worker::app::App;
use knowledge_worker::clock::Clock;
use knowledge_worker::config::Config;
use knowledge_worker::config::source::Source;
use knowledge_worker::document::{DocumentId, DocumentName};
use knowledge_worker::functions;
use knowledge_worker::host::server;
use knowledge_worker::ingest::fetch::Fetcher;
use knowledge_worker::ingest::ledger::LedgerRow;
use knowledge_worker::ingest::pipeline::Synced;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// Settings of tests that ask for more than a person would; those of the limits themselves set their own.
pub const UNLIMITED: [(&str, &str); 3] =
    [("CHAT_RATE_LIMIT_PER_MINUTE", "0"), ("RATE_LIMIT_PER_MINUTE", "0"), ("ADDRESS_RATE_LIMIT_PER_MINUTE", "0")];

/// The program under test.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_handler"))
}

/// The product on a folder of its own.
pub struct TestApp {
    pub app: Arc<App>,
    pub clock: Clock,
    folder: TempDir,
}

impl TestApp {
    /// With default settings.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// With some settings.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let clock = Clock::system();
        let app = open(folder.path(), settings, &clock);
        Self { app, clock, folder }
    }

    /// The same at another time.
    pub fn at(clock: &Clock, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let app = open(folder.path(), settings, clock);
        Self { app, clock: clock.clone(), folder }
    }

    /// With default settings, and a fetcher that knows the servers of a test.
    pub fn with_fetcher(fetcher: Fetcher) -> Self {
        let test = Self::new();
        let mut app = parts(test.folder.path(), &[], &test.clock);
        app.fetcher = fetcher;
        Self { app: Arc::new(app), ..test }
    }

    /// The product opened once more on the same folder, as another process would.
    pub fn again(&self, settings: &[(&str, &str)]) -> Arc<App> {
        open(self.folder.path(), settings, &self.clock)
    }

    /// The same at another time.
    pub fn again_at(&self, clock: &Clock, settings: &[(&str, &str)]) -> Arc<App> {
        open(self.folder.path(), settings, clock)
    }

    /// An application that was opened once more, to be asked like the first.
    pub fn of(app: Arc<App>, first: &Self) -> Self {
        Self { app, clock: first.clock.clone(), folder: tempfile::tempdir().expect("a folder can be made") }
    }

    /// The same documents with another data folder and some settings.
    pub fn beside_with(&self, data: &Path, settings: &[(&str, &str)]) -> Arc<App> {
        let documents = self.documents();
        let documents = ("KNOWLEDGE_WORKER_DOCUMENTS", documents.to_str().expect("the path is text"));
        let settings: Vec<_> = settings.iter().copied().chain([documents]).collect();
        open(data, &settings, &self.clock)
    }

    /// The same with another clock.
    pub fn with_clock_of(test: &Self, clock: Clock) -> Arc<App> {
        open(test.folder.path(), &[], &clock)
    }

    /// Another instance on the same documents, with a data folder of its own.
    pub fn beside(&self, data: &Path) -> Arc<App> {
        self.beside_with(data, &[])
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The folder that the documents are in.
    pub fn documents(&self) -> PathBuf {
        self.folder.path().join("documents")
    }

    /// Puts a file into the documents folder, by hand as it were.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.documents().join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        std::fs::write(path, content).expect("a file can be written");
    }

    /// Removes it again.
    pub fn delete(&self, name: &str) {
        std::fs::remove_file(self.documents().join(name)).expect("the file is there");
    }

    /// Looks at one name, as every trigger does.
    pub async fn sync(&self, name: &str) -> Synced {
        self.app.ingest.sync(&document_name(name)).await.expect("nothing passing goes wrong here")
    }

    /// Writes and looks.
    pub async fn ingest(&self, name: &str, content: impl AsRef<[u8]>) -> Synced {
        self.write(name, content);
        self.sync(name).await
    }

    /// The ledger's row of a document.
    pub async fn row(&self, name: &str) -> Option<LedgerRow> {
        self.app.ingest.ledger.get(&DocumentId::of(&document_name(name))).await.expect("the ledger answers")
    }

    /// The router as the Functions host sees it.
    pub fn router(&self) -> Router {
        functions::host_router(Arc::clone(&self.app)).layer(axum::middleware::from_fn(server::observe))
    }

    /// Sends a request to the router.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.router().oneshot(request).await.expect("the router always answers")).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(post_json(path, body.to_string())).await
    }

    /// Asks a question and returns the words of the answer.
    pub async fn ask(&self, question: &str) -> String {
        let answer = self.post("/api/chat", &json!({ "message": question })).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["response"].as_str().expect("an answer has words").to_owned()
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub body: String,
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("the body comes whole").to_bytes();
        Self { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {:?}", self.body))
    }

    /// Asserts that this is a problem of a kind, told as RFC 9457 has it.
    pub fn assert_problem(&self, code: &str) {
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(problem["status"], self.status.as_u16(), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{self:?}");
    }
}

/// A request with a JSON body.
pub fn post_json(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body.into())
        .expect("the request is well formed")
}

/// A request without a body.
pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("the request is well formed")
}

/// A name that is known to be good.
pub fn document_name(name: &str) -> DocumentName {
    DocumentName::parse(name).expect("the name is good")
}

/// The product on a data folder, with another clock.
pub fn open(folder: &Path, settings: &[(&str, &str)], clock: &Clock) -> Arc<App> {
    Arc::new(parts(folder, settings, clock))
}

fn parts(folder: &Path, settings: &[(&str, &str)], clock: &Clock) -> App {
    let data = folder.to_str().expect("the path is text");
    let source = Source::of(UNLIMITED.iter().chain(settings).copied().chain([("KNOWLEDGE_WORKER_DATA", data)]));
    let config = Config::from_source(&source, program()).expect("the settings are right");
    App::from_config(config, clock.clone()).expect("the parts open")
}
