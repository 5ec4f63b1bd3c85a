//! `handler index rebuild`: every document made anew from storage, with a bar.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::app::App;
use crate::cli::ingest::progress;
use crate::error::Result;
use crate::ingest::rebuild::RebuildStep;
use crate::telemetry::one_line;

pub(super) const AFTER_HELP: &str = "\
Nothing is lost meanwhile: the old passages of a document answer until its new ones take their place, and one that fails for
a passing reason keeps its old ones. Interrupted and started again, it goes on where it was. It is for when passages should
be made again although neither document nor settings changed; a change of either is found by `handler maintain` by itself.

Ends with status 0 when every document had its turn, and 1 when some failed and should be tried again.";

#[derive(Args)]
pub(super) struct RebuildArgs {
    /// Begin with the first document, also when an earlier rebuild was interrupted
    #[arg(long)]
    from_the_first: bool,
}

/// Rebuilds.
pub(super) async fn run(app: &App, args: RebuildArgs, json: bool) -> Result<ExitCode> {
    let bar = progress(0);
    let step = |step: RebuildStep<'_>| match step {
        RebuildStep::Begun { documents, made_before } => {
            bar.set_length(documents as u64);
            bar.set_position(made_before as u64);
        }
        RebuildStep::Document(name) => {
            bar.inc(1);
            bar.set_message(one_line(name.as_str()).to_string());
        }
    };
    let rebuilt = app.ingest.rebuild(&app.records, args.from_the_first, step).await;
    bar.finish_and_clear();
    let rebuilt = rebuilt?;
    if json {
        println!("{}", json!({"finished": rebuilt.is_finished(), "rebuilt": rebuilt}));
    } else {
        if rebuilt.made_before > 0 {
            let started = rebuilt.started.to_rfc3339();
            println!("went on with the rebuild of {started}: {} documents had been made before", rebuilt.made_before);
        }
        println!(
            "{} documents made anew, {} quarantined, {} gone, {} failed; {} segments merged, {} files deleted",
            rebuilt.indexed,
            rebuilt.quarantined,
            rebuilt.removed,
            rebuilt.failed,
            rebuilt.merged_segments,
            rebuilt.collected_files
        );
        if !rebuilt.is_finished() {
            println!("`handler documents --state failed` says why; `handler index rebuild` tries these again");
        }
    }
    Ok(if rebuilt.is_finished() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
