//! Secrets in Azure Key Vault, through the official client. Enters: the name of a secret. Leaves: its value, fetched with its
//! first use, kept for some hours, and kept longer while the vault does not answer. Nothing is asked before that.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::{Host, Url};

use crate::bounded;
use crate::breaker::Breaker;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::reason::Reason;
use crate::telemetry::calls::outside;

/// A value is fetched anew after this time: a secret that was replaced reaches a process that goes on running.
const KEPT: TimeDelta = TimeDelta::hours(4);
/// When that fails, the value at hand is good until the next try.
const PAUSE: TimeDelta = TimeDelta::minutes(5);
/// The vault may take this long, the token for it included.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same while there is a value at hand: somebody waits, and need not.
const PATIENCE_WITH_A_VALUE: Duration = Duration::from_secs(2);

/// The most bytes of an answer with a secret.
const MOST_BYTES: u64 = 1 << 20;

/// One vault.
pub struct Vault {
    endpoint: Url,
    credential: Arc<dyn TokenCredential>,
    // Made with the first request: it reads the machine's certificates, which is too slow for the start of the process.
    client: OnceLock<SecretClient>,
    breaker: Breaker,
}

/// One secret in a vault.
pub struct VaultSecret {
    vault: Arc<Vault>,
    name: String,
    clock: Clock,
    /// Held while the vault is asked, so that many who need the value at once ask once.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    value: SecretString,
    until: DateTime<Utc>,
}

impl fmt::Debug for VaultSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultSecret({})", self.place())
    }
}

impl Vault {
    /// A vault by its address, opened by an identity. It has to be `https`, because its secrets come back on the same way.
    pub fn at(endpoint: &str, credential: Arc<dyn TokenCredential>) -> Result<Self> {
        let url = Url::parse(endpoint).ok().filter(|url| url.scheme() == "https" && url.path() == "/");
        let sentence = "must be an https address without a path";
        let endpoint = url.ok_or_else(|| Error::new(ErrorKind::Misconfigured, sentence))?;
        Ok(Self { endpoint, credential, client: OnceLock::new(), breaker: Breaker::default() })
    }

    /// A vault of the public cloud by its name.
    pub fn named(name: &str, credential: Arc<dyn TokenCredential>) -> Result<Self> {
        if !is_name(name, 3..=24) {
            let sentence = "the name of a vault has 3 to 24 letters, digits or hyphens";
            return Err(Error::new(ErrorKind::Misconfigured, sentence));
        }
        Self::at(&format!("https://{}.vault.azure.net/", name.to_ascii_lowercase()), credential)
    }

    fn client(&self) -> azure_core::Result<&SecretClient> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // A vault says for which service it wants a token, and the client sends none for a service with another name. Only
        // the stand-in of a test, on this machine, cannot have such a name.
        let is_this_machine = matches!(self.endpoint.host(), Some(Host::Domain("localhost")));
        let retry = RetryOptions::exponential(ExponentialRetryOptions { max_retries: 2, ..Default::default() });
        let transport = Some(bounded::transport(MOST_BYTES));
        let client_options = ClientOptions { retry, transport, ..Default::default() };
        let verify_challenge_resource = Some(!is_this_machine);
        let options = SecretClientOptions { client_options, verify_challenge_resource, ..Default::default() };
        let client = SecretClient::new(self.endpoint.as_str(), Arc::clone(&self.credential), Some(options))?;
        Ok(self.client.get_or_init(|| client))
    }

    async fn fetch(&self, name: &str) -> azure_core::Result<Option<SecretString>> {
        let secret = self.client()?.get_secret(name, None).await?.into_model()?;
        Ok(secret.value.map(SecretString::from))
    }
}

impl VaultSecret {
    /// A secret of a vault; `Misconfigured` when it can have no such name.
    pub fn new(vault: Arc<Vault>, name: &str, clock: Clock) -> Result<Self> {
        if !is_name(name, 1..=127) {
            let sentence = "the name of a secret has 1 to 127 letters, digits or hyphens";
            return Err(Error::new(ErrorKind::Misconfigured, sentence));
        }
        Ok(Self { vault, name: name.to_owned(), clock, kept: Mutex::default() })
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        format!("{}secrets/{}", self.vault.endpoint, self.name)
    }

    /// Its value.
    pub async fn value(&self) -> Result<SecretString> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.until) {
            return Ok(kept.value.clone());
        }
        let patience = if kept.is_some() { PATIENCE_WITH_A_VALUE } else { PATIENCE };
        let call = outside("vault", "get").to(self.vault.endpoint.as_str());
        match (call.run(self.fetch(patience)).await, kept.as_mut()) {
            (Ok(value), _) => {
                *kept = Some(Kept { value: value.clone(), until: now + KEPT });
                Ok(value)
            }
            (Err(e), Some(kept)) => {
                tracing::warn!(secret = self.name, cause = e.chain(), "a secret could not be fetched anew");
                kept.until = now + PAUSE;
                Ok(kept.value.clone())
            }
            (Err(e), None) => Err(e),
        }
    }

    async fn fetch(&self, patience: Duration) -> Result<SecretString> {
        let failed = |reason: Option<Reason>| {
            let sentence = format!("the secret `{}` cannot be had from its Key Vault", self.name);
            Error::new(ErrorKind::StoreUnavailable, sentence).because(reason)
        };
        let fetched = async {
            match timeout(patience, self.vault.fetch(&self.name)).await {
                Ok(Ok(Some(value))) => Ok(value),
                Ok(Ok(None)) => Err(failed(Some(Reason::NotThere)).caused_by("it has no value")),
                // Of the client's words none are quoted: they may hold what the vault sent.
                Ok(Err(e)) => Err(failed(Reason::of_client(&e)).caused_by(format!("{:?}", e.http_status()))),
                Err(_) => Err(failed(Some(Reason::TooSlow))),
            }
        };
        let answer = self.vault.breaker.call(fetched, is_of_the_service).await;
        answer.unwrap_or_else(|| Err(failed(Some(Reason::Failed)).caused_by("left alone for a moment after failures")))
    }
}

/// Whether a failure shows that the vault does not work, whatever it is asked.
fn is_of_the_service(error: &Error) -> bool {
    let signs = [Reason::Failed, Reason::NoAddress, Reason::NoConnection, Reason::TooSlow];
    error.reason().is_some_and(|reason| signs.contains(&reason))
}

fn is_name(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
