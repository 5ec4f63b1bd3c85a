//! `handler serve`: the product whole on one machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use axum::http::HeaderValue;
use axum::middleware;
use clap::Args;
use tracing::info;

use super::stop;
use crate::app::App;
use crate::config::BlobHome;
use crate::error::Result;
use crate::functions;
use crate::host::invoke::guarded;
use crate::host::local::{Invoke, LocalHost};
use crate::host::same_origin;
use crate::host::server::{bind, serve};

#[derive(Args)]
pub(super) struct ServeArgs {
    /// Address to listen on, such as 127.0.0.1:7071, localhost:8080 or just 8080; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:7071", value_name = "ADDRESS", value_parser = parse_address)]
    listen: SocketAddr,

    /// Only say whether the settings are right; wrong ones end the command with status 78, as a start with them does
    #[arg(long)]
    check: bool,
}

/// Serves until the order to stop.
pub(super) async fn run(app: Arc<App>, args: ServeArgs) -> Result<ExitCode> {
    if args.check {
        println!("The settings are right.");
        return Ok(ExitCode::SUCCESS);
    }
    let listener = bind(args.listen).await?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let folder = match &app.config.documents {
        BlobHome::Folder(folder) => folder.canonicalize().ok(),
        BlobHome::Container { .. } => None,
    };
    let (documents, retrieval) = (app.documents.location(), app.retriever.describe());
    info!(address = %address, documents, retrieval, "serving");
    eprintln!("Knowledge Worker answers at http://{address}/  (documents: {documents}; retrieval: {retrieval})");
    let caller = Arc::clone(&app);
    let invoke: Invoke = Arc::new(move |name, envelope| {
        let deadline = caller.config.invocation_timeout;
        Box::pin(guarded(functions::run(Arc::clone(&caller), name, envelope), deadline))
    });
    let local_host = LocalHost {
        folder,
        container: app.config.documents_container.clone(),
        definitions: functions::definitions(),
        invoke,
        sweep: app.config.sweep,
        clock: app.clock.clone(),
    };
    let watching = tokio::spawn(local_host.run());
    let origins: Arc<[HeaderValue]> = app.config.origins.clone().into();
    let guard = middleware::from_fn(move |request, next| {
        let origins = Arc::clone(&origins);
        async move { same_origin::guard(address, &origins, request, next).await }
    });
    let patience = app.config.write_timeout;
    serve(listener, functions::public_router(app).layer(guard), patience, stop::ordered()).await;
    watching.abort();
    Ok(ExitCode::SUCCESS)
}

/// An address with a port, or a port alone on the loopback address.
fn parse_address(raw: &str) -> std::result::Result<SocketAddr, String> {
    let loopback = |port: &str| port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let port_alone = raw.strip_prefix("localhost:").or(raw.strip_prefix(':')).unwrap_or(raw);
    raw.parse()
        .ok()
        .or_else(|| loopback(port_alone))
        .ok_or_else(|| "give an address as in 127.0.0.1:7071, or a port".to_owned())
}
