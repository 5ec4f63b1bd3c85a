//! The part of `/api/documents` that shows where a citation points: the document as it was uploaded, a page of it as a
//! picture, a passage with its neighbours. Changes nothing.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::documents::row_of;
use super::routes::Routes;
use super::{attachment, audited, parameters};
use crate::access::Need;
use crate::app::App;
use crate::document::{DocumentName, Passage, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::host::problem;
use crate::host::server::RequestId;
use crate::ingest::formats::pdf::page::{MarkedText, PageWanted};
use crate::ingest::ledger::LedgerRow;

/// Passages shown before and after the one that was asked for.
const NEIGHBOURS: usize = 2;
/// Characters of a passage that are looked for on a page.
const MOST_MARKED_CHARS: usize = 20_000;
/// Nothing that a document brings runs, loads or is shown as a page of this site.
const CONTENT_POLICY: &str = "default-src 'none'; sandbox";
/// A picture of a page brings its images and styles itself.
const PICTURE_POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox";
/// How far down a page the marked words begin, from 0 to 1.
const MARKED_AT: HeaderName = HeaderName::from_static("x-marked-at");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageRequest {
    /// The ordinal of a passage to mark.
    passage: Option<u32>,
    /// The part of it that matters most, in characters.
    #[serde(default)]
    from: usize,
    #[serde(default)]
    to: usize,
    /// The host's key may be in the query; it is nobody's business here.
    #[serde(rename = "code")]
    _code: Option<String>,
}

#[derive(utoipa::ToSchema, Serialize)]
pub(super) struct PassageAnswer {
    /// Pages of the document, for formats that have them.
    pages: Option<u32>,
    before: Vec<Passage>,
    passage: Passage,
    after: Vec<Passage>,
}

/// The routes.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/documents/{id}/content", Need::Read, content)
        .get("/api/documents/{id}/pages/{page}", Need::Read, page)
        .get("/api/documents/{id}/passages/{ordinal}", Need::Read, passage)
}

async fn content(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    document: Result<Path<String>, PathRejection>,
) -> Response {
    let found = async {
        let row = row_of(&app, &principal, &parameters::id(document)).await?;
        let blob = app.ingest.original(&row, &principal).await?;
        let name = DocumentName::parse(&row.name)?;
        audited::document_shown(&app, &principal, &row, "original").await?;
        let kind =
            [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY)];
        Ok((kind, [attachment::named(name.file_name())], blob.bytes))
    };
    problem::answer(found.await, &id.0)
}

async fn page(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    place: Result<Path<(String, u32)>, PathRejection>,
    query: Result<Query<PageRequest>, QueryRejection>,
) -> Response {
    let drawn = async {
        let Path((document, page)) = place.map_err(no_such_place)?;
        let Query(asked) = query.map_err(|e| {
            let sentence = "`passage`, `from` and `to` are the parameters there are, all of them numbers";
            Error::new(ErrorKind::InvalidRequest, sentence).caused_by(e)
        })?;
        let row = row_of(&app, &principal, &document).await?;
        let marked = match asked.passage {
            Some(ordinal) => {
                let text = around(&app, &principal, &row, ordinal).await?.passage.text;
                let text = text.chars().take(MOST_MARKED_CHARS).collect();
                Some(MarkedText { text, from: asked.from, to: asked.to })
            }
            None => None,
        };
        let drawn = app.ingest.draw_page(&row, &principal, PageWanted { page, marked }).await?;
        audited::document_shown(&app, &principal, &row, &format!("page {page}")).await?;
        let kind = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CONTENT_SECURITY_POLICY, PICTURE_POLICY)];
        Ok((kind, drawn.marked_at.map(|at| [(MARKED_AT, format!("{at:.3}"))]), drawn.svg))
    };
    let drawn = drawn.await.map(|(kind, marked, svg)| match marked {
        Some(marked) => (kind, marked, svg).into_response(),
        None => (kind, svg).into_response(),
    });
    problem::answer(drawn, &id.0)
}

async fn passage(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    place: Result<Path<(String, u32)>, PathRejection>,
) -> Response {
    let found = async {
        let Path((document, ordinal)) = place.map_err(no_such_place)?;
        let row = row_of(&app, &principal, &document).await?;
        let around = around(&app, &principal, &row, ordinal).await?;
        audited::document_shown(&app, &principal, &row, &format!("passage {ordinal}")).await?;
        Ok(Json(around))
    };
    problem::answer(found.await, &id.0)
}

/// A passage with its neighbours.
async fn around(app: &App, principal: &Principal, row: &LedgerRow, ordinal: u32) -> Result<PassageAnswer> {
    let mut passages = app.index.passages(principal, &row.id).await?;
    passages.sort_by_key(|passage| passage.ordinal);
    let at = passages.iter().position(|passage| passage.ordinal == ordinal);
    let at = at.ok_or_else(|| Error::new(ErrorKind::NotFound, "the document has no such passage"))?;
    let after = passages[at + 1..].iter().take(NEIGHBOURS).cloned().collect();
    let before = passages[at.saturating_sub(NEIGHBOURS)..at].to_vec();
    Ok(PassageAnswer { pages: row.pages, before, passage: passages.swap_remove(at), after })
}

fn no_such_place(cause: PathRejection) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such place in a document").caused_by(cause)
}
