//! Documents as resources: `document://ID`, or `document://ID#page=4` for one page of it. What enters are the parameters of
//! a method, what leaves are the documents that the caller may read, in the order of their ids, or the text of one.

use serde_json::{Map, Value, json};

use super::message::Failure;
use super::{ShownPassage, Sources, shown_of, text};
use crate::document::{DocumentId, Passage, Principal};
use crate::error::Result;
use crate::ingest::ledger::{LedgerRow, State};

/// Documents on one page of the list.
const PAGE: usize = 100;
const SCHEME: &str = "document://";
const TYPE: &str = "text/plain";

/// The address of a document, or of the page that a passage is on.
pub fn uri(id: &DocumentId, page: Option<u32>) -> String {
    match page {
        Some(page) => format!("{SCHEME}{id}#page={page}"),
        None => format!("{SCHEME}{id}"),
    }
}

/// One page of the documents that can be found and that the caller may read.
pub async fn list(
    sources: Sources<'_>,
    principal: &Principal,
    params: &Map<String, Value>,
) -> std::result::Result<Value, Failure> {
    let after = match params.get("cursor") {
        None | Some(Value::Null) => None,
        Some(cursor) => Some(cursor.as_str().and_then(DocumentId::parse).ok_or_else(no_such_page)?),
    };
    let wanted = |row: &LedgerRow| is_readable(row, principal);
    let page = sources.ledger.select(after.as_ref().map(DocumentId::as_str), PAGE, wanted).await?;
    let mut listed = json!({"resources": page.documents.iter().map(resource).collect::<Vec<_>>()});
    if let Some(next) = page.next {
        listed["nextCursor"] = json!(next);
    }
    Ok(listed)
}

/// How the address of a document is made.
pub fn templates() -> Value {
    json!({"resourceTemplates": [{
        "uriTemplate": format!("{SCHEME}{{document_id}}"),
        "name": "document",
        "title": "A document",
        "description": "The text of a document by its id, as searches give it. Add #page=N for one page.",
        "mimeType": TYPE,
    }]})
}

/// The text of a document, and the passages it is made of. One that the caller may not read is as absent as one that never was.
pub async fn read(
    sources: Sources<'_>,
    principal: &Principal,
    is_stateless: bool,
    params: &Map<String, Value>,
) -> std::result::Result<(Value, Vec<ShownPassage>), Failure> {
    let absent = || Failure::no_such_resource(is_stateless);
    let uri = params.get("uri").and_then(Value::as_str);
    let uri = uri.ok_or_else(|| Failure::invalid_params("`uri` must be a string"))?;
    let (id, page) = parse(uri).ok_or_else(absent)?;
    let mut passages = passages(sources, principal, &id).await?;
    passages.retain(|passage| page.is_none() || passage.page == page);
    if passages.is_empty() {
        return Err(absent());
    }
    let read = json!({"contents": [{"uri": uri, "mimeType": TYPE, "text": text::of_passages(&passages)}]});
    Ok((read, shown_of(&passages)))
}

/// All passages of a document that the caller may read, in order; none when there is no such document for them.
pub async fn passages(sources: Sources<'_>, principal: &Principal, id: &DocumentId) -> Result<Vec<Passage>> {
    sources.chat.retriever.index().passages(principal, id).await
}

fn parse(uri: &str) -> Option<(DocumentId, Option<u32>)> {
    let rest = uri.strip_prefix(SCHEME)?;
    match rest.split_once("#page=") {
        Some((id, page)) => Some((DocumentId::parse(id)?, Some(page.parse().ok()?))),
        None => Some((DocumentId::parse(rest)?, None)),
    }
}

fn is_readable(row: &LedgerRow, principal: &Principal) -> bool {
    row.state != State::Deleted && row.passages > 0 && principal.may_read(&row.readers)
}

fn resource(row: &LedgerRow) -> Value {
    let title = row.name.rsplit('/').next().unwrap_or(&row.name);
    let mut resource = json!({"uri": uri(&row.id, None), "name": row.name, "title": title, "mimeType": TYPE});
    if let Some(version) = &row.version {
        resource["annotations"] = json!({"lastModified": version.modified});
    }
    resource
}

fn no_such_page() -> Failure {
    Failure::invalid_params("there is no such page")
}
