//! `handler feedback`: what people said of answers, as rows that `handler evaluate` reads.

use std::process::ExitCode;

use clap::Args;

use crate::app::App;
use crate::conversations::feedback::Rating;
use crate::error::Result;

#[derive(Args)]
pub(super) struct FeedbackArgs {
    /// Only answers that helped, with the document that they cite first: questions with known answers
    #[arg(long)]
    helpful: bool,
}

/// What `--help` adds.
pub(super) const HELP: &str = "\
Prints a JSON line for each answer that somebody has rated.

Examples:
  handler feedback                             all of it
  handler feedback --helpful > set.jsonl       a set for `handler evaluate set.jsonl`; look through it first";

/// Prints a line for each.
pub(super) async fn run(app: &App, args: FeedbackArgs) -> Result<ExitCode> {
    for said in app.conversations.feedback().await? {
        if !args.helpful || (said.rating == Rating::Up && !said.sources.is_empty()) {
            println!("{}", said.row());
        }
    }
    Ok(ExitCode::SUCCESS)
}
