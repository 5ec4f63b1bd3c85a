//! Secrets in a Key Vault: fetched with their first use, kept, and used on while the vault does not answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use knowledge_worker::clock::Clock;
use knowledge_worker::config::Config;
use knowledge_worker::config::settings::SETTINGS;
use knowledge_worker::config::source::Source;
use knowledge_worker::error::{ErrorKind, Result};
use knowledge_worker::key_vault::{Vault, VaultSecret};
use knowledge_worker::reason::Reason;
use knowledge_worker::secret::Secret;
use knowledge_worker::stores::blobs::azure::AzureBlobs;
use knowledge_worker::stores::blobs::{BlobStore, Condition};
use knowledge_worker::stores::storage_account::StorageAccount;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::actions::sinks::{Habit, HookSink};

use crate::fake_azure::identity::{FakeIdentity, UnsignedTokens};
use crate::fake_azure::key_vault::FakeKeyVault;
use crate::fake_azure::tls::{self, TlsServer};
use crate::fake_collector::{FakeCollector, Habit as CollectorHabit};
use crate::fake_openai::{FakeOpenAi, Script};
use crate::support::app::program;
use crate::support::azurite;
use crate::support::cosmos::Container;
use crate::support::process::{Place, eventually};
use crate::support::redis::RedisServer;

/// A secret with the value `one` in a vault, and the clock it goes by.
async fn secret() -> (FakeKeyVault, Arc<VaultSecret>, Clock) {
    let service = FakeKeyVault::start(&[("key", "one")]).await;
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let vault = Arc::new(Vault::at(&service.url(), Arc::new(UnsignedTokens)).unwrap());
    let secret = Arc::new(VaultSecret::new(vault, "key", clock.clone()).unwrap());
    (service, secret, clock)
}

fn told(value: Result<secrecy::SecretString>) -> String {
    value.unwrap().expose_secret().to_owned()
}

fn statuses(service: &FakeKeyVault) -> Vec<u16> {
    service.requests().into_iter().map(|(_, status)| status).collect()
}

#[tokio::test]
async fn a_secret_is_fetched_with_its_first_use_and_then_kept() {
    let (service, secret, clock) = secret().await;
    assert_eq!(statuses(&service), [0; 0]);
    let many: Vec<_> = (0..20)
        .map(|_| {
            let secret = Arc::clone(&secret);
            tokio::spawn(async move { secret.value().await })
        })
        .collect();
    for one in many {
        assert_eq!(told(one.await.unwrap()), "one");
    }
    assert_eq!(statuses(&service), [401, 200], "the first question brings the challenge, and nobody asks twice");
    service.set("key", "two");
    clock.advance(Duration::from_secs(4 * 3_600 - 1));
    assert_eq!(told(secret.value().await), "one");
    clock.advance(Duration::from_secs(1));
    assert_eq!(told(secret.value().await), "two", "a secret that was replaced arrives after some hours");
}

#[tokio::test]
async fn a_vault_that_does_not_answer_takes_nothing_away() {
    let (service, secret, clock) = secret().await;
    service.refuse(Some(403));
    let error = secret.value().await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::StoreUnavailable, Some(Reason::NotAllowed)));
    assert!(error.message().contains("`key`"), "{error}");
    service.refuse(None);
    assert_eq!(told(secret.value().await), "one", "a failure is not kept");
    service.refuse(Some(403));
    clock.advance(Duration::from_secs(5 * 3_600));
    let before = statuses(&service).len();
    for _ in 0..5 {
        assert_eq!(told(secret.value().await), "one");
    }
    assert_eq!(statuses(&service).len(), before + 1, "it is left alone for some minutes");
    service.refuse(None);
    service.set("key", "two");
    clock.advance(Duration::from_secs(300));
    assert_eq!(told(secret.value().await), "two");
}

#[tokio::test]
async fn a_vault_gets_no_token_in_the_clear() {
    let at = |address: &str| Vault::at(address, Arc::new(UnsignedTokens)).map(|_| ());
    assert!(at("https://ours.vault.azure.net").is_ok());
    for bad in ["http://ours.vault.azure.net", "http://127.0.0.1:1", "ours", "https://ours.vault.azure.net/secrets"] {
        assert_eq!(at(bad).unwrap_err().kind(), ErrorKind::Misconfigured, "{bad}");
    }
}

#[tokio::test]
async fn the_key_of_a_model_comes_from_the_vault_when_somebody_asks() {
    let (identity, model) = (FakeIdentity::start().await, FakeOpenAi::start().await);
    let vault = FakeKeyVault::start(&[("model-key", "k3y-canary")]).await;
    for _ in 0..2 {
        model.push(Script::new(&["At nine [ferry.txt]."]));
    }
    let place = Place::new();
    place.write("documents/ferry.txt", "The ferry to Lindesvik leaves at nine.");
    let (identity_settings, trusted, vault_url, model_url) =
        (identity.settings(), tls::trusted(), vault.url(), model.url());
    let mut settings = vec![
        ("OPENAI_BASE_URL", model_url.as_str()),
        ("OPENAI_MODEL", "scripted"),
        ("OPENAI_API_KEY", "keyvault://model-key"),
        ("AZURE_KEY_VAULT_ENDPOINT", vault_url.as_str()),
        ("SSL_CERT_FILE", trusted.as_str()),
        ("LOG_LEVEL", "trace"),
    ];
    settings.extend(identity_settings.iter().map(|(name, value)| (*name, value.as_str())));
    let server = place.serve(&settings);
    eventually("the document is indexed", async || {
        let listed = reqwest::get(server.url("/api/documents")).await.ok()?.text().await.ok()?;
        listed.contains("\"indexed\"").then_some(())
    })
    .await;
    assert_eq!((vault.requests().len(), identity.asked().len()), (0, 0), "nobody needed the key yet");
    for _ in 0..2 {
        let question = json!({"message": "When does the ferry to Lindesvik leave?"});
        let asked = reqwest::Client::new().post(server.url("/api/chat")).json(&question).send().await.unwrap();
        assert!(asked.text().await.unwrap().contains("At nine"));
    }
    assert!(model.requests().iter().all(|request| request.headers["authorization"] == "Bearer k3y-canary"));
    assert_eq!(vault.requests().last(), Some(&("model-key".to_owned(), 200)));
    assert_eq!((vault.requests().len(), identity.asked().len()), (2, 1));
    let all = format!("{}{}", server.stdout(), server.stderr());
    assert!(!all.contains("canary") && !all.contains("eyJ"), "{all}");
}

/// What else has to be set where a secret is to be used at all.
fn companions(secret: &str) -> Vec<(&'static str, &'static str)> {
    let azure = ("AZURE_OPENAI_ENDPOINT", "https://a.openai.azure.com");
    let chat = ("AZURE_OPENAI_CHAT_DEPLOYMENT", "chat");
    let server = ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    match secret {
        "SECRET_KEY" => vec![("AUTH", "shared-key")],
        "SECRET_KEY_PREVIOUS" => vec![("AUTH", "shared-key"), ("SECRET_KEY", "0123456789abcdef0123456789abcdef")],
        "AzureWebJobsStorage" => vec![("FUNCTIONS_CUSTOMHANDLER_PORT", "1")],
        "AZURE_COSMOS_KEY" => vec![("AZURE_COSMOS_ENDPOINT", "https://a.documents.azure.com")],
        "AZURE_SEARCH_API_KEY" => vec![("AZURE_SEARCH_ENDPOINT", "https://a.search.windows.net")],
        "AZURE_OPENAI_API_KEY" => vec![azure, chat],
        "AZURE_OPENAI_FALLBACK_API_KEYS" => {
            vec![azure, chat, ("AZURE_OPENAI_FALLBACK_ENDPOINTS", "https://b.openai.azure.com")]
        }
        "AZURE_OPENAI_EMBEDDING_API_KEY" => vec![azure, ("AZURE_OPENAI_EMBEDDING_DEPLOYMENT", "embed")],
        "OPENAI_API_KEY" => vec![server, ("OPENAI_MODEL", "m")],
        "OPENAI_FALLBACK_API_KEYS" => {
            vec![server, ("OPENAI_MODEL", "m"), ("OPENAI_FALLBACK_BASE_URLS", "http://127.0.0.1:8/v1")]
        }
        "OPENAI_EMBEDDING_API_KEY" => vec![server, ("OPENAI_EMBEDDING_MODEL", "e")],
        "RERANK_API_KEY" => vec![("RERANK_BASE_URL", "http://127.0.0.1:9"), ("RERANK_MODEL", "r")],
        "REDIS_PASSWORD" => vec![("REDIS_URL", "rediss://a.test:10000")],
        "SMTP_URL" => vec![("MAIL_FROM", "desk@contoso.com")],
        "ACTION_WEBHOOK_SECRET" => vec![("ACTION_WEBHOOK_URL", "https://hooks.contoso.com/a")],
        "OTEL_EXPORTER_OTLP_HEADERS" => vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")],
        _ => Vec::new(),
    }
}

#[test]
fn every_secret_of_the_table_may_be_in_a_vault() {
    let secrets: Vec<_> = SETTINGS.iter().filter(|setting| setting.secret).map(|setting| setting.name).collect();
    assert!(secrets.len() >= 20, "{secrets:?}");
    for name in secrets {
        let mut settings = companions(name);
        settings.extend([(name, "keyvault://wanted"), ("AZURE_KEY_VAULT_ENDPOINT", "https://ours.vault.azure.net")]);
        let config = Config::from_source(&Source::of(settings), program());
        let config = config.unwrap_or_else(|problems| panic!("{name} cannot be in a vault: {problems:?}"));
        let places: Vec<String> = config.vault_secrets.iter().map(|secret| secret.place()).collect();
        assert_eq!(places, ["https://ours.vault.azure.net/secrets/wanted"], "{name} is looked up there");
    }
}

/// An Application Insights that takes everything.
async fn insights() -> TlsServer {
    TlsServer::start(Router::new().route("/v2/track", post(async || "{}"))).await
}

#[tokio::test]
async fn a_process_whose_secrets_are_all_in_a_vault_asks_for_each_with_its_first_use() {
    let (identity, insights) = (FakeIdentity::start().await, insights().await);
    let (collector, hook) = (FakeCollector::start(CollectorHabit::Take).await, HookSink::start(Habit::Take).await);
    let (records, redis) = (Container::new().await, RedisServer::start(&["default on >s3cret-canary ~* +@all"]).await);
    let connection = format!("InstrumentationKey=canary;IngestionEndpoint={}/", insights.url());
    let secrets = [
        ("storage", azurite::connection_string()),
        ("cosmos", crate::support::cosmos::KEY.to_owned()),
        ("redis", redis.url().replace("rediss://", "rediss://default:s3cret-canary@")),
        ("hook", hook.url("/canary")),
        ("insights", connection),
        ("headers", "x-key=canary".to_owned()),
    ];
    let borrowed: Vec<_> = secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let vault = FakeKeyVault::start(&borrowed).await;
    let unique = Uuid::new_v4().simple();
    let mut settings = records.variables();
    settings.retain(|(name, _)| *name != "AZURE_COSMOS_KEY");
    settings.extend(identity.settings());
    settings.extend([
        ("AZURE_KEY_VAULT_ENDPOINT", vault.url()),
        ("SSL_CERT_FILE", tls::trusted()),
        ("AZURE_STORAGE_CONNECTION_STRING", "keyvault://storage".to_owned()),
        ("DOCUMENTS_CONTAINER", format!("documents-{unique}")),
        ("INDEX_CONTAINER", format!("index-{unique}")),
        ("AZURE_COSMOS_KEY", "keyvault://cosmos".to_owned()),
        ("REDIS_URL", "keyvault://redis".to_owned()),
        ("ACTIONS", "create_task".to_owned()),
        ("ACTION_WEBHOOK_URL", "keyvault://hook".to_owned()),
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "keyvault://insights".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "keyvault://headers".to_owned()),
        ("LOG_LEVEL", "trace".to_owned()),
    ]);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let place = Place::new();
    let server = place.serve_the_host(&settings);
    let ready = async || std::net::TcpStream::connect(server.url("").trim_start_matches("http://")).ok();
    eventually("it listens", ready).await;
    assert_eq!((vault.requests().len(), identity.asked().len()), (0, 0), "nobody needed a secret yet");

    let client = reqwest::Client::new();
    let part = reqwest::multipart::Part::text("The ferry to Lindesvik leaves at nine.").file_name("ferry.txt");
    let form = reqwest::multipart::Form::new().part("file", part);
    let upload = client.post(server.url("/api/documents")).multipart(form).send().await.unwrap();
    assert!(upload.status().is_success(), "{}", upload.text().await.unwrap());
    let envelope = json!({"Data": {"blob": ""}, "Metadata": {"name": "\"ferry.txt\""}});
    let taken = client.post(server.url("/ingest_document")).json(&envelope).send().await.unwrap();
    assert_eq!(taken.status(), 200, "{}", taken.text().await.unwrap());
    let question = json!({"message": "When does the ferry to Lindesvik leave?"});
    let answer = client.post(server.url("/api/chat")).json(&question).send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("at nine"), "{answer}");
    let health: Value = client.get(server.url("/api/health")).send().await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], "healthy", "{health}");
    let task = json!({"action_type": "create_task", "parameters": {"title": "Paint", "description": "Green."}});
    let proposed = client.post(server.url("/api/actions")).json(&task).send().await.unwrap();
    let action: Value = proposed.json().await.unwrap();
    assert!(!action.to_string().contains("canary"), "{action}");
    let confirm = server.url(&format!("/api/actions/{}/confirm", action["id"].as_str().unwrap()));
    let confirmed = client.post(confirm).send().await.unwrap();
    assert_eq!(confirmed.status(), 200, "{}", confirmed.text().await.unwrap());
    assert_eq!(hook.calls().len(), 1);
    eventually("telemetry is sent", async || (!collector.headers().is_empty()).then_some(())).await;
    assert_eq!(collector.headers()[0]["x-key"], "canary");
    let got = async || {
        let mut got: Vec<String> =
            vault.requests().into_iter().filter(|(_, status)| *status == 200).map(|(name, _)| name).collect();
        got.sort();
        (got.len() >= secrets.len()).then_some(got)
    };
    let got = eventually("every secret was needed", got).await;
    assert_eq!(got, ["cosmos", "headers", "hook", "insights", "redis", "storage"], "each once");
    let all = format!("{}{}", server.stdout(), server.stderr());
    assert!(!all.contains("canary") && !all.contains("eyJ"), "{all}");
}

#[tokio::test]
async fn what_a_vault_holds_is_checked_when_it_comes_and_may_be_replaced() {
    let (vault, secret, clock) = secret().await;
    let account = StorageAccount::from_secret(Secret::InVault(secret)).unwrap();
    let store = AzureBlobs::open(&account, &format!("kept-{}", Uuid::new_v4().simple()));
    assert!(store.location().contains("/secrets/key") && vault.requests().is_empty());
    // The value is `one`, which is no connection string.
    let error = store.head("a.txt").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.message().contains("/secrets/key: the connection string has neither"), "{error}");
    for value in [azurite::connection_string(), "BlobEndpoint=http://127.0.0.1:9/a;SharedAccessSignature=sig=x".into()]
    {
        vault.set("key", &value);
        clock.advance(Duration::from_secs(4 * 3_600));
        let is_there = store.put("a.txt", "one".into(), Condition::Always).await.is_ok();
        assert_eq!(is_there, value.contains("AccountKey"), "the value that is there now counts");
    }
}

#[test]
fn a_reference_that_the_platform_left_is_said() {
    let check = |name: &'static str, value: &str, words: &str| {
        let source = Source::of([(name, value), ("AZURE_KEY_VAULT_ENDPOINT", "https://ours.vault.azure.net")]);
        let problems = Config::from_source(&source, program()).err().unwrap_or_default();
        let of_this: Vec<_> = problems.iter().filter(|problem| problem.name == name).collect();
        assert!(of_this.iter().any(|problem| problem.problem.contains(words)), "{name}: {problems:?}");
    };
    let unresolved = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/n)";
    for name in ["AZURE_STORAGE_CONNECTION_STRING", "AZURE_SEARCH_API_KEY", "OPENAI_MODEL"] {
        check(name, unresolved, "Key Vault Secrets User");
    }
}
