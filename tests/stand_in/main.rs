//! The stand-in host as a program: `stand-in-host --package DIR`, to run the handler as Functions would, with a person
//! or a script on the other side.

#[path = "mod.rs"]
#[allow(dead_code, clippy::panic, reason = "the tests use more of it than the program does")]
mod stand_in;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use stand_in::storage::Storage;
use stand_in::{Options, StandIn};

/// The container that the blob trigger watches.
const DOCUMENTS: &str = "documents";

/// Runs a package as the Azure Functions host would.
#[derive(Parser)]
struct Arguments {
    /// Folder with host.json, the function folders and the executable
    #[arg(long)]
    package: PathBuf,
    /// Address to serve on
    #[arg(long, default_value = "127.0.0.1:7071")]
    listen: SocketAddr,
    /// Blob endpoint of the storage emulator, ending in /devstoreaccount1
    #[arg(long, requires = "queue")]
    blob: Option<Url>,
    /// Queue endpoint of the storage emulator, ending in /devstoreaccount1
    #[arg(long, requires = "blob")]
    queue: Option<Url>,
    /// Folder whose files are put into the container `documents` before the host starts
    #[arg(long, requires = "blob", value_name = "DIR")]
    upload: Option<PathBuf>,
    /// Seconds between two looks at the container of the blob trigger
    #[arg(long, value_name = "SECONDS")]
    blob_poll: Option<u64>,
    /// An app setting, KEY=VALUE; may be given many times
    #[arg(long, value_parser = key_and_value)]
    env: Vec<(String, String)>,
    /// Key for functions with authLevel function
    #[arg(long)]
    function_key: Option<String>,
    /// Key for the admin surface
    #[arg(long)]
    master_key: Option<String>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let package = arguments.package.canonicalize().with_context(|| format!("find {}", arguments.package.display()))?;
    let mut options = Options::for_package(package);
    options.listen = arguments.listen;
    options.storage = arguments.blob.zip(arguments.queue);
    options.app_settings = arguments.env;
    options.function_key = arguments.function_key.unwrap_or(options.function_key);
    options.master_key = arguments.master_key.unwrap_or(options.master_key);
    options.blob_poll_interval = arguments.blob_poll.map_or(options.blob_poll_interval, Duration::from_secs);
    options.echo = true;
    if let (Some(folder), Some((blob, queue))) = (&arguments.upload, &options.storage) {
        let storage = Storage::new(blob.clone(), queue.clone())?;
        storage.create_container(DOCUMENTS).await?;
        upload(&storage, folder, folder).await?;
    }
    let stand_in = StandIn::start(options).await?;
    println!("serving on {}", stand_in.base_url());
    println!("function key {}, master key {}", stand_in.function_key(), stand_in.master_key());
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = stand_in.gave_up() => {
            // A real host on a platform would be started anew; here somebody should look.
            return Ok(ExitCode::FAILURE);
        }
    }
    stand_in.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Puts every file under `path` into storage, named as it lies under `base`.
async fn upload(storage: &Storage, base: &Path, path: &Path) -> Result<()> {
    for entry in std::fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
        let path = entry.with_context(|| format!("list {}", path.display()))?.path();
        if path.is_dir() {
            Box::pin(upload(storage, base, &path)).await?;
            continue;
        }
        let name = path.strip_prefix(base).context("a listed file lies in its folder")?;
        let name = name.to_str().with_context(|| format!("{} has a name that is not text", path.display()))?;
        let content = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        storage.put_blob(DOCUMENTS, name, "application/octet-stream", &[], content).await?;
    }
    Ok(())
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_string(), value.to_string()))
}
