//! `GET /.well-known/oauth-protected-resource`: where clients, those of MCP above all, find out how to sign in (RFC 9728); the
//! same with `/mcp` behind it for that address. Changes nothing, and tells everybody: it is read before anybody has signed in.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};

use super::routes::Routes;
use crate::access::Need;
use crate::access::challenge::MCP_PATH;
use crate::app::App;
use crate::error::{Error, ErrorKind};
use crate::host::problem;
use crate::host::server::RequestId;

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new()
        .get("/.well-known/oauth-protected-resource", Need::Open, |app, id, headers| tell(app, id, headers, ""))
        .get("/.well-known/oauth-protected-resource/mcp", Need::Open, |app, id, headers| {
            tell(app, id, headers, MCP_PATH)
        })
}

async fn tell(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    path: &str,
) -> Response {
    let none = || Error::new(ErrorKind::NotFound, "nobody signs in here by means of an authorization server");
    problem::answer(app.access.metadata(path, &headers).ok_or_else(none).map(Json), &id.0)
}
