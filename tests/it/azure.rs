//! The product with the services of Azure: tokens of an identity over TLS, asked for when they are needed and not before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use knowledge_worker::error::ErrorKind;
use knowledge_worker::reason::Reason;
use knowledge_worker::stores::blobs::BlobStore;
use knowledge_worker::stores::blobs::azure::AzureBlobs;
use knowledge_worker::stores::storage_account::StorageAccount;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fake_azure::identity::FakeIdentity;
use crate::fake_openai::{self, FakeOpenAi, Script};
use crate::fake_search::FakeSearch;
use crate::support::functions_app::FunctionsApp;
use crate::support::process::{Place, eventually};

/// The services that tokens were asked for.
fn resources(identity: &FakeIdentity) -> Vec<String> {
    identity.asked().into_iter().map(|asked| asked.resource).collect()
}

#[tokio::test]
async fn one_token_opens_storage_for_all_that_is_done() {
    let app = FunctionsApp::start_in_the_cloud().await;
    let identity = app.identity.as_ref().unwrap();
    assert_eq!(resources(identity), [""; 0], "a process that starts asks for nothing");
    for number in 0..5 {
        app.upload(&format!("{number}.txt"), &format!("The tide of pier {number} is high at seven.")).await;
        assert!(app.ask(&format!("When is the tide of pier {number} high?")).await.contains("seven"));
    }
    app.host.run_timer("maintain_index").await;
    app.host.run_timer("backup").await;
    assert_eq!(resources(identity), ["https://storage.azure.com"]);
}

#[tokio::test]
async fn a_token_near_its_end_is_not_used_any_more() {
    let identity = FakeIdentity::start().await;
    identity.set_lifetime(Duration::from_secs(9));
    let app = FunctionsApp::start_in_the_cloud_of(identity).await;
    app.upload("tide.txt", "The tide is high at seven.").await;
    assert!(app.ask("When is the tide high?").await.contains("seven"));
    let asked = resources(app.identity.as_ref().unwrap());
    assert!(asked.len() > 1, "each was too near to its end to be used twice: {asked:?}");
}

#[tokio::test]
async fn without_a_token_nothing_breaks_that_does_not_heal() {
    let identity = FakeIdentity::start().await;
    identity.refuse(Some(400));
    let app = FunctionsApp::start_in_the_cloud_of(identity).await;
    let health = async || {
        let asked = app.request(Method::GET, "/api/health").send().await.unwrap();
        asked.json::<Value>().await.unwrap()
    };
    assert_eq!(health().await["services"]["storage"], json!("unhealthy"));
    let asked = app.request(Method::POST, "/api/chat").json(&json!({"message": "When is the tide high?"}));
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let problem = answer.text().await.unwrap();
    assert!(problem.contains("store-unavailable") && !problem.contains("eyJ"), "{problem}");
    app.identity.as_ref().unwrap().refuse(None);
    app.upload("tide.txt", "The tide is high at seven.").await;
    assert!(app.ask("When is the tide high?").await.contains("seven"));
}

#[tokio::test]
async fn no_failure_quotes_a_shared_access_signature() {
    // Nobody listens there.
    let text = "BlobEndpoint=http://127.0.0.1:9/devstoreaccount1;SharedAccessSignature=sv=2020-12-06&sig=canary";
    let account = StorageAccount::from_connection_string(text).unwrap();
    let store = AzureBlobs::open(&account, "documents");
    let error = store.head("a.txt").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    for told in [error.chain(), format!("{error:?}"), format!("{store:?}"), format!("{account:?}"), store.location()] {
        assert!(!told.contains("canary"), "{told}");
    }
}

#[tokio::test]
async fn a_failure_on_the_way_tells_what_it_was() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let not_tls = format!("https://{}/", plain.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = plain.accept().await {
            let _client_went_away = tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad\r\n\r\n").await;
        }
    });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (address, expected) in [
        (refused.as_str(), Reason::NoConnection),
        (not_tls.as_str(), Reason::NotTrusted),
        ("http://no-such-host.invalid/", Reason::NoAddress),
    ] {
        let error = client.get(address).send().await.unwrap_err();
        assert_eq!(Reason::of_network(&error), expected, "{address}: {error:?}");
    }
}

#[tokio::test]
async fn five_settings_and_no_secret_make_an_app_of_the_cloud() {
    let (search, model, identity) = (FakeSearch::start().await, FakeOpenAi::start().await, FakeIdentity::start().await);
    model.push(Script::new(&["The ferry leaves at nine [ferry.txt]."]));
    let services = [
        ("AZURE_SEARCH_ENDPOINT", search.url()),
        ("AZURE_OPENAI_ENDPOINT", model.url().trim_end_matches("/v1").to_owned()),
        ("AZURE_OPENAI_CHAT_DEPLOYMENT", "chat".to_owned()),
        ("AZURE_OPENAI_EMBEDDING_DEPLOYMENT", "embed".to_owned()),
    ];
    let app = FunctionsApp::start_in_the_cloud_with(identity, |options| {
        options.app_settings.extend(services.map(|(name, value)| (name.to_owned(), value)));
    })
    .await;
    app.upload("ferry.txt", "The ferry to Lindesvik leaves at nine.").await;
    assert!(app.ask("When does the ferry to Lindesvik leave?").await.contains("leaves at nine"));
    let mut tokens = resources(app.identity.as_ref().unwrap());
    tokens.sort();
    let expected = ["https://cognitiveservices.azure.com", "https://search.azure.com", "https://storage.azure.com"];
    assert_eq!(tokens, expected, "one token for each service");
    let shown = |request: &fake_openai::Recorded| {
        (request.headers.contains_key("api-key"), request.headers["authorization"].to_str().unwrap().len() > 100)
    };
    assert!(model.requests().iter().all(|request| shown(request) == (false, true)));
}

#[tokio::test]
async fn a_process_that_starts_calls_nobody() {
    let somebody = Somebody::listens().await;
    let (plain, secure) = (somebody.url("http"), somebody.url("https"));
    let (identity, redis) = (format!("{plain}/msi/token"), somebody.url("rediss"));
    let settings = [
        ("REDIS_URL", redis.as_str()),
        ("AZURE_COSMOS_ENDPOINT", &secure),
        ("IDENTITY_ENDPOINT", identity.as_str()),
        ("IDENTITY_HEADER", "x"),
        ("AZURE_CLIENT_ID", "11111111-1111-1111-1111-111111111111"),
        ("AZURE_STORAGE_BLOB_ENDPOINT", &secure),
        ("AZURE_KEY_VAULT_ENDPOINT", &secure),
        ("AZURE_SEARCH_ENDPOINT", &secure),
        ("AZURE_SEARCH_API_KEY", "keyvault://search-key"),
        ("AZURE_OPENAI_ENDPOINT", &secure),
        ("AZURE_OPENAI_CHAT_DEPLOYMENT", "chat"),
        ("AZURE_OPENAI_EMBEDDING_DEPLOYMENT", "embed"),
        ("AZURE_OPENAI_FALLBACK_ENDPOINTS", &secure),
        ("RERANK_BASE_URL", &secure),
        ("RERANK_MODEL", "rerank"),
        ("RERANK_API_KEY", "keyvault://rerank-key"),
    ];
    let server = Place::new().serve_the_host(&settings);
    let ready = async || {
        let answer = reqwest::get(server.url("/")).await.ok()?;
        (answer.status() == 200).then_some(())
    };
    eventually("it is ready for the host", ready).await;
    assert_eq!(somebody.calls(), 0);
    // Now somebody needs something.
    let health: Value = reqwest::get(server.url("/api/health")).await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], json!("degraded"), "{health}");
    assert!(somebody.calls() > 0, "whoever is called is counted");
}

/// A listener that counts who connects, and hangs up.
struct Somebody {
    address: std::net::SocketAddr,
    calls: Arc<AtomicU64>,
}

impl Somebody {
    async fn listens() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, calls) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&calls);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, calls }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}
