//! Azurite, started by `scripts/test` before the tests.

use knowledge_worker::stores::storage_account::StorageAccount;
use url::Url;

/// The addresses of its blob and queue service.
#[expect(clippy::disallowed_methods, reason = "the script that runs the tests says where its servers are")]
pub fn addresses() -> (Url, Url) {
    let address = |name: &str| -> Url {
        let text = std::env::var(name)
            .unwrap_or_else(|_| panic!("{name} is not set; run ./scripts/test, which starts Azurite"));
        text.parse().expect("the script gives a web address")
    };
    (address("TEST_AZURITE_BLOB"), address("TEST_AZURITE_QUEUE"))
}

/// Its account, with the key that is published for it.
pub fn account() -> StorageAccount {
    let (blob, queue) = addresses();
    let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    let text = format!("AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint={blob};QueueEndpoint={queue}");
    StorageAccount::from_connection_string(&text).expect("the connection string is complete")
}
