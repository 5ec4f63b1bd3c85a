//! `handler serve`: the product whole on one machine.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tracing::info;

use super::stop;
use crate::app::App;
use crate::config::BlobHome;
use crate::error::Result;
use crate::functions;
use crate::host::invoke::guarded;
use crate::host::local::{Invoke, LocalHost};
use crate::host::server::{bind, serve};

#[derive(Args)]
pub(super) struct ServeArgs {
    /// Address to listen on; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:7071", value_name = "ADDRESS")]
    listen: SocketAddr,
}

/// Serves until the order to stop.
pub(super) async fn run(app: Arc<App>, args: ServeArgs) -> Result<ExitCode> {
    let listener = bind(args.listen).await?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let folder = match &app.config.documents {
        BlobHome::Folder(folder) => folder.canonicalize().ok(),
        BlobHome::Container { .. } => None,
    };
    info!(address = %address, documents = app.documents.location(), "serving");
    eprintln!("Knowledge Worker answers at http://{address}/  (documents: {})", app.documents.location());
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
    serve(listener, functions::public_router(app), stop::ordered()).await;
    watching.abort();
    Ok(ExitCode::SUCCESS)
}
