//! `handler maintain`: the timer's work, now.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::app::App;
use crate::error::Result;
use crate::ingest::reconcile::{DriftReport, last_report};

#[derive(Args)]
pub(super) struct MaintainArgs {
    /// Only show the report of the last run
    #[arg(long)]
    report: bool,
}

/// Compares and repairs. The status is 1 when something is left to do.
pub(super) async fn run(app: &App, args: MaintainArgs, json: bool) -> Result<ExitCode> {
    let report = if args.report {
        last_report(&app.records).await?
    } else {
        Some(app.ingest.reconcile(Instant::now() + app.maintenance_time(), &app.records).await?)
    };
    let Some(report) = report else {
        println!("{}", if json { "null" } else { "maintenance has not run yet" });
        return Ok(ExitCode::SUCCESS);
    };
    if json {
        println!("{}", json!(report));
    } else {
        show(&report);
    }
    Ok(if report.unfinished || report.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(report: &DriftReport) {
    println!("started {}, took {} ms", report.started.to_rfc3339(), report.took_ms);
    for (drift, count) in &report.drift {
        let names = report.examples.get(drift).map(|names| names.join(", ")).unwrap_or_default();
        println!("  {:<9} {count:>5}  {names}", json!(drift).as_str().unwrap_or_default());
    }
    println!("{report}");
}
