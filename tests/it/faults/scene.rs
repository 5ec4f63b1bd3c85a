//! The product as a process of its own with one of its dependencies behind a server that can play faults, and all others as
//! they should be; and what is seen of that process from outside.

use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::fake_azure::identity::FakeIdentity;
use crate::fake_azure::key_vault::FakeKeyVault;
use crate::fake_azure::tls;
use crate::fake_openai::{FakeOpenAi, Script};
use crate::fake_reranker::FakeReranker;
use crate::fake_search::{self, FakeSearch};
use crate::support::faults::{Fault, FaultServer};
use crate::support::process::{Place, Server, eventually};
use crate::support::redis::RedisServer;
use crate::support::{azurite, cosmos};

/// How long an answer may take, by its setting.
pub const ANSWER: Duration = Duration::from_secs(3);
/// How long any request may take, by its setting.
pub const INVOCATION: Duration = Duration::from_secs(4);

/// Whoever asks goes away after this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Something outside that the product needs, and what it is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    Chat,
    QuestionEmbedding,
    PassageEmbedding,
    Reranker,
    SearchQuery,
    SearchIndexing,
    Documents,
    Index,
    IndexAnew,
    Cosmos,
    Redis,
    Identity,
    KeyVault,
}

impl Dependency {
    pub const ALL: [Self; 13] = [
        Self::Chat,
        Self::QuestionEmbedding,
        Self::PassageEmbedding,
        Self::Reranker,
        Self::SearchQuery,
        Self::SearchIndexing,
        Self::Documents,
        Self::Index,
        Self::IndexAnew,
        Self::Cosmos,
        Self::Redis,
        Self::Identity,
        Self::KeyVault,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat model",
            Self::QuestionEmbedding => "embedding of a question",
            Self::PassageEmbedding => "embeddings of a document",
            Self::Reranker => "reranker",
            Self::SearchQuery => "AI Search, question",
            Self::SearchIndexing => "AI Search, document",
            Self::Documents => "Blob Storage, documents",
            Self::Index => "Blob Storage, index",
            Self::IndexAnew => "the same with nothing at hand",
            Self::Cosmos => "Cosmos DB",
            Self::Redis => "Redis",
            Self::Identity => "identity",
            Self::KeyVault => "Key Vault",
        }
    }
}

/// A process with a dependency that can fail.
pub struct Scene {
    pub faults: FaultServer,
    dependency: Dependency,
    server: Server,
    place: Place,
    client: Client,
    asked: AtomicU64,
    is_without_address: bool,
    /// What has to live as long as the process.
    _others: Vec<Box<dyn Any + Send>>,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// `answered`, or the code of the problem.
    pub word: String,
    pub took: Duration,
    pub body: String,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub tasks: u64,
    pub descriptors: usize,
}

impl Held {
    /// Whether this is not more than that.
    pub fn is_within(self, that: Self) -> bool {
        self.tasks <= that.tasks && self.descriptors <= that.descriptors
    }
}

impl Scene {
    /// Starts all of it. A fault of the address is there from the beginning.
    pub async fn start(dependency: Dependency, fault: Option<Fault>) -> Self {
        let (faults, settings, others) = wire(dependency, fault).await;
        let place = Place::new();
        let borrowed: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = place.serve_the_host(&borrowed);
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let is_without_address = fault.is_some_and(Fault::is_of_the_address);
        let scene = Self {
            faults,
            dependency,
            server,
            place,
            client,
            asked: AtomicU64::new(1),
            is_without_address,
            _others: others,
        };
        eventually("the process is ready", async || scene.client.get(scene.server.url("/")).send().await.ok()).await;
        scene
    }

    /// Puts a document where questions find it, as far as that is possible without the dependency.
    pub async fn prepare(&self) {
        match self.dependency {
            Dependency::Documents | Dependency::Index | Dependency::IndexAnew => {
                drop(self.upload_and_ingest("ferry.txt").await)
            }
            Dependency::Redis => {
                self.ingest("ferry.txt").await;
                // Whoever starts on a busy machine may not reach it in time, and then goes on without for a while.
                eventually("Redis is used", async || self.uses_redis().await.then_some(())).await;
            }
            _ => drop(futures_util::future::join(self.ingest("ferry.txt"), self.ingest("again.txt")).await),
        }
    }

    async fn uses_redis(&self) -> bool {
        if self.is_without_address {
            return true;
        }
        let health = self.send(self.client.get(self.server.url("/api/health"))).await;
        let health: Value = serde_json::from_str(&health.body).unwrap_or_default();
        health["services"]["cache"] == "healthy"
    }

    /// The request that needs the dependency.
    pub async fn probe(&self) -> Outcome {
        match self.dependency {
            Dependency::PassageEmbedding | Dependency::SearchIndexing => {
                self.ingest(&format!("{}.txt", Uuid::new_v4().simple())).await
            }
            Dependency::Documents => self.upload("other.txt").await,
            Dependency::Cosmos => self.send(self.client.get(self.server.url("/api/documents"))).await,
            _ => self.ask().await,
        }
    }

    async fn ask(&self) -> Outcome {
        // Another one each time, so that nobody has kept its embedding or its answer.
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let question = json!({"message": format!("When does the ferry leave{}", "?".repeat(number as usize))});
        let outcome = self.send(self.client.post(self.server.url("/api/chat")).json(&question)).await;
        let is_empty = outcome.word == "answered" && !outcome.body.contains("nine");
        Outcome { word: if is_empty { "abstained".to_owned() } else { outcome.word }, ..outcome }
    }

    async fn ingest(&self, name: &str) -> Outcome {
        self.place.write(&format!("data/documents/{name}"), format!("The ferry leaves at nine, says {name}."));
        self.look_at(name).await
    }

    async fn look_at(&self, name: &str) -> Outcome {
        let envelope = json!({"Data": {"blob": ""}, "Metadata": {"name": json!(name).to_string()}});
        self.send(self.client.post(self.server.url("/ingest_document")).json(&envelope)).await
    }

    async fn upload(&self, name: &str) -> Outcome {
        let file = reqwest::multipart::Part::bytes(b"The ferry leaves at nine.".to_vec()).file_name(name.to_owned());
        let form = reqwest::multipart::Form::new().part("file", file);
        self.send(self.client.post(self.server.url("/api/upload")).multipart(form)).await
    }

    async fn upload_and_ingest(&self, name: &str) -> Outcome {
        let uploaded = self.upload(name).await;
        let stored: Value = serde_json::from_str(&uploaded.body).unwrap_or_default();
        match stored["documents"][0]["name"].as_str() {
            Some(name) => self.look_at(name).await,
            None => uploaded,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Outcome {
        let began = Instant::now();
        let answered = async {
            let answer = request.timeout(PATIENCE).send().await?;
            let is_good = answer.status().is_success();
            answer.text().await.map(|body| (is_good, body))
        };
        let (is_good, body) = answered.await.unwrap_or_default();
        let took = began.elapsed();
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        let word = if is_good { "answered" } else { problem["code"].as_str().unwrap_or("no code") };
        Outcome { word: word.to_owned(), took, body }
    }

    /// What the process holds now.
    pub async fn held(&self) -> Held {
        let status = self.send(self.client.get(self.server.url("/api/status"))).await;
        let status: Value = serde_json::from_str(&status.body).unwrap_or_default();
        // Without its stores it cannot tell.
        let tasks = status["process"]["tasks"].as_u64().unwrap_or_default();
        let descriptors = std::fs::read_dir(self.proc("fd")).expect("the process runs").count();
        Held { tasks, descriptors }
    }

    /// The most memory that it ever took, in megabytes.
    pub fn peak_megabytes(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("Linux tells it in kilobytes");
        kilobytes >> 10
    }

    /// All that it has written.
    pub fn log(&self) -> String {
        format!("{}{}", self.server.stdout(), self.server.stderr())
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.server.id()))
    }
}

type Settings = Vec<(&'static str, String)>;
type Others = Vec<Box<dyn Any + Send>>;

/// A server that plays faults in front of a healthy dependency, and the settings that lead to it.
async fn wire(dependency: Dependency, fault: Option<Fault>) -> (FaultServer, Settings, Others) {
    let mut others: Others = Vec::new();
    let mut settings: Settings = vec![
        ("TIMEOUT_SECONDS", ANSWER.as_secs().to_string()),
        ("INVOCATION_TIMEOUT_SECONDS", INVOCATION.as_secs().to_string()),
        ("INDEX_REFRESH_SECONDS", "0".to_owned()),
        ("CACHE_SEARCH_SECONDS", "0".to_owned()),
        ("CACHE_ANSWER_SECONDS", "0".to_owned()),
        ("SSL_CERT_FILE", tls::ours()),
        ("COSMOS_DISABLE_IMDS", "true".to_owned()),
    ];
    let faults;
    match dependency {
        Dependency::Chat => {
            let model = scripted_model().await;
            faults = before(&model.url(), fault).await;
            settings.push(("OPENAI_MODEL", "chat".to_owned()));
            settings.push(("OPENAI_BASE_URL", address(&faults, "http", fault)));
            others.push(Box::new(model));
        }
        Dependency::KeyVault => faults = wire_vault(fault, &mut settings, &mut others).await,
        Dependency::Identity => faults = wire_identity(fault, &mut settings, &mut others).await,
        Dependency::QuestionEmbedding | Dependency::PassageEmbedding => {
            let model = FakeOpenAi::start().await;
            faults = before(&model.url(), fault).await;
            settings.push(("OPENAI_EMBEDDING_BASE_URL", address(&faults, "http", fault)));
            settings.push(("OPENAI_EMBEDDING_MODEL", "embed".to_owned()));
            others.push(Box::new(model));
        }
        Dependency::Reranker => {
            let model = FakeReranker::start("nine").await;
            faults = before(&model.url(), fault).await;
            settings.push(("RERANK_BASE_URL", format!("{}/v2", address(&faults, "http", fault))));
            settings.push(("RERANK_MODEL", "judge".to_owned()));
            others.push(Box::new(model));
        }
        Dependency::SearchQuery | Dependency::SearchIndexing => {
            let service = FakeSearch::start().await;
            faults = before(&service.url(), fault).await;
            settings.push(("AZURE_SEARCH_ENDPOINT", address(&faults, "http", fault)));
            settings.push(("AZURE_SEARCH_API_KEY", fake_search::KEY.to_owned()));
            others.push(Box::new(service));
        }
        Dependency::Documents | Dependency::Index | Dependency::IndexAnew => {
            if dependency == Dependency::IndexAnew {
                settings.push(("INDEX_STALE_SECONDS", "0".to_owned()));
            }
            let blob = azurite::addresses().0;
            faults = before(blob.as_str(), fault).await;
            let endpoint = format!("{}{}", address(&faults, "http", fault), blob.path());
            settings.push(("AZURE_STORAGE_CONNECTION_STRING", azurite::connection_string_at(&endpoint)));
            for name in ["DOCUMENTS_CONTAINER", "INDEX_CONTAINER", "BACKUP_CONTAINER"] {
                settings.push((name, Uuid::new_v4().simple().to_string()));
            }
        }
        Dependency::Cosmos => {
            let container = cosmos::Container::new().await;
            faults = before(container.settings().endpoint.as_str(), fault).await;
            settings.extend(container.variables());
            settings.retain(|(name, _)| *name != "AZURE_COSMOS_ENDPOINT");
            settings.push(("AZURE_COSMOS_ENDPOINT", address(&faults, "http", fault)));
            others.push(Box::new(container));
        }
        Dependency::Redis => {
            let redis = RedisServer::start(&["default on >s3cret ~* +@all"]).await;
            faults = before(&redis.url(), fault).await;
            settings.retain(|(name, _)| !name.starts_with("CACHE_"));
            // So that Redis, and not this process, has what was answered.
            settings.push(("REDIS_URL", address(&faults, "rediss", fault)));
            settings.push(("REDIS_PASSWORD", "s3cret".to_owned()));
            others.push(Box::new(redis));
        }
    }
    (faults, settings, others)
}

/// The key of a chat model is in a vault.
async fn wire_vault(fault: Option<Fault>, settings: &mut Settings, others: &mut Others) -> FaultServer {
    let (vault, identity) = (FakeKeyVault::start(&[("model-key", "k3y")]).await, FakeIdentity::start().await);
    let (model, faults) = (scripted_model().await, before(&vault.url(), fault).await);
    settings.extend(identity.settings());
    settings.push(("OPENAI_MODEL", "chat".to_owned()));
    settings.push(("OPENAI_BASE_URL", model.url()));
    settings.push(("OPENAI_API_KEY", "keyvault://model-key".to_owned()));
    settings.push(("AZURE_KEY_VAULT_ENDPOINT", address(&faults, "https", fault)));
    others.push(Box::new((vault, identity, model)));
    faults
}

/// A search service that a token opens.
async fn wire_identity(fault: Option<Fault>, settings: &mut Settings, others: &mut Others) -> FaultServer {
    let (service, identity) = (FakeSearch::start().await, FakeIdentity::start().await);
    // Too near to its end to be used twice: every request needs a new one.
    identity.set_lifetime(Duration::from_secs(9));
    let [(_, endpoint), header] = identity.settings();
    let faults = before(&endpoint, fault).await;
    settings.push(("IDENTITY_ENDPOINT", format!("{}/msi/token", address(&faults, "http", fault))));
    settings.push(header);
    settings.push(("AZURE_SEARCH_ENDPOINT", service.url()));
    others.push(Box::new((service, identity)));
    faults
}

async fn before(healthy: &str, fault: Option<Fault>) -> FaultServer {
    if fault == Some(Fault::BadCertificate) {
        return FaultServer::foreign().await;
    }
    let url = Url::parse(healthy).unwrap();
    let upstream = SocketAddr::from(([127, 0, 0, 1], url.port().unwrap()));
    match url.scheme() {
        "http" => FaultServer::before(upstream).await,
        _ => FaultServer::before_tls(upstream).await,
    }
}

/// The address that the product is told.
fn address(faults: &FaultServer, scheme: &str, fault: Option<Fault>) -> String {
    let port = faults.address().port();
    let secure = if scheme.starts_with("redis") { "rediss" } else { "https" };
    match fault {
        Some(Fault::NoSuchName) => format!("{secure}://no-such-host.invalid:{port}"),
        Some(Fault::BadCertificate) => format!("{secure}://localhost:{port}"),
        _ if scheme == "http" => format!("http://127.0.0.1:{port}"),
        _ => format!("{scheme}://localhost:{port}"),
    }
}

async fn scripted_model() -> FakeOpenAi {
    let model = FakeOpenAi::start().await;
    for _ in 0..50 {
        model.push(Script::new(&["The ferry leaves at nine [1]."]));
    }
    model
}
