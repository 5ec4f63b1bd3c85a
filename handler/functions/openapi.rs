//! `GET /api/openapi.json`: what can be called here, as an OpenAPI document. Changes nothing.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use super::routes::Routes;
use super::{described, http_routes};
use crate::access::Need;

/// The document. Made at its first use, because a start has to be quick.
static DOCUMENT: LazyLock<(Value, Bytes)> = LazyLock::new(|| {
    let document = described::document(http_routes().listed());
    let bytes = Bytes::from(document.to_string());
    (document, bytes)
});

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().get("/api/openapi.json", Need::Open, openapi)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.1.clone()).into_response()
}

/// The document itself.
pub(super) fn document() -> &'static Value {
    &DOCUMENT.0
}
