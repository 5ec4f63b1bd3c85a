//! Bodies of `/v1/chat/completions`, `/mcp` and `/chat`: what nobody should send is refused in the shape of each protocol,
//! with a status that blames the caller, and nothing of it comes back.

use std::sync::atomic::Ordering;

use axum::http::{Request, header};
use serde_json::{Value, json};

use super::{Besieged, unmeasured};
use crate::support::app::{Answer, post_json};

const PATHS: [&str; 4] = ["/v1/chat/completions", "/mcp", "/chat", "/chat/stream"];
/// Bytes that each takes.
const MOST_BYTES: usize = 256 << 10;

/// Asserts that a refusal is one in the protocol of a path.
fn assert_refused(path: &str, answer: &Answer) {
    let body = answer.json();
    assert!(answer.status.is_client_error(), "{path}: {answer:?}");
    assert!(!answer.body.contains("canary"), "{path} repeats what was sent: {answer:?}");
    match path {
        "/v1/chat/completions" => {
            let error = &body["error"];
            assert!(error["message"].as_str().is_some_and(|sentence| sentence.len() > 10), "{answer:?}");
            assert!(error["type"].is_string() && error["code"].is_string(), "{answer:?}");
        }
        "/mcp" => assert!(body["error"]["code"].is_i64() && body["jsonrpc"] == "2.0", "{answer:?}"),
        _ => assert!(body["error"].is_string() && body["code"].is_string(), "{answer:?}"),
    }
}

async fn check(bodies: impl IntoIterator<Item = Vec<u8>>) {
    let besieged = Besieged::with(&[]).await;
    for body in bodies {
        for path in PATHS {
            let answer = besieged.test.send(post_json(path, body.clone())).await;
            assert_refused(path, &answer);
        }
    }
    besieged.stands().await;
}

#[tokio::test]
async fn what_is_not_json_is_refused_in_each_protocol() {
    let bodies: [&[u8]; 9] = [
        b"",
        b"canary",
        b"{",
        b"{\"messages\": [",
        b"{'model': 'canary'}",
        b"\0",
        b"{\"a\": \"caf\xe9\"}",
        b"{\"id\": 1e400}",
        b"{} {}",
    ];
    let deep = ["[".repeat(200_000), "{\"a\":".repeat(40_000)].map(String::into_bytes);
    check(bodies.map(<[u8]>::to_vec).into_iter().chain(deep)).await;
}

#[tokio::test]
async fn values_of_the_wrong_type_are_refused_in_each_protocol() {
    let odd = [
        json!(null),
        json!(7),
        json!(true),
        json!("canary"),
        json!([]),
        json!(["canary"]),
        json!({}),
        json!({"a": {}}),
    ];
    let user = json!([{"role": "user", "content": "How deep?"}]);
    let mut bodies: Vec<Value> = odd.to_vec();
    for value in &odd {
        bodies.push(json!({"jsonrpc": value, "model": "knowledge-worker", "messages": value, "session_state": null}));
        bodies.push(json!({"jsonrpc": "2.0", "id": value, "method": [value], "model": value, "messages": value}));
        let message = json!([{"role": value, "content": value}]);
        bodies
            .push(json!({"jsonrpc": "2.0", "model": "knowledge-worker", "messages": message, "session_state": value}));
    }
    // The right question, and something that none of them takes.
    let tools = json!([{"type": "function", "function": {"name": "canary"}}]);
    bodies.push(json!({"model": "knowledge-worker", "messages": user, "tools": tools}));
    bodies.push(json!({"model": "knowledge-worker", "messages": user, "filter": {"canary": 1}, "session_state": null}));
    check(bodies.into_iter().map(|body| body.to_string().into_bytes())).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read_to_its_end() {
    let besieged = Besieged::with(&[]).await;
    for path in PATHS {
        let (body, taken) = unmeasured(100 << 20);
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
        let answer = besieged.test.send(request).await;
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
        assert!(taken.load(Ordering::SeqCst) <= 2 * MOST_BYTES, "{path}: {taken:?} bytes were read");
    }
    besieged.stands().await;
}

#[tokio::test]
async fn headers_of_any_bytes_are_judged() {
    let besieged = Besieged::with(&[]).await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
    }}});
    let long = "a".repeat(8_000).into_bytes();
    let values: [&[u8]; 6] =
        [b"", b"\xff\xfe", b"2026-07-28, 2025-11-25", b"=?base64?/////w==?=", b"=?base64??=", &long];
    for name in ["mcp-protocol-version", "mcp-method"] {
        for value in values {
            let mut request = Request::post("/mcp").header(header::CONTENT_TYPE, "application/json");
            for (given, good) in [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")] {
                request = request.header(given, if given == name { value } else { good.as_bytes() });
            }
            let answer = besieged.test.send(request.body(list.to_string().into()).unwrap()).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (400, &json!(-32_020)), "{name}");
        }
    }
    for dialect in [&b"canary"[..], b"\xff", b"azure-samples"] {
        let (mut head, body) = post_json("/chat", r#"{"message": "How deep is the basin of Tarnholm?"}"#).into_parts();
        head.headers.insert("x-chat-dialect", dialect.try_into().unwrap());
        let answer = besieged.test.send(Request::from_parts(head, body)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["success"]), (200, &json!(true)));
    }
    besieged.stands().await;
}
