//! The Model Context Protocol: programs of others search and read the documents as tools and resources. What enters are the
//! routing headers and the body of one request, what leaves is one reply; nothing is kept between two requests. Both eras are
//! spoken at one address: revision 2026-07-28, where each request says all it needs, and those before it, which begin with
//! `initialize`. Every reading is done as the caller.
//!
//! The protocol is written by hand: of the SDK for Rust a server like this one would use a small part, and its own ways of
//! sessions, streams and authentication would have to be turned off. The SDKs for Python and TypeScript judge it in the tests.

mod era;
mod message;
mod methods;
mod resources;
mod text;
mod tools;

use serde_json::{Value, json};

use self::era::Era;
pub use self::era::{Given, Headers};
use self::message::{Failure, Message};
use crate::chat::Chat;
use crate::document::{DocumentId, Passage, Principal};
use crate::error::Error;
use crate::ingest::ledger::Ledger;

/// Where tools and resources get what they give.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Finds and reads passages, and has the model that reads whole documents.
    pub chat: &'a Chat,
    /// Knows the documents.
    pub ledger: &'a Ledger,
    /// The most characters of a query.
    pub query_chars: usize,
    /// Whether a query with what begins a script is refused.
    pub is_strict: bool,
}

/// What is sent back.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// A JSON-RPC response; none to what wants no answer.
    pub body: Option<Value>,
    /// What went wrong on this side, for the log.
    pub failure: Option<Error>,
    /// The passages that it shows, for the audit.
    pub shown: Vec<ShownPassage>,
}

/// A passage that somebody is shown: its document and its own id.
pub type ShownPassage = (DocumentId, String);

/// Answers one message as `principal`.
pub async fn answer(sources: Sources<'_>, principal: &Principal, headers: &Headers, body: &[u8]) -> Reply {
    let request = match message::read(body) {
        Ok(Message::Request(request)) => request,
        Ok(Message::Notification) => return acknowledged(headers),
        Err(failure) => return refused(&Value::Null, 400, failure),
    };
    let era = match era::of(headers, &request) {
        Ok(era) => era,
        Err(failure) => return refused(&request.id, failure.status(), failure),
    };
    match methods::run(sources, principal, era, &request).await {
        Ok(mut outcome) => {
            if era == Era::Stateless {
                methods::add_what_each_result_says(&mut outcome.result);
            }
            let body = json!({"jsonrpc": "2.0", "id": request.id, "result": outcome.result});
            Reply { status: 200, body: Some(body), failure: outcome.failure, shown: outcome.shown }
        }
        // In the earlier era the status is that of the transport, and the transport was fine.
        Err(failure) => refused(&request.id, if era == Era::Stateless { failure.status() } else { 200 }, failure),
    }
}

/// A notification wants no answer, and there is nothing here that one could change.
fn acknowledged(headers: &Headers) -> Reply {
    match era::check_version_of_notification(headers) {
        Ok(()) => Reply { status: 202, body: None, failure: None, shown: Vec::new() },
        Err(failure) => refused(&Value::Null, 400, failure),
    }
}

fn shown_of<'a>(passages: impl IntoIterator<Item = &'a Passage>) -> Vec<ShownPassage> {
    passages.into_iter().map(|passage| (passage.document_id.clone(), passage.id.clone())).collect()
}

fn refused(id: &Value, status: u16, failure: Failure) -> Reply {
    let body = json!({"jsonrpc": "2.0", "id": id, "error": failure.body()});
    Reply { status, body: Some(body), failure: failure.cause, shown: Vec::new() }
}

#[cfg(test)]
mod tests;
