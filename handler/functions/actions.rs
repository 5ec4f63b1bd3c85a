//! `/api/actions`: what an assistant proposed to do, or a program for somebody; confirmed or rejected, and what came of it.
//! Confirming twice is confirming once: the second time tells what the first one came to.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

use super::parameters::Part;
use super::routes::Routes;
use super::{answering, parameters};
use crate::access::Need;
use crate::access::budget::Reservation;
use crate::actions::{Action, ActionState};
use crate::app::App;
use crate::chat::ChatRequest;
use crate::chat::question::Question;
use crate::document::Principal;
use crate::error::Result;
use crate::host::problem;
use crate::host::server::{RequestId, read_json};

/// Actions of a page, unless the caller wants fewer.
const PAGE: usize = 50;
/// Bytes of a proposal: the longest text of a mail, escaped.
const MAX_BODY_BYTES: usize = 1 << 20;
/// What a proposal looks like.
const EXAMPLE: &str = "{\"action_type\": \"create_task\", \"parameters\": {…}}";

#[derive(utoipa::ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proposal {
    action_type: String,
    parameters: Value,
}

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/actions", Need::Read, list)
        .post("/api/actions", Need::Read, propose)
        .get("/api/actions/{id}", Need::Read, look)
        .post("/api/actions/{id}/confirm", Need::Ask, confirm)
        .post("/api/actions/{id}/reject", Need::Read, reject)
}

async fn propose(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    let proposed = async {
        let wanted: Proposal = read_json(request, MAX_BODY_BYTES, "the proposal", EXAMPLE).await?;
        let action = app.actions.propose(&principal, &wanted.action_type, &wanted.parameters).await?;
        let place = [(header::LOCATION, format!("/api/actions/{}", action.id))];
        Ok((StatusCode::CREATED, place, Json(action)))
    };
    problem::answer(proposed.await, &id.0)
}

async fn confirm(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    action: Result<Path<String>, PathRejection>,
) -> Response {
    let confirmed = async {
        let name = parameters::id(action);
        let reserved = set_aside(&app, &principal, &name).await?;
        let confirmed = app.actions.confirm(&principal, &name).await;
        if let Some(reserved) = reserved {
            match &confirmed {
                Ok(done) => match done.result.as_ref().map(|result| result["tokens"].as_u64()) {
                    // What is not known to be less counts whole, by and by.
                    Some(Some(tokens)) => reserved.settle(tokens).await,
                    _ => drop(reserved),
                },
                Err(_) => reserved.settle(0).await,
            }
        }
        confirmed.map(told)
    };
    problem::answer(confirmed.await, &id.0)
}

/// Sets aside the tokens that an action may take: those of the answer in a report.
async fn set_aside(app: &App, principal: &Principal, id: &str) -> Result<Option<Reservation>> {
    let action = app.actions.get(principal, id).await?;
    let question = action.parameters["query"].as_str().and_then(|raw| Question::parse(raw, usize::MAX).ok());
    match question.filter(|_| action.state == ActionState::Proposed && !action.dry_run) {
        Some(question) => answering::reserve_for(app, principal, &ChatRequest::of(question)).await,
        None => Ok(None),
    }
}

async fn reject(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    action: Result<Path<String>, PathRejection>,
) -> Response {
    problem::answer(app.actions.reject(&principal, &parameters::id(action)).await.map(told), &id.0)
}

async fn look(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    action: Result<Path<String>, PathRejection>,
) -> Response {
    problem::answer(app.actions.get(&principal, &parameters::id(action)).await.map(Json), &id.0)
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    query: Result<Query<Part>, QueryRejection>,
) -> Response {
    let listed = async {
        let (after, limit) = Part::read(query, PAGE)?;
        app.actions.list(&principal, after.as_deref(), limit).await.map(Json)
    };
    problem::answer(listed.await, &id.0)
}

/// An action as it stands; 202 while somebody else's confirmation of it is being done.
fn told(action: Action) -> impl IntoResponse {
    let status = if action.state == ActionState::Running { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, Json(action))
}
