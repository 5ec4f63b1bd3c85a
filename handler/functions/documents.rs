//! `/api/documents`: list, look at, upload and delete documents. An upload goes into storage and from there the same way as
//! a file dropped into it; deleting takes effect before it is answered. Both may be repeated.

use std::sync::Arc;

use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access;
use crate::app::App;
use crate::document::{DocumentId, DocumentName, Passage};
use crate::error::{Error, ErrorKind, Result};
use crate::host::problem;
use crate::host::server::RequestId;
use crate::ingest::ledger::{LedgerPage, LedgerRow, State as DocumentState};
use crate::ingest::reconcile::is_hidden;
use crate::stores::blobs::Condition;

/// Rows a caller gets at once.
const MAX_PAGE: usize = 200;
/// Files in one upload.
const MAX_FILES: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRequest {
    #[serde(default = "default_page")]
    limit: usize,
    after: Option<String>,
    /// The host's key may be in the query; it is nobody's business here.
    #[serde(rename = "code")]
    _code: Option<String>,
}

#[derive(Serialize)]
struct DocumentAnswer {
    #[serde(flatten)]
    row: LedgerRow,
    contents: Vec<Passage>,
}

/// The function's routes.
pub fn routes() -> Router<Arc<App>> {
    let limit = DefaultBodyLimit::disable();
    Router::new()
        .route("/api/documents", get(list).post(upload).layer(limit))
        .route("/api/documents/{id}", get(look).delete(delete))
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    query: Result<Query<ListRequest>, QueryRejection>,
) -> Response {
    let listed = async {
        let Query(asked) = query.map_err(|e| {
            Error::new(ErrorKind::InvalidRequest, "`limit` and `after` are the parameters there are").caused_by(e)
        })?;
        if !(1..=MAX_PAGE).contains(&asked.limit) {
            return Err(Error::new(ErrorKind::InvalidRequest, format!("`limit` must be from 1 to {MAX_PAGE}")));
        }
        app.ingest.ledger.list(asked.after.as_deref(), asked.limit).await
    };
    answer(listed.await.map(|page: LedgerPage| Json(page).into_response()), &id)
}

async fn look(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    document: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let looked = async {
        let row = existing(&app, document).await?;
        let contents = app.index.passages(&access::principal(&headers), &row.id).await?;
        Ok(Json(DocumentAnswer { row, contents }).into_response())
    };
    answer(looked.await, &id)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    document: Result<Path<String>, PathRejection>,
) -> Response {
    let deleted = async {
        let row = existing(&app, document).await?;
        let name = DocumentName::parse(&row.name)?;
        app.documents.delete(name.as_str()).await?;
        app.ingest.sync(&name).await?;
        Ok(Json(json!({"id": row.id, "name": row.name, "deleted": true})).into_response())
    };
    answer(deleted.await, &id)
}

async fn upload(State(app): State<Arc<App>>, Extension(id): Extension<RequestId>, request: Request) -> Response {
    let owner = access::owner(&access::principal(request.headers()));
    let uploaded = async {
        let mut form = Multipart::from_request(request, &app).await.map_err(|e| {
            let sentence = "send files as multipart/form-data, each in a part named `file`";
            Error::new(ErrorKind::UnsupportedMediaType, sentence).caused_by(e)
        })?;
        let mut stored = Vec::new();
        while let Some(part) = form.next_field().await.map_err(form_error)? {
            // Parts that describe the files come with some clients; only files are kept.
            let Some(file_name) = part.file_name().map(str::to_owned) else { continue };
            if stored.len() == MAX_FILES {
                return Err(Error::new(ErrorKind::InvalidRequest, format!("send at most {MAX_FILES} files at once")));
            }
            let name = upload_name(&file_name)?;
            let bytes = read_part(part, app.config.ingest.max_document_bytes).await?;
            stored.push(store(&app, &name, bytes, owner).await?);
        }
        if stored.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "the upload holds no file; name its part `file`"));
        }
        Ok((StatusCode::ACCEPTED, Json(json!({ "documents": stored }))).into_response())
    };
    answer(uploaded.await, &id)
}

async fn store(app: &App, name: &DocumentName, bytes: Bytes, owner: &str) -> Result<LedgerRow> {
    let id = DocumentId::of(name);
    let replaces = app.ingest.ledger.get(&id).await?.is_some_and(|row| row.state != DocumentState::Deleted);
    let most = app.config.max_documents_per_user;
    if !replaces && app.ingest.ledger.count_of(owner).await? >= most {
        let sentence = format!("{most} documents were uploaded already; delete some, or raise MAX_DOCUMENTS_PER_USER");
        return Err(Error::new(ErrorKind::QuotaExceeded, sentence));
    }
    let size_bytes = bytes.len() as u64;
    app.documents.put(name.as_str(), bytes, Condition::Always).await?;
    app.ingest.ledger.queue(&id, name.as_str(), owner, size_bytes).await
}

/// The row of a document that is there. One that is gone is as absent as one that never was.
async fn existing(app: &App, raw: Result<Path<String>, PathRejection>) -> Result<LedgerRow> {
    let absent = || Error::new(ErrorKind::NotFound, "there is no such document");
    let id = raw.ok().and_then(|Path(raw)| DocumentId::parse(&raw)).ok_or_else(absent)?;
    let row = app.ingest.ledger.get(&id).await?;
    row.filter(|row| row.state != DocumentState::Deleted).ok_or_else(absent)
}

/// Some clients send a whole path of their machine; its last part is the name.
fn upload_name(raw: &str) -> Result<DocumentName> {
    let name = DocumentName::parse(raw.rsplit(['/', '\\']).next().unwrap_or(raw))?;
    if is_hidden(name.as_str()) {
        return Err(Error::new(ErrorKind::InvalidName, "a name that starts with `.` or `~$` is taken for no document"));
    }
    Ok(name)
}

async fn read_part(mut part: axum::extract::multipart::Field<'_>, limit: u64) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = part.chunk().await.map_err(form_error)? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            let sentence = format!("a file is longer than {limit} bytes, the limit set by MAX_DOCUMENT_SIZE");
            return Err(Error::new(ErrorKind::BodyTooLarge, sentence));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn form_error(cause: MultipartError) -> Error {
    Error::new(ErrorKind::InvalidRequest, "the multipart body is cut off or malformed").caused_by(cause)
}

fn answer(result: Result<Response>, id: &RequestId) -> Response {
    result.unwrap_or_else(|e| problem::respond(&e, &id.0))
}

fn default_page() -> usize {
    50
}
