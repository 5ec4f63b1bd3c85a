//! `list_documents`: which documents there are, as far as the person may read them.

use serde_json::{Value, json};

use super::arguments::{Arguments, object};
use super::{Desk, DocumentsAsked, Told};
use crate::error::Result;
use crate::tokens::estimate;

pub(super) const NAME: &str = "list_documents";
pub(super) const DESCRIPTION: &str = "Lists the names of documents, all or those of a category or folder. Use it for questions \
    about which documents there are, or to find the name of one.";

/// Documents that are listed at once.
const MOST: usize = 50;

pub(super) fn parameters() -> Value {
    let properties = json!({
        "category": {"type": "string", "description": "Only documents of this category"},
        "path": {"type": "string", "description": "Only documents in this folder, such as handbook/"},
    });
    object(properties, &[])
}

pub(super) async fn run(desk: Desk<'_>, asked: Arguments<'_>) -> Result<Told> {
    let mut filter = desk.filter.clone();
    let (category, path) = (asked.optional_text("category")?, asked.optional_text("path")?);
    // A filter of the person stands; the model's can only narrow it.
    let is_outside = |own: &Option<String>, wanted: Option<&str>| {
        own.as_deref().is_some_and(|own| wanted.is_some_and(|wanted| wanted != own))
    };
    let is_elsewhere = filter.path_prefix.as_deref().is_some_and(|own| path.is_some_and(|path| !path.starts_with(own)));
    if is_outside(&filter.category, category) || is_elsewhere {
        return Ok(none());
    }
    filter.category = category.map(str::to_owned).or(filter.category);
    filter.path_prefix = path.map(str::to_owned).or(filter.path_prefix);
    let wanted = DocumentsAsked { filter, name_end: None, limit: MOST };
    let listing = (desk.chat.tools.list)(desk.principal.clone(), wanted).await?;
    if listing.documents.is_empty() {
        return Ok(none());
    }
    let (mut text, mut names, mut has_more) = (String::new(), Vec::new(), listing.has_more);
    for document in listing.documents {
        let category = document.category.map(|category| format!(", category {category}")).unwrap_or_default();
        let pages = document.pages.map(|pages| format!(", {pages} pages")).unwrap_or_default();
        let changed =
            document.modified.map(|time| format!(", changed {}", time.format("%Y-%m-%d"))).unwrap_or_default();
        let line = format!("\n- {}{category}{pages}{changed}", document.name);
        if estimate(&text) + estimate(&line) > desk.room {
            has_more = true;
            break;
        }
        text.push_str(&line);
        names.push(document.name);
    }
    text.push_str(if has_more { "\nThere are more.\n" } else { "\nThese are all.\n" });
    let more = if has_more { " and more" } else { "" };
    let summary = format!("listed {} documents{more}", names.len());
    Ok(Told { text, summary, is_evidence: !names.is_empty(), names, ..Told::default() })
}

fn none() -> Told {
    Told { text: "\nThere are none.\n".to_owned(), summary: "listed 0 documents".to_owned(), ..Told::default() }
}
