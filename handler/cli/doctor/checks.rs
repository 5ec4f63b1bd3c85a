//! What there is to look at: one line a thing, made of the settings. To add one, add a line to [`all`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::Check;
use super::advice::{Access, Grantee, Resource};
use crate::actions::ActionType;
use crate::app::App;
use crate::cache::redis::{RedisAccess, RedisSettings};
use crate::config::{BlobHome, RecordHome};
use crate::error::{Error, ErrorKind, Result};
use crate::identity;
use crate::index::Index;
use crate::index::azure_search::authorization::Authorization as SearchAuthorization;
use crate::models::openai::{Authorization, EmbeddingSettings, OpenAiEmbeddings, OpenAiModel, OpenAiSettings, Server};
use crate::models::rerank::{RerankSettings, Reranker};
use crate::models::{Message, ModelRequest, Speaker};
use crate::stores::blobs::{BlobStore, Condition};
use crate::stores::records::cosmos::CosmosAuthorization;
use crate::stores::records::{Precondition, RecordStore};
use crate::telemetry::{Entry, Receiver, receivers};

/// A model may take this long for a word or two.
const MODEL_TIME: Duration = Duration::from_secs(25);
/// What a token is asked for with, to see whose it is.
const STORAGE_SCOPE: &str = "https://storage.azure.com/.default";

/// Everything that the settings name.
pub(super) fn all(app: &App) -> Vec<Check<'_>> {
    let config = &app.config;
    let mut checks = Vec::new();
    let mut add = |part, place: String, access, work| checks.push(Check { part, place, access, work });
    add(
        "documents",
        app.documents.location(),
        storage(&config.documents, config.document_tags),
        documents(&app.documents).boxed(),
    );
    if let Some(settings) = &config.search {
        let access = search(settings.endpoint.as_str(), &settings.authorization);
        add("index", settings.endpoint.to_string(), access, index(&app.index).boxed());
    } else if let Some(store) = &app.backups.index {
        add("index", store.location(), storage(&config.index, false), both(blobs(store), index(&app.index)).boxed());
    }
    add("backups", app.backups.store.location(), storage(&config.backups, false), blobs(&app.backups.store).boxed());
    if config.actions.allowed.contains(&ActionType::GenerateReport) {
        let store = app.actions.reports().store();
        add("reports", store.location(), storage(&config.reports, false), blobs(store).boxed());
    }
    let (home, access) = home_of_records(app);
    add("records", home, access, records(&app.records).boxed());
    if let (Some(redis), Some(settings)) = (&app.redis, &config.cache.redis) {
        let work = async { redis.ping().await.map(|()| "answers".to_owned()) };
        add("redis", redis.location(), shared_cache(settings), work.boxed());
    }
    for secret in &config.vault_secrets {
        let access = Access::Identity(Resource::vault(&secret.place()));
        add("secret", secret.place(), access, async { secret.value().await.map(|_| "fetched".to_owned()) }.boxed());
    }
    for settings in config.model.iter().flat_map(each_server) {
        add("chat model", place(&settings), model(&settings), chat(settings).boxed());
    }
    if let Some(EmbeddingSettings { server, dimensions }) = &config.embedding {
        for server in each_server(server) {
            let settings = EmbeddingSettings { server: server.clone(), dimensions: *dimensions };
            add("embedding model", place(&server), model(&server), embedding(settings).boxed());
        }
    }
    if let Some(RerankSettings { server, .. }) = &config.rerank {
        add("reranker", place(server), model(server), rerank(server.clone()).boxed());
    }
    for receiver in config.telemetry.iter().flat_map(receivers) {
        let (place, access) = (receiver.place(), telemetry(&receiver));
        let work = async move { receiver.send_one().await.map(|()| "took one span".to_owned()) };
        add("telemetry", place, access, work.boxed());
    }
    checks
}

/// Whom rights are granted to: the one whom a token of this process's identity names.
pub(super) async fn grantee(app: &App) -> Grantee {
    let credential: Arc<dyn azure_core::credentials::TokenCredential> = app.config.identity.clone();
    let needs_one = all(app).iter().any(|check| matches!(check.access, Access::Identity(_)));
    if !needs_one {
        return Grantee::default();
    }
    Grantee::of(identity::token(&credential, STORAGE_SCOPE).await.ok())
}

/// Writes nothing: in this container every blob is a document. A write whose condition cannot hold, and the removal of what
/// is not there, are refused for want of a right before anything else.
async fn documents(store: &Arc<dyn BlobStore>) -> Result<String> {
    step("listing", store.list("", None, 1)).await?;
    let name = probe();
    match store.put(&name, Bytes::new(), Condition::IfMatch("0x0".to_owned())).await {
        Err(e) if e.kind() == ErrorKind::PreconditionFailed => {}
        Err(e) => return Err(in_step("writing", e)),
        Ok(_) => return Err(Error::new(ErrorKind::Internal, "the store does not keep to conditions")),
    }
    step("deleting", store.delete(&name)).await?;
    Ok("lists, writes, deletes".to_owned())
}

async fn blobs(store: &Arc<dyn BlobStore>) -> Result<String> {
    let name = probe();
    step("writing", store.put(&name, Bytes::from_static(b"probe"), Condition::IfAbsent)).await?;
    step("listing", store.list("doctor/", None, 1)).await?;
    let read = step("reading", store.get(&name, None)).await?;
    step("deleting", store.delete(&name)).await?;
    match read {
        Some(blob) if &blob.bytes[..] == b"probe" => Ok("writes, lists, reads, deletes".to_owned()),
        _ => Err(Error::new(ErrorKind::StoreUnavailable, "what was written did not come back")),
    }
}

async fn index(index: &Index) -> Result<String> {
    let status = index.status().await?;
    if status.damaged_segments > 0 {
        let sentence = format!("{} segments are damaged; see `handler index verify`", status.damaged_segments);
        return Err(Error::new(ErrorKind::IndexDamaged, sentence));
    }
    Ok(format!("{} documents, {} passages", status.documents, status.passages))
}

async fn records(records: &Arc<dyn RecordStore>) -> Result<String> {
    let (partition, id) = ("doctor", probe());
    let ttl = Some(Duration::from_secs(60));
    step("writing", records.put(partition, &id, &json!({}), Precondition::IfAbsent, ttl)).await?;
    step("reading", records.get(partition, &id)).await?;
    step("deleting", records.delete(partition, &id)).await?;
    Ok("writes, reads, deletes".to_owned())
}

async fn chat(settings: OpenAiSettings) -> Result<String> {
    let messages = vec![Message::said(Speaker::User, "Answer with the word yes.")];
    let model = OpenAiModel::open(settings)?;
    let request = ModelRequest { is_streamed: true, ..ModelRequest::of(messages, 16, Instant::now() + MODEL_TIME) };
    let mut events = std::pin::pin!(model.stream(request));
    while let Some(event) = events.next().await {
        event?;
    }
    Ok(format!("{} answers", model.name()))
}

async fn embedding(settings: EmbeddingSettings) -> Result<String> {
    let model = OpenAiEmbeddings::open(settings)?;
    let vectors = model.embed(&["yes"], 2, Instant::now() + MODEL_TIME).await?;
    let dimensions = vectors.values.first().map_or(0, Vec::len);
    Ok(format!("{} answers with {dimensions} dimensions", model.name()))
}

async fn rerank(settings: OpenAiSettings) -> Result<String> {
    let model = Reranker::open(settings)?;
    model.scores("yes", &["yes".to_owned(), "no".to_owned()], Instant::now() + MODEL_TIME).await?;
    Ok(format!("{} answers", model.name()))
}

async fn both(
    one: impl Future<Output = Result<String>> + Send,
    other: impl Future<Output = Result<String>> + Send,
) -> Result<String> {
    Ok(format!("{}; {}", one.await?, other.await?))
}

async fn step<T>(doing: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    work.await.map_err(|e| in_step(doing, e))
}

fn in_step(doing: &str, error: Error) -> Error {
    let reason = error.reason();
    Error::new(error.kind(), doing).because(reason).caused_by(error)
}

/// A name that is nobody's.
fn probe() -> String {
    format!("doctor/{}", Uuid::new_v4().simple())
}

/// The same model on each of its servers alone.
fn each_server(settings: &OpenAiSettings) -> Vec<OpenAiSettings> {
    let alone = |server: &Server| OpenAiSettings { servers: vec![server.clone()], ..settings.clone() };
    settings.servers.iter().map(alone).collect()
}

fn place(settings: &OpenAiSettings) -> String {
    settings.servers.first().map(|server| server.endpoint.to_string()).unwrap_or_default()
}

fn storage(home: &BlobHome, reads_tags: bool) -> Access {
    match home {
        BlobHome::Folder(_) => Access::Local,
        BlobHome::Container { account, .. } => match account.opened_by_identity() {
            Some(endpoint) if reads_tags => Access::Identity(Resource::tagged_storage(endpoint.as_str())),
            Some(endpoint) => Access::Identity(Resource::storage(endpoint.as_str())),
            None => Access::Key("AZURE_STORAGE_CONNECTION_STRING or AzureWebJobsStorage"),
        },
    }
}

fn home_of_records(app: &App) -> (String, Access) {
    match &app.config.records {
        RecordHome::File => (app.config.data.display().to_string(), Access::Local),
        RecordHome::Cosmos(settings) => {
            let place = format!("{}{}/{}", settings.endpoint, settings.database, settings.container);
            let access = match settings.authorization {
                CosmosAuthorization::Key(_) => Access::Key("AZURE_COSMOS_KEY"),
                CosmosAuthorization::Identity(_) => Access::Identity(Resource::cosmos(settings.endpoint.as_str())),
            };
            (place, access)
        }
    }
}

fn search(endpoint: &str, authorization: &SearchAuthorization) -> Access {
    match authorization {
        SearchAuthorization::ApiKey(_) => Access::Key("AZURE_SEARCH_API_KEY"),
        SearchAuthorization::Identity(_) => Access::Identity(Resource::search(endpoint)),
    }
}

fn model(settings: &OpenAiSettings) -> Access {
    match settings.servers.first().map(|server| (&server.authorization, server.endpoint.as_str())) {
        Some((Authorization::Identity(_), endpoint)) => Access::Identity(Resource::open_ai(endpoint)),
        Some((Authorization::Key(_), _)) => Access::Key("the server's …_API_KEY"),
        Some((Authorization::Nothing, _)) | None => Access::Open,
    }
}

fn telemetry(receiver: &Receiver) -> Access {
    match receiver.entry() {
        Entry::Identity => Access::Identity(Resource::application_insights()),
        Entry::Secret(setting) => Access::Key(setting),
        Entry::Open => Access::Open,
    }
}

fn shared_cache(settings: &RedisSettings) -> Access {
    let Some(address) = settings.known() else { return Access::Key("REDIS_URL") };
    match settings.access(&address) {
        RedisAccess::Open => Access::Open,
        RedisAccess::Password { .. } => Access::Key("REDIS_PASSWORD"),
        RedisAccess::Identity { .. } => Access::Identity(Resource::redis(address.as_str())),
    }
}
