//! `/api/conversations`: what one has asked, listed, read, named, exported and deleted. Deleting twice is deleting once.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::parameters::{self, Part};
use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::conversations::ConversationId;
use crate::document::Principal;
use crate::error::Result;
use crate::host::problem;
use crate::host::server::{RequestId, read_json};

/// Conversations of a page, unless the caller wants fewer.
const PAGE: usize = 50;
/// Bytes of a request.
const MAX_BODY_BYTES: usize = 4 << 10;

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/conversations", Need::Read, list)
        .get("/api/conversations/{id}", Need::Read, look)
        .patch("/api/conversations/{id}", Need::Read, rename)
        .delete("/api/conversations/{id}", Need::Read, delete)
        .get("/api/conversations/{id}/export", Need::Read, export)
}

#[derive(utoipa::ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RenameRequest {
    title: String,
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    query: Result<Query<Part>, QueryRejection>,
) -> Response {
    let listed = async {
        let (after, limit) = Part::read(query, PAGE)?;
        app.conversations.list(&principal, after.as_deref(), limit).await.map(Json)
    };
    problem::answer(listed.await, &id.0)
}

async fn look(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    conversation: Result<Path<String>, PathRejection>,
) -> Response {
    let found = async { whole(&app, &principal, &known(conversation)?).await.map(Json) };
    problem::answer(found.await, &id.0)
}

async fn export(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    conversation: Result<Path<String>, PathRejection>,
) -> Response {
    let found = async {
        let name = known(conversation)?;
        let file = format!("attachment; filename=\"conversation-{}.json\"", name.as_str());
        let body = whole(&app, &principal, &name).await?;
        Ok(([(header::CONTENT_DISPOSITION, file)], Json(body)))
    };
    problem::answer(found.await, &id.0)
}

async fn rename(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    conversation: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let renamed = async {
        let name = known(conversation)?;
        let body: RenameRequest = read_json(request, MAX_BODY_BYTES, "the title", "{\"title\": \"…\"}").await?;
        app.conversations.rename(&principal, &name, &body.title).await.map(Json)
    };
    problem::answer(renamed.await, &id.0)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    conversation: Result<Path<String>, PathRejection>,
) -> Response {
    let deleted = async {
        app.conversations.delete(&principal, &known(conversation)?).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    problem::answer(deleted.await, &id.0)
}

/// A conversation with all its turns.
async fn whole(app: &App, principal: &Principal, id: &ConversationId) -> Result<Value> {
    let (conversation, turns) = app.conversations.get(principal, id).await?;
    Ok(json!({ "conversation": conversation, "turns": turns }))
}

fn known(id: Result<Path<String>, PathRejection>) -> Result<ConversationId> {
    ConversationId::parse(&parameters::id(id))
}
