//! `handler index`: what an operator does with the index: look at it, check it, tidy it, make it anew, take it along.

mod export;
mod rebuild;
mod status;
mod verify;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::App;
use crate::error::{Error, ErrorKind, Result};
use crate::index::segments::SegmentIndex;
use crate::ingest::reconcile::COLLECT_GRACE;

/// A command that a person started may take this long: nothing waits for it but that person.
const COMMAND_TIME: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Args)]
pub(super) struct IndexArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show the index in numbers, every segment, and how many documents differ from storage; status 1 means damage
    Status,
    /// Read every byte of the index and compare it with its checksums; ends with status 1 when something is damaged
    #[command(after_help = verify::AFTER_HELP)]
    Verify(verify::VerifyArgs),
    /// Merge small segments and delete files that nobody names, now instead of with the next timer
    #[command(after_help = MAINTAIN_HELP)]
    Maintain(MaintainArgs),
    /// Make every document anew from storage, while the index goes on answering
    #[command(after_help = rebuild::AFTER_HELP)]
    Rebuild(rebuild::RebuildArgs),
    /// Write every passage as a line of JSON, also those that not everybody may read
    #[command(after_help = export::AFTER_HELP)]
    Export(export::ExportArgs),
}

const MAINTAIN_HELP: &str = "\
`handler maintain` does this too, after it has compared storage with the index. A file that is younger than the grace time
stays, because a writer may be about to name it: shorten it only while nobody writes.";

#[derive(Args)]
struct MaintainArgs {
    /// Leave files alone that are younger than this
    #[arg(long, value_name = "SECONDS", default_value_t = COLLECT_GRACE.as_secs())]
    grace: u64,
    /// Also write every segment anew that holds a deleted passage, so that nothing of it is left in the files
    #[arg(long)]
    purge: bool,
}

impl IndexArgs {
    /// Whether the command does nothing but show something.
    pub(super) fn only_shows(&self) -> bool {
        matches!(self.action, Action::Status | Action::Export(_))
    }
}

/// Runs what is asked for.
pub(super) async fn run(app: &App, args: IndexArgs, json: bool) -> Result<ExitCode> {
    match args.action {
        Action::Status => status::run(app, json).await,
        Action::Verify(args) => verify::run(app, args, json).await,
        Action::Maintain(args) => maintain(app, &args, json).await,
        Action::Rebuild(args) => rebuild::run(app, args, json).await,
        Action::Export(args) => export::run(app, args, json).await,
    }
}

async fn maintain(app: &App, args: &MaintainArgs, json: bool) -> Result<ExitCode> {
    let before = app.index.status().await?;
    let (grace, until) = (Duration::from_secs(args.grace), Instant::now() + COMMAND_TIME);
    let purged = if args.purge { app.index.purge(grace, until).await?.merged_segments } else { 0 };
    let tidied = app.index.tidy(grace, until).await?;
    let after = app.index.status().await?;
    if json {
        let merged =
            json!({"merged_segments": tidied.merged_segments + purged, "collected_files": tidied.collected_files});
        println!("{}", json!({"did": merged, "before": before, "after": after}));
    } else {
        println!(
            "{} segments merged, {} files deleted; {} segments of {} bytes are now {} of {}",
            tidied.merged_segments + purged,
            tidied.collected_files,
            before.segments,
            before.size_bytes,
            after.segments,
            after.size_bytes
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The segments, for what can be done with files of ours alone.
fn segments(app: &App) -> Result<&SegmentIndex> {
    let elsewhere = "the index is kept by a service, not in files of ours; look after it there";
    app.index.segments().ok_or_else(|| Error::new(ErrorKind::InvalidRequest, elsewhere))
}
