//! The signature that an account key makes. The official client signs in with Entra tokens alone; this serves Azurite and
//! local work.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Method, Request};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

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
