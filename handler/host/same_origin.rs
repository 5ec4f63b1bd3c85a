//! Keeps other web pages out of a server on a laptop. A page that somebody opens in a browser could otherwise send files to
//! it, or, under a name that resolves to this machine, read its answers. Clients that are no browsers send no `Origin`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use url::Url;

use super::problem;
use super::server::RequestId;
use crate::error::{Error, ErrorKind};

/// Lets a request through that comes from no page, or from a page of this very server; on a loopback address it must also
/// have been sent to a loopback name.
pub async fn guard(listening: SocketAddr, request: Request, next: Next) -> Response {
    if is_allowed(request.headers(), listening) {
        return next.run(request).await;
    }
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let sentence = "a page of another site sent this, or another name than this machine's was used";
    problem::respond(&Error::new(ErrorKind::ForeignOrigin, sentence), &id)
}

fn is_allowed(headers: &HeaderMap, listening: SocketAddr) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if listening.ip().is_loopback() && !is_loopback_name(host) {
        return false;
    }
    is_own_page_or_none(headers)
}

/// Whether a request comes from no page, or from a page of the very address that it was sent to.
pub fn is_own_page_or_none(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    match headers.get(header::ORIGIN) {
        None => true,
        Some(_) => text(header::ORIGIN).is_some_and(|origin| {
            origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
        }),
    }
}

fn is_loopback_name(host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}/")) else { return false };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listening: &str, host: &'static str, origin: Option<&'static str>, allowed: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        assert_eq!(is_allowed(&headers, listening.parse().unwrap()), allowed, "{host} {origin:?}");
    }

    #[test]
    fn programs_and_own_pages_come_through() {
        check("127.0.0.1:7071", "127.0.0.1:7071", None, true);
        check("127.0.0.1:7071", "localhost:7071", Some("http://localhost:7071"), true);
        check("[::1]:7071", "[::1]:7071", None, true);
        check("0.0.0.0:7071", "papers.example.org", Some("https://papers.example.org"), true);
    }

    #[test]
    fn other_pages_and_other_names_do_not() {
        check("127.0.0.1:7071", "127.0.0.1:7071", Some("https://evil.example"), false);
        check("127.0.0.1:7071", "127.0.0.1:7071", Some("null"), false);
        check("127.0.0.1:7071", "127.0.0.1:7071", Some("http://127.0.0.1:8080"), false);
        check("127.0.0.1:7071", "evil.example:7071", None, false);
        check("127.0.0.1:7071", "127.0.0.1.evil.example", None, false);
        check("0.0.0.0:7071", "papers.example.org", Some("https://evil.example"), false);
    }
}
