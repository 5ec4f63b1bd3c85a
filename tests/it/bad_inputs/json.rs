//! Bodies that are no JSON, that are JSON of an odd form, and that are JSON on which programs do not agree.

use axum::http::StatusCode;

use super::forms::{EITHER, INVALID, VALID};
use super::{JSON_ROUTES, with_json};
use crate::hostile::Besieged;
use crate::support::app::{Answer, post_json};

/// Bytes that the smallest of the routes takes.
const LEAST_LIMIT: usize = 4 << 10;

/// Invalid forms that are too long to be written down.
fn endless() -> [Vec<u8>; 4] {
    [vec![b'['; 100_000], b"[{\"\":".repeat(50_000), b"{\"a\":".repeat(3_000), b"{\"a\":[".repeat(500)]
}

/// Asserts that a body is called malformed by every route, in the words of its protocol.
async fn check_malformed(besieged: &Besieged, body: &[u8]) {
    let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
    for (method, path, _) in JSON_ROUTES {
        // A longer one is refused for its length before anybody looks what it is.
        if body.len() > LEAST_LIMIT && !path.contains("chat") {
            continue;
        }
        let answer = besieged.test.send(with_json(method, path, body.to_vec())).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {shown:?}: {answer:?}");
        answer.assert_problem("malformed-json");
    }
    let openai = besieged.test.send(post_json("/v1/chat/completions", body.to_vec())).await;
    assert_eq!(openai.status, StatusCode::BAD_REQUEST, "{shown:?}: {openai:?}");
    let mcp = besieged.test.send(post_json("/mcp", body.to_vec())).await;
    assert_eq!((mcp.status, &mcp.json()["error"]["code"]), (StatusCode::BAD_REQUEST, &(-32_700).into()), "{shown:?}");
}

#[tokio::test]
async fn bad_input_01_what_is_not_json_is_malformed_everywhere() {
    let besieged = Besieged::with(&[]).await;
    assert!(INVALID.len() + endless().len() >= 188, "{} forms", INVALID.len());
    for body in INVALID {
        check_malformed(&besieged, body).await;
    }
    for body in &endless() {
        check_malformed(&besieged, body).await;
    }
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_01_json_of_any_form_is_the_callers_business() {
    let besieged = Besieged::with(&[]).await;
    let not_ours = |answer: &Answer, path: &str, body: &[u8]| {
        assert!(answer.status.is_client_error(), "{path} {:?}: {answer:?}", String::from_utf8_lossy(body));
    };
    for body in VALID.iter().chain(EITHER) {
        for (method, path, _) in JSON_ROUTES {
            let answer = besieged.test.send(with_json(method, path, body.to_vec())).await;
            not_ours(&answer, path, body);
            let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
            assert!(["invalid-request", "malformed-json"].contains(&code.as_str()), "{path}: {answer:?}");
        }
        for path in ["/v1/chat/completions", "/mcp"] {
            not_ours(&besieged.test.send(post_json(path, body.to_vec())).await, path, body);
        }
    }
    // What is JSON is never called malformed.
    for body in VALID {
        let answer = besieged.test.send(post_json("/api/search", body.to_vec())).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", String::from_utf8_lossy(body));
    }
    besieged.stands().await;
}
