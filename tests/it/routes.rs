//! What can be called, and what each call needs. Whoever adds a route adds it here too, and thinks about who may call it.

use knowledge_worker::access::Need;
use knowledge_worker::functions;

use crate::support::app::{TestApp, get};

/// Every route there is: method, path, need.
const ROUTES: &[(&str, &str, Need)] = &[
    ("GET", "/", Need::Open),
    ("GET", "/assets/{hash}/{name}", Need::Open),
    ("GET", "/auth_setup", Need::Open),
    ("GET", "/config", Need::Open),
    ("GET", "/.well-known/oauth-protected-resource", Need::Open),
    ("GET", "/.well-known/oauth-protected-resource/mcp", Need::Open),
    ("GET", "/health", Need::Open),
    ("GET", "/health/live", Need::Open),
    ("GET", "/health/ready", Need::Open),
    ("GET", "/api/health", Need::Open),
    ("GET", "/api/health/live", Need::Open),
    ("GET", "/api/health/ready", Need::Open),
    ("POST", "/api/chat", Need::Ask),
    ("POST", "/api/chat/stream", Need::Ask),
    ("POST", "/chat", Need::Ask),
    ("POST", "/chat/stream", Need::Ask),
    ("POST", "/v1/chat/completions", Need::Ask),
    ("GET", "/v1/models", Need::Read),
    ("GET", "/v1/models/{id}", Need::Read),
    ("POST", "/mcp", Need::Read),
    ("POST", "/api/search", Need::Read),
    ("POST", "/api/feedback", Need::Read),
    ("GET", "/api/conversations", Need::Read),
    ("GET", "/api/conversations/{id}", Need::Read),
    ("PATCH", "/api/conversations/{id}", Need::Read),
    ("DELETE", "/api/conversations/{id}", Need::Read),
    ("GET", "/api/conversations/{id}/export", Need::Read),
    ("GET", "/api/documents", Need::Read),
    ("GET", "/api/documents/stats", Need::Read),
    ("GET", "/api/documents/{id}", Need::Read),
    ("GET", "/api/documents/{id}/content", Need::Read),
    ("GET", "/api/documents/{id}/pages/{page}", Need::Read),
    ("GET", "/api/documents/{id}/passages/{ordinal}", Need::Read),
    ("GET", "/api/openapi.json", Need::Open),
    ("GET", "/api/docs", Need::Open),
    ("GET", "/api/status", Need::Read),
    ("GET", "/api/actions", Need::Read),
    ("GET", "/api/actions/{id}", Need::Read),
    ("POST", "/api/actions", Need::Read),
    ("POST", "/api/actions/{id}/confirm", Need::Ask),
    ("POST", "/api/actions/{id}/reject", Need::Read),
    ("GET", "/api/reports/{id}", Need::Read),
    ("DELETE", "/api/reports/{id}", Need::Read),
    ("POST", "/api/documents", Need::Contribute),
    ("POST", "/api/upload", Need::Contribute),
    ("POST", "/api/url", Need::Contribute),
    ("DELETE", "/api/documents/{id}", Need::Contribute),
    ("POST", "/api/documents/{id}/retry", Need::Contribute),
    ("GET", "/api/maintenance/report", Need::Operate),
];

#[test]
fn every_route_is_known_with_what_it_needs() {
    let row = |method: &str, path: &str, need: Need| format!("{method} {path} {need:?}");
    let mut known: Vec<String> = ROUTES.iter().map(|(method, path, need)| row(method, path, *need)).collect();
    let mut there: Vec<String> = functions::http_routes()
        .listed()
        .iter()
        .map(|route| row(route.method.as_str(), route.path, route.need))
        .collect();
    known.sort();
    there.sort();
    assert_eq!(there, known);
}

#[tokio::test]
async fn an_id_that_is_no_text_is_refused_like_any_other() {
    let test = TestApp::new();
    test.send(get("/api/conversations/%ff")).await.assert_problem("invalid-request");
    test.send(get("/api/documents/%ff")).await.assert_problem("not-found");
}
