//! `GET /api/docs`: the OpenAPI document as a page. It is made here, runs no script and asks nobody else. Changes nothing.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::described::problem_types;
use super::openapi;
use super::routes::Routes;
use crate::access::Need;

const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
summary{cursor:pointer;padding:.4rem 0}
summary b{display:inline-block;min-width:4.5rem;font-family:ui-monospace,monospace}
details{border-top:1px solid #8884}
details>*:not(summary){margin-left:1.5rem}
table{border-collapse:collapse}
td,th{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}
pre{overflow-x:auto;padding:.75rem;background:#8882;border-radius:.4rem}
a:target{outline:2px solid}";

/// The page, and what it may do: nothing but show itself in this style.
static PAGE: LazyLock<(Bytes, String)> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    (Bytes::from(page(openapi::document())), policy)
});

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().get("/api/docs", Need::Open, docs)
}

async fn docs() -> Response {
    let (page, policy) = &*PAGE;
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (head, page.clone()).into_response()
}

fn page(document: &Value) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Knowledge Worker: interface</title>\
         <style>{STYLE}</style></head><body>\n<h1>{} {}</h1>\n<p>{} The same for programs: \
         <a href=\"/api/openapi.json\">openapi.json</a>.</p>\n",
        text(&document["info"]["title"]),
        text(&document["info"]["version"]),
        text(&document["info"]["description"]),
    );
    for tag in document["tags"].as_array().into_iter().flatten() {
        html += &format!("<h2>{}</h2>\n<p>{}</p>\n", text(&tag["name"]), text(&tag["description"]));
        for (path, calls) in document["paths"].as_object().into_iter().flatten() {
            for (method, call) in calls.as_object().into_iter().flatten() {
                if call["tags"][0] == tag["name"] {
                    html += &operation(method, path, call);
                }
            }
        }
    }
    html += "<h2>Problems</h2>\n<table><tr><th>Code<th>Status<th>Meaning<th>May pass\n";
    for kind in problem_types() {
        let passing = if kind["passing"] == true { "yes" } else { "" };
        let (code, status) = (text(&kind["code"]), &kind["status"]);
        html += &format!("<tr><td><code>{code}</code><td>{status}<td>{}<td>{passing}\n", text(&kind["title"]));
    }
    html += "</table>\n<h2>Schemas</h2>\n";
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escaped(name);
        html += &format!("<details id=\"{name}\"><summary><code>{name}</code></summary>{}</details>\n", shown(schema));
    }
    html + "</body></html>\n"
}

fn operation(method: &str, path: &str, call: &Value) -> String {
    let mut html = format!(
        "<details><summary><b>{}</b> <code>{}</code> {}</summary>\n<p>{}</p>\n",
        method.to_ascii_uppercase(),
        escaped(path),
        text(&call["summary"]),
        text(&call["description"]),
    );
    let parameters = call["parameters"].as_array().filter(|parameters| !parameters.is_empty());
    if let Some(parameters) = parameters {
        html += "<table><tr><th>Parameter<th>In<th>Meaning\n";
        for parameter in parameters {
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            html += &format!("<tr><td><code>{name}</code><td>{place}<td>{}\n", text(&parameter["description"]));
        }
        html += "</table>\n";
    }
    for (kind, body) in call["requestBody"]["content"].as_object().into_iter().flatten() {
        html += &format!("<p>Takes {} {}</p>{}", escaped(kind), named(&body["schema"]), shown(&body["example"]));
    }
    html += "<table><tr><th>Status<th>Gives<th>Meaning\n";
    for (status, answer) in call["responses"].as_object().into_iter().flatten() {
        let kinds = answer["content"].as_object().into_iter().flatten();
        let kinds: Vec<String> =
            kinds.map(|(kind, content)| format!("{} {}", escaped(kind), named(&content["schema"]))).collect();
        html += &format!("<tr><td>{}<td>{}<td>{}\n", escaped(status), kinds.join("<br>"), text(&answer["description"]));
    }
    html + "</table></details>\n"
}

/// A link to a schema that has a name.
fn named(schema: &Value) -> String {
    let name = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next());
    name.map(|name| format!("<a href=\"#{0}\">{0}</a>", escaped(name))).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    format!("<pre>{}</pre>", escaped(&format!("{value:#}")))
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
