//! `POST /api/feedback`: what somebody says of an answer they were given. Said again, the later word counts.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::conversations::ConversationId;
use crate::conversations::feedback::Rating;
use crate::document::Principal;
use crate::error::Result;
use crate::host::problem;
use crate::host::server::{RequestId, read_json};

/// Bytes of a request.
const MAX_BODY_BYTES: usize = 16 << 10;
/// What a request looks like.
const EXAMPLE: &str = "{\"conversation_id\": \"…\", \"turn\": 1, \"rating\": \"up\" or \"down\", \"comment\": \"…\"}";

#[derive(utoipa::ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedbackRequest {
    conversation_id: String,
    turn: u32,
    rating: Rating,
    comment: Option<String>,
}

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().post("/api/feedback", Need::Read, rate)
}

async fn rate(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    let rated: Result<()> = async {
        let said: FeedbackRequest = read_json(request, MAX_BODY_BYTES, "the feedback", EXAMPLE).await?;
        let conversation = ConversationId::parse(&said.conversation_id)?;
        app.conversations.rate(&principal, &conversation, said.turn, said.rating, said.comment).await
    }
    .await;
    match rated {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(e) => problem::respond(&e, &id.0),
    }
}
