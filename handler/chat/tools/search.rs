//! `search_documents`: passages that fit a query, each with the number to cite it by.

use std::sync::Arc;

use serde_json::{Value, json};

use super::arguments::{Arguments, object};
use super::shelf::Shelf;
use super::{Desk, Told};
use crate::chat::evidence::{coverage, question_terms};
use crate::chat::passage_terms::PassageTerms;
use crate::chat::prompt::written;
use crate::chat::question::Question;
use crate::error::Result;
use crate::tokens::estimate;

pub(super) const NAME: &str = "search_documents";
pub(super) const DESCRIPTION: &str = "Finds further passages of the organisation's documents. Use it when the passages at hand \
    do not answer the question, with other words than those of the question, or once for each part of it.";

/// Most passages that are given at once.
const MOST: usize = 10;
/// Passages that are given when nobody says how many.
const USUAL: usize = 5;

pub(super) fn parameters() -> Value {
    let properties = json!({
        "query": {"type": "string", "description": "What to look for, in plain words of the documents' language"},
        "top_results": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
    });
    object(properties, &["query"])
}

pub(super) async fn run(desk: Desk<'_>, asked: Arguments<'_>, shelf: &mut Shelf) -> Result<Told> {
    let query = Question::parse(asked.text("query")?, desk.chat.settings.question_chars)?;
    let limit = asked.count("top_results", MOST, USUAL)?;
    let retriever = &desk.chat.retriever;
    let (found, _) = retriever.search(desk.principal, query.as_str(), desk.filter, limit).await?;
    let terms: Vec<PassageTerms> = found.hits.iter().map(|hit| retriever.terms_of(&hit.passage)).collect();
    let asked = question_terms(query.as_str(), 0, &retriever.index().analyze(query.as_str()), &found.terms);
    let is_evidence = coverage(&asked, &terms) >= desk.chat.settings.evidence_threshold;
    let (mut text, mut count) = (String::new(), 0);
    for hit in found.hits {
        let whole = written(&hit.passage, &hit.passage.text);
        if estimate(&text) + estimate(&whole) > desk.room {
            break;
        }
        let Some((number, is_new)) = shelf.place(Arc::clone(&hit.passage)) else { break };
        let told = if is_new { whole } else { format!("{} (you have it already)\n", hit.passage.source()) };
        text.push_str(&format!("\n[{number}] {told}"));
        count += 1;
    }
    if count == 0 {
        text = "\nnothing fits\n".to_owned();
    }
    let passages = if count == 1 { "passage" } else { "passages" };
    let summary = format!("searched for “{}”: {count} {passages}", query.as_str());
    Ok(Told { text, summary, is_evidence: is_evidence && count > 0, ..Told::default() })
}
