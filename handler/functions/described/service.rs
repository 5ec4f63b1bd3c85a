//! Calls about the service itself: the page, health, what runs, and this description.

use serde_json::json;

use super::{Call, any_object, call};
use crate::error::ErrorKind as E;
use crate::functions::health::Verdict;

fn metadata(path: &'static str) -> Call {
    call("Service", "GET", path, "Where clients sign in (RFC 9728)")
        .gives_as(200, "application/json", any_object("Metadata of a protected resource."), "The metadata.")
        .fails(&[E::NotFound])
}

pub(super) fn calls() -> Vec<Call> {
    let tag = "Service";
    let page = json!({ "type": "string" });
    let mut calls = vec![
        call(tag, "GET", "/", "The page that people use")
            .gives_as(200, "text/html", page.clone(), "The page.")
            .gives_nothing(304, "It is still the one that is known."),
        call(tag, "GET", "/assets/{hash}/{name}", "What the page is made of")
            .gives_as(200, "text/css", page.clone(), "A style sheet.")
            .gives_as(200, "text/javascript", page.clone(), "A script.")
            .gives_as(200, "image/svg+xml", page.clone(), "A picture.")
            .fails(&[E::NotFound]),
        call(tag, "GET", "/api/status", "What runs here, in numbers").gives_as(
            200,
            "application/json",
            any_object("Version, index, documents, limits, model servers."),
            "The numbers.",
        ),
        metadata("/.well-known/oauth-protected-resource"),
        metadata("/.well-known/oauth-protected-resource/mcp"),
        call(tag, "GET", "/api/openapi.json", "This document").gives_as(
            200,
            "application/json",
            any_object("An OpenAPI document."),
            "The document.",
        ),
        call(tag, "GET", "/api/docs", "The same for people").gives_as(200, "text/html", page, "The page."),
    ];
    for (whole, live, ready) in
        [("/health", "/health/live", "/health/ready"), ("/api/health", "/api/health/live", "/api/health/ready")]
    {
        let alive = any_object("That it runs, and its version.");
        calls.extend([
            call(tag, "GET", whole, "Whether each part answers").gives::<Verdict>(200, "What each part said."),
            call(tag, "GET", live, "Whether the process runs").gives_as(200, "application/json", alive, "It does."),
            call(tag, "GET", ready, "Whether questions can be answered")
                .gives::<Verdict>(200, "They can.")
                .gives::<Verdict>(503, "They cannot."),
        ]);
    }
    calls
}
