//! The tool that says what is in a whole document; the reading is that of `chat/tools/summarize/`.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::super::resources::uri;
use super::super::{Sources, shown_of};
use super::Found;
use crate::chat::tools::arguments::{Arguments, object};
use crate::chat::tools::summarize::{self, Note, Section, Summary};
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::index::filter::Filter;

/// What it gives.
pub(super) fn output() -> Value {
    let text = json!({"type": "string"});
    let note = object(json!({"text": text, "sources": {"type": "array", "items": text}}), &["text", "sources"]);
    let notes = json!({"type": "array", "items": note});
    let mut properties = json!({
        "document_id": text, "name": text, "title": text, "url": text, "model": text, "is_whole": {"type": "boolean"},
    });
    for section in Section::ALL {
        properties[section.key()] = notes.clone();
    }
    let names: Vec<String> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    object(properties, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A summary of a document.
pub(super) async fn summarize(sources: Sources<'_>, principal: &Principal, asked: Arguments<'_>) -> Result<Found> {
    let chat = sources.chat;
    let passages = summarize::passages_of(chat, principal, &Filter::default(), summarize::wanted(asked)?).await?;
    let summary = summarize::summarize(chat, passages, Instant::now() + summarize::own_time(chat)).await?;
    let first = summary.passages.first().ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such document"))?;
    let mut structured = json!({
        "document_id": first.document_id, "name": first.name, "title": first.title,
        "url": uri(&first.document_id, None), "model": summary.model, "is_whole": summary.is_whole,
    });
    let mut text = first.name.to_string();
    for section in Section::ALL {
        let notes: Vec<Value> = summary.of(section).map(|note| told(&summary, note)).collect();
        if !notes.is_empty() {
            text.push_str(&format!("\n\n{}", section.heading()));
        }
        for note in summary.of(section) {
            text.push_str(&format!("\n- {} [{}]", note.text, sources_of(&summary, note).join("] [")));
        }
        structured[section.key()] = Value::Array(notes);
    }
    Ok(Found { text, structured, shown: shown_of(&summary.passages) })
}

fn told(summary: &Summary, note: &Note) -> Value {
    json!({"text": note.text, "sources": sources_of(summary, note)})
}

/// Where a note comes from, each place once.
fn sources_of(summary: &Summary, note: &Note) -> Vec<String> {
    let mut sources: Vec<String> = summary.sources(note).map(|passage| passage.source()).collect();
    sources.dedup();
    sources
}
