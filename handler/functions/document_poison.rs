//! The host gave up on a blob after its retries: the ledger learns of it.
//!
//! Idempotent: the document is looked at once more, and quarantined if it still cannot be ingested. The message is answered
//! for, and so removed by the host, only when the ledger has it.

use std::sync::Arc;

use serde::Deserialize;

use super::ingest_document::summary;
use crate::app::App;
use crate::document::DocumentName;
use crate::error::{Error, ErrorKind, Result};
use crate::host::envelope::{Envelope, Reply};
use crate::telemetry::place_in_json;

/// The part of the host's message that is needed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PoisonMessage {
    container_name: String,
    blob_name: String,
}

/// Runs the function.
pub async fn run(app: Arc<App>, envelope: Envelope) -> Result<Reply> {
    let text = envelope.text("message")?;
    let message: PoisonMessage = serde_json::from_str(&text)
        .map_err(|e| Error::new(ErrorKind::InvalidRequest, "the message names no blob").caused_by(place_in_json(&e)))?;
    if message.container_name != app.config.documents_container {
        return Ok(Reply::logged("ignored a blob of another container"));
    }
    let synced = match DocumentName::parse(&message.blob_name) {
        Ok(name) => app.ingest.give_up(&name).await?,
        Err(e) => app.ingest.refuse_name(&message.blob_name, &e).await?,
    };
    Ok(Reply::logged(summary(&synced)))
}
