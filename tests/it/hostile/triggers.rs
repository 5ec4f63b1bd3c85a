//! Invocations that are well formed and mean harm: names that lead elsewhere, events that are forged, messages about
//! nothing. Of an invocation only the name is believed, and storage is asked what is under it.

use serde_json::{Value, json};

use super::envelopes::assert_reply;
use super::{Besieged, KEPT};

/// Names that no document can have.
fn bad_names() -> Vec<String> {
    vec![
        String::new(),
        "..".to_owned(),
        "../../etc/passwd".to_owned(),
        "/etc/passwd".to_owned(),
        "harbour//kept.md".to_owned(),
        "harbour/./kept.md".to_owned(),
        "harbour/kept.md/".to_owned(),
        "a\0b.txt".to_owned(),
        "a\nb.txt".to_owned(),
        "a\u{1b}[31mb.txt".to_owned(),
        "a".repeat(5_000),
    ]
}

fn subject(name: &str) -> String {
    format!("/blobServices/default/containers/documents/blobs/{name}")
}

/// A queue message as the host sends it: text in JSON in JSON.
fn message(binding: &str, content: &Value) -> Value {
    json!({"Data": {binding: json!(content.to_string()).to_string()}})
}

fn created(subject: &str) -> Value {
    json!({"type": "Microsoft.Storage.BlobCreated", "subject": subject, "data": {"api": "PutBlob"}})
}

/// Hidden names are ignored before they are judged; these are not hidden.
fn is_judged(name: &str) -> bool {
    !name.split('/').any(|part| part.starts_with('.'))
}

#[tokio::test]
async fn a_blob_with_a_bad_name_is_quarantined_and_answered_for() {
    for name in bad_names() {
        let besieged = Besieged::with(&[]).await;
        let envelope = json!({"Data": {"blob": ""}, "Metadata": {"name": json!(name).to_string()}});
        assert_reply(&besieged.test.post("/ingest_document", &envelope).await);
        if is_judged(&name) {
            besieged.assert_quarantined(&name, "invalid-name").await;
        }
        besieged.stands().await;
    }
}

#[tokio::test]
async fn an_event_about_a_bad_name_is_quarantined_and_answered_for() {
    let besieged = Besieged::with(&[]).await;
    for name in bad_names() {
        let answer = besieged.test.post("/document_events", &message("event", &created(&subject(&name)))).await;
        assert_reply(&answer);
        if is_judged(&name) {
            besieged.assert_quarantined(&name, "invalid-name").await;
        }
    }
    besieged.stands().await;
}

#[tokio::test]
async fn a_poison_message_about_a_bad_name_is_quarantined_and_answered_for() {
    let besieged = Besieged::with(&[]).await;
    let names = bad_names().into_iter().chain(["a".repeat(300)]);
    for name in names {
        let poison = json!({"Type": "BlobTrigger", "ContainerName": "documents", "BlobName": name});
        assert_reply(&besieged.test.post("/document_poison", &message("message", &poison)).await);
        besieged.assert_quarantined(&name, "invalid-name").await;
    }
    besieged.stands().await;
}

#[tokio::test]
async fn a_message_that_is_no_event_fails_and_changes_nothing() {
    let besieged = Besieged::with(&[]).await;
    let id = "x".repeat(1 << 20);
    let events = [
        json!(7),
        json!("event"),
        json!(null),
        json!({}),
        json!({"id": id}),
        json!({"type": "Microsoft.Storage.BlobCreated"}),
        json!({"subject": subject("a.txt")}),
        json!({"type": 7, "subject": subject("a.txt")}),
        json!({"type": "Microsoft.Storage.BlobCreated", "subject": null}),
        json!([[]]),
        json!([7]),
        json!([created(&subject("a.txt")), {"id": 7}]),
    ];
    for event in events {
        let answer = besieged.test.post("/document_events", &message("event", &event)).await;
        assert!(answer.status.is_client_error(), "{:.60}: {answer:?}", event.to_string());
        answer.assert_problem("invalid-request");
    }
    let deep = json!({"Data": {"event": json!("[".repeat(100_000)).to_string()}});
    besieged.test.post("/document_events", &deep).await.assert_problem("malformed-json");
    besieged.stands().await;
}

#[tokio::test]
async fn events_that_are_forged_or_about_others_change_nothing() {
    let besieged = Besieged::with(&[]).await;
    let deleted = |subject: &str| json!({"type": "Microsoft.Storage.BlobDeleted", "subject": subject, "data": {}});
    let renamed = |from: &str, to: &str| json!({"type": "Microsoft.Storage.BlobRenamed", "subject": from, "data": {"destinationUrl": to}});
    let elsewhere = "/blobServices/default/containers/other/blobs/kept.md";
    let events = [
        deleted(&subject(KEPT)),
        json!([deleted(&subject(KEPT)), deleted(&subject(KEPT))]),
        json!([]),
        deleted(elsewhere),
        created(elsewhere),
        created(""),
        created("documents/blobs/kept.md"),
        created(&subject("not-there.txt")),
        json!({"type": "Microsoft.EventGrid.SubscriptionValidationEvent", "subject": ""}),
        json!({"type": "Microsoft.Storage.BlobDeletedForGood", "subject": subject(KEPT)}),
        renamed(&subject(KEPT), "http://169.254.169.254/documents/metadata"),
        renamed(&subject(KEPT), "file:///etc/passwd"),
        renamed(&subject(KEPT), "not an address"),
        renamed(&subject(KEPT), "https://account.blob.core.windows.net/documents/%ff%fe"),
        renamed(&subject(KEPT), "https://account.blob.core.windows.net/documents/%2e%2e%2f%2e%2e%2fetc"),
        json!({"type": "Microsoft.Storage.BlobCreated", "subject": subject(KEPT), "data": {"url": "x".repeat(1 << 20)}}),
    ];
    for event in events {
        assert_reply(&besieged.test.post("/document_events", &message("event", &event)).await);
    }
    besieged.stands().await;
}

#[tokio::test]
async fn poison_about_others_and_about_good_documents_changes_nothing() {
    let besieged = Besieged::with(&[]).await;
    let harmless = [
        json!({"ContainerName": "documents", "BlobName": KEPT}),
        json!({"ContainerName": "documents", "BlobName": "not-there.txt"}),
        json!({"ContainerName": "other", "BlobName": KEPT, "ETag": null, "Type": 7}),
    ];
    for poison in harmless {
        assert_reply(&besieged.test.post("/document_poison", &message("message", &poison)).await);
    }
    let refused = [
        json!({}),
        json!([]),
        json!(7),
        json!({"ContainerName": "documents"}),
        json!({"ContainerName": null, "BlobName": KEPT}),
        json!({"ContainerName": "documents", "BlobName": ["a.txt"]}),
    ];
    for poison in refused {
        let answer = besieged.test.post("/document_poison", &message("message", &poison)).await;
        answer.assert_problem("invalid-request");
    }
    besieged.stands().await;
}

#[tokio::test]
async fn hidden_files_and_files_that_are_not_there_leave_no_row() {
    let besieged = Besieged::with(&[]).await;
    for name in [".env", "harbour/.git/config", "~$plan.docx", "not-there.txt", "harbour", "\u{202e}"] {
        let envelope = json!({"Data": {"blob": "AAAA"}, "Metadata": {"name": json!(name).to_string()}});
        assert_reply(&besieged.test.post("/ingest_document", &envelope).await);
        let id = knowledge_worker::document::DocumentId::of_raw(name);
        assert!(besieged.test.app.ingest.ledger.get(&id).await.unwrap().is_none(), "{name:?}");
    }
    besieged.stands().await;
}
