//! The tool that reads: the text behind an id, of a passage or of a whole document.

use serde_json::{Value, json};

use super::super::resources::{passages, uri};
use super::super::{Sources, shown_of, text};
use super::Found;
use super::search::title;
use crate::chat::tools::arguments::{Arguments, object};
use crate::document::{DocumentId, Passage, Principal};
use crate::error::{Error, ErrorKind, Result};

/// Characters of a document that are given at most: more than that no model reads at once. A resource has no such limit.
const MOST_CHARS: usize = 100_000;

/// What it takes.
pub(super) fn input() -> Value {
    object(json!({"id": {"type": "string", "description": "The id of a passage or of a document"}}), &["id"])
}

/// What it gives.
pub(super) fn output() -> Value {
    let text = json!({"type": "string"});
    let metadata = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let properties = json!({"id": text, "title": text, "text": text, "url": text, "metadata": metadata});
    object(properties, &["id", "title", "text", "url", "metadata"])
}

/// The text behind an id.
pub(super) async fn fetch(sources: Sources<'_>, principal: &Principal, asked: Arguments<'_>) -> Result<Found> {
    let id = asked.text("id")?;
    let absent = || Error::new(ErrorKind::NotFound, "there is no such document or passage");
    let (document, ordinal) = parse(id).ok_or_else(absent)?;
    let mut found = passages(sources, principal, &document).await?;
    found.retain(|passage| ordinal.is_none_or(|ordinal| passage.ordinal == ordinal));
    let first = found.first().ok_or_else(absent)?;
    let (text, is_cut) = text::cut(text::of_passages(&found), MOST_CHARS);
    let mut metadata = json!({"document_id": document, "name": first.name});
    if is_cut {
        metadata["truncated"] = json!("true");
    }
    let page = ordinal.and(first.page);
    let shown = ordinal.map_or_else(|| first.title.clone(), |_| title(first));
    metadata["source"] = json!(if ordinal.is_some() { first.source() } else { first.name.to_string() });
    let structured = json!({"id": id, "title": shown, "text": text, "url": uri(&document, page), "metadata": metadata});
    Ok(Found { text: structured.to_string(), structured, shown: shown_of(&found) })
}

/// The document that an id means, and the passage in it if it is that of a passage.
fn parse(id: &str) -> Option<(DocumentId, Option<u32>)> {
    let (document, ordinal) = match id.split_once('-') {
        Some((document, ordinal)) => (DocumentId::parse(document)?, Some(ordinal.parse().ok()?)),
        None => (DocumentId::parse(id)?, None),
    };
    // One passage has one id: what else reads as the same number is no id of it.
    let is_exact = ordinal.is_none_or(|ordinal| Passage::id_of(&document, ordinal) == id);
    is_exact.then_some((document, ordinal))
}
