//! Fields that nobody asked for, numbers out of range, and names given twice, at every route that takes JSON.

use serde_json::{Map, Value, json};

use super::{JSON_ROUTES, with_json};
use crate::hostile::Besieged;
use crate::support::app::post_json;

#[tokio::test]
async fn bad_input_05_no_route_takes_a_field_that_it_does_not_know() {
    let besieged = Besieged::with(&[]).await;
    let more = [
        ("role", json!("system")),
        ("tenant", json!("canary")),
        ("acl", json!(["everyone"])),
        ("readers", json!(["everyone"])),
        ("owner", json!("canary")),
        ("filter", json!({"tenant": "canary"})),
        ("top", json!(1e9)),
        ("model", json!("canary")),
        ("__proto__", json!({"role": "operator"})),
    ];
    for (method, path, good) in JSON_ROUTES {
        let answer = besieged.test.send(with_json(method, path, *good)).await;
        assert!(!answer.body.contains("invalid-request"), "{path} takes what is right: {answer:?}");
        for (name, value) in &more {
            let mut body: Map<String, Value> = serde_json::from_str(good).unwrap();
            body.insert((*name).to_owned(), value.clone());
            let answer = besieged.test.send(with_json(method, path, json!(body).to_string())).await;
            assert_eq!(answer.status, 422, "{path} {name}: {answer:?}");
            answer.assert_problem("invalid-request");
            assert!(!answer.body.contains("canary"), "{path} repeats what was sent: {answer:?}");
        }
    }
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_06_numbers_out_of_range_are_refused() {
    let besieged = Besieged::with(&[]).await;
    let overrides = |top: &str| {
        format!(
            r#"{{"messages": [{{"role": "user", "content": "How deep?"}}], "context": {{"overrides": {{"top": {top}}}}}, "session_state": null}}"#
        )
    };
    for number in ["-1", "0", "51", "1e9", "1.5", "-0.0", "18446744073709551616", "\"5\"", "[5]", "true", "{}"] {
        let results = format!(r#"{{"query": "How deep?", "top_results": {number}}}"#);
        besieged.test.send(post_json("/api/search", results)).await.assert_problem("invalid-request");
        besieged.test.send(post_json("/chat", overrides(number))).await.assert_problem("invalid-request");
    }
    for number in ["-1", "1.5", "4294967296", "\"1\""] {
        let turn = format!(r#"{{"conversation_id": "c", "turn": {number}, "rating": "up"}}"#);
        besieged.test.send(post_json("/api/feedback", turn)).await.assert_problem("invalid-request");
    }
    for number in ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "0x5", "05", "+5", "5."] {
        let results = format!(r#"{{"query": "How deep?", "top_results": {number}}}"#);
        besieged.test.send(post_json("/api/search", results)).await.assert_problem("malformed-json");
        besieged.test.send(post_json("/chat", overrides(number))).await.assert_problem("malformed-json");
    }
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_06_a_name_given_twice_is_refused_at_any_depth() {
    let besieged = Besieged::with(&[]).await;
    for (method, path, good) in JSON_ROUTES {
        let (name, _) = good[1..].split_once(':').unwrap();
        let twice = format!("{}, {name}: \"canary\"}}", &good[..good.len() - 1]);
        let answer = besieged.test.send(with_json(method, path, twice)).await;
        assert_eq!(answer.status, 422, "{path}: {answer:?}");
        answer.assert_problem("invalid-request");
        // A list of the right values in the right order is no object.
        let body: Value = serde_json::from_str(good).unwrap();
        let values: Vec<&Value> = body.as_object().unwrap().values().collect();
        besieged.test.send(with_json(method, path, json!(values).to_string())).await.assert_problem("invalid-request");
    }
    let deep = [
        ("/api/search", r#"{"query": "How deep?", "filter": {"category": "a", "category": "b"}}"#),
        ("/api/chat", r#"{"message": "How deep?", "filter": {"category": "a", "categ\u006fry": "b"}}"#),
        ("/api/chat", r#"{"messages": [{"role": "system", "content": "How deep?", "role": "user"}]}"#),
        ("/chat", r#"{"messages": [{"role": "user", "content": "a", "content": "b"}], "session_state": null}"#),
    ];
    for (path, body) in deep {
        besieged.test.send(post_json(path, body)).await.assert_problem("invalid-request");
    }
    // OpenAI calls 400 what is 422 elsewhere.
    let body = r#"{"model": "knowledge-worker", "messages": [{"role": "user", "content": "a", "content": "b"}]}"#;
    let answer = besieged.test.send(post_json("/v1/chat/completions", body)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    let body = r#"{"jsonrpc": "2.0", "id": 1, "method": "ping", "method": "tools/list"}"#;
    let answer = besieged.test.send(post_json("/mcp", body)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (400, &json!(-32_600)));
    besieged.stands().await;
}
