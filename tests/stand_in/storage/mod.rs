//! The storage emulator over plain REST, signed with its well-known key: what a host does with a storage account, and what
//! a test does to set the scene. Deliberately not the SDK that the product uses: one must not hide the other's mistakes.

pub mod blobs;
pub mod queues;
mod xml;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Response, StatusCode};
use sha2::Sha256;
use url::Url;

use super::clock;

const ACCOUNT: &str = "devstoreaccount1";
/// The emulator's published key; it protects nothing.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const VERSION: &str = "2023-11-03";
/// The emulator closes connections that were idle for five seconds; one that is about to be closed is not used again.
const IDLE: Duration = Duration::from_secs(2);
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The two services of one account. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    blob: Url,
    queue: Url,
    http: reqwest::Client,
}

/// One request, before it is signed.
struct Call<'a> {
    method: Method,
    service: &'a Url,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    headers: &'a [(&'a str, &'a str)],
    body: Vec<u8>,
}

impl Storage {
    /// Endpoints such as `http://127.0.0.1:10000/devstoreaccount1`.
    pub fn new(blob: Url, queue: Url) -> Result<Self> {
        for endpoint in [&blob, &queue] {
            if endpoint.path().trim_matches('/') != ACCOUNT {
                bail!("{endpoint} must end in /{ACCOUNT}");
            }
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_idle_timeout(IDLE)
            .build()
            .context("build the storage client")?;
        Ok(Self { blob, queue, http })
    }

    /// The value of the app setting AzureWebJobsStorage.
    pub fn connection_string(&self) -> String {
        let (blob, queue) = (self.blob.as_str().trim_end_matches('/'), self.queue.as_str().trim_end_matches('/'));
        format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={blob};QueueEndpoint={queue};"
        )
    }

    async fn send(&self, call: Call<'_>) -> Result<Response> {
        let mut url = call.service.clone();
        let encoded = utf8_percent_encode(call.path, NAME);
        url.set_path(&format!("{}/{encoded}", call.service.path().trim_end_matches('/')));
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let date = clock::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers: Vec<(&str, &str)> = vec![("x-ms-date", &date), ("x-ms-version", VERSION)];
        headers.extend_from_slice(call.headers);
        let signature = sign(&call.method, &url, &headers, call.body.len())?;
        let mut request = self.http.request(call.method.clone(), url.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request = request.header("authorization", format!("SharedKey {ACCOUNT}:{signature}"));
        if !call.body.is_empty() || call.method == Method::PUT || call.method == Method::POST {
            request = request.header("content-length", call.body.len()).body(call.body);
        }
        request.send().await.with_context(|| format!("{} {url}", call.method))
    }
}

/// The signature of Shared Key authorization, the same for blobs and queues.
fn sign(method: &Method, url: &Url, headers: &[(&str, &str)], body_length: usize) -> Result<String> {
    let standard = |wanted: &str| headers.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
    let length = if body_length == 0 { String::new() } else { body_length.to_string() };
    let (content_type, if_match, if_none_match) =
        (standard("content-type"), standard("if-match"), standard("if-none-match"));
    let mut extension: Vec<_> = headers.iter().filter(|(name, _)| name.starts_with("x-ms-")).collect();
    extension.sort();
    let extension: String = extension.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let mut query: Vec<_> = url.query_pairs().collect();
    query.sort();
    let query: String = query.iter().map(|(name, value)| format!("\n{name}:{value}")).collect();
    // Content-Encoding, Content-Language, Content-MD5, Date and Range stay empty: the stand-in sends none of them.
    let text = format!(
        "{method}\n\n\n{length}\n\n{content_type}\n\n\n{if_match}\n{if_none_match}\n\n\n{extension}/{ACCOUNT}{}{query}",
        url.path()
    );
    let key = STANDARD.decode(KEY).context("decode the emulator's key")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).context("use the emulator's key")?;
    mac.update(text.as_bytes());
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

/// The answer, or an error with the service's own code and text.
async fn expect(response: Response, accepted: &[u16]) -> Result<Response> {
    if accepted.contains(&response.status().as_u16()) {
        return Ok(response);
    }
    let (status, url) = (response.status(), response.url().clone());
    let text = response.text().await.unwrap_or_default();
    bail!("storage answered {status} for {url}: {text}")
}

fn is_missing(response: &Response) -> bool {
    response.status() == StatusCode::NOT_FOUND
}
