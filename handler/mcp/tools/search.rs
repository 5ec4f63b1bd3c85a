//! The tools that search: `search_documents` gives passages with their text, `search` the bare list that connectors expect.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::resources::uri;
use super::super::{Sources, shown_of};
use super::Found;
use crate::chat::filter;
use crate::chat::question::Question;
use crate::chat::tools::arguments::{Arguments, object};
use crate::document::{Passage, Principal};
use crate::error::Result;
use crate::index::filter::Filter;

/// Most passages that are given at once.
const MOST: usize = 50;
/// Passages that are given when nobody says how many.
const USUAL: usize = 5;
/// Hits of the bare list: it costs little, and a look at each is cheap.
const HITS: usize = 10;

/// What `search_documents` takes.
pub(super) fn passages_input() -> Value {
    let filter = json!({
        "type": "object",
        "description": "Where to look; all that is given has to hold.",
        "properties": {
            "category": {"type": "string"},
            "path_prefix": {"type": "string", "description": "A folder, such as handbook/"},
            "documents": {"type": "array", "items": {"type": "string"}, "description": "Names or ids"},
            "modified_from": {"type": "string", "description": "2026-05-01 or an RFC 3339 time"},
            "modified_before": {"type": "string"},
        },
    });
    let properties = json!({
        "query": {"type": "string", "description": "The question, in plain words"},
        "top_results": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
        "filter": filter,
    });
    object(properties, &["query"])
}

/// What it gives.
pub(super) fn passages_output() -> Value {
    let text = json!({"type": "string"});
    let result = json!({
        "type": "object",
        "properties": {
            "source": text, "text": text, "title": text, "passage_id": text, "document_id": text,
            "page": {"type": ["integer", "null"]},
        },
        "required": ["source", "text", "title", "passage_id", "document_id", "page"],
    });
    object(json!({"results": {"type": "array", "items": result}, "retrieval": text}), &["results", "retrieval"])
}

/// The passages that fit best.
pub(super) async fn passages(sources: Sources<'_>, principal: &Principal, asked: Arguments<'_>) -> Result<Found> {
    let limit = asked.count("top_results", MOST, USUAL)?;
    let filter = filter::read(asked.value("filter"), "filter")?;
    let (found, retrieval) = search(sources, principal, asked, &filter, limit).await?;
    let told = |passage: &Passage| {
        json!({
            "source": passage.source(),
            "text": passage.text,
            "title": title(passage),
            "passage_id": passage.id,
            "document_id": passage.document_id,
            "page": passage.page,
        })
    };
    let text: Vec<String> = found.iter().map(|passage| format!("[{}]\n{}", passage.source(), passage.text)).collect();
    let text = if text.is_empty() { "Nothing fits.".to_owned() } else { text.join("\n\n") };
    let results: Vec<Value> = found.iter().map(|passage| told(passage)).collect();
    Ok(Found {
        text,
        structured: json!({"results": results, "retrieval": retrieval}),
        shown: shown_of(found.iter().map(Arc::as_ref)),
    })
}

/// What `search` takes.
pub(super) fn hits_input() -> Value {
    object(json!({"query": {"type": "string", "description": "The question, in plain words"}}), &["query"])
}

/// What it gives.
pub(super) fn hits_output() -> Value {
    let text = json!({"type": "string"});
    let result = object(json!({"id": text, "title": text, "url": text}), &["id", "title", "url"]);
    object(json!({"results": {"type": "array", "items": result}}), &["results"])
}

/// The passages that fit best, as a list without their text.
pub(super) async fn hits(sources: Sources<'_>, principal: &Principal, asked: Arguments<'_>) -> Result<Found> {
    let (found, _) = search(sources, principal, asked, &Filter::default(), HITS).await?;
    let told = |passage: &Passage| json!({"id": passage.id, "title": title(passage), "url": uri(&passage.document_id, passage.page)});
    let structured = json!({"results": found.iter().map(|passage| told(passage)).collect::<Vec<_>>()});
    // Connectors read the JSON out of the text.
    Ok(Found { text: structured.to_string(), structured, shown: shown_of(found.iter().map(Arc::as_ref)) })
}

async fn search(
    sources: Sources<'_>,
    principal: &Principal,
    asked: Arguments<'_>,
    filter: &Filter,
    limit: usize,
) -> Result<(Vec<Arc<Passage>>, Value)> {
    let query = Question::parse(asked.text("query")?, sources.query_chars)?;
    if sources.is_strict {
        query.refuse_scripts()?;
    }
    let (found, retrieval) = sources.chat.retriever.search(principal, query.as_str(), filter, limit).await?;
    Ok((found.hits.into_iter().map(|hit| hit.passage).collect(), json!(retrieval)))
}

/// What a person would call the passage: its document, and the heading it stands under.
pub(super) fn title(passage: &Passage) -> String {
    match passage.heading_path.last().filter(|heading| **heading != passage.title) {
        Some(heading) => format!("{}: {heading}", passage.title),
        None => passage.title.clone(),
    }
}
