//! Traces and metrics of the product as a process of its own, seen by those who take them: a fake collector, and a fake of
//! Application Insights.

mod application_insights;
mod discretion;
mod outages;
mod traces;

use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::fake_collector::{FakeCollector, TakenSpan};
use crate::support::process::{Server, eventually};

/// A trace that a caller has begun.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The caller's span in it.
const CALLER: &str = "00f067aa0ba902b7";

/// The header of that trace; the flags say whether the caller keeps it.
fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

/// Posts JSON as part of that trace.
async fn post(server: &Server, path: &str, body: &Value) -> Response {
    let request = Client::new().post(server.url(path)).json(body).header("traceparent", traceparent("00"));
    request.send().await.expect("the server answers")
}

/// Asks until the answer holds some words, outside of the trace.
async fn until_told(server: &Server, question: &str, words: &str) {
    let ask = async || {
        let asked = Client::new().post(server.url("/api/chat")).json(&json!({ "message": question }));
        asked.send().await.ok()?.text().await.ok()?.contains(words).then_some(())
    };
    eventually(&format!("`{words}` is the answer"), ask).await;
}

/// Waits until a span of this name is in the trace.
async fn span(collector: &FakeCollector, name: &str) -> TakenSpan {
    let look = async || collector.trace(TRACE).into_iter().find(|span| span.name == name);
    eventually(&format!("the span `{name}` comes"), look).await
}
