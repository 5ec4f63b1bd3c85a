//! An Event Grid event about a blob came through a queue: created, renamed or deleted.
//!
//! Idempotent, and indifferent to order: an event is only a hint to look at a name, and storage says what is there now.

use std::sync::Arc;

use serde_json::Value;

use super::ingest_document::summary;
use crate::app::App;
use crate::document::DocumentName;
use crate::error::{Error, ErrorKind, Result};
use crate::host::envelope::{Envelope, Reply};
use crate::ingest::reconcile::is_hidden;

/// Runs the function. A message that is no event fails, and so ends in the queue's own poison queue for a person to see.
pub async fn run(app: Arc<App>, envelope: Envelope) -> Result<Reply> {
    let text = envelope.text("event")?;
    let message: Value = serde_json::from_str(&text)
        .map_err(|e| Error::new(ErrorKind::MalformedJson, "the queue message is not JSON").caused_by(e))?;
    let events = match message {
        Value::Array(events) => events,
        event => vec![event],
    };
    let mut reply = Reply::default();
    for event in &events {
        for raw in names(event, &app.config.documents_container)? {
            reply.logs.push(look_at(&app, &raw).await?);
        }
    }
    Ok(reply)
}

async fn look_at(app: &App, raw: &str) -> Result<String> {
    if is_hidden(raw) {
        return Ok("ignored a hidden file".to_owned());
    }
    match DocumentName::parse(raw) {
        Ok(name) => Ok(summary(&app.ingest.sync(&name).await?)),
        Err(e) => Ok(summary(&app.ingest.refuse_name(raw, &e).await?)),
    }
}

/// The blobs an event is about, in either schema; none for events of other kinds and other containers.
fn names(event: &Value, container: &str) -> Result<Vec<String>> {
    let kind = event.get("eventType").or_else(|| event.get("type")).and_then(Value::as_str);
    let subject = event.get("subject").and_then(Value::as_str);
    let (Some(kind), Some(subject)) = (kind, subject) else {
        return Err(Error::new(ErrorKind::InvalidRequest, "the queue message is no event: type or subject is missing"));
    };
    let blob_event =
        ["BlobCreated", "BlobDeleted", "BlobRenamed"].iter().any(|known| kind == format!("Microsoft.Storage.{known}"));
    if !blob_event {
        return Ok(Vec::new());
    }
    let target =
        event.pointer("/data/destinationUrl").and_then(Value::as_str).and_then(|url| name_in_url(url, container));
    Ok(name_in_subject(subject, container).into_iter().chain(target).collect())
}

/// `/blobServices/default/containers/<container>/blobs/<name>`; the name is not encoded there.
fn name_in_subject(subject: &str, container: &str) -> Option<String> {
    let rest = subject.strip_prefix("/blobServices/default/containers/")?;
    let (found, name) = rest.split_once("/blobs/")?;
    (found == container).then(|| name.to_owned())
}

/// Where a renamed blob went: `https://<account>/<container>/<name>`, encoded.
fn name_in_url(url: &str, container: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let name = url.path().strip_prefix('/')?.strip_prefix(container)?.strip_prefix('/')?.to_owned();
    Some(percent_encoding::percent_decode_str(&name).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(event: &Value, expected: &[&str]) {
        assert_eq!(names(event, "documents").unwrap(), expected);
    }

    #[test]
    fn both_schemas_name_the_blob() {
        let subject = "/blobServices/default/containers/documents/blobs/a b/ü%20.txt";
        check(&json!({"eventType": "Microsoft.Storage.BlobCreated", "subject": subject}), &["a b/ü%20.txt"]);
        check(&json!({"type": "Microsoft.Storage.BlobDeleted", "subject": subject}), &["a b/ü%20.txt"]);
    }

    #[test]
    fn a_rename_is_about_two_names() {
        let event = json!({
            "type": "Microsoft.Storage.BlobRenamed",
            "subject": "/blobServices/default/containers/documents/blobs/old.txt",
            "data": {"destinationUrl": "https://account.blob.core.windows.net/documents/new%20name.txt"},
        });
        check(&event, &["old.txt", "new name.txt"]);
    }

    #[test]
    fn other_events_and_other_containers_are_nobodys_business() {
        check(&json!({"type": "Microsoft.EventGrid.SubscriptionValidationEvent", "subject": ""}), &[]);
        let elsewhere = "/blobServices/default/containers/other/blobs/a.txt";
        check(&json!({"type": "Microsoft.Storage.BlobCreated", "subject": elsewhere}), &[]);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        assert!(names(&json!({"id": 7}), "documents").is_err());
        assert!(names(&json!("text"), "documents").is_err());
    }
}
