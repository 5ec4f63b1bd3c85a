//! The product with the services of Azure: tokens of an identity over TLS, asked for when they are needed and not before.

use std::time::Duration;

use knowledge_worker::error::ErrorKind;
use knowledge_worker::reason::Reason;
use knowledge_worker::stores::blobs::BlobStore;
use knowledge_worker::stores::blobs::azure::AzureBlobs;
use knowledge_worker::stores::storage_account::StorageAccount;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fake_azure::identity::FakeIdentity;
use crate::support::functions_app::FunctionsApp;

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
    let store = AzureBlobs::open(&account, "documents").unwrap();
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
