//! Time passed: compare storage with index, repair what differs, keep the index small.
//!
//! Idempotent and resumable: a second run finds nothing to do, and a run that is cut off leaves the rest to the next one.

use std::sync::Arc;
use std::time::Instant;

use crate::app::App;
use crate::error::Result;
use crate::host::envelope::{Envelope, Reply};

/// Runs the function. The envelope says nothing that is needed.
pub async fn run(app: Arc<App>, _envelope: Envelope) -> Result<Reply> {
    let deadline = Instant::now() + app.maintenance_time();
    let report = app.ingest.reconcile(deadline, &app.records).await?;
    // What has expired or was deleted leaves the files, too.
    app.records.settle().await?;
    Ok(Reply::logged(report.to_string()))
}
