//! `handler index verify`: every byte of the index against its checksum; and the way back to a whole one.

use std::cell::Cell;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::{COMMAND_TIME, segments};
use crate::app::App;
use crate::cli::ingest::byte_progress;
use crate::error::{ErrorKind, Result};
use crate::index::segments::manifest::FileEntry;
use crate::ingest::reconcile::{Drift, DriftReport};
use crate::telemetry::one_line;

pub(super) const AFTER_HELP: &str = "\
Without --repair nothing is changed. While a part is damaged, its documents are not found and everything else is. With
--repair what is damaged is forgotten and its documents are made anew from storage, as the timer would do in time.

Ends with status 0 when all is well or was repaired, and 1 otherwise.";

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Forget what is damaged, and make its documents anew from storage
    #[arg(long)]
    repair: bool,
}

/// Checks, and repairs when told to.
pub(super) async fn run(app: &App, args: VerifyArgs, json: bool) -> Result<ExitCode> {
    let segments = segments(app)?;
    // A manifest that cannot be read has no sizes to tell; that it is damaged is found below.
    let total = app.index.status().await.map_or(0, |status| status.size_bytes);
    let bar = byte_progress(total);
    let reading = Cell::new(0);
    let verified = segments.verify(|file: &FileEntry| {
        bar.inc(reading.replace(file.size_bytes));
        bar.set_message(file.name.clone());
    });
    let verified = verified.await;
    bar.finish_and_clear();
    let verified = verified?;
    let damage = &verified.damage;
    let unanswered = if damage.is_empty() { Some(Vec::new()) } else { unanswered(app).await? };
    let repaired = match args.repair && !damage.is_empty() {
        true => Some(app.ingest.reconcile(Instant::now() + COMMAND_TIME, &app.records).await?),
        false => None,
    };
    if json {
        println!("{}", json!({"verified": verified, "unanswered": unanswered, "repaired": repaired}));
    } else {
        damage.iter().for_each(|damaged| println!("{}: {}", damaged.file, damaged.reason));
        match &unanswered {
            None => println!("nothing can be answered"),
            Some(names) if !names.is_empty() => {
                println!("{} documents cannot be answered from:", names.len());
                names.iter().for_each(|name| println!("  {}", one_line(name)));
            }
            Some(_) => {}
        }
        println!("{} files, {} bytes: {} damaged", verified.files, verified.size_bytes, damage.len());
        match &repaired {
            Some(report) => println!("{report}"),
            None if !damage.is_empty() => println!("`handler index verify --repair` makes these documents anew"),
            None => {}
        }
    }
    let is_well = damage.is_empty() || repaired.is_some_and(|report: DriftReport| is_done(&report));
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The documents that are in storage and cannot be found, because what was damaged held them; none at all when the index
/// cannot be opened, and nobody knows what it held.
async fn unanswered(app: &App) -> Result<Option<Vec<String>>> {
    match app.ingest.drift().await {
        Ok(mut drift) => Ok(Some(drift.remove(&Drift::Missing).unwrap_or_default())),
        Err(e) if e.kind() == ErrorKind::IndexDamaged => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_done(report: &DriftReport) -> bool {
    !report.unfinished && report.failed == 0
}
