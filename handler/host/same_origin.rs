//! Keeps other web pages out. A page that somebody opens in a browser could otherwise send files to a server on a laptop, or,
//! under a name that resolves to this machine, read its answers; and where a cookie signs people in, act in their name. Clients
//! that are no browsers send neither `Origin` nor `Sec-Fetch-Site`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use url::Url;

use super::problem;
use super::server::RequestId;
use crate::error::{Error, ErrorKind};

/// What browsers say of where a request comes from (Fetch Metadata).
pub const FETCH_SITE: &str = "sec-fetch-site";

/// Lets a request through that comes from no page, from a page of this very server, or from one of `origins`; on a loopback
/// address it must also have been sent to a loopback name.
pub async fn guard(listening: SocketAddr, origins: &[HeaderValue], request: Request, next: Next) -> Response {
    if is_allowed(request.headers(), listening, origins) {
        return next.run(request).await;
    }
    refuse(&request)
}

/// Lets a request through that changes nothing, or that no page of another site made, but for those of `origins`. This holds
/// under any name that the server may have.
pub async fn guard_changes(origins: &[HeaderValue], request: Request, next: Next) -> Response {
    if changes_nothing(request.method()) || !is_foreign_page(request.headers(), origins) {
        return next.run(request).await;
    }
    refuse(&request)
}

/// Whether requests of a method change nothing.
pub fn changes_nothing(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_foreign_page(headers: &HeaderMap, origins: &[HeaderValue]) -> bool {
    let is_foreign = |value: &HeaderValue| value == "cross-site" || value == "same-site";
    !is_known(headers, origins) && headers.get_all(FETCH_SITE).iter().any(is_foreign)
}

/// Whether a request comes from a page that may call from elsewhere.
fn is_known(headers: &HeaderMap, origins: &[HeaderValue]) -> bool {
    headers.get(header::ORIGIN).is_some_and(|origin| origins.contains(origin))
}

fn refuse(request: &Request) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let sentence = "a page of another site sent this, or another name than this machine's was used";
    problem::respond(&Error::new(ErrorKind::ForeignOrigin, sentence), &id)
}

fn is_allowed(headers: &HeaderMap, listening: SocketAddr, origins: &[HeaderValue]) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if listening.ip().is_loopback() && !is_loopback_name(host) {
        return false;
    }
    is_known(headers, origins) || is_own_page_or_none(headers)
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
        let known = [HeaderValue::from_static("https://intranet.example")];
        assert_eq!(is_allowed(&headers, listening.parse().unwrap(), &known), allowed, "{host} {origin:?}");
    }

    #[test]
    fn programs_and_own_pages_come_through() {
        check("127.0.0.1:7071", "127.0.0.1:7071", None, true);
        check("127.0.0.1:7071", "localhost:7071", Some("http://localhost:7071"), true);
        check("[::1]:7071", "[::1]:7071", None, true);
        check("0.0.0.0:7071", "papers.example.org", Some("https://papers.example.org"), true);
        check("0.0.0.0:7071", "papers.example.org", Some("https://intranet.example"), true);
    }

    #[test]
    fn a_browser_tells_of_a_foreign_page_under_any_name() {
        let is_foreign = |site: &'static str, origin: &'static str| {
            let headers = [("sec-fetch-site", site), ("origin", origin)];
            let named = headers.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            is_foreign_page(&HeaderMap::from_iter(named), &[HeaderValue::from_static("https://intranet.example")])
        };
        assert!(is_foreign("cross-site", "https://evil.example") && is_foreign("same-site", "https://evil.example"));
        assert!(is_foreign("cross-site", "null"));
        assert!(
            !is_foreign("cross-site", "https://intranet.example") && !is_foreign("same-origin", "https://any.example")
        );
        assert!(!is_foreign("none", "") && !is_foreign_page(&HeaderMap::new(), &[]));
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
