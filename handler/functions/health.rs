//! `GET /api/health` and `GET /health`: whether each part answers, really asked, with a verdict that is kept for a moment.
//! `…/live` tells only that the process runs, `…/ready` is a success when questions can be answered. Changes nothing.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::OptionFuture;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::routes::Routes;
use crate::access::Need;
use crate::app::App;
use crate::error::Result;

/// How long each part may take to answer.
const BUDGET: Duration = Duration::from_secs(2);
/// How long a verdict is given again without asking.
const KEPT: Duration = Duration::from_secs(5);

/// The last verdict and when it was reached. Held while the parts are asked, so that many who want to know ask once.
type Kept = Arc<Mutex<Option<(Instant, Verdict)>>>;

/// What the parts answered.
#[derive(utoipa::ToSchema, Clone, Serialize)]
pub(super) struct Verdict {
    status: &'static str,
    services: Map<String, Value>,
    version: &'static str,
    /// Whether questions can be answered.
    #[serde(skip)]
    is_ready: bool,
}

/// The function's routes.
pub fn routes() -> Routes {
    let kept = Kept::default();
    let whole = {
        let kept = Arc::clone(&kept);
        async move |State(app): State<Arc<App>>| Json(verdict(&app, &kept).await)
    };
    let ready = async move |State(app): State<Arc<App>>| {
        let verdict = verdict(&app, &kept).await;
        let status = if verdict.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(verdict))
    };
    let live = async || Json(json!({"status": "healthy", "version": env!("CARGO_PKG_VERSION")}));
    Routes::new()
        .get("/health", Need::Open, whole.clone())
        .get("/health/live", Need::Open, live)
        .get("/health/ready", Need::Open, ready.clone())
        .get("/api/health", Need::Open, whole)
        .get("/api/health/live", Need::Open, live)
        .get("/api/health/ready", Need::Open, ready)
}

async fn verdict(app: &App, kept: &Kept) -> Verdict {
    let mut kept = kept.lock().await;
    match &*kept {
        Some((reached, verdict)) if reached.elapsed() < KEPT => verdict.clone(),
        _ => {
            let verdict = ask(app).await;
            *kept = Some((Instant::now(), verdict.clone()));
            verdict
        }
    }
}

/// Asks all parts at once.
async fn ask(app: &App) -> Verdict {
    let (storage, search, records, openai, embedding, reranker, cache) = tokio::join!(
        answers(app.documents.list("", None, 1)),
        answers(app.index.status()),
        // One record that is not there: it costs least, and may be asked for every few seconds.
        answers(app.records.get("documents", "health")),
        in_time(app.chat.model.ping()),
        OptionFuture::from(app.retriever.embedding_model().map(|model| answers(model.server().ping()))),
        OptionFuture::from(app.retriever.reranker().map(|model| answers(model.ping()))),
        OptionFuture::from(app.redis.as_ref().map(|redis| answers(redis.ping()))),
    );
    // It answered, and from what it has at hand, because its storage does not.
    let search_is_behind = search && app.index.is_behind();
    let asked = [
        ("storage", Some(storage)),
        ("search", Some(search)),
        ("records", Some(records)),
        ("openai", openai),
        ("embedding", embedding),
        ("reranker", reranker),
        ("cache", cache),
    ];
    let asked = asked.into_iter().filter_map(|(name, healthy)| Some((name, healthy?)));
    let mut is_whole = true;
    let mut services = Map::new();
    for (name, healthy) in asked {
        is_whole &= healthy;
        services.insert(name.to_owned(), json!(if healthy { "healthy" } else { "unhealthy" }));
    }
    if search_is_behind {
        is_whole = false;
        services.insert("search".to_owned(), json!("degraded"));
    }
    services.insert("model".to_owned(), json!(app.chat.model.name()));
    services.insert("retrieval".to_owned(), json!(app.retriever.retrieval()));
    // Without the index nothing can be answered; without the other parts less, or less well.
    let is_ready = search && openai != Some(false);
    Verdict {
        status: if is_whole { "healthy" } else { "degraded" },
        services,
        version: env!("CARGO_PKG_VERSION"),
        is_ready,
    }
}

async fn answers<T>(call: impl Future<Output = Result<T>>) -> bool {
    matches!(tokio::time::timeout(BUDGET, call).await, Ok(Ok(_)))
}

/// The same of a part that there may not be.
async fn in_time<T>(call: impl Future<Output = Option<Result<T>>>) -> Option<bool> {
    match tokio::time::timeout(BUDGET, call).await {
        Ok(answer) => answer.map(|answer| answer.is_ok()),
        Err(_) => Some(false),
    }
}
