//! Errors for callers, as RFC 9457 problem details. The one place where an [`Error`] meets HTTP.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tracing::{error, warn};

use crate::error::{Error, Result};
use crate::telemetry::one_line;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An answer that tells the caller what is wrong, and the log why.
pub fn respond(error: &Error, request_id: &str) -> Response {
    respond_with(error, request_id, Map::new())
}

/// The same with further members, which RFC 9457 allows: some clients look for their own.
pub fn respond_with(error: &Error, request_id: &str, mut members: Map<String, Value>) -> Response {
    let row = error.kind().row();
    log(error);
    let problem = json!({
        "type": format!("urn:knowledge-worker:problem:{}", row.code),
        "title": row.title,
        "status": row.status,
        "detail": error.message(),
        "instance": format!("urn:request:{request_id}"),
        "code": row.code,
        "requestId": request_id,
    });
    members.extend(problem.as_object().cloned().unwrap_or_default());
    let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(members)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(seconds) = error.seconds_to_wait() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// What was made for the caller, or what went wrong.
pub fn answer(result: Result<impl IntoResponse>, request_id: &str) -> Response {
    result.map_or_else(|e| respond(&e, request_id), IntoResponse::into_response)
}

/// Logs an error once, with its causes. What the caller did wrong is no error of ours.
pub fn log(error: &Error) {
    let row = error.kind().row();
    let cause = one_line(&error.chain());
    if row.status >= 500 {
        error!(error.code = row.code, cause = %cause, "a call failed");
    } else {
        warn!(error.code = row.code, cause = %cause, "a call was refused");
    }
}
