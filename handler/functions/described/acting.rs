//! Calls about actions and the reports that they write.

use serde_json::json;

use super::{Call, call, count, text};
use crate::actions::report::Format;
use crate::actions::{Action, ActionPage};
use crate::error::ErrorKind as E;
use crate::functions::actions::Proposal;

pub(super) fn calls() -> Vec<Call> {
    let tag = "Actions";
    let mut report = call(tag, "GET", "/api/reports/{id}", "A report that was written for one").fails(&[E::NotFound]);
    for format in Format::ALL {
        // Of a media type, a document names the type alone.
        let media_type = format.media_type().split(';').next().unwrap_or_default();
        report = report.gives_as(200, media_type, json!({ "type": "string", "format": "binary" }), "The file.");
    }
    let parameters = json!({ "title": "Paint the pier", "description": "Green, as before.", "due": "2026-12-24" });
    vec![
        call(tag, "GET", "/api/actions", "List one's own actions, newest first")
            .query("limit", count(), "Actions of a page, at most 50.")
            .query("after", text(), "The `next` of the page before.")
            .gives::<ActionPage>(200, "A page of them.")
            .fails(&[E::InvalidRequest]),
        call(tag, "POST", "/api/actions", "Propose an action; nothing is done yet")
            .takes::<Proposal>(json!({ "action_type": "create_task", "parameters": parameters }))
            .gives::<Action>(201, "What would happen.")
            .fails(&[E::ActionNotAllowed, E::InvalidRequest, E::InvalidName, E::MalformedJson])
            .fails(&[E::UnsupportedMediaType, E::BodyTooLarge, E::QuotaExceeded]),
        call(tag, "GET", "/api/actions/{id}", "An action as it stands")
            .gives::<Action>(200, "The action.")
            .fails(&[E::NotFound]),
        call(tag, "POST", "/api/actions/{id}/confirm", "Let an action happen, once")
            .gives::<Action>(200, "What came of it, however often it is confirmed.")
            .gives::<Action>(202, "It was confirmed before, and is being done.")
            .fails(&[E::NotFound, E::ActionDecided, E::ActionNotAllowed, E::InvalidRequest]),
        call(tag, "POST", "/api/actions/{id}/reject", "Let an action not happen")
            .gives::<Action>(200, "It is rejected.")
            .fails(&[E::NotFound, E::ActionDecided]),
        report,
        call(tag, "DELETE", "/api/reports/{id}", "Delete a report")
            .gives_nothing(204, "It is gone.")
            .fails(&[E::NotFound]),
    ]
}
