//! `POST /v1/chat/completions`: a question as clients of OpenAI's interface ask it, answered whole or in server-sent events
//! while the answer is made. A caller who leaves stops the work. Asked again it is answered again, unless
//! it has an `Idempotency-Key`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};

use super::answering::{self, Events};
use super::chat::{MAX_BODY_BYTES, MAX_MESSAGES};
use super::chat_stream::NO_BUFFERING;
use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::dialects::heartbeat::{COMMENT, SILENCE, with_heartbeat};
use crate::dialects::openai::{self, Refusal};
use crate::dialects::{self, EVENTS, RequestLimits};
use crate::document::Principal;
use crate::error::{Error, ErrorKind};
use crate::host::problem;
use crate::host::server::{RequestId, is_json, read_body};

/// The function's routes.
pub fn routes() -> Routes {
    Routes::refusing_with(refuse_caller).post("/v1/chat/completions", Need::Ask, complete)
}

async fn complete(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let answered = async {
        let body = read(&head.headers, body).await?;
        let limits = RequestLimits { question_chars: app.config.max_message_chars, messages: MAX_MESSAGES };
        let asked = openai::decode(&body, limits)?;
        let is_streamed = asked.request.is_streamed;
        let begun = answering::begin_turn(&app, principal, asked.request, None, &head.headers, &body).await;
        let (_, events) = begun.map_err(Refusal::from)?;
        match is_streamed {
            true => stream(&app, events, asked.is_usage_wanted, &id).await,
            false => whole(&app, events, &id).await,
        }
    };
    answered.await.unwrap_or_else(|refusal: Refusal| refuse(&refusal))
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    if !is_json(headers) {
        return Err(Error::new(ErrorKind::UnsupportedMediaType, "send the request as application/json").into());
    }
    Ok(read_body(body, MAX_BODY_BYTES).await?)
}

async fn whole(app: &App, events: Events, id: &RequestId) -> Result<Response, Refusal> {
    let events = dialects::collect(events).await?;
    Ok(Json(openai::whole(&events, &id.0, app.clock.now())).into_response())
}

async fn stream(app: &App, mut events: Events, is_usage_wanted: bool, id: &RequestId) -> Result<Response, Refusal> {
    // What fails before the first chunk can still be answered with a status of its own.
    let first = events.next().await.transpose()?;
    let rest = futures_util::stream::iter(first.map(Ok)).chain(events).inspect_err(problem::log);
    let chunks = openai::chunks(is_usage_wanted, rest, &id.0, app.clock.now());
    let chunks = with_heartbeat(chunks, COMMENT, SILENCE).map(Ok::<_, Infallible>);
    Ok(([(header::CONTENT_TYPE, EVENTS), NO_BUFFERING], Body::from_stream(chunks)).into_response())
}

/// The same shape for who does not get in.
pub(super) fn refuse_caller(error: Error, _id: &str) -> Response {
    refuse(&error.into())
}

/// A failure in the shape of OpenAI, with the cause in our log.
pub(super) fn refuse(refusal: &Refusal) -> Response {
    problem::log(&refusal.error);
    let status = StatusCode::from_u16(openai::status_of(&refusal.error)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(openai::body_of(refusal))).into_response();
    if let Some(seconds) = refusal.error.seconds_to_wait() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
