//! Azurite, started by `scripts/test` before the tests: over HTTP with its published key, and over TLS with tokens.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use knowledge_worker::clock::Clock;
use knowledge_worker::stores::storage_account::StorageAccount;
use sha2::Sha256;
use url::{Url, form_urlencoded};

use crate::fake_azure::identity::UnsignedTokens;

const ACCOUNT: &str = "devstoreaccount1";
/// The key that is published for it.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The addresses of its blob and queue service.
pub fn addresses() -> (Url, Url) {
    (address("TEST_AZURITE_BLOB"), address("TEST_AZURITE_QUEUE"))
}

/// The same of the one over TLS, which is another account with other blobs.
pub fn addresses_over_tls() -> (Url, Url) {
    (address("TEST_AZURITE_TLS_BLOB"), address("TEST_AZURITE_TLS_QUEUE"))
}

#[expect(clippy::disallowed_methods, reason = "the script that runs the tests says where its servers are")]
fn address(name: &str) -> Url {
    let text =
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run ./scripts/test, which starts Azurite"));
    text.parse().expect("the script gives a web address")
}

/// The connection string with its key.
pub fn connection_string() -> String {
    let (blob, queue) = addresses();
    format!("AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={blob};QueueEndpoint={queue}")
}

/// Its account, with the key.
pub fn account() -> StorageAccount {
    StorageAccount::from_connection_string(&connection_string()).expect("the connection string is complete")
}

/// What opens the account at another address of its blob service.
pub fn connection_string_at(blob: &str) -> String {
    format!("AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={blob}")
}

/// The account over TLS, opened by tokens as in the cloud.
pub fn account_by_identity() -> StorageAccount {
    StorageAccount::at(addresses_over_tls().0.as_str(), Arc::new(UnsignedTokens)).expect("the address is right")
}

/// The account, opened by a shared access signature for an hour.
pub fn account_by_signature() -> StorageAccount {
    let text = format!("BlobEndpoint={};SharedAccessSignature={}", addresses().0, signature());
    StorageAccount::from_connection_string(&text).expect("the connection string is complete")
}

/// Sets the index tags of a blob, as an operator does; what was there is gone.
pub async fn tag(container: &str, name: &str, tags: &[(&str, &str)]) {
    let tags: String =
        tags.iter().map(|(name, value)| format!("<Tag><Key>{name}</Key><Value>{value}</Value></Tag>")).collect();
    let body = format!(r#"<?xml version="1.0" encoding="utf-8"?><Tags><TagSet>{tags}</TagSet></Tags>"#);
    let address = format!("{}/{container}/{name}?comp=tags&{}", addresses().0, signature());
    let put = reqwest::Client::new().put(address).header("x-ms-version", "2021-12-02").body(body);
    let answer = put.send().await.expect("Azurite answers");
    assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap_or_default());
}

/// Every way to open an account.
pub fn accounts() -> [StorageAccount; 3] {
    [account(), account_by_identity(), account_by_signature()]
}

/// A signature for all that blobs allow.
/// Scheme: <https://learn.microsoft.com/rest/api/storageservices/create-account-sas>
fn signature() -> String {
    let ends = (Clock::system().now() + Duration::from_secs(3_600)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (permissions, version) = ("rwdlacupt", "2020-12-06");
    let text = format!("{ACCOUNT}\n{permissions}\nb\nsco\n\n{ends}\n\nhttps,http\n{version}\n\n");
    let key = BASE64_STANDARD.decode(KEY).expect("the key is base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let parts =
        [("sv", version), ("ss", "b"), ("srt", "sco"), ("sp", permissions), ("se", &ends), ("spr", "https,http")];
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parts).append_pair("sig", &signature).finish()
}
