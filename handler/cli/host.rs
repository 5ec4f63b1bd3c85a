//! Started by the Functions host: serve it on the port it gave, on the loopback address it calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::routing::{any, get};
use tracing::{error, info};

use super::stop;
use crate::app::App;
use crate::config::source::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::functions;
use crate::host::problem;
use crate::host::server::{RequestId, bind, serve};

/// After an ordered stop the host may start us again at once without counting it as a failure.
const EXIT_RESTART: u8 = 200;
/// How long the news that settings are wrong waits for a caller who does not take it.
const REFUSALS_WAIT: Duration = Duration::from_secs(30);

/// The port the host gave, if it started us.
pub(super) fn port_of(source: &Source) -> Option<u16> {
    source.host_port()
}

/// Serves until the order to stop.
pub(super) async fn run(app: Arc<App>, port: u16) -> Result<ExitCode> {
    let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let retrieval = app.retriever.describe();
    info!(port, version = env!("CARGO_PKG_VERSION"), retrieval, "ready for the Functions host");
    let patience = app.config.write_timeout;
    serve(listener, functions::host_router(app), patience, stop::ordered()).await;
    Ok(ExitCode::from(EXIT_RESTART))
}

/// Serves nothing but the news that settings are wrong.
pub(super) async fn run_misconfigured(sentence: String, port: u16) -> Result<ExitCode> {
    let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    error!(problem = sentence, "the settings need attention");
    let refuse = move |Extension(id): Extension<RequestId>| {
        let error = Error::new(ErrorKind::Misconfigured, sentence.clone());
        async move { problem::respond(&error, &id.0) }
    };
    let router = Router::new().route("/", get(|| async { "misconfigured" })).fallback(any(refuse));
    serve(listener, router, REFUSALS_WAIT, stop::ordered()).await;
    Ok(ExitCode::from(EXIT_RESTART))
}
