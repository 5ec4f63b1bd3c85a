//! Addresses: ids that are none, queries that ask for too much, paths and methods that lead nowhere.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};

use super::Besieged;
use crate::support::app::get;

fn request(method: &Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn an_id_that_is_none_is_as_absent_as_an_unknown_one() {
    let besieged = Besieged::with(&[]).await;
    let long = "a".repeat(8_000);
    let ids = [
        "x",
        "0",
        "-1",
        "00000000000000000000000000000000",
        "000000000000000000000000000000000",
        "ABCDEF00000000000000000000000000",
        "kept.md",
        "harbour%2Fkept.md",
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "..%5c..",
        "%00",
        "%0d%0aX-Forged:%201",
        "%ff%fe",
        "%",
        "%zz",
        "'%20OR%20'1'='1",
        "%22;DROP%20TABLE%20records;--",
        "%F0%9F%9A%A2",
        long.as_str(),
    ];
    for id in ids {
        for method in [Method::GET, Method::DELETE] {
            let answer = besieged.test.send(request(&method, &format!("/api/documents/{id}"))).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {id:.40}: {answer:?}");
            answer.assert_problem("not-found");
            assert!(!answer.headers.contains_key("x-forged"));
        }
    }
    besieged.stands().await;
}

#[tokio::test]
async fn a_listing_has_bounds_and_no_other_parameters() {
    let besieged = Besieged::with(&[]).await;
    let queries = [
        "limit=0",
        "limit=-1",
        "limit=201",
        "limit=999",
        "limit=99999999999999999999",
        "limit=1e2",
        "limit=1.0",
        "limit=abc",
        "limit=",
        "limit=%00",
        "limit=1&limit=2",
        "limit[]=1",
        "top=5",
        "owner=somebody",
        "state=",
        "state=lost",
        "state=indexed&state=failed",
        "limit=5&filter=1%20eq%201",
        "after=a&after=b",
    ];
    for query in queries {
        let answer = besieged.test.send(get(&format!("/api/documents?{query}"))).await;
        assert!(!answer.status.is_success(), "{query}: {answer:?}");
        answer.assert_problem("invalid-request");
    }
    // A mark that nobody gave out only says where to go on.
    for after in ["", "zzz", "%00", "%ff", "'%20OR%201=1--", "../.."] {
        let answer = besieged.test.send(get(&format!("/api/documents?after={after}"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{after}: {answer:?}");
        assert!(answer.json()["documents"].is_array());
    }
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_08_a_path_that_leads_nowhere_is_a_problem_too() {
    let besieged = Besieged::with(&[]).await;
    let paths = [
        "/admin/host/status",
        "/admin/functions/ingest_document",
        "/runtime/webhooks/blobs",
        "/.env",
        "/local.settings.json",
        "/host.json",
        "/index.html",
        "//",
        "//api/health",
        "/api",
        "/api/",
        "/api/health/",
        "/api/../api/health",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/health;jsessionid=1",
        "/api/health%00",
        "/api/health.",
        "/api/documents/a/b",
        "/API/HEALTH",
        "/api/%68ealth/x",
    ];
    for path in paths {
        let answer = besieged.test.send(get(path)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {answer:?}");
        answer.assert_problem("not-found");
    }
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_08_a_method_that_an_address_does_not_take_is_told_which_ones_it_does() {
    let besieged = Besieged::with(&[]).await;
    let cases = [
        (Method::GET, "/api/chat", "POST"),
        (Method::GET, "/api/chat/stream", "POST"),
        (Method::PUT, "/api/search", "POST"),
        (Method::DELETE, "/api/chat", "POST"),
        (Method::TRACE, "/api/chat", "POST"),
        (Method::CONNECT, "/api/chat", "POST"),
        (Method::DELETE, "/api/documents", "POST"),
        (Method::PATCH, "/api/documents", "GET"),
        (Method::POST, "/api/documents/00000000000000000000000000000000", "DELETE"),
        (Method::POST, "/api/health", "GET"),
        (Method::POST, "/", "GET"),
        (Method::GET, "/ingest_document", "POST"),
        (Method::from_bytes(b"PROPFIND").unwrap(), "/api/documents", "GET"),
    ];
    for (method, path, allowed) in cases {
        let answer = besieged.test.send(request(&method, path)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}: {answer:?}");
        answer.assert_problem("method-not-allowed");
        let allow = answer.headers.get(header::ALLOW).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(allow.contains(allowed), "{method} {path} allows {allow:?}");
    }
    besieged.stands().await;
}
