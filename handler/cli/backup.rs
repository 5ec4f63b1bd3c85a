//! `handler backup` and `handler restore`: copies of index and records, and the way back.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::documents::fit;
use super::ingest::byte_progress;
use crate::app::App;
use crate::backup::description::Description;
use crate::backup::{BackupState, Kept, Step};
use crate::error::{Error, ErrorKind, Result};

pub(super) const BACKUP_HELP: &str = "\
A backup holds the index of one generation and all records (the ledger of documents among them), each file with its
checksum. It does not hold the documents: they stay in storage, which has versions and copies of its own. The timer makes one
a day; BACKUP_KEEP says how many are kept, BACKUP_CONTAINER where. Run this where the records are: on a Function App each
instance keeps its own.

Examples:
  handler backup                       make one now
  handler backup --list                which there are
  handler backup --verify latest       read every byte of one; ends with status 1 when it is damaged
  handler restore latest               put it back, into an empty place";

pub(super) const RESTORE_HELP: &str = "\
The backup is read whole and compared with its checksums before anything is changed. A place that holds documents or records
already is refused; --force replaces what is there: index and records become what they were, and what came later is
forgotten. Stop the app meanwhile. Afterwards `handler maintain` brings in what changed in storage since, and
`handler index verify` reads the index once more.";

#[derive(Args)]
pub(super) struct BackupArgs {
    /// List the backups instead, the latest first
    #[arg(long, conflicts_with = "verify")]
    list: bool,
    /// Check a backup instead: its id, or `latest`
    #[arg(long, value_name = "ID")]
    verify: Option<String>,
}

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup's id, or `latest`
    #[arg(value_name = "ID")]
    backup: String,
    /// Replace an index and records that are there already
    #[arg(long)]
    force: bool,
    /// Do not ask before something is replaced
    #[arg(long)]
    yes: bool,
}

/// Makes a backup, lists them, or checks one. The status is 1 when a checked one is damaged.
pub(super) async fn run(app: &App, args: BackupArgs, json: bool) -> Result<ExitCode> {
    if args.list {
        list(&app.backups.list().await?, json);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(named) = &args.verify {
        return verify(app, named, json).await;
    }
    let bar = byte_progress(app.index.status().await?.size_bytes);
    let made = app.backups.create(&|step: Step<'_>| advance(&bar, &step)).await;
    bar.finish_and_clear();
    told("made", &made?, json);
    Ok(ExitCode::SUCCESS)
}

/// Restores.
pub(super) async fn restore(app: &App, args: RestoreArgs, json: bool) -> Result<ExitCode> {
    let description = app.backups.find(&args.backup).await?;
    if args.force && !args.yes && !confirmed(&description)? {
        println!("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    // Every file is read twice: to be checked, and to be copied.
    let bar = byte_progress(2 * description.size_bytes());
    let restored = app.backups.restore(&description, args.force, &|step: Step<'_>| advance(&bar, &step)).await;
    bar.finish_and_clear();
    restored?;
    told("restored", &description, json);
    Ok(ExitCode::SUCCESS)
}

/// Asks the person at the terminal.
fn confirmed(description: &Description) -> Result<bool> {
    if !io::stdin().is_terminal() {
        let sentence = "--force replaces index and records; say --yes too when nobody can be asked";
        return Err(Error::new(ErrorKind::InvalidRequest, sentence));
    }
    let unheard = |e| Error::new(ErrorKind::InvalidRequest, "the answer cannot be read").caused_by(e);
    print!("Replace index and records by those of {}? Type yes: ", description.made.to_rfc3339());
    io::stdout().flush().map_err(unheard)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(unheard)?;
    Ok(answer.trim() == "yes")
}

async fn verify(app: &App, named: &str, json: bool) -> Result<ExitCode> {
    let description = app.backups.find(named).await?;
    let bar = byte_progress(description.size_bytes());
    let damage = app.backups.verify(&description, &|step: Step<'_>| advance(&bar, &step)).await;
    bar.finish_and_clear();
    let damage = damage?;
    if json {
        println!("{}", json!({"backup": description.id, "files": description.files.len(), "damage": damage}));
    } else {
        damage.iter().for_each(|damaged| println!("{}: {}", damaged.file, damaged.reason));
        println!("{}: {} files, {} damaged", description.id, description.files.len(), damage.len());
    }
    Ok(if damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn advance(bar: &indicatif::ProgressBar, step: &Step<'_>) {
    bar.inc(step.size_bytes);
    bar.set_message(step.file.to_owned());
}

fn told(what: &str, description: &Description, json: bool) {
    if json {
        println!("{}", summary(description));
        return;
    }
    println!(
        "{what} {}: {} segments with {} passages of generation {}, {} records, {} bytes in {} files",
        description.id,
        description.index.segments,
        description.index.passages,
        description.index.generation,
        description.records(),
        description.size_bytes(),
        description.files.len()
    );
}

fn summary(description: &Description) -> Value {
    json!({
        "id": description.id,
        "made": description.made,
        "program": description.program,
        "index": description.index,
        "records": description.records(),
        "files": description.files.len(),
        "size_bytes": description.size_bytes(),
    })
}

fn list(all: &[Kept], json: bool) {
    if json {
        let all = all.iter().map(|kept| match &kept.state {
            BackupState::Complete(description) => {
                let mut shown = summary(description);
                shown["state"] = json!("complete");
                shown
            }
            BackupState::Unfinished => json!({"id": kept.id, "state": "unfinished", "size_bytes": kept.size_bytes}),
            BackupState::Damaged { reason } => json!({"id": kept.id, "state": "damaged", "reason": reason}),
        });
        println!("{}", json!({"backups": all.collect::<Vec<_>>()}));
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    fit(&mut table);
    table.set_header(["backup", "made", "generation", "segments", "passages", "records", "bytes", "state"]);
    for kept in all {
        let of = |read: fn(&Description) -> String| kept.description().map(read).unwrap_or_default();
        let state = match &kept.state {
            BackupState::Complete(_) => "complete".to_owned(),
            BackupState::Unfinished => "unfinished".to_owned(),
            BackupState::Damaged { reason } => format!("damaged: {reason}"),
        };
        table.add_row([
            kept.id.clone(),
            of(|found| found.made.format("%Y-%m-%d %H:%M:%S").to_string()),
            of(|found| found.index.generation.to_string()),
            of(|found| found.index.segments.to_string()),
            of(|found| found.index.passages.to_string()),
            of(|found| found.records().to_string()),
            kept.size_bytes.to_string(),
            state,
        ]);
    }
    for column in 2..=6 {
        table.column_mut(column).into_iter().for_each(|column| {
            column.set_cell_alignment(CellAlignment::Right);
        });
    }
    println!("{table}");
}
