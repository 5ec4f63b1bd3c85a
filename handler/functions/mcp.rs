//! `POST /mcp`: the Model Context Protocol over streamable HTTP, without sessions. Changes nothing, so it may be repeated.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::audited;
use super::chat::MAX_BODY_BYTES;
use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::host::server::{RequestId, is_json, read_body};
use crate::host::{problem, same_origin};
use crate::mcp::{self, Given, Headers, Reply, Sources};

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().post("/mcp", Need::Read, answer)
}

async fn answer(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    match reply(&app, &principal, request).await {
        Ok(reply) => {
            if let Some(failure) = &reply.failure {
                problem::log(failure);
            }
            let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            match reply.body {
                Some(body) => (status, Json(body)).into_response(),
                None => status.into_response(),
            }
        }
        Err(e) => problem::respond(&e, &id.0),
    }
}

async fn reply(app: &App, principal: &Principal, request: Request) -> Result<Reply> {
    let (head, body) = request.into_parts();
    if !same_origin::is_own_page_or_none(&head.headers) {
        return Err(Error::new(ErrorKind::ForeignOrigin, "a page of another site sent this"));
    }
    if !is_json(&head.headers) {
        return Err(Error::new(ErrorKind::UnsupportedMediaType, "send the message as application/json"));
    }
    let body = read_body(body, MAX_BODY_BYTES).await?;
    let sources = Sources {
        chat: &app.chat,
        ledger: &app.ingest.ledger,
        query_chars: app.config.max_message_chars,
        is_strict: app.config.strict_input,
    };
    let reply = mcp::answer(sources, principal, &routing(&head.headers), &body).await;
    let shown = reply.shown.iter().map(|(document, passage)| (document, passage.as_str()));
    audited::passages_shown(app, principal, "mcp", shown).await?;
    Ok(reply)
}

fn routing(headers: &HeaderMap) -> Headers {
    let given = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next().map(|value| value.to_str()), values.next()) {
            (None, _) => Given::Absent,
            (Some(Ok(value)), None) => Given::Once(value.to_owned()),
            _ => Given::Unusable,
        }
    };
    Headers { version: given("mcp-protocol-version"), method: given("mcp-method"), name: given("mcp-name") }
}
