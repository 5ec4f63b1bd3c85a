//! `handler audit export`: the records of the audit, for whoever has to look into what was done.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::App;
use crate::audit::AuditRecord;
use crate::chat::filter::time;
use crate::error::Result;
use crate::telemetry::one_line;

#[derive(Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print the records, oldest first: a line each, with --json an object each
    Export(ExportArgs),
}

#[derive(Args)]
struct ExportArgs {
    /// Only what was done at this time or later, like 2026-05-01 or 2026-05-01T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<DateTime<Utc>>,
    /// Only what was done before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<DateTime<Utc>>,
}

/// What `--help` adds.
pub(super) const HELP: &str = "\
Examples:
  handler audit export --json > audit.jsonl                       all of it
  handler audit export --from 2026-05-01 --to 2026-06-01 --json   a month
Records are kept for AUDIT_DAYS.";

/// Prints the records.
pub(super) async fn run(app: &App, args: AuditArgs, json: bool) -> Result<ExitCode> {
    let Action::Export(wanted) = args.action;
    let print = |record: AuditRecord| if json { println!("{}", json!(record)) } else { println!("{}", line(&record)) };
    app.audit.read(wanted.from, wanted.to, print).await?;
    Ok(ExitCode::SUCCESS)
}

fn line(record: &AuditRecord) -> String {
    let AuditRecord { at, who, what, subject, outcome, about } = record;
    let about = if about.is_null() { String::new() } else { about.to_string() };
    one_line(&format!("{}  {who}  {what}  {subject}  {outcome}  {about}", at.format("%Y-%m-%dT%H:%M:%SZ")))
}

fn parse_time(raw: &str) -> Result<DateTime<Utc>, String> {
    time(raw).map_err(|e| e.message().to_owned())
}
