//! Bodies of the trigger functions that are no invocations. The host waits for ever for a 2xx answer without a body, so
//! there is never one.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use serde_json::json;

use super::{Besieged, unmeasured};
use crate::support::app::{Answer, post_json};

pub const TRIGGERS: [&str; 5] =
    ["/ingest_document", "/document_events", "/document_poison", "/maintain_index", "/backup"];

/// Asserts that an answer is one that the host can read and that lets it go on.
pub fn assert_reply(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let reply = answer.json();
    assert!(reply["Outputs"].is_object() && reply["Logs"].is_array(), "{answer:?}");
    assert!(reply.get("ReturnValue").is_some(), "{answer:?}");
}

#[tokio::test]
async fn what_is_no_envelope_is_refused() {
    let besieged = Besieged::with(&[]).await;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("malformed-json", b"".into()),
        ("malformed-json", b" ".into()),
        ("malformed-json", b"\0".into()),
        ("malformed-json", b"Data".into()),
        ("malformed-json", b"{".into()),
        ("malformed-json", b"{\"Data\":{\"event\":\"x\"".into()),
        ("malformed-json", b"{\"Data\":{}} {}".into()),
        ("malformed-json", b"{\"Data\":{\"event\":\"\xff\"}}".into()),
        ("malformed-json", b"{\"Data\":{\"event\":\"\\ud800\"}}".into()),
        ("malformed-json", b"{\"Data\":{\"event\":1e400}}".into()),
        ("malformed-json", b"{\"Data\":".repeat(20_000)),
        ("invalid-request", b"null".into()),
        ("invalid-request", b"7".into()),
        ("invalid-request", b"\"Data\"".into()),
        ("invalid-request", b"[]".into()),
        // It stops at the first thing that is wrong, which is not where the brackets end.
        ("invalid-request", b"[".repeat(100_000)),
        ("invalid-request", b"{}".into()),
        ("invalid-request", b"{\"data\":{}}".into()),
        ("invalid-request", b"{\"Metadata\":{}}".into()),
        ("invalid-request", b"{\"Data\":null}".into()),
        ("invalid-request", b"{\"Data\":7}".into()),
        ("invalid-request", b"{\"Data\":[]}".into()),
        ("invalid-request", b"{\"Data\":\"event\"}".into()),
        ("invalid-request", b"{\"Data\":{},\"Metadata\":7}".into()),
        ("invalid-request", b"{\"Data\":{},\"Metadata\":[]}".into()),
        ("invalid-request", b"{\"Data\":{},\"Data\":{}}".into()),
    ];
    for (code, body) in cases {
        for path in TRIGGERS {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let answer = besieged.test.send(post_json(path, body.clone())).await;
            assert!(!answer.status.is_success(), "{path} took {shown:?}: {answer:?}");
            assert_eq!(answer.json()["code"], code, "{path} {shown:?}");
            answer.assert_problem(code);
        }
    }
    besieged.stands().await;
}

#[tokio::test]
async fn an_envelope_without_what_the_function_needs_is_refused() {
    let besieged = Besieged::with(&[]).await;
    for (path, binding) in [("/document_events", "event"), ("/document_poison", "message")] {
        for value in [json!(null), json!(7), json!(true), json!(""), json!("\"\""), json!("not JSON"), json!("\"{\"")] {
            let answer = besieged.test.post(path, &json!({"Data": {binding: value}})).await;
            assert!(answer.status.is_client_error(), "{path} {value}: {answer:?}");
            let code = answer.json()["code"].as_str().unwrap().to_owned();
            assert!(["malformed-json", "invalid-request"].contains(&code.as_str()), "{path} {value}: {code}");
            answer.assert_problem(&code);
        }
        besieged.test.post(path, &json!({"Data": {}})).await.assert_problem("invalid-request");
        besieged.test.post(path, &json!({"Data": {"other": "{}"}})).await.assert_problem("invalid-request");
    }
    let odd = [
        json!({}),
        json!({"name": null}),
        json!({"name": 7}),
        json!({"name": {"name": "a.txt"}}),
        json!({"name": ["a.txt"]}),
        json!({"Name": "\"a.txt\""}),
        json!({"Uri": 7}),
        json!({"Uri": "\"\""}),
        json!({"Uri": "\"http://127.0.0.1/account/elsewhere/a.txt\""}),
    ];
    for metadata in odd {
        let envelope = json!({"Data": {"blob": "AAAA"}, "Metadata": metadata});
        besieged.test.post("/ingest_document", &envelope).await.assert_problem("invalid-request");
    }
    besieged.stands().await;
}

#[tokio::test]
async fn the_timer_needs_nothing_and_minds_nothing() {
    let besieged = Besieged::with(&[]).await;
    let envelopes = [
        json!({"Data": {}}),
        json!({"Data": {"timer": null}}),
        json!({"Data": {"timer": "soon"}, "Metadata": {"sys": 7}}),
        json!({"Data": {"timer": {"IsPastDue": "perhaps"}}, "Metadata": {}, "Unknown": [1, 2, 3]}),
    ];
    for envelope in envelopes {
        assert_reply(&besieged.test.post("/maintain_index", &envelope).await);
    }
    besieged.stands().await;
}

#[tokio::test]
async fn an_invocation_over_the_limit_is_not_read_to_its_end() {
    const MOST_BYTES: usize = 100_000;
    let besieged = Besieged::with(&[("MAX_INVOCATION_SIZE", "100000")]).await;
    for path in TRIGGERS {
        let (body, taken) = unmeasured(100 << 20);
        besieged.test.send(post_json(path, body)).await.assert_problem("body-too-large");
        assert!(taken.load(Ordering::SeqCst) <= 2 * MOST_BYTES, "{taken:?} bytes were read");
        let measured = vec![b' '; MOST_BYTES + 1];
        besieged.test.send(post_json(path, measured)).await.assert_problem("body-too-large");
    }
    besieged.stands().await;
}

#[tokio::test]
async fn a_huge_envelope_within_the_limit_is_read() {
    let besieged = Besieged::with(&[]).await;
    besieged.test.write("large.txt", "The large crane lifts 90 tonnes.");
    // The content that comes along is not believed; it is only long.
    let body = json!({"Data": {"blob": "A".repeat(20 << 20)}, "Metadata": {"name": "\"large.txt\""}});
    assert_reply(&besieged.test.post("/ingest_document", &body).await);
    assert!(besieged.test.ask("How many tonnes does the large crane lift?").await.contains("90 tonnes"));
    besieged.stands().await;
}
