//! `GET /`: a page that says what this is and how to ask. The Functions host also asks here whether the process is ready,
//! so the answer is made of nothing but the binary itself.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use crate::app::App;

const PAGE: &str = include_str!("../../web/index.html");
/// Nothing but the page's own style is allowed in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// The function's routes. Every other address that the catch-all brings is answered as unknown by the router.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/", get(page))
}

async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY), (header::REFERRER_POLICY, "no-referrer")], Html(PAGE))
}
