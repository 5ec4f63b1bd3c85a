//! `POST /v1/chat/completions`: a question as clients of OpenAI's interface ask it, answered whole or in server-sent events
//! while the answer is made. A caller who leaves stops the work. Changes nothing, so it may be repeated.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use futures_util::{StreamExt, TryStreamExt};

use super::chat::{MAX_BODY_BYTES, MAX_MESSAGES};
use super::chat_stream::NO_BUFFERING;
use crate::access;
use crate::app::App;
use crate::chat::answer::answer;
use crate::dialects::heartbeat::{COMMENT, SILENCE, with_heartbeat};
use crate::dialects::openai::{self, Asked, Refusal};
use crate::dialects::{self, EVENTS, RequestLimits};
use crate::document::Principal;
use crate::error::{Error, ErrorKind};
use crate::host::problem;
use crate::host::server::{RequestId, is_json, read_body};

/// The function's routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/chat/completions", post(complete))
}

async fn complete(State(app): State<Arc<App>>, Extension(id): Extension<RequestId>, request: Request) -> Response {
    let principal = access::principal(request.headers());
    match read(&app, request).await {
        Ok(asked) if asked.is_streamed => stream(&app, principal, asked, &id).await,
        Ok(asked) => whole(&app, principal, asked, &id).await,
        Err(refusal) => refuse(&refusal),
    }
}

async fn read(app: &App, request: Request) -> Result<Asked, Refusal> {
    if !is_json(request.headers()) {
        return Err(Error::new(ErrorKind::UnsupportedMediaType, "send the request as application/json").into());
    }
    let body = read_body(request.into_body(), MAX_BODY_BYTES).await?;
    openai::decode(&body, RequestLimits { question_chars: app.config.max_message_chars, messages: MAX_MESSAGES })
}

async fn whole(app: &App, principal: Principal, asked: Asked, id: &RequestId) -> Response {
    match dialects::collect(answer(Arc::clone(&app.chat), principal, asked.request)).await {
        Ok(events) => Json(openai::whole(&events, &id.0, app.clock.now())).into_response(),
        Err(e) => refuse(&e.into()),
    }
}

async fn stream(app: &App, principal: Principal, asked: Asked, id: &RequestId) -> Response {
    let mut events = Box::pin(answer(Arc::clone(&app.chat), principal, asked.request));
    // What fails before the first chunk can still be answered with a status of its own.
    let first = match events.next().await {
        Some(Err(e)) => return refuse(&e.into()),
        first => first,
    };
    let rest = futures_util::stream::iter(first).chain(events).inspect_err(problem::log);
    let chunks = openai::chunks(asked.is_usage_wanted, rest, &id.0, app.clock.now());
    let chunks = with_heartbeat(chunks, COMMENT, SILENCE).map(Ok::<_, Infallible>);
    ([(header::CONTENT_TYPE, EVENTS), NO_BUFFERING], Body::from_stream(chunks)).into_response()
}

/// A failure in the shape of OpenAI, with the cause in our log.
pub(super) fn refuse(refusal: &Refusal) -> Response {
    problem::log(&refusal.error);
    let status = StatusCode::from_u16(openai::status_of(&refusal.error)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(openai::body_of(refusal))).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
