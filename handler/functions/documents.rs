//! `/api/documents`: list, count, look at, upload, try again and delete documents. An upload goes into storage and from there
//! the same way as a file dropped into it; deleting takes effect before it is answered. All of it may be repeated.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::handler::Handler;
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::routes::Routes;
use super::upload::upload;
use super::{audited, originals, parameters};
use crate::access::Need;
use crate::app::App;
use crate::document::{DocumentId, Passage, Principal, Role};
use crate::error::{Error, ErrorKind, Result};
use crate::host::problem;
use crate::host::server::RequestId;
use crate::ingest::ledger::{LedgerRow, State as DocumentState};
use crate::ingest::overview::LedgerFilter;

/// Rows a caller gets at once.
const MAX_PAGE: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRequest {
    #[serde(default = "default_page")]
    limit: usize,
    after: Option<String>,
    state: Option<DocumentState>,
    category: Option<String>,
    /// The host's key may be in the query; it is nobody's business here.
    #[serde(rename = "code")]
    _code: Option<String>,
}

#[derive(utoipa::ToSchema, Serialize)]
pub(super) struct DocumentAnswer {
    #[serde(flatten)]
    row: LedgerRow,
    contents: Vec<Passage>,
}

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/documents", Need::Read, list)
        .post("/api/documents", Need::Contribute, upload.layer(DefaultBodyLimit::disable()))
        .get("/api/documents/stats", Need::Read, stats)
        .get("/api/documents/{id}", Need::Read, look)
        .delete("/api/documents/{id}", Need::Contribute, delete)
        .post("/api/documents/{id}/retry", Need::Contribute, retry)
        .merge(originals::routes())
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    query: Result<Query<ListRequest>, QueryRejection>,
) -> Response {
    let listed = async {
        let Query(asked) = query.map_err(|e| {
            let sentence = "`limit`, `after`, `state` and `category` are the parameters there are; a state is queued, \
                            processing, indexed, failed, quarantined or deleted";
            Error::new(ErrorKind::InvalidRequest, sentence).caused_by(e)
        })?;
        if !(1..=MAX_PAGE).contains(&asked.limit) {
            return Err(Error::new(ErrorKind::InvalidRequest, format!("`limit` must be from 1 to {MAX_PAGE}")));
        }
        let filter = LedgerFilter { state: asked.state, category: asked.category };
        let wanted = |row: &LedgerRow| filter.takes(row) && principal.may_read(&row.readers);
        let mut page = app.ingest.ledger.select(asked.after.as_deref(), asked.limit, wanted).await?;
        // The history of a document is shown with the document.
        page.documents.iter_mut().for_each(|row| row.events.clear());
        Ok(page)
    };
    problem::answer(listed.await.map(Json), &id.0)
}

async fn stats(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
) -> Response {
    problem::answer(app.ingest.ledger.stats(|row| principal.may_read(&row.readers)).await.map(Json), &id.0)
}

async fn look(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    document: Result<Path<String>, PathRejection>,
) -> Response {
    let looked = async {
        let row = existing(&app, &principal, document).await?;
        let contents = app.index.passages(&principal, &row.id).await?;
        audited::document_shown(&app, &principal, &row, "passages").await?;
        Ok(Json(DocumentAnswer { row, contents }))
    };
    problem::answer(looked.await, &id.0)
}

async fn retry(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    document: Result<Path<String>, PathRejection>,
) -> Response {
    let retried = async {
        let row = existing(&app, &principal, document).await?;
        may_change(&principal, &row)?;
        audited::retry(&app, &principal, &row).await
    };
    problem::answer(retried.await.map(Json), &id.0)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    document: Result<Path<String>, PathRejection>,
) -> Response {
    let deleted = async {
        let row = existing(&app, &principal, document).await?;
        may_change(&principal, &row)?;
        audited::delete(&app, &principal, &row).await?;
        Ok(Json(json!({"id": row.id, "name": row.name, "deleted": true})))
    };
    problem::answer(deleted.await, &id.0)
}

/// Only operators touch what somebody else brought.
fn may_change(principal: &Principal, row: &LedgerRow) -> Result<()> {
    if principal.role() == Role::Operator || principal.owns(row.owner.as_deref()) {
        return Ok(());
    }
    let sentence = "somebody else brought this document, and only an operator may change it";
    Err(Error::new(ErrorKind::InsufficientScope, sentence))
}

/// The row of a document that is there and that the caller may know of. Any other is as absent as one that never was.
async fn existing(app: &App, principal: &Principal, raw: Result<Path<String>, PathRejection>) -> Result<LedgerRow> {
    row_of(app, principal, &parameters::id(raw)).await
}

/// The same of an id that may be any text.
pub(super) async fn row_of(app: &App, principal: &Principal, raw: &str) -> Result<LedgerRow> {
    let absent = || Error::new(ErrorKind::NotFound, "there is no such document");
    let id = DocumentId::parse(raw).ok_or_else(absent)?;
    let row = app.ingest.ledger.get(&id).await?;
    row.filter(|row| row.state != DocumentState::Deleted && principal.may_read(&row.readers)).ok_or_else(absent)
}

fn default_page() -> usize {
    50
}
