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
use crate::ingest::reconcile::DriftReport;
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
    let mut damage = Vec::new();
    for damaged in &verified.damage {
        let names = match segments.documents_behind(&damaged.file).await {
            Ok(names) => names,
            // Of a damaged manifest nobody knows what it named.
            Err(e) if e.kind() == ErrorKind::IndexDamaged => Vec::new(),
            Err(e) => return Err(e),
        };
        damage.push((damaged, names));
    }
    let repaired = match args.repair && !damage.is_empty() {
        true => Some(app.ingest.reconcile(Instant::now() + COMMAND_TIME, &app.records).await?),
        false => None,
    };
    if json {
        let damage = damage
            .iter()
            .map(|(damaged, names)| json!({"file": damaged.file, "reason": damaged.reason, "documents": names}));
        let damage: Vec<_> = damage.collect();
        let (files, bytes) = (verified.files, verified.size_bytes);
        println!("{}", json!({"files": files, "size_bytes": bytes, "damage": damage, "repaired": repaired}));
    } else {
        for (damaged, names) in &damage {
            println!("{}: {}", damaged.file, damaged.reason);
            names.iter().for_each(|name| println!("  {}", one_line(name.as_str())));
        }
        let (files, bytes) = (verified.files, verified.size_bytes);
        println!("{files} files, {bytes} bytes: {} damaged", damage.len());
        match &repaired {
            Some(report) => println!("{report}"),
            None if !damage.is_empty() => println!("`handler index verify --repair` makes these documents anew"),
            None => {}
        }
    }
    let is_well = damage.is_empty() || repaired.is_some_and(|report: DriftReport| is_done(&report));
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_done(report: &DriftReport) -> bool {
    !report.unfinished && report.failed == 0
}
