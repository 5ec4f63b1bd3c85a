//! `GET /api/status`: what runs here, in numbers: version, index, documents, limits, and what is known of the servers it
//! calls. Calls no model. Changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

use super::FUNCTIONS;
use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::document::{Principal, Role};
use crate::error::Result;
use crate::host::problem;
use crate::host::server::RequestId;
use crate::ingest::ledger::LedgerRow;

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().get("/api/status", Need::Read, status)
}

async fn status(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
) -> Response {
    problem::answer(told(&app, &principal).await.map(Json), &id.0)
}

async fn told(app: &App, principal: &Principal) -> Result<Value> {
    let documents = app.ingest.ledger.stats(|row: &LedgerRow| principal.may_read(&row.readers)).await?;
    let config = &app.config;
    let mut told = members(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "time": app.clock.now(),
        "retrieval": app.retriever.describe(),
        "model": app.chat.model.name(),
        "documents": {"total": documents.documents, "by_state": documents.by_state, "passages": documents.passages},
        "limits": {
            "message_characters": config.max_message_chars,
            "document_bytes": config.ingest.max_document_bytes,
            "documents_per_user": config.ingest.max_documents_per_owner,
            "answer_tokens": config.max_answer_tokens,
            "answer_seconds": config.answer_timeout.as_secs(),
            "questions_a_minute": config.limits.questions,
            "requests_a_minute": config.limits.requests,
            "requests_at_once": config.limits.at_once,
            "tokens_a_day": config.token_budget,
            "workers": config.extract.max_workers,
        },
        "examples": config.example_questions,
        "sign_out": app.access.sign_out_page(),
    }));
    if principal.role() == Role::Operator {
        told.extend(members(operation(app).await?));
    }
    Ok(told.into())
}

fn members(told: Value) -> Map<String, Value> {
    told.as_object().cloned().unwrap_or_default()
}

/// What is for operators alone: from a generation one can tell that others bring documents.
async fn operation(app: &App) -> Result<Value> {
    let index = app.index.status().await?;
    let embedding = app.retriever.embedding_model().map(|model| model.server().servers()).unwrap_or_default();
    let reranker = app.retriever.reranker().map(|model| model.servers()).unwrap_or_default();
    Ok(json!({
        // How much there is that even they may not read is not told.
        "index": {
            "generation": index.generation,
            "segments": index.segments,
            "damaged_segments": index.damaged_segments,
        },
        "endpoints": {"chat": app.chat.model.servers(), "embedding": embedding, "reranker": reranker},
        // What a request leaves behind would add up here.
        "process": {"tasks": tokio::runtime::Handle::current().metrics().num_alive_tasks()},
        "functions": FUNCTIONS.iter().map(|function| function.name).collect::<Vec<_>>(),
    }))
}
