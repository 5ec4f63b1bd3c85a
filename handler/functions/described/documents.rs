//! Calls about documents.

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Call, any_object, call, count, text, whole};
use crate::error::ErrorKind as E;
use crate::functions::documents::DocumentAnswer;
use crate::functions::originals::PassageAnswer;
use crate::functions::upload_url::UrlRequest;
use crate::ingest::ledger::{LedgerPage, LedgerRow, State};
use crate::ingest::overview::LedgerStats;
use crate::ingest::reconcile::DriftReport;

/// What was taken.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Taken {
    documents: Vec<LedgerRow>,
}

pub(super) fn calls() -> Vec<Call> {
    let tag = "Documents";
    let states = State::ALL.map(State::word);
    vec![
        call(tag, "GET", "/api/documents", "List documents and what became of each")
            .query("limit", whole(1, 200), "Documents of a page; 50 without it.")
            .query("after", text(), "The `next` of the page before.")
            .query("state", json!({ "type": "string", "enum": states }), "Only those in this state.")
            .query("category", text(), "Only those of this category.")
            .gives::<LedgerPage>(200, "A page of them.")
            .fails(&[E::InvalidRequest]),
        upload("/api/documents"),
        upload("/api/upload"),
        call(tag, "POST", "/api/url", "Fetch a page or a file from the public internet")
            .takes::<UrlRequest>(json!({ "url": "https://example.org/ferry.html", "category": "ferries" }))
            .gives::<Taken>(202, "It is taken, and ingested like an upload.")
            .fails(&[E::AddressRefused, E::FetchFailed, E::InvalidRequest, E::MalformedJson, E::UnsupportedMediaType])
            .fails(&[E::BodyTooLarge, E::DocumentTooLarge, E::InvalidName, E::QuotaExceeded, E::DeadlineExceeded])
            .fails(&[E::DocumentUnsupported]),
        call(tag, "GET", "/api/documents/stats", "Count documents, and sum up what they hold")
            .gives::<LedgerStats>(200, "The sums."),
        call(tag, "GET", "/api/documents/{id}", "Read a document with its passages")
            .gives::<DocumentAnswer>(200, "The document.")
            .fails(&[E::NotFound]),
        call(tag, "DELETE", "/api/documents/{id}", "Delete a document from storage and index")
            .gives_as(200, "application/json", any_object("Its id and name."), "It is not findable any more.")
            .fails(&[E::NotFound]),
        call(tag, "POST", "/api/documents/{id}/retry", "Try a failed or quarantined document again, now")
            .gives::<LedgerRow>(200, "Its row after that.")
            .fails(&[E::NotFound, E::InvalidRequest]),
        call(tag, "GET", "/api/documents/{id}/content", "The document as it was uploaded")
            .gives_as(200, "application/octet-stream", file(), "The file.")
            .fails(&[E::NotFound]),
        call(tag, "GET", "/api/documents/{id}/pages/{page}", "A page of a PDF as a picture")
            .query("passage", whole(0, u64::from(u32::MAX)), "The ordinal of a passage to mark.")
            .query("from", count(), "Where its most telling part begins, in characters.")
            .query("to", count(), "Where that ends.")
            .gives_as(200, "image/svg+xml", json!({ "type": "string" }), "The picture.")
            .fails(&[E::NotFound, E::InvalidRequest, E::DocumentUnsupported, E::DocumentDamaged]),
        call(tag, "GET", "/api/documents/{id}/passages/{ordinal}", "A passage with its neighbours")
            .gives::<PassageAnswer>(200, "The passage.")
            .fails(&[E::NotFound]),
        call(tag, "GET", "/api/maintenance/report", "What the last comparison of storage and index found")
            .gives::<DriftReport>(200, "The report.")
            .fails(&[E::NotFound]),
    ]
}

fn upload(path: &'static str) -> Call {
    // What a form says is text, whatever it means; so there is no type to break.
    let category = json!({ "description": "What to sort them under." });
    let form = json!({
        "type": "object",
        "required": ["file"],
        "properties": { "file": file(), "category": category },
    });
    let example = json!({ "file": "The ferry leaves at nine.", "category": "ferries" });
    call("Documents", "POST", path, "Upload files")
        .takes_as("multipart/form-data", form, example)
        .gives::<Taken>(202, "They are in storage, and ingested from there.")
        .fails(&[E::InvalidRequest, E::UnsupportedMediaType, E::BodyTooLarge, E::InvalidName, E::QuotaExceeded])
        .fails(&[E::DocumentTooLarge])
}

fn file() -> Value {
    json!({ "type": "string", "format": "binary" })
}
