//! A day began: index and records are copied to where backups are kept, and backups that are too many are thrown away.
//!
//! Idempotent: a second run on the same day (UTC) finds the backup of that day and does nothing. A run that is cut off
//! leaves an unfinished one, which counts for nothing and is thrown away by a later run.

use std::sync::Arc;

use crate::app::App;
use crate::backup::Daily;
use crate::error::{Error, ErrorKind, Result};
use crate::host::envelope::{Envelope, Reply};

/// Runs the function. The envelope says nothing that is needed.
pub async fn run(app: Arc<App>, _envelope: Envelope) -> Result<Reply> {
    let late = |_| {
        let sentence = "copying took too long for one invocation; `handler backup` on a machine has no limit";
        Error::new(ErrorKind::DeadlineExceeded, sentence)
    };
    let daily = tokio::time::timeout(app.maintenance_time(), app.backups.daily()).await.map_err(late)??;
    Ok(Reply::logged(match daily {
        Daily::Made(made) => format!(
            "made the backup {}: generation {}, {} passages, {} records, {} bytes",
            made.id,
            made.index.generation,
            made.index.passages,
            made.records(),
            made.size_bytes()
        ),
        Daily::MadeBefore { id } => format!("the backup of today is {id}; nothing to do"),
        Daily::TurnedOff => "BACKUP_KEEP is 0, so no backup is made".to_owned(),
    }))
}
