//! `GET /v1/models` and `GET /v1/models/{id}`: the one model that clients of OpenAI's interface may ask for. Changes nothing.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::openai_chat::{refuse, refuse_caller};
use super::routes::Routes;
use crate::access::Need;
use crate::dialects::openai::{MODEL, Refusal};

/// The function's routes.
pub fn routes() -> Routes {
    Routes::refusing_with(refuse_caller).get("/v1/models", Need::Read, list).get("/v1/models/{id}", Need::Read, look)
}

async fn list() -> Json<Value> {
    Json(json!({"object": "list", "data": [model()]}))
}

async fn look(id: Result<Path<String>, PathRejection>) -> Response {
    match id {
        Ok(Path(id)) if id == MODEL => Json(model()).into_response(),
        _ => refuse(&Refusal::no_such_model()),
    }
}

/// When it was made is not known, and clients want a number.
fn model() -> Value {
    json!({"id": MODEL, "object": "model", "created": 0, "owned_by": "knowledge-worker"})
}
