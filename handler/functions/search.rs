//! `POST /api/search`: the passages that fit a query, without an answer. Changes nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::audited;
use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::chat::filter;
use crate::chat::question::Question;
use crate::chat::retriever::Retrieval;
use crate::deadline::within;
use crate::document::{Passage, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::host::problem;
use crate::host::server::{RequestId, read_json};

/// Bytes of a request.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Most passages that are given at once.
const MAX_RESULTS: usize = 50;

#[derive(utoipa::ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchRequest {
    query: String,
    #[serde(default = "default_results")]
    #[schema(minimum = 1, maximum = 50)]
    top_results: usize,
    #[serde(default)]
    filter: Value,
}

#[derive(utoipa::ToSchema, Serialize)]
pub(super) struct SearchAnswer {
    results: Vec<SearchResult>,
    generation: u64,
    retrieval: Retrieval,
}

#[derive(utoipa::ToSchema, Serialize)]
pub(super) struct SearchResult {
    source: String,
    #[serde(flatten)]
    passage: Arc<Passage>,
}

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new().post("/api/search", Need::Read, search)
}

async fn search(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    problem::answer(find(&app, &principal, request).await.map(Json), &id.0)
}

async fn find(app: &App, principal: &Principal, request: Request) -> Result<SearchAnswer> {
    let example = r#"{"query": "…", "top_results": 5, "filter": {…}}"#;
    let asked: SearchRequest = read_json(request, MAX_BODY_BYTES, "the query", example).await?;
    if !(1..=MAX_RESULTS).contains(&asked.top_results) {
        return Err(Error::new(ErrorKind::InvalidRequest, format!("`top_results` must be from 1 to {MAX_RESULTS}")));
    }
    let question = Question::parse(&asked.query, app.config.max_message_chars)?;
    if app.config.strict_input {
        question.refuse_scripts()?;
    }
    let filter = filter::read(&asked.filter, "filter")?;
    let searched = app.retriever.search(principal, question.as_str(), &filter, asked.top_results);
    let deadline = Instant::now() + app.config.answer_timeout;
    let (found, retrieval) = within(deadline, "the search", searched).await?;
    let shown = found.hits.iter().map(|hit| (&hit.passage.document_id, hit.passage.id.as_str()));
    audited::passages_shown(app, principal, "search", shown).await?;
    let results = found.hits.into_iter().map(|hit| SearchResult { source: hit.passage.source(), passage: hit.passage });
    Ok(SearchAnswer { results: results.collect(), generation: found.generation, retrieval })
}

fn default_results() -> usize {
    5
}
