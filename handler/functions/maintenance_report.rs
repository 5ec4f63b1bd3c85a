//! `GET /api/maintenance/report`: what the last comparison of storage and index found and did. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::error::{Error, ErrorKind};
use crate::host::problem;
use crate::host::server::RequestId;
use crate::ingest::reconcile::{DriftReport, last_report};

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().get("/api/maintenance/report", Need::Operate, report)
}

async fn report(State(app): State<Arc<App>>, Extension(id): Extension<RequestId>) -> Response {
    let none_yet = || Error::new(ErrorKind::NotFound, "maintenance has not run yet; the timer runs it");
    match last_report(&app.records).await.and_then(|report| report.ok_or_else(none_yet)) {
        // Counts alone: who asks here may not know the names of all documents.
        Ok(report) => Json(DriftReport { examples: BTreeMap::new(), ..report }).into_response(),
        Err(e) => problem::respond(&e, &id.0),
    }
}
