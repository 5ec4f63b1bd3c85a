//! Bodies of `/api/search`.

use std::sync::atomic::Ordering;

use axum::http::{Request, header};
use serde_json::json;

use super::{Besieged, unmeasured};
use crate::support::app::post_json;

const PATH: &str = "/api/search";
/// Bytes that a search takes.
const MOST_BYTES: usize = 64 << 10;

#[tokio::test]
async fn a_number_of_results_is_a_number_within_bounds() {
    let besieged = Besieged::with(&[]).await;
    let cases = [
        ("-1", "invalid-request"),
        ("0", "invalid-request"),
        ("51", "invalid-request"),
        ("1.5", "invalid-request"),
        ("18446744073709551616", "invalid-request"),
        ("\"5\"", "invalid-request"),
        ("null", "invalid-request"),
        ("true", "invalid-request"),
        ("[5]", "invalid-request"),
        ("{}", "invalid-request"),
        ("5, \"top_results\": 6", "invalid-request"),
        ("5, \"filter\": \"1 eq 1\"", "invalid-request"),
        ("5, \"tenant\": \"other\"", "invalid-request"),
        ("1e400", "malformed-json"),
        ("NaN", "malformed-json"),
        ("-", "malformed-json"),
        ("05", "malformed-json"),
        ("0x5", "malformed-json"),
        ("", "malformed-json"),
    ];
    for (number, code) in cases {
        let body = format!(r#"{{"query": "basin", "top_results": {number}}}"#);
        besieged.test.send(post_json(PATH, body)).await.assert_problem(code);
    }
    besieged.stands().await;
}

#[tokio::test]
async fn a_query_is_a_string_that_says_something() {
    let besieged = Besieged::with(&[]).await;
    let bodies = [
        json!(null),
        json!({}),
        json!([]),
        json!([[["basin"]]]),
        json!("basin"),
        json!({"query": null}),
        json!({"query": 7}),
        json!({"query": ["basin"]}),
        json!({"query": ""}),
        json!({"query": " \u{200b}\u{feff}\n"}),
        json!({"query": "a".repeat(1_001)}),
        json!({"q": "basin"}),
    ];
    for body in bodies {
        besieged.test.post(PATH, &body).await.assert_problem("invalid-request");
    }
    besieged.stands().await;
}

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    let besieged = Besieged::with(&[]).await;
    let bodies: Vec<Vec<u8>> = vec![
        b"".into(),
        b"basin".into(),
        b"{\"query\": \"basin\"".into(),
        b"{\"query\": \"ba\0sin\"}".into(),
        b"{\"query\": \"\xff\"}".into(),
        b"{\"query\": \"\\ud800\"}".into(),
        b"{\"query\": \"basin\"} {}".into(),
    ];
    for body in bodies {
        besieged.test.send(post_json(PATH, body)).await.assert_problem("malformed-json");
    }
    besieged.stands().await;
}

#[tokio::test]
async fn the_type_and_the_size_are_looked_at_first() {
    let besieged = Besieged::with(&[]).await;
    for media_type in ["text/plain", "application/json; charset=utf-16", "application/xml"] {
        let request = Request::post(PATH).header(header::CONTENT_TYPE, media_type).body("{}".into()).unwrap();
        besieged.test.send(request).await.assert_problem("unsupported-media-type");
    }
    let (body, taken) = unmeasured(100 << 20);
    besieged.test.send(post_json(PATH, body)).await.assert_problem("body-too-large");
    assert!(taken.load(Ordering::SeqCst) <= 2 * MOST_BYTES, "{taken:?} bytes were read");
    besieged.test.send(post_json(PATH, vec![b' '; MOST_BYTES + 1])).await.assert_problem("body-too-large");
    besieged.stands().await;
}
