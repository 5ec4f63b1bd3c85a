//! The functions of the product: the registry, and the routers made from it. One file for each function: it parses, makes
//! one domain call and maps the answer. A function is here, in `function-definitions/`, and nowhere else.

pub mod actions;
pub mod answering;
pub mod api_docs;
mod attachment;
pub mod audited;
pub mod azure_samples;
pub mod backup;
pub mod chat;
pub mod chat_stream;
pub mod conversations;
mod described;
pub mod document_events;
pub mod document_poison;
pub mod documents;
pub mod feedback;
pub mod health;
pub mod ingest_document;
pub mod maintain_index;
pub mod maintenance_report;
pub mod mcp;
pub mod openai_chat;
pub mod openai_models;
pub mod openapi;
mod originals;
mod parameters;
pub mod protected_resource;
pub mod reports;
pub mod routes;
pub mod search;
pub mod status;
pub mod upload;
pub mod upload_url;
pub mod web;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Extension, Json};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Span;

use self::routes::Routes;
use crate::app::App;
use crate::error::{Error, ErrorKind, Result};
use crate::host::definition::Definition;
use crate::host::envelope::{Envelope, Reply};
use crate::host::server::{FlushFirst, RequestId, read_body};
use crate::host::{invoke, problem, same_origin};
use crate::telemetry::metrics;

/// What a trigger function returns.
pub type TriggerFuture = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// How a function is run.
pub enum Run {
    /// Answers requests: adds its routes to a router.
    Http(fn() -> Routes),
    /// Handles an envelope.
    Trigger(fn(Arc<App>, Envelope) -> TriggerFuture),
}

/// A function.
pub struct Function {
    /// Its name: that of its folder and of its file.
    pub name: &'static str,
    /// Its function.json.
    pub definition: &'static str,
    /// How it is run.
    pub run: Run,
}

macro_rules! function {
    ($name:ident, $run:expr) => {
        Function {
            name: stringify!($name),
            definition: include_str!(concat!("../../function-definitions/", stringify!($name), "/function.json")),
            run: $run,
        }
    };
}

/// Every function of the product.
pub const FUNCTIONS: &[Function] = &[
    function!(chat, Run::Http(chat::routes)),
    function!(chat_stream, Run::Http(chat_stream::routes)),
    function!(conversations, Run::Http(conversations::routes)),
    function!(feedback, Run::Http(feedback::routes)),
    function!(actions, Run::Http(actions::routes)),
    function!(reports, Run::Http(reports::routes)),
    function!(openai_chat, Run::Http(openai_chat::routes)),
    function!(openai_models, Run::Http(openai_models::routes)),
    function!(azure_samples, Run::Http(azure_samples::routes)),
    function!(mcp, Run::Http(mcp::routes)),
    function!(search, Run::Http(search::routes)),
    function!(documents, Run::Http(documents::routes)),
    function!(upload, Run::Http(upload::routes)),
    function!(upload_url, Run::Http(upload_url::routes)),
    function!(maintenance_report, Run::Http(maintenance_report::routes)),
    function!(health, Run::Http(health::routes)),
    function!(status, Run::Http(status::routes)),
    function!(openapi, Run::Http(openapi::routes)),
    function!(api_docs, Run::Http(api_docs::routes)),
    function!(protected_resource, Run::Http(protected_resource::routes)),
    function!(web, Run::Http(web::routes)),
    function!(ingest_document, Run::Trigger(|app, envelope| Box::pin(ingest_document::run(app, envelope)))),
    function!(document_events, Run::Trigger(|app, envelope| Box::pin(document_events::run(app, envelope)))),
    function!(document_poison, Run::Trigger(|app, envelope| Box::pin(document_poison::run(app, envelope)))),
    function!(maintain_index, Run::Trigger(|app, envelope| Box::pin(maintain_index::run(app, envelope)))),
    function!(backup, Run::Trigger(|app, envelope| Box::pin(backup::run(app, envelope)))),
];

/// Every function with its parsed definition.
pub fn definitions() -> Vec<(&'static str, Definition)> {
    let parse = |function: &Function| {
        (function.name, Definition::parse(function.definition).expect("a test parses every function.json"))
    };
    FUNCTIONS.iter().map(parse).collect()
}

/// The router for callers from outside: the HTTP functions and nothing else.
pub fn public_router(app: Arc<App>) -> Router {
    finish(http_routes().into_router(), app)
}

/// The router for the Functions host, which alone can reach the port it listens on: the public one, and the trigger
/// functions under their names. No HTTP function's route lets a POST through to those; a test keeps it so.
pub fn host_router(app: Arc<App>) -> Router {
    let mut router = http_routes().into_router();
    for function in FUNCTIONS {
        if let Run::Trigger(_) = function.run {
            let handle = |app, id, request| run_trigger(function.name, app, id, request);
            router = router.route(&format!("/{}", function.name), post(handle));
        }
    }
    finish(router, app)
}

/// Everything that callers from outside can call.
pub fn http_routes() -> Routes {
    FUNCTIONS.iter().fold(Routes::new(), |all, function| match function.run {
        Run::Http(routes) => all.merge(routes()),
        Run::Trigger(_) => all,
    })
}

fn finish(router: Router<Arc<App>>, app: Arc<App>) -> Router {
    let router = router.fallback(any(not_found)).method_not_allowed_fallback(method_not_allowed);
    let other_sites = AllowOrigin::list(app.config.origins.clone());
    router
        .layer(middleware::from_fn_with_state(Arc::clone(&app), no_foreign_page))
        .layer(other_pages(other_sites))
        .layer(Extension(Arc::clone(&app.access)))
        .layer(Extension(Arc::clone(&app.limits)))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), within_deadline))
        .with_state(app)
}

async fn no_foreign_page(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    same_origin::guard_changes(&app.config.origins, request, next).await
}

/// Lets the pages of some other sites call what may be called, and read the answers.
fn other_pages(origins: AllowOrigin) -> CorsLayer {
    let named = [header::AUTHORIZATION, header::CONTENT_TYPE].into_iter().map(Some);
    let named = named.chain(["idempotency-key", "x-chat-dialect"].map(|name| name.parse().ok())).flatten();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(named.collect::<Vec<_>>())
        .expose_headers([header::RETRY_AFTER, header::CONTENT_DISPOSITION, header::WWW_AUTHENTICATE])
        .max_age(Duration::from_secs(3_600))
}

/// Ends a request that takes as long as an invocation may take, and turns a panic in it into its own failure.
async fn within_deadline(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let answered = invoke::guarded(async { Ok(next.run(request).await) }, app.config.invocation_timeout).await;
    answered.unwrap_or_else(|e| problem::respond(&e, &id.0))
}

/// Runs a trigger function on an envelope.
pub async fn run(app: Arc<App>, name: &'static str, envelope: Envelope) -> Result<Reply> {
    if let Some(since) = envelope.waiting_since() {
        // Another machine's clock may be ahead of ours.
        metrics::queue_age(name, (app.clock.now() - since).to_std().unwrap_or_default());
    }
    match trigger(name) {
        Some(start) => start(app, envelope).await,
        None => Err(Error::new(ErrorKind::NotFound, "there is no such function")),
    }
}

fn trigger(name: &str) -> Option<fn(Arc<App>, Envelope) -> TriggerFuture> {
    FUNCTIONS.iter().find(|function| function.name == name).and_then(|function| match function.run {
        Run::Trigger(start) => Some(start),
        Run::Http(_) => None,
    })
}

async fn run_trigger(
    name: &'static str,
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    Span::current().record("function", name);
    let ran = async {
        let body = read_body(request.into_body(), app.config.max_invocation_bytes).await?;
        let envelope = Envelope::parse(&body)?;
        drop(body);
        run(app, name, envelope).await
    };
    let mut response = match ran.await {
        Ok(reply) => Json(reply).into_response(),
        Err(e) => problem::respond(&e, &id.0),
    };
    response.extensions_mut().insert(FlushFirst);
    response
}

async fn not_found(Extension(id): Extension<RequestId>) -> Response {
    problem::respond(&Error::new(ErrorKind::NotFound, "there is nothing at this address"), &id.0)
}

async fn method_not_allowed(Extension(id): Extension<RequestId>) -> Response {
    problem::respond(&Error::new(ErrorKind::MethodNotAllowed, "this address does not take that method"), &id.0)
}
