//! `POST /api/upload`: files of a multipart form, each in a part `file`, go into storage one after another and from there
//! through ingestion; a part `category` says what to sort them under, parts `allowed_users` and `allowed_groups` before them who may read them. May be repeated: a file replaces itself.

use std::sync::Arc;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::{Bytes, BytesMut};
use serde_json::{Map, json};

use super::audited;
use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::document::{Principal, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::host::problem;
use crate::host::server::RequestId;
use crate::ingest::intake::{self, Submission};
use crate::ingest::ledger::LedgerRow;
use crate::ingest::rights::Sharing;

/// Files in one upload.
const MAX_FILES: usize = 100;
/// Bytes of a part that is no file.
const MAX_FIELD_BYTES: u64 = 4 << 10;

/// The function's routes.
pub fn routes() -> Routes {
    // Each file has a limit of its own, so the form as a whole needs none.
    Routes::new().post("/api/upload", Need::Contribute, upload.layer(DefaultBodyLimit::disable()))
}

/// Takes the form. Also behind `POST /api/documents`.
pub async fn upload(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    let mut stored = Vec::new();
    match take(&app, request, &principal, &mut stored).await {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({ "documents": stored }))).into_response(),
        // What came before the trouble stays where it is, so the answer names it.
        Err(e) => problem::respond_with(&e, &id.0, Map::from_iter([("documents".to_owned(), json!(stored))])),
    }
}

/// Stores file after file, and adds the row of each to `stored` at once. One file is held back until the next part begins, because a category mostly comes last.
async fn take(app: &App, request: Request, by: &Principal, stored: &mut Vec<LedgerRow>) -> Result<()> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|e| {
        let sentence = "send files as multipart/form-data, each in a part named `file`";
        Error::new(ErrorKind::UnsupportedMediaType, sentence).caused_by(e)
    })?;
    let mut held: Option<Submission> = None;
    let mut category: Option<String> = None;
    let mut shared = Shared::default();
    while let Some(part) = form.next_field().await.map_err(form_error)? {
        let Some(file_name) = part.file_name().map(str::to_owned) else {
            // Other parts that describe the files come with some clients, and say nothing that is needed.
            match part.name() {
                Some("category") => category = read_category(part).await?,
                // A file that is stored already would be there for others until it is told otherwise.
                Some("allowed_users" | "allowed_groups") if !stored.is_empty() => {
                    return Err(Error::new(
                        ErrorKind::InvalidRequest,
                        "say who may read before the files, not after them",
                    ));
                }
                Some("allowed_users") => shared.users = Some(read_text(part).await?),
                Some("allowed_groups") => shared.groups = Some(read_text(part).await?),
                _ => {}
            }
            continue;
        };
        if let Some(file) = held.take() {
            let file = Submission { category: category.clone(), ..file };
            store(app, by, file, shared.parse(by)?.as_ref(), stored).await?;
        }
        if stored.len() == MAX_FILES {
            return Err(Error::new(ErrorKind::InvalidRequest, format!("send at most {MAX_FILES} files at once")));
        }
        let name = intake::file_name(&file_name)?;
        let bytes = read_part(part, app.config.ingest.max_document_bytes).await?;
        held = Some(Submission { name, bytes, by: by.clone(), category: None });
    }
    let Some(file) = held else {
        return Err(Error::new(ErrorKind::InvalidRequest, "the upload holds no file; name its part `file`"));
    };
    let file = Submission { category: category.clone(), ..file };
    store(app, by, file, shared.parse(by)?.as_ref(), stored).await?;
    if let Some(category) = category {
        for row in stored.iter_mut().filter(|row| row.category.as_ref() != Some(&category)) {
            *row = app.ingest.categorize(row, &category).await?;
            audited::categorized(app, by, row).await?;
        }
    }
    Ok(())
}

async fn store(
    app: &App,
    by: &Principal,
    file: Submission,
    sharing: Option<&Sharing>,
    stored: &mut Vec<LedgerRow>,
) -> Result<()> {
    let sha256 = content_hash(&file.bytes);
    let row = app.ingest.accept_for(file, sharing).await?;
    let noted = audited::uploaded(app, by, &row, &sha256, None).await;
    stored.push(row);
    noted
}

/// Who may read the files, as the form says it.
#[derive(Default)]
struct Shared {
    users: Option<String>,
    groups: Option<String>,
}

impl Shared {
    /// None when the form says nothing: then the folder and the default decide.
    fn parse(&self, by: &Principal) -> Result<Option<Sharing>> {
        if self.users.is_none() && self.groups.is_none() {
            return Ok(None);
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Sharing::parse(&text(&self.users), &text(&self.groups), by).map(Some)
    }
}

async fn read_category(part: Field<'_>) -> Result<Option<String>> {
    intake::category(&read_text(part).await?)
}

async fn read_text(part: Field<'_>) -> Result<String> {
    let bytes = read_part(part, MAX_FIELD_BYTES).await?;
    let not_text = |e| Error::new(ErrorKind::InvalidRequest, "a part that is no file is not UTF-8").caused_by(e);
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(not_text)
}

async fn read_part(mut part: Field<'_>, limit: u64) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = part.chunk().await.map_err(form_error)? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            let sentence = format!("a part is longer than {limit} bytes; MAX_DOCUMENT_SIZE limits files");
            return Err(Error::new(ErrorKind::BodyTooLarge, sentence));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn form_error(cause: MultipartError) -> Error {
    Error::new(ErrorKind::InvalidRequest, "the multipart body is cut off or malformed").caused_by(cause)
}
