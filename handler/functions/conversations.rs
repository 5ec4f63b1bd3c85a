//! `/api/conversations`: what one has asked, listed, read, named, exported and deleted. Deleting twice is deleting once.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::access;
use crate::app::App;
use crate::conversations::ConversationId;
use crate::error::{Error, ErrorKind, Result};
use crate::host::problem;
use crate::host::server::{RequestId, read_json};

/// Conversations of a page, unless the caller wants fewer.
const PAGE: usize = 50;
/// Bytes of a request.
const MAX_BODY_BYTES: usize = 4 << 10;

/// The function's routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/conversations", get(list))
        .route("/api/conversations/{id}", get(look).patch(rename).delete(delete))
        .route("/api/conversations/{id}/export", get(export))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRequest {
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenameRequest {
    title: String,
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    query: Result<Query<ListRequest>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let listed = async {
        let Query(query) = query.map_err(|_| {
            Error::new(ErrorKind::InvalidRequest, "the query knows `limit`, a whole number, and `after`, a text")
        })?;
        let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let after = query.after.filter(|after| !after.is_empty());
        app.conversations.list(&access::principal(&headers), after.as_deref(), limit).await.map(Json)
    };
    answer(listed.await, &id)
}

async fn look(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let (conversation, turns) = app.conversations.get(&access::principal(&headers), &known(&conversation)?).await?;
        Ok(Json(json!({ "conversation": conversation, "turns": turns })))
    };
    answer(found.await, &id)
}

async fn export(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let name = known(&conversation)?;
        let (conversation, turns) = app.conversations.get(&access::principal(&headers), &name).await?;
        let file = format!("attachment; filename=\"conversation-{}.json\"", name.as_str());
        let body = json!({ "conversation": conversation, "turns": turns });
        Ok(([(header::CONTENT_DISPOSITION, file)], Json(body)))
    };
    answer(found.await, &id)
}

async fn rename(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Path(conversation): Path<String>,
    request: Request,
) -> Response {
    let principal = access::principal(request.headers());
    let renamed = async {
        let name = known(&conversation)?;
        let body: RenameRequest = read_json(request, MAX_BODY_BYTES, "the title", "{\"title\": \"…\"}").await?;
        app.conversations.rename(&principal, &name, &body.title).await.map(Json)
    };
    answer(renamed.await, &id)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
) -> Response {
    let deleted = async {
        app.conversations.delete(&access::principal(&headers), &known(&conversation)?).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    answer(deleted.await, &id)
}

fn known(id: &str) -> Result<ConversationId> {
    ConversationId::parse(id)
}

fn answer(result: Result<impl IntoResponse>, id: &RequestId) -> Response {
    result.map_or_else(|e| problem::respond(&e, &id.0), IntoResponse::into_response)
}
