//! `POST /api/url`: a web page or a file from the web goes into storage and from there through ingestion. May be repeated:
//! it is fetched anew and replaces itself.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::audited;
use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::document::{Principal, content_hash};
use crate::error::Result;
use crate::host::problem;
use crate::host::server::{RequestId, read_json};
use crate::ingest::intake::{self, Submission};
use crate::ingest::ledger::LedgerRow;
use crate::ingest::web_name;

/// Bytes of a request.
const MAX_BODY_BYTES: usize = 64 << 10;

#[derive(utoipa::ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UrlRequest {
    url: String,
    category: Option<String>,
}

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().post("/api/url", Need::Contribute, upload_url)
}

async fn upload_url(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    match take(&app, principal, request).await {
        Ok(row) => (StatusCode::ACCEPTED, Json(json!({ "documents": [row] }))).into_response(),
        Err(e) => problem::respond(&e, &id.0),
    }
}

async fn take(app: &App, by: Principal, request: Request) -> Result<LedgerRow> {
    let example = r#"{"url": "https://…", "category": "…"}"#;
    let asked: UrlRequest = read_json(request, MAX_BODY_BYTES, "the address", example).await?;
    let category = intake::category(asked.category.as_deref().unwrap_or_default())?;
    let fetched = app.fetcher.fetch(&asked.url).await?;
    let name = web_name::of(&fetched.url, &fetched.content_type)?;
    let (sha256, from) = (content_hash(&fetched.bytes), fetched.url.host_str().map(str::to_owned));
    let row = app.ingest.accept(Submission { name, bytes: fetched.bytes, by: by.clone(), category }).await?;
    audited::uploaded(app, &by, &row, &sha256, from.as_deref()).await?;
    Ok(row)
}
