//! Where a storage account is, and what opens it: the identity of this process, or an account key or a shared access
//! signature for Azurite and local work. Enters: a name, an address or a connection string. Nothing is asked here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use azure_core::credentials::TokenCredential;
use azure_core::http::Transport;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::bounded;
use crate::breaker::Breaker;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::{Made, Secret};
use crate::web_address::is_this_machine;

/// What `UseDevelopmentStorage=true` stands for: Azurite on its usual ports with its published account.
const AZURITE: &str = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;\
    AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;\
    BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;";

/// A storage account and the way to sign in.
#[derive(Clone)]
pub struct StorageAccount {
    home: Home,
    pub(super) connections: Connections,
}

/// How an account is found.
#[derive(Clone)]
enum Home {
    /// By what the settings say.
    Known(Arc<Opened>),
    /// By a connection string that is in a Key Vault.
    InVault(Arc<Made<Opened>>),
}

/// Where the blob service of an account is, and what opens it.
pub(super) struct Opened {
    pub blob_endpoint: Url,
    pub access: Access,
}

/// What opens an account.
#[derive(Clone)]
pub(super) enum Access {
    /// An account key.
    Key {
        /// The account's name.
        name: String,
        /// Its key, base64.
        key: SecretString,
    },
    /// A shared access signature: the query of every address.
    Signature(SecretString),
    /// Tokens of this process's identity.
    Identity(Arc<dyn TokenCredential>),
}

/// The connections to an account, shared by its containers. Made with the first request: reading the machine's certificates
/// is too slow for the start of the process.
#[derive(Clone, Default)]
pub(super) struct Connections {
    transport: Arc<OnceLock<Transport>>,
    /// Whether the account is worth calling.
    pub(super) breaker: Arc<Breaker>,
}

/// The most bytes of a blob that is read whole: a document or a manifest. Whatever is larger is read in parts.
const MOST_BYTES: u64 = 256 << 20;

impl Connections {
    /// The connections as the official client takes them.
    pub(super) fn transport(&self) -> Transport {
        self.transport.get_or_init(|| bounded::transport(MOST_BYTES)).clone()
    }
}

impl fmt::Debug for StorageAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Home::Known(opened) = &self.home else { return write!(f, "StorageAccount({})", self.place()) };
        let access = match opened.access {
            Access::Key { .. } => "key",
            Access::Signature(_) => "signature",
            Access::Identity(_) => "identity",
        };
        f.debug_struct("StorageAccount").field("blob_endpoint", &self.place()).field("access", &access).finish()
    }
}

impl StorageAccount {
    /// An account of the public cloud by name, opened by an identity.
    pub fn named(name: &str, credential: Arc<dyn TokenCredential>) -> Result<Self> {
        let valid =
            (3..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let url = valid.then(|| Url::parse(&format!("https://{name}.blob.core.windows.net/")).ok()).flatten();
        let blob_endpoint =
            url.ok_or_else(|| misconfigured("a storage account name has 3 to 24 lower-case letters and digits"))?;
        Ok(Self::of(blob_endpoint, Access::Identity(credential)))
    }

    /// An account at the address of its blob service, in whatever cloud, opened by an identity. A token travels over TLS alone.
    pub fn at(blob_endpoint: &str, credential: Arc<dyn TokenCredential>) -> Result<Self> {
        let url = Url::parse(blob_endpoint).ok().filter(|url| {
            url.scheme() == "https" && url.has_host() && url.query().is_none() && url.username().is_empty()
        });
        let url = url.ok_or_else(|| misconfigured("must be an https address without a query"))?;
        Ok(Self::of(url, Access::Identity(credential)))
    }

    /// An account from a connection string: with a key (`AccountName=…;AccountKey=…`), with a signature
    /// (`BlobEndpoint=…;SharedAccessSignature=…`), or Azurite from `UseDevelopmentStorage=true`.
    pub fn from_connection_string(text: &str) -> Result<Self> {
        Opened::from_connection_string(text).map(Self::known)
    }

    /// The same from a secret. One in a Key Vault is fetched and read with the first call to the account.
    pub fn from_secret(connection_string: Secret) -> Result<Self> {
        match connection_string {
            Secret::Plain(text) => Self::from_connection_string(text.expose_secret()),
            secret @ Secret::InVault(_) => {
                let home = Home::InVault(Arc::new(Made::of(secret)));
                Ok(Self { home, connections: Connections::default() })
            }
        }
    }

    fn of(blob_endpoint: Url, access: Access) -> Self {
        Self::known(Opened { blob_endpoint, access })
    }

    fn known(opened: Opened) -> Self {
        Self { home: Home::Known(Arc::new(opened)), connections: Connections::default() }
    }

    /// What the account is opened with now: the same thing until a secret was replaced.
    pub(super) async fn opened(&self) -> Result<Arc<Opened>> {
        match &self.home {
            Home::Known(opened) => Ok(Arc::clone(opened)),
            Home::InVault(made) => made.get(|text| Opened::from_connection_string(text.expose_secret())).await,
        }
    }

    /// Where the blob service answers, as far as that is known without asking a Key Vault.
    pub fn blob_endpoint(&self) -> Option<&Url> {
        match &self.home {
            Home::Known(opened) => Some(&opened.blob_endpoint),
            Home::InVault(_) => None,
        }
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        match &self.home {
            Home::Known(opened) => opened.blob_endpoint.to_string(),
            Home::InVault(made) => made.place(),
        }
    }

    /// Where the blob service answers that the identity of this process opens; none when something else opens it.
    pub fn opened_by_identity(&self) -> Option<&Url> {
        match &self.home {
            Home::Known(opened) if matches!(opened.access, Access::Identity(_)) => Some(&opened.blob_endpoint),
            _ => None,
        }
    }
}

impl Opened {
    fn from_connection_string(text: &str) -> Result<Self> {
        let text = if text.trim().trim_end_matches(';').eq_ignore_ascii_case("UseDevelopmentStorage=true") {
            AZURITE
        } else {
            text
        };
        let parts: BTreeMap<String, &str> = text
            .split(';')
            .filter_map(|part| part.trim().split_once('='))
            .map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim()))
            .collect();
        let part = |key: &str| parts.get(key).copied().filter(|value| !value.is_empty());
        let name = part("accountname");
        let blob_endpoint = blob_endpoint(part, name)?;
        if let Some(key) = part("accountkey") {
            let name = name.ok_or_else(|| misconfigured("the connection string has no AccountName"))?.to_owned();
            if BASE64_STANDARD.decode(key).is_err() {
                return Err(misconfigured("the AccountKey of the connection string is not base64"));
            }
            return Ok(Self { blob_endpoint, access: Access::Key { name, key: key.into() } });
        }
        let sentence = "the connection string has neither an AccountKey nor a SharedAccessSignature";
        let signature = part("sharedaccesssignature").ok_or_else(|| misconfigured(sentence))?;
        // Whoever reads a signature on its way may use it, unlike a key, which only signs.
        if blob_endpoint.scheme() != "https" && !is_this_machine(&blob_endpoint) {
            return Err(misconfigured("a SharedAccessSignature may only be sent over https"));
        }
        Ok(Self { blob_endpoint, access: Access::Signature(signature.trim_start_matches('?').into()) })
    }
}

fn blob_endpoint<'a>(part: impl Fn(&str) -> Option<&'a str>, name: Option<&str>) -> Result<Url> {
    let endpoint = match (part("blobendpoint"), name) {
        (Some(endpoint), _) => endpoint.to_owned(),
        (None, Some(name)) => {
            let protocol = part("defaultendpointsprotocol").unwrap_or("https");
            let suffix = part("endpointsuffix").unwrap_or("core.windows.net");
            format!("{protocol}://{name}.blob.{suffix}/")
        }
        (None, None) => return Err(misconfigured("the connection string has neither AccountName nor BlobEndpoint")),
    };
    let url = Url::parse(&endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| misconfigured("the BlobEndpoint of the connection string is not a web address"))
}

fn misconfigured(sentence: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a connection string opens, and where; or what is wrong with it.
    fn check(text: &str, expected: &str) {
        let told = match StorageAccount::from_connection_string(text) {
            Ok(account) => format!("{account:?}"),
            Err(e) => e.message().to_owned(),
        };
        assert!(told.contains(expected), "{text}: {told}");
        assert!(!told.contains("hush"), "{told}");
    }

    #[test]
    fn a_connection_string_has_a_key_or_a_signature() {
        check("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1\", access: \"key\"");
        check("AccountName=a;AccountKey=aHVzaA==", "https://a.blob.core.windows.net/\", access: \"key\"");
        check("AccountName=a;AccountKey=aHVzaA==;EndpointSuffix=core.chinacloudapi.cn", "a.blob.core.chinacloudapi.cn");
        check("BlobEndpoint=https://a.test/;SharedAccessSignature=?sv=1&sig=hush", "a.test/\", access: \"signature\"");
        check("AccountName=a;SharedAccessSignature=sv=1&sig=hush", "https://a.blob.core.windows.net/");
        check("BlobEndpoint=http://127.0.0.1:1/a;SharedAccessSignature=sig=hush", "http://127.0.0.1:1/a");
        check("BlobEndpoint=http://a.test/;SharedAccessSignature=sig=hush", "over https");
        check("BlobEndpoint=ftp://a.test/;SharedAccessSignature=sig=hush", "not a web address");
        check("AccountKey=aHVzaA==;BlobEndpoint=https://a.test/", "no AccountName");
        check("AccountName=a;AccountKey=hush!", "not base64");
        check("AccountName=a", "neither an AccountKey");
        check("hush", "neither AccountName nor");
    }
}
