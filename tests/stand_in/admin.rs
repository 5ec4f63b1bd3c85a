//! The host's own surface under /admin: its status, and functions run by hand. Everything else there is not imitated.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use chrono::DateTime;
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use super::clock;
use super::functions::{Function, Trigger};
use super::host::Host;
use super::process::Phase;
use super::server::{Access, status};
use super::storage::queues::QueueMessage;
use super::triggers::{blob, queue, timer};

/// Largest body of a request to run a function.
const INPUT_LIMIT: usize = 1024 * 1024;

/// Answers anything under /admin and /runtime.
pub async fn answer(host: Arc<Host>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().trim_matches('/').to_string();
    let method = request.method().clone();
    let ping = path == "admin/host/ping" && (method == Method::GET || method == Method::POST);
    if ping {
        return status(StatusCode::OK);
    }
    if path.starts_with("runtime") {
        return status(StatusCode::NOT_FOUND);
    }
    if Access::of(&request, &host.keys) != Access::Master {
        return status(StatusCode::UNAUTHORIZED);
    }
    match path.strip_prefix("admin/functions/") {
        Some(name) if method == Method::POST => run(host, name, request.into_body()).await,
        _ if path == "admin/host/status" && method == Method::GET => host_status(&host),
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn host_status(host: &Host) -> Response<Body> {
    let (state, errors) = match host.process.state().phase {
        Phase::Stopped(reason) => ("Error", vec![reason]),
        Phase::Starting => ("Initialized", vec![]),
        Phase::Ready | Phase::Dangling => ("Running", vec![]),
    };
    let body = json!({
        "id": "stand-in",
        "state": state,
        "version": super::wire::HOST_VERSION,
        "versionDetails": "stand-in",
        "instanceId": "stand-in",
        "errors": errors,
    });
    Response::builder()
        .header("content-type", "application/json; charset=utf-8")
        .body(Body::from(body.to_string()))
        .expect("a fixed head is well-formed")
}

/// 202 at once; the result is only in the log, as with a real host.
async fn run(host: Arc<Host>, name: &str, body: Body) -> Response<Body> {
    let Some(function) = host.function(name).cloned() else {
        return status(StatusCode::NOT_FOUND);
    };
    let body = Limited::new(body, INPUT_LIMIT).collect().await.map(|body| body.to_bytes());
    let input = body.ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(input) = input.as_ref().and_then(Value::as_object) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let input = match input.get("input") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    if matches!(function.trigger, Trigger::Http { .. }) {
        return status(StatusCode::BAD_REQUEST);
    }
    host.spawn(run_by_hand(host.clone(), function, input));
    status(StatusCode::ACCEPTED)
}

async fn run_by_hand(host: Arc<Host>, function: Function, input: String) {
    match &function.trigger {
        Trigger::Timer { .. } => {
            timer::run(&host, &function).await;
        }
        Trigger::Queue { binding, .. } => {
            queue::deliver(&host, &function.name, binding, &made_up_message(), &input).await;
        }
        Trigger::Blob { path, .. } => match input.split_once('/') {
            Some((container, name)) if container == path.container => {
                blob::deliver_by_hand(&host, &function, name).await
            }
            _ => host.log.host(super::log::Level::Error, format!("`{input}` is no blob of {}", function.name)),
        },
        Trigger::Http { .. } => {}
    }
}

/// A message that never lay in a queue: no id, no receipt, never dequeued.
fn made_up_message() -> QueueMessage {
    QueueMessage {
        id: String::new(),
        pop_receipt: String::new(),
        dequeue_count: 0,
        insertion_time: clock::now(),
        expiration_time: DateTime::from_timestamp(253_402_300_799, 0).unwrap_or_default(),
        next_visible_time: clock::now(),
        text: String::new(),
    }
}
