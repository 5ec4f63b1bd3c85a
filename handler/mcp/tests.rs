//! Headers and bodies in, eras and refusals out.

use serde_json::json;

use super::message::Request;
use super::*;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

fn once(value: &str) -> Given {
    Given::Once(value.to_owned())
}

fn headers(version: &str, method: &str, name: Option<&str>) -> Headers {
    Headers { version: once(version), method: once(method), name: name.map(once).unwrap_or_default() }
}

fn request(method: &str, params: Value) -> Request {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    match message::read(body.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// Parameters that say which revision they are of.
fn said(version: &str, mut params: Value) -> Value {
    params["_meta"] = json!({VERSION: version, CAPABILITIES: {}});
    params
}

fn code(headers: &Headers, request: &Request) -> i64 {
    let failure = era::of(headers, request).expect_err(&format!("{headers:?} {request:?}"));
    assert_eq!(failure.status(), 400, "{failure:?}");
    failure.body()["code"].as_i64().expect("a code")
}

#[test]
fn a_request_that_says_all_it_needs_is_of_the_new_era() {
    let era = |headers: &Headers, request: &Request| era::of(headers, request).expect("an era");
    let listed = request("tools/list", said("2026-07-28", json!({})));
    assert_eq!(era(&headers("2026-07-28", "tools/list", None), &listed), Era::Stateless);
    let called = request("tools/call", said("2026-07-28", json!({"name": "search"})));
    assert_eq!(era(&headers("2026-07-28", "tools/call", Some("search")), &called), Era::Stateless);
    let read = request("resources/read", said("2026-07-28", json!({"uri": "document://ü"})));
    assert_eq!(
        era(&headers("2026-07-28", "resources/read", Some("=?base64?ZG9jdW1lbnQ6Ly/DvA==?=")), &read),
        Era::Stateless
    );
    for version in [Given::Absent, once("2025-03-26"), once("2025-11-25")] {
        let headers = Headers { version, ..Headers::default() };
        assert_eq!(era(&headers, &request("tools/list", json!({}))), Era::Initialized);
        assert_eq!(era(&headers, &request("tools/list", json!({"_meta": {"progressToken": 1}}))), Era::Initialized);
    }
}

#[test]
fn headers_that_say_something_else_than_the_body_are_refused() {
    let called = request("tools/call", said("2026-07-28", json!({"name": "search"})));
    let good = || headers("2026-07-28", "tools/call", Some("search"));
    let wrong: [Headers; 12] = [
        Headers { version: Given::Absent, ..good() },
        Headers { version: Given::Unusable, ..good() },
        Headers { version: once("2025-11-25"), ..good() },
        Headers { method: Given::Absent, ..good() },
        Headers { method: Given::Unusable, ..good() },
        Headers { method: once("tools/list"), ..good() },
        Headers { method: once("Tools/Call"), ..good() },
        Headers { name: Given::Absent, ..good() },
        Headers { name: once("fetch"), ..good() },
        Headers { name: once("=?base64?c2VhcmNo"), ..good() },
        Headers { name: once("=?base64?%%%?="), ..good() },
        Headers { name: once("=?base64?c2VhcmNp?="), ..good() },
    ];
    for headers in wrong {
        assert_eq!(code(&headers, &called), -32_020, "{headers:?}");
    }
    let unnamed = request("tools/call", said("2026-07-28", json!({"name": 7})));
    assert_eq!(code(&good(), &unnamed), -32_020);
}

#[test]
fn an_unknown_revision_is_told_which_ones_are_known() {
    let asked = request("tools/list", said("1900-01-01", json!({})));
    let failure = era::of(&headers("1900-01-01", "tools/list", None), &asked).expect_err("it is unknown");
    let supported = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
    let expected = json!({
        "code": -32_022,
        "message": "Unsupported protocol version",
        "data": {"supported": supported, "requested": "1900-01-01"},
    });
    assert_eq!(failure.body(), expected);
    // Of the new era by its header alone, and of no era at all.
    assert_eq!(code(&headers("1900-01-01", "ping", None), &request("ping", json!({}))), -32_022);
    assert_eq!(code(&headers("2026-07-28", "ping", None), &request("ping", json!({}))), -32_602);
    let half = request("tools/list", json!({"_meta": {VERSION: "2026-07-28"}}));
    assert_eq!(code(&headers("2026-07-28", "tools/list", None), &half), -32_602);
    let notified = |version| era::check_version_of_notification(&Headers { version, ..Headers::default() });
    assert!(notified(Given::Absent).is_ok() && notified(once("2026-07-28")).is_ok());
    assert!(notified(once("1900-01-01")).is_err() && notified(Given::Unusable).is_err());
}

#[test]
fn one_message_is_read_and_nothing_else() {
    let refused = |body: &str| message::read(body.as_bytes()).expect_err(body).body()["code"].as_i64();
    for body in ["", "{", "hello", "{\"jsonrpc\":\"2.0\"", "\u{0}"] {
        assert_eq!(refused(body), Some(-32_700), "{body}");
    }
    for body in [
        "[]",
        "7",
        "null",
        "{}",
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#,
    ] {
        assert_eq!(refused(body), Some(-32_600), "{body}");
    }
    let notified = message::read(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert!(matches!(notified, Ok(Message::Notification)));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
        if let Err(failure) = message::read(&body) {
            proptest::prop_assert_eq!(failure.status(), 400);
        }
    }

    #[test]
    fn any_headers_are_judged(
        version in "(2026-07-28|2025-11-25|.{0,12})",
        name in "(=\\?base64\\?.{0,8}\\?=|.{0,8})",
        claimed in "(2026-07-28|.{0,12})",
    ) {
        let asked = request("tools/call", said(&claimed, json!({"name": name})));
        let headers = Headers { version: once(&version), method: once("tools/call"), name: once(&name) };
        if let Ok(era) = era::of(&headers, &asked) {
            proptest::prop_assert!(era == Era::Stateless && version == claimed && version == "2026-07-28");
        }
    }
}
