//! `handler ingest`: files and folders from anywhere are put into storage and made answerable, with a bar and a table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::documents::table;
use crate::app::App;
use crate::document::{DocumentId, DocumentName};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::ledger::{LedgerRow, State};
use crate::ingest::reconcile::is_hidden;
use crate::stores::blobs::{Condition, PutOptions};

#[derive(Args)]
pub(super) struct IngestArgs {
    /// Files and folders; those that lie in the documents folder already stay where they are
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// A file on this machine and the name it gets as a document.
struct Found {
    path: PathBuf,
    name: String,
}

/// Ingests. The status is 0 when every file can be found afterwards, and 1 otherwise.
pub(super) async fn run(app: &App, args: IngestArgs, json: bool) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in &args.paths {
        collect(app, path, &mut files)?;
    }
    let bar = progress(files.len() as u64);
    let rows: Vec<Result<LedgerRow>> = futures_util::stream::iter(&files)
        .map(|found| {
            let bar = bar.clone();
            async move {
                bar.set_message(found.name.clone());
                let row = ingest(app, found).await;
                bar.inc(1);
                row
            }
        })
        .buffer_unordered(app.config.extract.max_workers)
        .collect()
        .await;
    bar.finish_and_clear();
    let mut rows = rows.into_iter().collect::<Result<Vec<_>>>()?;
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let indexed = rows.iter().filter(|row| row.state == State::Indexed).count();
    if json {
        println!("{}", json!({"documents": rows, "indexed": indexed, "not_indexed": rows.len() - indexed}));
    } else {
        println!("{}", table(&rows));
        println!("{indexed} of {} can be found", rows.len());
    }
    Ok(if indexed == rows.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn ingest(app: &App, found: &Found) -> Result<LedgerRow> {
    let name = match DocumentName::parse(&found.name) {
        Ok(name) => name,
        Err(e) => {
            app.ingest.refuse_name(&found.name, &e).await?;
            return row_of(app, &DocumentId::of_raw(&found.name)).await;
        }
    };
    if app.documents.local_path(name.as_str()).is_none_or(|stored| stored != found.path) {
        let failed =
            |e| Error::new(ErrorKind::InvalidRequest, format!("cannot read {}", found.path.display())).caused_by(e);
        let bytes = tokio::fs::read(&found.path).await.map_err(failed)?;
        // A new version is for the readers of the old one.
        let metadata = app.documents.head(name.as_str()).await?.map(|found| found.metadata).unwrap_or_default();
        let options = PutOptions { condition: Condition::Always, metadata };
        app.documents.put_with(name.as_str(), bytes.into(), options).await?;
    }
    // What went wrong is in the row.
    let _in_the_ledger = app.ingest.sync(&name).await;
    row_of(app, &DocumentId::of(&name)).await
}

async fn row_of(app: &App, id: &DocumentId) -> Result<LedgerRow> {
    let missing = || Error::new(ErrorKind::Internal, "a document left no row in the ledger");
    app.ingest.ledger.get(id).await?.ok_or_else(missing)
}

/// The files under a path. A folder's own name is left out of the names; a file in the documents folder keeps its name.
fn collect(app: &App, path: &Path, files: &mut Vec<Found>) -> Result<()> {
    let failed = |e| Error::new(ErrorKind::InvalidRequest, format!("cannot read {}", path.display())).caused_by(e);
    let real = path.canonicalize().map_err(failed)?;
    let documents = PathBuf::from(app.documents.location());
    let base = match real.strip_prefix(&documents) {
        Ok(_) => documents,
        Err(_) if real.is_dir() => real.clone(),
        Err(_) => real.parent().unwrap_or(&real).to_owned(),
    };
    walk(&real, &base, files).map_err(failed)
}

fn walk(path: &Path, base: &Path, files: &mut Vec<Found>) -> std::io::Result<()> {
    if !path.is_dir() {
        let name = path.strip_prefix(base).unwrap_or(path).to_string_lossy().into_owned();
        if !is_hidden(&name) {
            files.push(Found { path: path.to_owned(), name });
        }
        return Ok(());
    }
    let mut entries =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    entries.sort_unstable();
    entries.iter().try_for_each(|entry| walk(entry, base, files))
}

/// A bar on standard error; nothing where that is no terminal.
pub(super) fn progress(length: u64) -> ProgressBar {
    styled(length, "{bar:32} {pos}/{len}  {elapsed}  {wide_msg}")
}

/// The same, of bytes.
pub(super) fn byte_progress(length: u64) -> ProgressBar {
    styled(length, "{bar:32} {bytes}/{total_bytes}  {elapsed}  {wide_msg}")
}

fn styled(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
