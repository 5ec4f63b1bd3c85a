//! `POST /api/chat`: a question, answered as a whole. Asked again it is answered again, unless it
//! has an `Idempotency-Key`; a turn is kept where it names a conversation.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use serde_json::Value;

use super::answering;
use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::chat::ChatEvent;
use crate::dialects::{self, Decoded, Dialect, RequestLimits};
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::host::problem;
use crate::host::server::{RequestId, is_json, read_body};

/// Bytes of a request: room for a long history, and not for anything else.
pub(super) const MAX_BODY_BYTES: usize = 256 << 10;
/// Messages of a request, the question among them.
pub(super) const MAX_MESSAGES: usize = 100;

/// Tells of two dialects whose requests are alike which one the client speaks.
const DIALECT_HEADER: &str = "x-chat-dialect";

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().post("/api/chat", Need::Ask, chat)
}

/// A request for an answer, read as far as needed to answer in its own dialect whatever is wrong with it.
pub struct Asked {
    /// The dialect of the request, as far as it can be told.
    pub dialect: Dialect,
    /// What is asked, or what is wrong with it.
    pub decoded: Result<Decoded>,
    /// The headers that it came with.
    pub headers: HeaderMap,
    /// The bytes that it came as.
    pub body: Bytes,
}

/// Reads a request for an answer.
pub async fn read(app: &App, request: Request) -> Asked {
    let headers = request.headers().clone();
    let body: Result<Bytes> = if is_json(&headers) {
        read_body(request.into_body(), MAX_BODY_BYTES).await
    } else {
        Err(Error::new(ErrorKind::UnsupportedMediaType, "send the question as application/json"))
    };
    let limits = RequestLimits { question_chars: app.config.max_message_chars, messages: MAX_MESSAGES };
    match body {
        Ok(body) => {
            let (dialect, mut decoded) = (Dialect::of_body(&body), dialects::decode(&body, limits));
            let named = headers.get(DIALECT_HEADER).and_then(|name| Dialect::named(name.to_str().ok()?));
            if let Ok(decoded) = &mut decoded {
                decoded.echo.dialect = decoded.echo.dialect.or_its_relative(named);
            }
            Asked { dialect, decoded, headers, body }
        }
        Err(e) => {
            let (dialect, body) = (Dialect::AiChatProtocol, Bytes::new());
            Asked { dialect, decoded: Err(e), headers, body }
        }
    }
}

/// A failure as problem details that also carry the members which clients of the dialect look for.
pub fn refuse(app: &App, dialect: Dialect, error: &Error, id: &RequestId) -> Response {
    let members = dialects::error_body(dialect, error, app.clock.now());
    problem::respond_with(error, &id.0, members.as_object().cloned().unwrap_or_default())
}

pub(super) async fn chat(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    let asked = read(&app, request).await;
    let answered: Result<Value> = async {
        let (echo, events) = answering::begin(&app, principal, asked.decoded?, &asked.headers, &asked.body).await?;
        let events: Vec<ChatEvent> = dialects::collect(events).await?;
        Ok(dialects::encode_whole(&echo, &events, app.clock.now()))
    }
    .await;
    match answered {
        Ok(body) => Json(body).into_response(),
        Err(e) => refuse(&app, asked.dialect, &e, &id),
    }
}
