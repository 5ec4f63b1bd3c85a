//! `handler doctor`: it finds what the product would find, changes nothing that stays, and says how to put things right.

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fake_azure::identity::FakeIdentity;
use crate::fake_azure::key_vault::FakeKeyVault;
use crate::fake_azure::tls::{self, TlsServer};
use crate::fake_collector::{FakeCollector, Habit};
use crate::fake_openai::{FakeOpenAi, Refusal, Script};
use crate::fake_search::{FakeSearch, Trouble};
use crate::support::azurite;
use crate::support::cosmos::Container;
use crate::support::process::{Place, Ran};
use crate::support::redis::RedisServer;

/// A place with an identity of the platform, and whatever services a test adds.
struct Cloud {
    place: Place,
    identity: FakeIdentity,
    settings: Vec<(&'static str, String)>,
}

impl Cloud {
    async fn with(settings: &[(&'static str, String)]) -> Self {
        let identity = FakeIdentity::start().await;
        let own = [("SSL_CERT_FILE", tls::trusted())].into_iter().chain(identity.settings());
        let settings = own.chain(settings.iter().cloned()).collect();
        Self { place: Place::new(), identity, settings }
    }

    /// Runs it beside the fakes, which live in this process.
    async fn doctor(&self) -> Ran {
        self.run(&["doctor", "--json"]).await
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        let settings: Vec<(&str, &str)> = self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        tokio::task::block_in_place(|| self.place.run_with(&settings, arguments))
    }
}

/// Storage over TLS in containers of its own.
fn storage() -> Vec<(&'static str, String)> {
    let unique = Uuid::new_v4().simple();
    vec![
        ("AZURE_STORAGE_BLOB_ENDPOINT", azurite::addresses_over_tls().0.to_string()),
        ("DOCUMENTS_CONTAINER", format!("documents-{unique}")),
        ("INDEX_CONTAINER", format!("index-{unique}")),
        ("BACKUP_CONTAINER", format!("backups-{unique}")),
    ]
}

/// What was found of a part.
fn of<'a>(told: &'a Value, part: &str) -> &'a Value {
    let checks = told["checks"].as_array().unwrap();
    checks.iter().find(|check| check["part"] == part).unwrap_or_else(|| panic!("no {part} in {told}"))
}

fn assert_advice(told: &Value, part: &str, found: &str, advice: &str) {
    let check = of(told, part);
    assert_eq!(check["ok"], false, "{check}");
    assert!(check["found"].as_str().unwrap().contains(found), "{check}");
    assert!(check["advice"].as_str().unwrap_or_default().contains(advice), "{check}");
}

#[test]
fn on_a_laptop_it_looks_at_the_folders() {
    let place = Place::new();
    let told = place.run(&["doctor", "--json"]).assert_status(0).json();
    let parts: Vec<&str> =
        told["checks"].as_array().unwrap().iter().map(|check| check["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["documents", "index", "backups", "records"], "{told}");
    assert_eq!(told["ok"], json!(true));
    let left = std::fs::read_dir(place.path("documents")).unwrap().flatten().count();
    assert_eq!(left, 0, "no document came of it");
    let for_people = place.run(&["doctor"]).assert_status(0).stdout;
    assert!(for_people.contains("documents") && for_people.contains("ok"), "{for_people}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_cloud_it_makes_the_calls_that_the_product_makes() {
    let (search, model) = (FakeSearch::start().await, FakeOpenAi::start().await);
    let vault = FakeKeyVault::start(&[("rerank-key", "k3y")]).await;
    model.push(Script::new(&["yes"]));
    let redis = RedisServer::start(&["default on >s3cret ~* +@all"]).await;
    let mut settings = storage();
    let records = Container::new().await;
    settings.extend(records.variables());
    settings.extend([("REDIS_URL", redis.url()), ("REDIS_PASSWORD", "s3cret".to_owned())]);
    settings.extend([
        ("AZURE_SEARCH_ENDPOINT", search.url()),
        ("AZURE_OPENAI_ENDPOINT", model.url().trim_end_matches("/v1").to_owned()),
        ("AZURE_OPENAI_CHAT_DEPLOYMENT", "chat".to_owned()),
        ("AZURE_OPENAI_EMBEDDING_DEPLOYMENT", "embed".to_owned()),
        ("AZURE_KEY_VAULT_ENDPOINT", vault.url()),
        // Named, and looked at although nothing is behind the address.
        ("RERANK_BASE_URL", "http://127.0.0.1:9".to_owned()),
        ("RERANK_MODEL", "rerank".to_owned()),
        ("RERANK_API_KEY", "keyvault://rerank-key".to_owned()),
    ]);
    let cloud = Cloud::with(&settings).await;
    let ran = cloud.doctor().await.assert_status(1);
    let told = ran.json();
    for part in ["documents", "index", "backups", "records", "redis", "secret", "chat model", "embedding model"] {
        assert_eq!(of(&told, part)["ok"], true, "{told}");
    }
    assert_advice(&told, "reranker", "nobody answers", "whether the service runs");
    assert_eq!(model.requests().len(), 2, "one chat and one embedding, as small as can be");
    assert!(!search.requests("").is_empty());
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("eyJ") && !text.contains("k3y") && !text.contains("s3cret"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_comes_with_the_command_that_grants_it() {
    let forbidding = |code: &'static str| {
        let answer = move || async move { (StatusCode::FORBIDDEN, [("x-ms-error-code", code)], "") };
        TlsServer::start(Router::new().fallback(answer))
    };
    let (storage, search, model) =
        (forbidding("AuthorizationPermissionMismatch").await, FakeSearch::start().await, FakeOpenAi::start().await);
    let vault = FakeKeyVault::start(&[]).await;
    vault.refuse(Some(403));
    for _ in 0..5 {
        search.trouble(Trouble::of("", 403));
        model.push(Refusal::new(404, json!({"error": {"code": "DeploymentNotFound"}})));
    }
    let redis = RedisServer::start(&["default off", "somebody-else on >s3cret ~* +@all"]).await;
    let records = forbidding("Forbidden").await;
    let cloud = Cloud::with(&[
        ("AZURE_COSMOS_ENDPOINT", records.url()),
        ("REDIS_URL", redis.url()),
        ("AZURE_STORAGE_BLOB_ENDPOINT", storage.url()),
        ("AZURE_SEARCH_ENDPOINT", search.url()),
        ("AZURE_OPENAI_ENDPOINT", model.url().trim_end_matches("/v1").to_owned()),
        ("AZURE_OPENAI_CHAT_DEPLOYMENT", "chat".to_owned()),
        ("OPENAI_EMBEDDING_MODEL", "embed".to_owned()),
        ("OPENAI_EMBEDDING_BASE_URL", "http://no-such-host.invalid/v1".to_owned()),
        ("OPENAI_EMBEDDING_API_KEY", "keyvault://embedding-key".to_owned()),
        ("AZURE_KEY_VAULT_ENDPOINT", vault.url()),
    ])
    .await;
    let told = cloud.doctor().await.assert_status(1).json();
    let who = "--assignee 22222222-2222-2222-2222-222222222222";
    let role = |name: &str| format!("{who} --role \"{name}\"");
    assert_advice(&told, "documents", "listing", &role("Storage Blob Data Contributor"));
    assert_advice(&told, "backups", "writing", &role("Storage Blob Data Contributor"));
    assert_advice(&told, "index", "may not do this", &role("Search Service Contributor"));
    assert_advice(&told, "secret", "`embedding-key`", &role("Key Vault Secrets User"));
    assert_advice(&told, "records", "writing", "az cosmosdb sql role assignment create");
    assert_advice(&told, "redis", "proof of who asks", "--object-id 22222222-2222-2222-2222-222222222222");
    assert_advice(&told, "chat model", "not there", "name of the deployment");
    assert_eq!(of(&told, "embedding model")["ok"], false);
    let for_people = cloud.run(&["doctor"]).await.assert_status(1).stdout;
    assert!(for_people.contains("az role assignment create"), "{for_people}");

    let firewall = forbidding("AuthorizationFailure").await;
    let cloud = Cloud::with(&[("AZURE_STORAGE_BLOB_ENDPOINT", firewall.url())]).await;
    assert_advice(&cloud.doctor().await.assert_status(1).json(), "documents", "firewall", "private endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_gives_no_token_is_told_for_what_it_is() {
    let cloud = Cloud::with(&storage()).await;
    cloud.identity.refuse(Some(400));
    let told = cloud.doctor().await.assert_status(1).json();
    for part in ["documents", "index", "backups"] {
        let found = of(&told, part)["found"].as_str().unwrap();
        assert!(found.contains("az functionapp identity assign"), "{found}");
    }
    assert_eq!(of(&told, "records")["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_telemetry_is_sent_some() {
    let collector = FakeCollector::start(Habit::Take).await;
    let answer = |status: StatusCode| TlsServer::start(Router::new().fallback(move || async move { (status, "{}") }));
    let (insights, forbidding) = (answer(StatusCode::OK).await, answer(StatusCode::FORBIDDEN).await);
    let connection = |server: &TlsServer| format!("InstrumentationKey=canary;IngestionEndpoint={}/", server.url());
    let cloud = Cloud::with(&[
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", connection(&insights)),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=canary".to_owned()),
    ])
    .await;
    let ran = cloud.doctor().await.assert_status(0);
    let (told, text) = (ran.json(), format!("{}{}", ran.stdout, ran.stderr));
    let checks: Vec<_> =
        told["checks"].as_array().unwrap().iter().filter(|check| check["part"] == "telemetry").collect();
    assert_eq!(checks.len(), 2, "{told}");
    assert!(checks.iter().all(|check| check["ok"] == true && check["found"] == "took one span"), "{told}");
    assert!(collector.spans().iter().any(|span| span.name == "handler doctor"), "{:?}", collector.spans());
    assert!(collector.headers().iter().all(|headers| headers["x-key"] == "canary"));
    assert!(!text.contains("canary"), "{text}");

    let cloud = Cloud::with(&[
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", connection(&forbidding)),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=AAD".to_owned()),
    ])
    .await;
    let told = cloud.doctor().await.assert_status(1).json();
    assert_advice(&told, "telemetry", "may not do this", "--role \"Monitoring Metrics Publisher\"");
    let cloud = Cloud::with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9".to_owned())]).await;
    assert_advice(
        &cloud.doctor().await.assert_status(1).json(),
        "telemetry",
        "nobody answers",
        "whether the service runs",
    );
}
