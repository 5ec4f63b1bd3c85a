//! A blob came or changed: bring the index in line with it.
//!
//! Idempotent: a second run finds the same version indexed and does nothing. Of the invocation only the name is believed;
//! the content that the host sends along is ignored and storage is read anew, so late and repeated events do no harm.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::app::App;
use crate::document::DocumentName;
use crate::error::{Error, ErrorKind, Result};
use crate::host::envelope::{Envelope, Reply};
use crate::ingest::pipeline::Synced;
use crate::ingest::reconcile::is_hidden;

/// Runs the function.
pub async fn run(app: Arc<App>, envelope: Envelope) -> Result<Reply> {
    let raw = blob_name(&envelope, &app.config.documents_container)?;
    if is_hidden(&raw) {
        return Ok(Reply::logged("ignored a hidden file"));
    }
    let synced = match DocumentName::parse(&raw) {
        Ok(name) => app.ingest.sync(&name).await?,
        Err(e) => app.ingest.refuse_name(&raw, &e).await?,
    };
    Ok(Reply::logged(summary(&synced)))
}

/// What happened, in a line for the host's log. Holds no name and no text.
pub fn summary(synced: &Synced) -> String {
    match synced {
        Synced::Indexed { passages } => format!("indexed {passages} passages"),
        Synced::Unchanged => "nothing to do".to_owned(),
        Synced::Removed => "removed".to_owned(),
        Synced::Quarantined { code } => format!("quarantined: {code}"),
    }
}

/// The `{name}` of the trigger's path, else the last part of the blob's address.
fn blob_name(envelope: &Envelope, container: &str) -> Result<String> {
    if let Some(name) = envelope.metadata_text("name") {
        return Ok(name.into_owned());
    }
    let missing = || Error::new(ErrorKind::InvalidRequest, "the invocation does not name a blob");
    let uri = envelope.metadata_text("Uri").ok_or_else(missing)?;
    let (_, name) = uri.split_once(&format!("/{container}/")).ok_or_else(missing)?;
    Ok(percent_decode_str(name).decode_utf8_lossy().into_owned())
}
