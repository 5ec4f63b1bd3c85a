//! Settings become one typed [`Config`], from any source, with every problem reported at once. Nobody else reads the
//! environment.

mod access;
mod actions;
mod cache;
mod chat;
mod identity;
mod ingest;
mod limits;
mod models;
mod records;
mod search;
mod secrets;
pub mod settings;
pub mod source;
mod storage;
mod telemetry;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use http::HeaderValue;

use self::cache::CacheSettings;
pub use self::records::RecordHome;
use self::source::{Problem, Reader, Source};
use crate::access::AccessSettings;
use crate::access::limits::LimitSettings;
use crate::actions::ActionSettings;
use crate::chat::Prices;
use crate::chat::outgoing::allowlist::LinkAllowlist;
use crate::identity::Identity;
use crate::index::azure_search::AzureSearchSettings;
use crate::index::rank::RankSettings;
use crate::index::segments::analyze::StemmerLanguage;
use crate::ingest::extract::ExtractSettings;
use crate::ingest::pipeline::IngestSettings;
use crate::key_vault::VaultSecret;
use crate::models::openai::{EmbeddingSettings, OpenAiSettings};
use crate::models::rerank::RerankSettings;
use crate::stores::storage_account::StorageAccount;
use crate::telemetry::settings::TelemetrySettings;

/// Variables that the platform sets and that are no settings of ours.
pub const PLATFORM_VARIABLES: &[&str] = &[
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TENANT_ID",
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__blobServiceUri",
    "FUNCTIONS_CUSTOMHANDLER_PORT",
    "FUNCTIONS_APP_ROOT_PATH",
    "IDENTITY_ENDPOINT",
    "KNOWLEDGE_WORKER_CRASH_AT",
    "WEBSITE_AUTH_ENABLED",
    "WEBSITE_HOSTNAME",
    "WEBSITE_SITE_NAME",
];

/// Where blobs are.
#[derive(Clone, Debug)]
pub enum BlobHome {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a container of a storage account.
    Container {
        /// The account and the way to sign in.
        account: StorageAccount,
        /// The container's name.
        container: String,
    },
}

/// Everything the product is told from outside, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Least important log lines that are written.
    pub log_level: tracing::Level,
    /// The port of the Functions host, when it has started this process.
    pub host_port: Option<u16>,
    /// Folder of what the embedded forms keep.
    pub data: PathBuf,
    /// Whether this is where people work, and not where it is tried out.
    pub is_production: bool,
    /// Who gets in.
    pub access: AccessSettings,
    /// The identity that signs in at the services of Azure.
    pub identity: Arc<Identity>,
    /// Secrets that are in a Key Vault.
    pub vault_secrets: Vec<Arc<VaultSecret>>,
    /// Where documents are.
    pub documents: BlobHome,
    /// Whether their index tags are read.
    pub document_tags: bool,
    /// The name of their container, which events carry.
    pub documents_container: String,
    /// Where the index is, unless it is at a search service.
    pub index: BlobHome,
    /// The search service that holds the index, if one does.
    pub search: Option<AzureSearchSettings>,
    /// Where records are.
    pub records: RecordHome,
    /// Where backups are.
    pub backups: BlobHome,
    /// How many of them are kept; with 0 the timer makes none.
    pub backup_keep: usize,
    /// How text becomes terms.
    pub language: StemmerLanguage,
    /// How long another instance's changes may be missed.
    pub index_refresh: Duration,
    /// How long searches go on with what was the newest generation while storage fails.
    pub index_stale: Duration,
    /// How rankings are joined.
    pub ranking: RankSettings,
    /// How documents are read.
    pub extract: ExtractSettings,
    /// How documents are ingested.
    pub ingest: IngestSettings,
    /// Ports from which pages and files may be fetched.
    pub fetch_ports: Vec<u16>,
    /// How much anybody may ask for.
    pub limits: LimitSettings,
    /// Tokens of a chat model that one caller may spend in a day; 0 for as many as he likes.
    pub token_budget: u64,
    /// Other sites whose pages may call this one.
    pub origins: Vec<HeaderValue>,
    /// What is kept of searches and answers, and where.
    pub cache: CacheSettings,
    /// The chat model; extractive answers without one.
    pub model: Option<OpenAiSettings>,
    /// The embedding model; retrieval by words alone without one.
    pub embedding: Option<EmbeddingSettings>,
    /// Price of a million tokens of the embedding model.
    pub embedding_price: Option<f64>,
    /// The reranker; the index's order without one.
    pub rerank: Option<RerankSettings>,
    /// How long conversations are kept; not at all with zero.
    pub conversation_time: Duration,
    /// Questions that the page offers to begin with.
    pub example_questions: Vec<String>,
    /// Passages an answer may rest on.
    pub chat_passages: usize,
    /// Characters of a question.
    pub max_message_chars: usize,
    /// Whether a question with what begins a script in a page is refused.
    pub strict_input: bool,
    /// Tokens of an answer.
    pub max_answer_tokens: u32,
    /// Tokens of all that one call of the chat model takes.
    pub chat_context_tokens: usize,
    /// Whether the chat model may reword questions before they are searched for.
    pub rewrites_questions: bool,
    /// What a million tokens of the chat model cost.
    pub chat_prices: Prices,
    /// How often the chat model may use tools before it answers; with 0 it has none.
    pub tool_rounds: usize,
    /// Share of a question's weighted terms the passages must hold.
    pub evidence_threshold: f32,
    /// Cosine with a passage that stands in for those terms where a model words the answer.
    pub evidence_similarity: Option<f32>,
    /// Where links of an answer may lead.
    pub links: LinkAllowlist,
    /// How long an answer may take.
    pub answer_timeout: Duration,
    /// How long an invocation may take.
    pub invocation_timeout: Duration,
    /// How long an answer waits for a caller who takes nothing of it.
    pub write_timeout: Duration,
    /// Bytes of an invocation's body.
    pub max_invocation_bytes: usize,
    /// How often the local host compares folder and index.
    pub sweep: Duration,
    /// Where reports are.
    pub reports: BlobHome,
    /// What actions may do.
    pub actions: ActionSettings,
    /// How long the records of the audit are kept.
    pub audit_time: Duration,
    /// Whether the passages that an answer showed are among them.
    pub audit_answers: bool,
    /// Where traces and metrics go; nowhere without.
    pub telemetry: Option<TelemetrySettings>,
}

impl Config {
    /// Reads every setting. `program` is the path of this very binary, which reads documents in processes of its own.
    pub fn from_source(source: &Source, program: PathBuf) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(source);
        check_environment(&mut reader);
        let host_port = host_port(&mut reader);
        let data = data_folder(&reader, host_port.is_some());
        let identity = identity::identity(&mut reader);
        let credential: Arc<dyn TokenCredential> = identity.clone();
        reader.open_vaults(Arc::clone(&credential));
        let account = storage::account(&mut reader, host_port.is_some(), &identity);
        let documents = storage::home(&mut reader, account.as_ref(), "DOCUMENTS_CONTAINER", || {
            source.raw("KNOWLEDGE_WORKER_DOCUMENTS").0.map_or_else(|| data.join("documents"), PathBuf::from)
        });
        let index = storage::home(&mut reader, account.as_ref(), "INDEX_CONTAINER", || data.join("index"));
        let backups = storage::home(&mut reader, account.as_ref(), "BACKUP_CONTAINER", || data.join("backups"));
        let reports = storage::home(&mut reader, account.as_ref(), "REPORTS_CONTAINER", || data.join("reports"));
        storage::check_apart(
            &mut reader,
            &["DOCUMENTS_CONTAINER", "INDEX_CONTAINER", "BACKUP_CONTAINER", "REPORTS_CONTAINER"],
        );
        let answer_timeout = Duration::from_secs(reader.number("TIMEOUT_SECONDS", 1, 230));
        let max_message_chars = bounded(&mut reader, "MAX_MESSAGE_LENGTH", 1, 100_000);
        let invocation_timeout = Duration::from_secs(reader.number("INVOCATION_TIMEOUT_SECONDS", 1, 86_400));
        let language = reader.parsed("INDEX_LANGUAGE", "english".parse().expect("english is a language we know"));
        let index_refresh = Duration::from_secs(reader.number("INDEX_REFRESH_SECONDS", 0, 3_600));
        let mut config = Self {
            log_level: reader.parsed("LOG_LEVEL", tracing::Level::INFO),
            host_port,
            is_production: is_production(&reader),
            access: access::settings(&mut reader),
            identity,
            vault_secrets: Vec::new(),
            documents,
            document_tags: switch(&mut reader, "DOCUMENT_TAGS"),
            documents_container: reader.text("DOCUMENTS_CONTAINER").unwrap_or_default(),
            index,
            records: records::home(&mut reader, &credential),
            backups,
            backup_keep: bounded(&mut reader, "BACKUP_KEEP", 0, 10_000),
            language,
            index_refresh,
            index_stale: Duration::from_secs(reader.number("INDEX_STALE_SECONDS", 0, 86_400)),
            ranking: chat::ranking(&mut reader),
            extract: ingest::extract(&mut reader, program),
            ingest: ingest::settings(&mut reader, invocation_timeout),
            fetch_ports: ingest::fetch_ports(&mut reader),
            search: search::service(&mut reader, &credential, language, index_refresh),
            limits: limits::settings(&mut reader, host_port.is_some()),
            token_budget: reader.number("TOKEN_BUDGET_PER_DAY", 0, u64::MAX),
            origins: limits::origins(&mut reader),
            cache: cache::settings(&mut reader, &credential),
            model: models::chat(&mut reader, &credential),
            embedding: models::embedding(&mut reader, &credential),
            embedding_price: models::embedding_price(&mut reader),
            rerank: models::rerank(&mut reader),
            conversation_time: Duration::from_secs(reader.number("CONVERSATION_DAYS", 0, 3_650) * 86_400),
            example_questions: chat::example_questions(&reader),
            chat_passages: bounded(&mut reader, "CHAT_PASSAGES", 1, 50),
            max_message_chars,
            strict_input: switch(&mut reader, "STRICT_INPUT"),
            max_answer_tokens: u32::try_from(reader.number("MAX_ANSWER_TOKENS", 1, 100_000)).unwrap_or(u32::MAX),
            chat_context_tokens: chat::context_tokens(&mut reader),
            rewrites_questions: switch(&mut reader, "REWRITE_QUESTIONS"),
            tool_rounds: chat::tool_rounds(&mut reader),
            chat_prices: models::chat_prices(&mut reader),
            evidence_threshold: fraction(&mut reader, "EVIDENCE_THRESHOLD", 0.5, 0.0..=1.0),
            evidence_similarity: chat::evidence_similarity(&mut reader),
            links: chat::links(&mut reader),
            answer_timeout,
            invocation_timeout,
            write_timeout: Duration::from_secs(reader.number("WRITE_TIMEOUT_SECONDS", 1, 3_600)),
            max_invocation_bytes: bounded(&mut reader, "MAX_INVOCATION_SIZE", 1 << 10, 1 << 32),
            sweep: Duration::from_secs(reader.number("SWEEP_SECONDS", 1, 86_400)),
            reports,
            actions: actions::settings(&mut reader, answer_timeout, max_message_chars),
            audit_time: Duration::from_secs(reader.number("AUDIT_DAYS", 1, 3_650) * 86_400),
            audit_answers: audit_answers(&mut reader),
            telemetry: telemetry::settings(&mut reader, &credential),
            data,
        };
        config.vault_secrets = reader.finish()?;
        Ok(config)
    }
}

/// The point of ingestion at which a test wants the process stopped.
#[cfg(feature = "crash-points")]
pub fn crash_point(source: &Source) -> Option<String> {
    source.raw("KNOWLEDGE_WORKER_CRASH_AT").0.map(str::to_owned)
}

fn check_environment(reader: &mut Reader<'_>) {
    if !matches!(reader.text("ENVIRONMENT").as_deref(), Some("dev" | "staging" | "prod")) {
        reader.problem("ENVIRONMENT", "must be dev, staging or prod");
    }
}

fn is_production(reader: &Reader<'_>) -> bool {
    reader.text("ENVIRONMENT").as_deref() == Some("prod")
}

fn host_port(reader: &mut Reader<'_>) -> Option<u16> {
    let text = reader.text("FUNCTIONS_CUSTOMHANDLER_PORT")?;
    match text.parse() {
        Ok(port) => Some(port),
        Err(_) => {
            reader.problem("FUNCTIONS_CUSTOMHANDLER_PORT", "must be a port");
            None
        }
    }
}

/// Under the host the package is mounted read-only, so what is kept goes to the temporary directory.
fn data_folder(reader: &Reader<'_>, under_host: bool) -> PathBuf {
    match reader.text("KNOWLEDGE_WORKER_DATA") {
        Some(folder) => PathBuf::from(folder),
        None if under_host => std::env::temp_dir().join("knowledge-worker"),
        None => PathBuf::from("data"),
    }
}

/// Where nobody signs in there is nobody to note.
fn audit_answers(reader: &mut Reader<'_>) -> bool {
    match reader.text("AUDIT_ANSWERS") {
        Some(_) => switch(reader, "AUDIT_ANSWERS"),
        None => reader.text("AUTH").is_some_and(|ways| ways.trim() != "off"),
    }
}

/// `on` or `off`.
fn switch(reader: &mut Reader<'_>, name: &'static str) -> bool {
    match reader.text(name).as_deref() {
        Some("on") => true,
        Some("off") => false,
        _ => {
            reader.problem(name, "must be on or off");
            false
        }
    }
}

fn fraction(reader: &mut Reader<'_>, name: &'static str, usual: f32, range: RangeInclusive<f32>) -> f32 {
    let value = reader.parsed(name, usual);
    if !range.contains(&value) {
        reader.problem(name, format!("must be from {} to {}", range.start(), range.end()));
    }
    value
}

fn bounded(reader: &mut Reader<'_>, name: &'static str, least: u64, most: u64) -> usize {
    usize::try_from(reader.number(name, least, most)).unwrap_or(usize::MAX)
}
