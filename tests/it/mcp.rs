//! The Model Context Protocol message by message: what the revisions say of statuses, codes and members, what callers may
//! see, and what is refused.

use axum::body::Body;
use axum::http::{Method, Request};
use knowledge_worker::document::DocumentId;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, document_name};

const STATELESS: &str = "2026-07-28";
const META: &str = "io.modelcontextprotocol";

/// The product with a document for everybody and one for nobody.
async fn with_documents() -> TestApp {
    let test = TestApp::with(&[("FOLDER_RIGHTS", "secret/=nobody")]);
    test.ingest("handbook.pdf", include_bytes!("../../samples/documents/handbook/staff-handbook.pdf")).await;
    test.ingest("secret/plan.txt", "The ferry to Lindesvik will be sold in May.").await;
    test
}

fn post(headers: &[(&str, &str)], body: &Value) -> Request<Body> {
    let mut request = Request::post("/mcp").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.to_string().into()).expect("the request is well formed")
}

/// A request of the new era whose headers say what its body says.
fn stateless(method: &str, mut params: Value) -> Request<Body> {
    params["_meta"] = json!({
        format!("{META}/protocolVersion"): STATELESS,
        format!("{META}/clientInfo"): {"name": "a", "version": "1"},
        format!("{META}/clientCapabilities"): {},
    });
    let named = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
    let mut headers = vec![("mcp-protocol-version", STATELESS), ("mcp-method", method)];
    headers.extend(named.as_deref().map(|name| ("mcp-name", name)));
    post(&headers, &json!({"jsonrpc": "2.0", "id": "x-1", "method": method, "params": params}))
}

/// The result of a request of the new era, with what every result says checked and taken out.
async fn result(test: &TestApp, method: &str, params: Value) -> Value {
    let answer = test.send(stateless(method, params)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["id"]), (200, &json!("x-1")), "{answer:?}");
    let mut result = answer.json()["result"].take();
    assert_eq!(result["resultType"], "complete", "{result}");
    assert_eq!(result["_meta"][format!("{META}/serverInfo")]["name"], "knowledge-worker");
    let members = result.as_object_mut().expect("an object");
    members.remove("resultType");
    members.remove("_meta");
    result
}

/// Status and code of a refusal.
fn refusal(answer: &Answer) -> (u16, i64) {
    (answer.status.as_u16(), answer.json()["error"]["code"].as_i64().unwrap_or_else(|| panic!("{answer:?}")))
}

/// A request of the earlier era, which is always answered with status 200.
async fn before(test: &TestApp, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = test.send(post(&[("mcp-protocol-version", "2025-06-18")], &body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn the_new_era_is_answered_as_its_examples_are() {
    let test = with_documents().await;
    let discovered = result(&test, "server/discover", json!({})).await;
    assert_eq!(discovered["supportedVersions"][0], STATELESS);
    assert_eq!(
        (&discovered["capabilities"], &discovered["cacheScope"]),
        (&json!({"tools": {}, "resources": {}}), &json!("private"))
    );
    let listed = result(&test, "tools/list", json!({})).await;
    assert_eq!((&listed["ttlMs"], &listed["cacheScope"]), (&json!(300_000), &json!("private")));
    assert_eq!(listed, result(&test, "tools/list", json!({})).await, "the order is the same every time");
    assert!(listed["tools"].as_array().unwrap().iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
    let asked = json!({"name": "search_documents", "arguments": {"query": "days of annual leave", "top_results": 2.0}});
    let found = result(&test, "tools/call", asked).await;
    assert_eq!(found["isError"], false);
    let results = found["structuredContent"]["results"].as_array().unwrap();
    assert!(results.len() <= 2 && results[0]["source"] == "handbook.pdf#page=5" && results[0]["page"] == 5, "{found}");
    assert!(found["content"][0]["text"].as_str().unwrap().starts_with("[handbook.pdf#page=5]\n"));
    let elsewhere =
        json!({"name": "search_documents", "arguments": {"query": "leave", "filter": {"path_prefix": "x/"}}});
    assert_eq!(result(&test, "tools/call", elsewhere).await["structuredContent"]["results"], json!([]));
}

#[tokio::test]
async fn what_was_found_is_fetched_and_read() {
    let test = with_documents().await;
    let hits =
        result(&test, "tools/call", json!({"name": "search", "arguments": {"query": "annual leave days"}})).await;
    let hit = &hits["structuredContent"]["results"][0];
    let document = DocumentId::of(&document_name("handbook.pdf"));
    assert_eq!(hit["url"], format!("document://{document}#page=5"));
    let fetch = |id: &str| json!({"name": "fetch", "arguments": {"id": id}});
    let fetched = result(&test, "tools/call", fetch(hit["id"].as_str().unwrap())).await["structuredContent"].take();
    assert_eq!((&fetched["metadata"]["source"], &fetched["id"]), (&json!("handbook.pdf#page=5"), &hit["id"]));
    assert!(fetched["text"].as_str().unwrap().contains("27 days"), "{fetched}");
    let whole = result(&test, "tools/call", fetch(document.as_str())).await["structuredContent"].take();
    let page = result(&test, "resources/read", json!({"uri": hit["url"]})).await;
    let read = result(&test, "resources/read", json!({"uri": format!("document://{document}")})).await;
    assert_eq!((&read["ttlMs"], &read["cacheScope"]), (&json!(0), &json!("private")));
    let text = read["contents"][0]["text"].as_str().unwrap();
    assert_eq!(whole["text"], text);
    assert!(text.contains("[handbook.pdf#page=1]") && text.contains("[handbook.pdf#page=5]"));
    let page = page["contents"][0]["text"].as_str().unwrap();
    assert!(page.starts_with("[handbook.pdf#page=5]") && page.len() < text.len() && text.contains(page), "{page}");
}

#[tokio::test]
async fn what_a_caller_may_not_read_is_as_absent_as_what_never_was() {
    let test = with_documents().await;
    let listed = result(&test, "resources/list", json!({})).await;
    let names: Vec<&Value> = listed["resources"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["handbook.pdf"]);
    assert_eq!(listed.get("nextCursor"), None);
    let secret = DocumentId::of(&document_name("secret/plan.txt"));
    let never = DocumentId::of(&document_name("never.txt"));
    let mut said = Vec::new();
    for id in [secret, never] {
        let read = test.send(stateless("resources/read", json!({"uri": format!("document://{id}")}))).await;
        assert_eq!(refusal(&read), (400, -32_602));
        let fetched = result(&test, "tools/call", json!({"name": "fetch", "arguments": {"id": id}})).await;
        assert_eq!(fetched["isError"], true);
        let passage = json!({"name": "fetch", "arguments": {"id": format!("{id}-0")}});
        said.push((read.body, fetched, result(&test, "tools/call", passage).await));
    }
    assert_eq!(said[0], said[1]);
    let asked = json!({"name": "search_documents", "arguments": {"query": "ferry to Lindesvik sold"}});
    assert!(!result(&test, "tools/call", asked).await.to_string().contains("May"));
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let test = TestApp::new();
    for number in 0..101 {
        test.ingest(&format!("{number}.txt"), format!("Berth number {number}.")).await;
    }
    let first = result(&test, "resources/list", json!({})).await;
    let second = result(&test, "resources/list", json!({"cursor": first["nextCursor"]})).await;
    assert_eq!((first["resources"].as_array().unwrap().len(), second.get("nextCursor")), (100, None));
    let uris: std::collections::BTreeSet<String> = [&first, &second]
        .iter()
        .flat_map(|page| page["resources"].as_array().unwrap())
        .map(|resource| resource["uri"].to_string())
        .collect();
    assert_eq!(uris.len(), 101);
}

#[tokio::test]
async fn the_earlier_eras_begin_with_a_handshake_that_leaves_nothing() {
    let test = with_documents().await;
    for (wanted, agreed) in [("2025-06-18", "2025-06-18"), ("2024-11-05", "2024-11-05"), ("1999-01-01", "2025-11-25")] {
        let hello = json!({"protocolVersion": wanted, "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello});
        let answer = test.send(post(&[], &body)).await;
        assert_eq!(answer.json()["result"]["protocolVersion"], agreed);
        assert!(!answer.headers.contains_key("mcp-session-id"), "there is no session");
    }
    let told = test.send(post(&[], &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))).await;
    assert_eq!((told.status.as_u16(), told.body.as_str()), (202, ""));
    assert_eq!(before(&test, "ping", json!({})).await["result"], json!({}));
    let listed = before(&test, "tools/list", json!({})).await["result"].take();
    assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"], "what came later is not said");
    assert_eq!(before(&test, "server/discover", json!({})).await["error"]["code"], -32_601);
    let absent = json!({"uri": format!("document://{}", "0".repeat(32))});
    assert_eq!(before(&test, "resources/read", absent).await["error"]["code"], -32_002);
}

#[tokio::test]
async fn refusals_have_the_status_and_code_of_the_protocol() {
    let test = with_documents().await;
    for (method, expected) in [
        ("initialize", (404, -32_601)),
        ("ping", (404, -32_601)),
        ("prompts/list", (404, -32_601)),
        ("subscriptions/listen", (404, -32_601)),
        ("", (404, -32_601)),
    ] {
        assert_eq!(refusal(&test.send(stateless(method, json!({}))).await), expected, "{method}");
    }
    for (method, params) in [
        ("tools/call", json!({"name": "shell"})),
        ("tools/call", json!({"name": "search", "arguments": []})),
        ("tools/list", json!({"cursor": "x"})),
        ("resources/list", json!({"cursor": "' OR 1=1"})),
        ("resources/list", json!({"cursor": 7})),
        ("resources/read", json!({"uri": "file:///etc/passwd"})),
        ("resources/read", json!({"uri": "document://../../etc/passwd"})),
    ] {
        assert_eq!(refusal(&test.send(stateless(method, params.clone())).await), (400, -32_602), "{method} {params}");
    }
    let unversioned = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert_eq!(
        refusal(&test.send(post(&[("mcp-protocol-version", "1900-01-01")], &unversioned)).await),
        (400, -32_022)
    );
    assert_eq!(refusal(&test.send(post(&[("mcp-protocol-version", STATELESS)], &unversioned)).await), (400, -32_602));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        format!("{META}/protocolVersion"): STATELESS, format!("{META}/clientCapabilities"): {},
    }}});
    assert_eq!(refusal(&test.send(post(&[], &body)).await), (400, -32_020), "the headers are missing");
    let twice = [("mcp-protocol-version", STATELESS), ("mcp-method", "tools/list"), ("mcp-method", "tools/list")];
    assert_eq!(refusal(&test.send(post(&twice, &body)).await), (400, -32_020));
    let wrong = json!({"name": "search_documents", "arguments": {"query": "a", "canary": 1}});
    let told = result(&test, "tools/call", wrong).await;
    assert!(told["isError"] == true && !told.to_string().contains("canary"), "{told}");
}

#[tokio::test]
async fn only_posts_of_json_from_no_other_site_are_taken() {
    let test = with_documents().await;
    for method in [Method::GET, Method::DELETE, Method::PUT] {
        let request = Request::builder().method(method).uri("/mcp").body(Body::empty()).unwrap();
        test.send(request).await.assert_problem("method-not-allowed");
    }
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for origin in ["https://evil.example", "null", "http://papers.example.org.evil.example"] {
        let foreign = post(&[("origin", origin), ("host", "papers.example.org")], &ping);
        let answer = test.send(foreign).await;
        assert_eq!(answer.status, 403);
        answer.assert_problem("foreign-origin");
    }
    let own = post(&[("origin", "https://papers.example.org"), ("host", "papers.example.org")], &ping);
    assert_eq!(test.send(own).await.status, 200);
    let text = Request::post("/mcp").header("content-type", "text/plain").body(ping.to_string().into()).unwrap();
    test.send(text).await.assert_problem("unsupported-media-type");
    let long = Request::post("/mcp").header("content-type", "application/json");
    test.send(long.body(vec![b' '; (256 << 10) + 1].into()).unwrap()).await.assert_problem("body-too-large");
}

#[tokio::test]
async fn a_document_is_summarized_for_who_may_read_it() {
    let test = TestApp::new();
    let text = "# Leave\n\nEvery employee of the yard gets 27 days of annual leave a year.\n\n## Asking\n\nAnnual leave must be asked \
                for two weeks before it begins.\n";
    test.ingest("hr/leave.md", text).await;
    let call = |arguments: Value| json!({"name": "summarize_document", "arguments": arguments});
    let by_id = json!({"document_id": DocumentId::of(&document_name("hr/leave.md"))});
    for arguments in [by_id, json!({"name": "hr/leave.md"}), json!({"name": "Leave.md"})] {
        let called = result(&test, "tools/call", call(arguments)).await;
        let summary = &called["structuredContent"];
        assert_eq!((&summary["name"], &summary["model"]), (&json!("hr/leave.md"), &json!("extractive")), "{called}");
        assert_eq!(summary["topics"][0], json!({"text": "Leave", "sources": ["hr/leave.md"]}), "{called}");
        let duty = "Annual leave must be asked for two weeks before it begins.";
        assert_eq!(summary["action_items"][0]["text"], duty, "{called}");
        assert!(
            called["content"][0]["text"].as_str().unwrap().contains(&format!("Action items\n- {duty} [hr/leave.md]"))
        );
    }
    for arguments in [json!({}), json!({"name": "nowhere.md"}), json!({"name": "../x"}), json!({"name": 7})] {
        assert_eq!(result(&test, "tools/call", call(arguments)).await["isError"], true);
    }
    let hidden = TestApp::with(&[("DEFAULT_READERS", "nobody")]);
    hidden.ingest("hr/leave.md", text).await;
    for name in ["hr/leave.md", "leave.md", "never.md"] {
        let refused = result(&hidden, "tools/call", call(json!({"name": name}))).await;
        assert_eq!(refused["content"][0]["text"], "there is no such document", "{refused}");
    }
}
