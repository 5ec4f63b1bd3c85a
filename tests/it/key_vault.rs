//! Secrets in a Key Vault: fetched with their first use, kept, and used on while the vault does not answer.

use std::sync::Arc;
use std::time::Duration;

use knowledge_worker::clock::Clock;
use knowledge_worker::config::Config;
use knowledge_worker::config::source::Source;
use knowledge_worker::error::{ErrorKind, Result};
use knowledge_worker::key_vault::{Vault, VaultSecret};
use knowledge_worker::reason::Reason;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::fake_azure::identity::{FakeIdentity, UnsignedTokens};
use crate::fake_azure::key_vault::FakeKeyVault;
use crate::fake_azure::tls;
use crate::fake_openai::{FakeOpenAi, Script};
use crate::support::app::program;
use crate::support::process::Place;

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
    crate::support::process::eventually("the document is indexed", async || {
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

#[test]
fn what_cannot_come_from_a_vault_is_said() {
    let check = |name: &'static str, value: &str, words: &str| {
        let source = Source::of([(name, value), ("AZURE_KEY_VAULT_ENDPOINT", "https://ours.vault.azure.net")]);
        let problems = Config::from_source(&source, program()).err().unwrap_or_default();
        let of_this: Vec<_> = problems.iter().filter(|problem| problem.name == name).collect();
        assert!(of_this.iter().any(|problem| problem.problem.contains(words)), "{name}: {problems:?}");
    };
    check(
        "AZURE_STORAGE_CONNECTION_STRING",
        "keyvault://storage",
        "cannot be fetched from a Key Vault by this program",
    );
    let unresolved = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/n)";
    for name in ["AZURE_STORAGE_CONNECTION_STRING", "AZURE_SEARCH_API_KEY", "OPENAI_MODEL"] {
        check(name, unresolved, "Key Vault Secrets User");
    }
}
