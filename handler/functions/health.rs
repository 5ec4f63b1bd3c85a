//! `GET /api/health` and `GET /health`: whether each part answers, really asked, with a verdict that is kept for a moment.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::error::Result;

/// How long each part may take to answer.
const BUDGET: Duration = Duration::from_secs(2);
/// How long a verdict is given again without asking.
const KEPT: Duration = Duration::from_secs(5);

/// The last verdict and when it was reached.
type Kept = Arc<Mutex<Option<(Instant, Value)>>>;

/// The function's routes.
pub fn routes() -> Router<Arc<App>> {
    let kept = Kept::default();
    let handler = move |State(app): State<Arc<App>>| {
        let kept = Arc::clone(&kept);
        async move { Json(verdict(&app, &kept).await) }
    };
    Router::new().route("/api/health", get(handler.clone())).route("/health", get(handler))
}

async fn verdict(app: &App, kept: &Kept) -> Value {
    let last = kept.lock().expect("no holder of this lock panics").clone();
    if let Some((_, verdict)) = last.filter(|(reached, _)| reached.elapsed() < KEPT) {
        return verdict;
    }
    let (documents, index, records) = tokio::join!(
        answers(app.documents.list("", None, 1)),
        answers(app.index.status()),
        // One record that is not there: it costs least, and may be asked for every few seconds.
        answers(app.records.get("documents", "health")),
    );
    let mut services = Map::new();
    for (name, healthy) in [("storage", documents), ("search", index), ("records", records)] {
        services.insert(name.to_owned(), json!(if healthy { "healthy" } else { "unhealthy" }));
    }
    services.insert("model".to_owned(), json!(app.chat.model.name()));
    services.insert("retrieval".to_owned(), json!(app.retriever.retrieval()));
    let status = if documents && index && records { "healthy" } else { "degraded" };
    let verdict = json!({"status": status, "services": services, "version": env!("CARGO_PKG_VERSION")});
    *kept.lock().expect("no holder of this lock panics") = Some((Instant::now(), verdict.clone()));
    verdict
}

async fn answers<T>(call: impl Future<Output = Result<T>>) -> bool {
    matches!(tokio::time::timeout(BUDGET, call).await, Ok(Ok(_)))
}
