//! How to reach a storage account, and the signature that an account key makes.
//!
//! The official client signs in with Entra tokens alone; the key form serves Azurite and local work.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Method, Request};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// What `UseDevelopmentStorage=true` stands for: Azurite on its usual ports with its published account.
const AZURITE: &str = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;\
    AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;\
    BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;";

/// A storage account and the way to sign in.
#[derive(Clone, Debug)]
pub enum StorageAccount {
    /// With an account key, from a connection string.
    Key {
        /// The account's name.
        name: String,
        /// Its key, base64.
        key: SecretString,
        /// Where its blob service answers.
        blob_endpoint: Url,
    },
    /// With the identity this process runs under: the platform's managed identity, else a developer's login.
    Identity {
        /// Where the account's blob service answers.
        blob_endpoint: Url,
        /// Whether the platform offers an identity.
        managed: bool,
    },
}

impl StorageAccount {
    /// An account of the public cloud by name, with identity; `managed` where the platform offers one.
    pub fn named(name: &str, managed: bool) -> Result<Self> {
        let valid =
            (3..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let url = valid.then(|| Url::parse(&format!("https://{name}.blob.core.windows.net/")).ok()).flatten();
        let sentence = "a storage account name has 3 to 24 lower-case letters and digits";
        let blob_endpoint = url.ok_or_else(|| Error::new(ErrorKind::Misconfigured, sentence))?;
        Ok(Self::Identity { blob_endpoint, managed })
    }

    /// An account from a connection string (`AccountName=…;AccountKey=…;…`), or Azurite from `UseDevelopmentStorage=true`.
    pub fn from_connection_string(text: &str) -> Result<Self> {
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
        let need = |key: &str| {
            let sentence = format!("the connection string has no {key}");
            parts.get(&key.to_ascii_lowercase()).copied().ok_or_else(|| Error::new(ErrorKind::Misconfigured, sentence))
        };
        let (name, key) = (need("AccountName")?, need("AccountKey")?);
        if BASE64_STANDARD.decode(key).is_err() {
            return Err(Error::new(ErrorKind::Misconfigured, "the AccountKey of the connection string is not base64"));
        }
        let endpoint = match parts.get("blobendpoint") {
            Some(endpoint) => (*endpoint).to_owned(),
            None => {
                let protocol = parts.get("defaultendpointsprotocol").copied().unwrap_or("https");
                let suffix = parts.get("endpointsuffix").copied().unwrap_or("core.windows.net");
                format!("{protocol}://{name}.blob.{suffix}/")
            }
        };
        let blob_endpoint = Url::parse(&endpoint).map_err(|e| {
            Error::new(ErrorKind::Misconfigured, "the BlobEndpoint of the connection string is not a web address")
                .caused_by(e)
        })?;
        Ok(Self::Key { name: name.to_owned(), key: key.into(), blob_endpoint })
    }

    /// Where the blob service answers.
    pub fn blob_endpoint(&self) -> &Url {
        match self {
            Self::Key { blob_endpoint, .. } | Self::Identity { blob_endpoint, .. } => blob_endpoint,
        }
    }

    /// The credential of this process. Asks nobody until the first token is needed.
    pub(super) fn credential(&self) -> Result<Arc<dyn TokenCredential>> {
        process_credential(matches!(self, Self::Identity { managed: true, .. }))
    }
}

/// The credential of this process: the platform's managed identity where it offers one, else a developer's login. Asks nobody
/// until the first token is needed.
pub fn process_credential(managed: bool) -> Result<Arc<dyn TokenCredential>> {
    let failed = |e| Error::new(ErrorKind::Misconfigured, "no identity can be found to sign in with").caused_by(e);
    if managed {
        azure_identity::ManagedIdentityCredential::new(None).map(|credential| credential as _).map_err(failed)
    } else {
        azure_identity::DeveloperToolsCredential::new(None).map(|credential| credential as _).map_err(failed)
    }
}

/// Signs each try of a request with the account key.
/// Scheme: <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>
#[derive(Clone, Debug)]
pub struct SharedKey {
    account: String,
    key: SecretString,
}

impl SharedKey {
    /// A signer for one account; `key` is base64.
    pub fn new(account: String, key: SecretString) -> Self {
        Self { account, key }
    }

    /// The text to sign: method, standard headers, `x-ms-` headers in order, account and path, query in order.
    fn string_to_sign(&self, request: &Request) -> String {
        let mut standard: BTreeMap<&str, &str> = BTreeMap::new();
        let mut special: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in request.headers().iter() {
            let name = name.as_str();
            if name.starts_with("x-ms-") {
                special.insert(name.to_owned(), value.as_str().trim().to_owned());
            } else {
                standard.insert(name, value.as_str());
            }
        }
        let length = request.body().len().filter(|length| *length > 0).map(|length| length.to_string());
        let header = |name: &str| match name {
            "content-length" => length.clone().unwrap_or_default(),
            _ => standard.get(name).copied().unwrap_or_default().to_owned(),
        };
        let mut text = method_name(request.method()).to_owned();
        for name in [
            "content-encoding",
            "content-language",
            "content-length",
            "content-md5",
            "content-type",
            "date",
            "if-modified-since",
            "if-match",
            "if-none-match",
            "if-unmodified-since",
            "range",
        ] {
            text.push('\n');
            text.push_str(&header(name));
        }
        text.push('\n');
        for (name, value) in special {
            text.push_str(&format!("{name}:{value}\n"));
        }
        text.push_str(&format!("/{}{}", self.account, request.url().path()));
        let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in request.url().query_pairs() {
            query.entry(name.to_lowercase()).or_default().push(value.into_owned());
        }
        for (name, mut values) in query {
            values.sort_unstable();
            text.push_str(&format!("\n{name}:{}", values.join(",")));
        }
        text
    }
}

#[async_trait]
impl Policy for SharedKey {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        #[expect(clippy::disallowed_methods, reason = "the service compares the signed date with its own clock")]
        let date = Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        request.insert_header("x-ms-date", date);
        let key = BASE64_STANDARD.decode(self.key.expose_secret()).unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
        mac.update(self.string_to_sign(request).as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        request.insert_header("authorization", format!("SharedKey {}:{signature}", self.account));
        next[0].send(ctx, request, &next[1..]).await
    }
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Delete => "DELETE",
        Method::Head => "HEAD",
        Method::Patch => "PATCH",
        _ => "",
    }
}
