//! `POST /api/chat/stream`: a question, answered a line at a time while the answer is made. A caller who leaves stops the
//! work. Asked again it is answered again, unless it has an `Idempotency-Key`; a turn is kept where it names a conversation.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt};

use super::routes::Routes;
use super::{answering, chat};
use crate::access::Need;
use crate::app::App;
use crate::dialects;
use crate::dialects::heartbeat::{SILENCE, with_heartbeat};
use crate::document::Principal;
use crate::host::problem;
use crate::host::server::RequestId;

/// Tells proxies on the way that lines are to be passed on as they come.
pub(super) const NO_BUFFERING: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().post("/api/chat/stream", Need::Ask, stream)
}

pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    let asked = chat::read(&app, request).await;
    let begun = match asked.decoded {
        Ok(mut decoded) => {
            decoded.request.is_streamed = true;
            answering::begin(&app, principal, decoded, &asked.headers, &asked.body).await
        }
        Err(e) => Err(e),
    };
    let (echo, mut events) = match begun {
        Ok(begun) => begun,
        Err(e) => return chat::refuse(&app, asked.dialect, &e, &id),
    };
    // What fails before the first line can still be answered with a status of its own.
    let first = match events.next().await {
        Some(Err(e)) => return chat::refuse(&app, asked.dialect, &e, &id),
        first => first,
    };
    let rest = futures_util::stream::iter(first).chain(events).inspect_err(problem::log);
    let dialect = echo.dialect;
    let lines = dialects::encode_stream(echo, rest, app.clock.now());
    let lines = with_heartbeat(lines, dialect.heartbeat(), SILENCE).map(Ok::<_, std::convert::Infallible>);
    ([(header::CONTENT_TYPE, dialect.content_type()), NO_BUFFERING], Body::from_stream(lines)).into_response()
}
