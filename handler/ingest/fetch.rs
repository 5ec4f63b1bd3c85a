//! Fetches one page or file from the web. An address comes in, bytes with their content type and final address go out.
//!
//! The address is a stranger's, and this process may reach machines that strangers may not. So names are resolved here,
//! each address they lead to has to be public, the connection goes to exactly those addresses, and each redirect is a new
//! address that is looked at in the same way. The client of the web stays in this file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::public_address::is_public;
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::calls;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Longest address that is looked at, in bytes.
const MAX_URL_BYTES: usize = 4_096;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Under which name servers see us.
const USER_AGENT: &str = concat!("knowledge-worker/", env!("CARGO_PKG_VERSION"));

/// The numbers fetching works with.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// Longest body, in bytes.
    pub max_bytes: u64,
    /// How long all of it may take.
    pub timeout: Duration,
    /// Ports that may be asked.
    pub ports: Vec<u16>,
}

/// Names and servers of a test, which has no public internet. The product has none of them, and no setting makes any.
#[derive(Clone, Debug, Default)]
pub struct Laboratory {
    /// Names that are not looked up but lead here.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// Servers that may be asked although they are not public, at ports that are not listed.
    pub servers: Vec<SocketAddr>,
}

/// What an address led to.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The address after all redirects.
    pub url: Url,
    /// The content type as the server says it; empty when it does not.
    pub content_type: String,
    /// The body.
    pub bytes: Bytes,
}

/// Fetches pages and files.
#[derive(Clone, Debug)]
pub struct Fetcher {
    settings: FetchSettings,
    laboratory: Laboratory,
}

impl Fetcher {
    /// A fetcher. Outside of tests the laboratory is empty.
    pub fn new(settings: FetchSettings, laboratory: Laboratory) -> Self {
        Self { settings, laboratory }
    }

    /// Fetches what an address leads to. `AddressRefused` when it may not be asked, `FetchFailed` when asking failed.
    pub async fn fetch(&self, raw: &str) -> Result<Fetched> {
        let fetching = tokio::time::timeout(self.settings.timeout, self.follow(raw));
        fetching.await.unwrap_or_else(|_| {
            let seconds = self.settings.timeout.as_secs();
            let sentence = format!("the address was not fetched within {seconds} s, the limit set by TIMEOUT_SECONDS");
            Err(Error::new(ErrorKind::DeadlineExceeded, sentence))
        })
    }

    async fn follow(&self, raw: &str) -> Result<Fetched> {
        let mut url = parse(raw)?;
        for _ in 0..=MAX_REDIRECTS {
            let addresses = self.check(&url).await?;
            let response = calls::outside("web", "get").to(url.as_str()).run(ask(&url, addresses)).await?;
            let status = response.status();
            if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                url = target(&url, response.headers())?;
                continue;
            }
            if status.as_u16() != 200 {
                return Err(failed(format!("the server answered with status {}", status.as_u16())));
            }
            let content_type = header(response.headers(), CONTENT_TYPE).unwrap_or_default().to_owned();
            return Ok(Fetched { bytes: self.read(response).await?, content_type, url });
        }
        Err(failed(format!("the address redirects more than {MAX_REDIRECTS} times")))
    }

    /// The addresses behind a URL, when all of them may be asked.
    async fn check(&self, url: &Url) -> Result<Vec<SocketAddr>> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("only http and https addresses can be fetched"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("an address with a user name or a password is not fetched"));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        let found: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            Some(Host::Domain(name)) => self.resolve(name, port).await?,
            None => return Err(refused("the address names no host")),
        };
        if found.is_empty() {
            return Err(failed("the host of the address cannot be found"));
        }
        for address in found.iter().filter(|address| !self.laboratory.servers.contains(address)) {
            // One name may lead to several addresses, and which of them is asked is not ours to say.
            if !is_public(address.ip()) {
                return Err(refused("the address leads to a machine that is not on the public internet"));
            }
            if !self.settings.ports.contains(&address.port()) {
                return Err(refused("the address has a port that FETCH_PORTS does not list"));
            }
        }
        Ok(found)
    }

    async fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>> {
        if let Some(addresses) = self.laboratory.names.get(name) {
            return Ok(addresses.iter().map(|address| (*address, port).into()).collect());
        }
        let looked_up = tokio::net::lookup_host((name, port)).await;
        Ok(looked_up.map_err(|e| failed("the host of the address cannot be found").caused_by(e))?.collect())
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Bytes> {
        let encoding = header(response.headers(), CONTENT_ENCODING).unwrap_or("identity");
        if !encoding.eq_ignore_ascii_case("identity") {
            return Err(failed("the server sent a compressed body, which was not asked for"));
        }
        let most = self.settings.max_bytes;
        let too_large = || {
            let sentence =
                format!("what the address leads to is longer than {most} bytes, the limit set by MAX_DOCUMENT_SIZE");
            Error::new(ErrorKind::DocumentTooLarge, sentence)
        };
        if response.content_length().is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|e| failed("the body ended early").caused_by(e.without_url()))?
        {
            if (bytes.len() + chunk.len()) as u64 > most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

/// Resolves every name to the addresses that were checked, so that none is looked up a second time.
struct Pinned(Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(async move { Ok(addresses) })
    }
}

/// One request, to one of `addresses` and to nobody else: no proxy, no redirect, no second try.
async fn ask(url: &Url, addresses: Vec<SocketAddr>) -> Result<reqwest::Response> {
    let client = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .dns_resolver(Arc::new(Pinned(addresses.clone())))
        .build()
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot make a client of the web").caused_by(e))?;
    let answered = client.get(url.clone()).header(ACCEPT, "text/html, */*;q=0.8").send().await;
    // The address may hold a secret in its query, so it does not get into the log.
    let response = answered.map_err(|e| failed("the server cannot be reached").caused_by(e.without_url()))?;
    calls::answered(response.status().as_u16());
    if response.remote_addr().is_none_or(|asked| addresses.contains(&asked)) {
        return Ok(response);
    }
    Err(refused("the address leads to a machine that was not looked at"))
}

fn parse(raw: &str) -> Result<Url> {
    let raw = raw.trim();
    if raw.len() > MAX_URL_BYTES {
        return Err(refused("the address is too long"));
    }
    Url::parse(raw).map_err(|e| refused("this is no web address; it begins with http:// or https://").caused_by(e))
}

fn target(from: &Url, headers: &HeaderMap) -> Result<Url> {
    let location = header(headers, LOCATION).filter(|location| location.len() <= MAX_URL_BYTES);
    let location = location.ok_or_else(|| failed("the server redirects and does not say where to"))?;
    from.join(location).map_err(|e| failed("the server redirects to something that is no address").caused_by(e))
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn refused(sentence: &str) -> Error {
    Error::new(ErrorKind::AddressRefused, sentence)
}

fn failed(sentence: impl Into<String>) -> Error {
    Error::new(ErrorKind::FetchFailed, sentence)
}
