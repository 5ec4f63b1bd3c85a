//! What callers do to documents, and what they are shown of them in answers and elsewhere, as records of the audit: ids, names,
//! sizes and hashes, and no words of anybody. What can be repeated is noted after it is done, and refused when it cannot be noted; a
//! deletion cannot, so it is noted before.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answering::{Events, Named};
use crate::app::App;
use crate::audit::{Audit, Event};
use crate::chat::{ChatEvent, Context};
use crate::deadline::{in_background, last_words, too_late};
use crate::document::{DocumentId, Principal};
use crate::error::Result;
use crate::ingest::ledger::LedgerRow;

/// Passages that one record names; more are counted.
const MOST_NAMED: usize = 200;

/// Something was brought. `sha256` is that of its bytes, `from` the host of the web that it was fetched from.
pub async fn uploaded(app: &App, by: &Principal, row: &LedgerRow, sha256: &str, from: Option<&str>) -> Result<()> {
    let mut about = json!({"name": row.name, "bytes": row.size_bytes, "sha256": sha256});
    for (name, value) in [("category", row.category.as_deref()), ("from", from)] {
        if let Some(value) = value {
            about[name] = json!(value);
        }
    }
    note(&app.audit, by, "document.uploaded", row, "ok", about).await
}

/// A document was sorted under another category.
pub async fn categorized(app: &App, by: &Principal, row: &LedgerRow) -> Result<()> {
    let about = json!({"name": row.name, "category": row.category});
    note(&app.audit, by, "document.categorized", row, "ok", about).await
}

/// Tries a document again, and notes how it ended.
pub async fn retry(app: &App, by: &Principal, row: &LedgerRow) -> Result<LedgerRow> {
    let tried = app.ingest.retry(row).await;
    let outcome = match &tried {
        Ok(row) => row.error.as_ref().map_or("ok", |error| error.code.as_str()),
        Err(e) => e.kind().row().code,
    };
    note(&app.audit, by, "document.retried", row, outcome, json!({"name": row.name})).await?;
    tried
}

/// Deletes a document, which is noted before it begins and when it is over.
pub async fn delete(app: &App, by: &Principal, row: &LedgerRow) -> Result<()> {
    let about = json!({"name": row.name});
    note(&app.audit, by, "document.deleted", row, "begun", about.clone()).await?;
    let deleted = app.ingest.delete(row).await;
    let outcome = deleted.as_ref().err().map_or("ok", |e| e.kind().row().code);
    if let Err(e) = note(&app.audit, by, "document.deleted", row, outcome, about).await {
        tracing::error!(error.code = e.kind().row().code, outcome, "the end of a deletion is not in the audit");
    }
    deleted
}

async fn note(audit: &Audit, by: &Principal, what: &str, row: &LedgerRow, outcome: &str, about: Value) -> Result<()> {
    audit.append(by, Event { what, subject: row.id.as_str(), outcome, about }).await.map(|_| ())
}

/// Notes which passages a caller is about to be shown by a door that makes no answer of them. Where nothing was found, nothing
/// was shown. A caller whose record cannot be written is shown nothing.
pub async fn passages_shown<'a>(
    app: &App,
    by: &Principal,
    door: &str,
    shown: impl Iterator<Item = (&'a DocumentId, &'a str)>,
) -> Result<()> {
    if !app.config.audit_answers {
        return Ok(());
    }
    let (documents, passages): (BTreeSet<&DocumentId>, BTreeSet<&str>) = shown.unzip();
    if documents.is_empty() {
        return Ok(());
    }
    // Of a whole document that is read there may be thousands, and their ids say no more than its own.
    let named: Vec<&str> = passages.iter().copied().take(MOST_NAMED).collect();
    let about = json!({"documents": documents, "passages": named, "count": passages.len()});
    app.audit.append(by, Event { what: "passages.shown", subject: door, outcome: "ok", about }).await.map(|_| ())
}

/// Notes that a caller is about to be shown a part of a document: all of it, a page, its passages or one of them.
pub async fn document_shown(app: &App, by: &Principal, row: &LedgerRow, part: &str) -> Result<()> {
    if !app.config.audit_answers {
        return Ok(());
    }
    note(&app.audit, by, "document.shown", row, "ok", json!({"name": row.name, "part": part})).await
}

/// Passes an answer on and notes which passages it showed, before its last event is passed on. An answer whose record
/// cannot be written by the deadline ends as a failure; one whose caller leaves is noted in the background.
pub fn answer(app: &Arc<App>, by: &Principal, turn: &Named, events: Events, deadline: Instant) -> Events {
    if !app.config.audit_answers {
        return events;
    }
    let subject = turn.as_ref().map_or_else(|| "no conversation".to_owned(), |(id, turn)| format!("{id}/{turn}"));
    let shown = Shown {
        subject,
        generation: 0,
        documents: BTreeSet::new(),
        passages: BTreeSet::new(),
        cited: Vec::new(),
        model: None,
    };
    let mut noted = Noted { open: Some((app.audit.clone(), by.clone(), shown)) };
    async_stream::stream! {
        for await event in events {
            if let (Ok(event), Some((_, _, shown))) = (&event, &mut noted.open) {
                shown.take(event);
            }
            let outcome = match &event {
                Ok(ChatEvent::Done(done)) if done.abstained => Some("abstained"),
                Ok(ChatEvent::Done(_)) => Some("ok"),
                Ok(_) => None,
                Err(e) => Some(e.kind().row().code),
            };
            if let Some(outcome) = outcome
                && let Some((audit, by, shown)) = noted.open.take()
            {
                let by = by.clone();
                let noted = last_words(deadline, async move { shown.note(&audit, &by, outcome).await });
                if let Err(e) = noted.await.unwrap_or_else(|| Err(too_late("the audit"))) {
                    yield Err(e);
                    return;
                }
            }
            yield event;
        }
    }
    .boxed()
}

/// What an answer has shown so far.
struct Shown {
    subject: String,
    generation: u64,
    documents: BTreeSet<String>,
    passages: BTreeSet<String>,
    cited: Vec<String>,
    model: Option<String>,
}

impl Shown {
    fn take(&mut self, event: &ChatEvent) {
        if let Some(context) = event.found() {
            self.found(context);
        }
        if let ChatEvent::Done(done) = event {
            self.cited = done.citations.iter().map(|citation| citation.passage_id.clone()).collect();
            self.model = Some(done.model.clone());
        }
    }

    fn found(&mut self, context: &Context) {
        self.generation = context.generation;
        for cited in &context.passages {
            self.documents.insert(cited.passage.document_id.as_str().to_owned());
            self.passages.insert(cited.passage.id.clone());
        }
    }

    async fn note(self, audit: &Audit, by: &Principal, outcome: &str) -> Result<()> {
        let about = json!({
            "documents": self.documents, "passages": self.passages, "cited": self.cited, "model": self.model,
            "generation": self.generation,
        });
        audit.append(by, Event { what: "answer.given", subject: &self.subject, outcome, about }).await.map(|_| ())
    }
}

/// The record of an answer that is still being given.
struct Noted {
    open: Option<(Audit, Principal, Shown)>,
}

impl Drop for Noted {
    fn drop(&mut self) {
        let Some((audit, by, shown)) = self.open.take() else { return };
        in_background(async move {
            if let Err(e) = shown.note(&audit, &by, "left").await {
                tracing::error!(error.code = e.kind().row().code, "an answer that was left is not in the audit");
            }
        });
    }
}
