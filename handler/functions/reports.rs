//! `/api/reports/{id}`: a report that an action wrote, for whoever let it be written. Deleting it cannot be repeated: what is
//! gone is as absent as what never was.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::Response;

use super::routes::Routes;
use super::{attachment, parameters};
use crate::access::Need;
use crate::app::App;
use crate::document::Principal;
use crate::host::problem;
use crate::host::server::RequestId;

/// Nothing that a report brings runs or loads, should somebody open it here.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
/// Characters of that name.
const NAME_CHARS: usize = 100;

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().get("/api/reports/{id}", Need::Read, download).delete("/api/reports/{id}", Need::Read, delete)
}

async fn download(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    report: Result<Path<String>, PathRejection>,
) -> Response {
    let found = async {
        let kept = app.actions.reports().get(&principal, &parameters::id(report)).await?;
        let (_, extension) = kept.format.name_and_extension();
        let name = format!("{}.{extension}", kept.title.chars().take(NAME_CHARS).collect::<String>().replace('/', "-"));
        let head = [
            (header::CONTENT_TYPE, kept.format.media_type().to_owned()),
            (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY.to_owned()),
            attachment::named(&name),
        ];
        Ok((head, kept.bytes))
    };
    problem::answer(found.await, &id.0)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    report: Result<Path<String>, PathRejection>,
) -> Response {
    let deleted = app.actions.reports().delete(&principal, &parameters::id(report)).await;
    problem::answer(deleted.map(|()| StatusCode::NO_CONTENT), &id.0)
}
