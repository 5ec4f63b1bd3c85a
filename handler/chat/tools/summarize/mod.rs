//! `summarize_document`: what a whole document says, as topics, insights, details and action items, each with the passages it
//! comes from. What enters is a document's id or name, what leaves is a summary in which every note was checked against its
//! passages. With a model it is read in parts and put together (`reading.rs`), without one its own sentences are chosen
//! (`extractive.rs`).

mod extractive;
mod notes;
mod reading;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::arguments::{Arguments, invalid, object};
use super::shelf::Shelf;
use super::{Desk, DocumentsAsked, Told, no_such_document};
use crate::chat::{Chat, filter};
use crate::document::{DocumentId, Passage, Principal};
use crate::error::Result;
use crate::index::filter::Filter;
use crate::models::{ChatModel, Usage};
use crate::tokens::estimate;

/// The tool's name.
pub const NAME: &str = "summarize_document";
/// What models and programs are told of it.
pub const DESCRIPTION: &str = "Reads a whole document and says what is in it: topics, insights, details and action items, each \
    with its sources. Use it when somebody asks about a document as a whole.";

/// Passages of a document that are read; of a longer one, so many evenly over all of it.
const MOST_PASSAGES: usize = 3_000;
/// Documents that are named when a name fits several.
const NAMED: usize = 5;
/// The share of the time left that reading may take: the answer comes after it.
const SHARE_OF_TIME: f64 = 0.6;

/// The four kinds of notes, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What it is about.
    Topics,
    /// What matters most.
    Insights,
    /// Figures, dates, names.
    Details,
    /// What somebody has to do.
    ActionItems,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Topics, Self::Insights, Self::Details, Self::ActionItems];

    /// Its heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Topics => "Topics",
            Self::Insights => "Insights",
            Self::Details => "Details",
            Self::ActionItems => "Action items",
        }
    }

    /// Its name for programs.
    pub fn key(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Insights => "insights",
            Self::Details => "details",
            Self::ActionItems => "action_items",
        }
    }
}

/// One thing a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What kind of thing.
    pub section: Section,
    /// The words.
    pub text: String,
    /// The ordinals of the passages that say it, at least one.
    pub ordinals: Vec<u32>,
}

/// What a document says.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// All passages of the document that were read, in order.
    pub passages: Vec<Passage>,
    /// What they say.
    pub notes: Vec<Note>,
    /// Who worded it.
    pub model: String,
    /// Whether every passage was read, and all of each.
    pub is_whole: bool,
    /// What the model charged.
    pub usage: Option<Usage>,
}

impl Summary {
    /// The notes of a section.
    pub fn of(&self, section: Section) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(move |note| note.section == section)
    }

    /// The passages that a note comes from.
    pub fn sources<'a>(&'a self, note: &'a Note) -> impl Iterator<Item = &'a Passage> {
        self.passages.iter().filter(|passage| note.ordinals.contains(&passage.ordinal))
    }
}

/// What the tool takes.
pub fn parameters() -> Value {
    let properties = json!({
        "document_id": {"type": "string", "description": "The id of the document, if you know it"},
        "name": {"type": "string", "description": "Else its name, as sources have it before the #, such as handbook/leave.pdf"},
    });
    object(properties, &[])
}

/// Which document is meant.
pub fn wanted(asked: Arguments<'_>) -> Result<&str> {
    let given = match asked.optional_text("document_id")? {
        Some(id) => Some(id),
        None => asked.optional_text("name")?,
    };
    given.ok_or_else(|| invalid("name a document: its `document_id` or its `name`".to_owned()))
}

pub(super) async fn run(desk: Desk<'_>, asked: Arguments<'_>, shelf: &mut Shelf) -> Result<Told> {
    let passages = passages_of(desk.chat, desk.principal, desk.filter, wanted(asked)?).await?;
    let name = passages[0].name.to_string();
    let left = desk.deadline.saturating_duration_since(Instant::now());
    let summary = summarize(desk.chat, passages, Instant::now() + left.mul_f64(SHARE_OF_TIME)).await?;
    let mut text = format!("\nSummary of {name}\n");
    for section in Section::ALL {
        let mut heading = Some(format!("\n{}\n", section.heading()));
        for note in summary.of(section) {
            let numbers: Vec<usize> = summary
                .sources(note)
                .filter_map(|passage| shelf.place(Arc::new(passage.clone())))
                .map(|(number, _)| number)
                .collect();
            let line =
                format!("- {} [{}]\n", note.text, numbers.iter().map(usize::to_string).collect::<Vec<_>>().join("]["));
            if numbers.is_empty() || estimate(&text) + estimate(&line) > desk.room {
                break;
            }
            text.push_str(&heading.take().unwrap_or_default());
            text.push_str(&line);
        }
    }
    if !summary.is_whole {
        text.push_str("\nThe document is long, and not all of it was read.\n");
    }
    let told = format!("read {name}: {} passages", summary.passages.len());
    let is_evidence = !summary.notes.is_empty();
    Ok(Told { text, summary: told, is_evidence, names: vec![name], usage: summary.usage, proposal: None })
}

/// The passages of a document that somebody means with an id, a name, or the end of a name; at least one. A document that
/// `principal` may not read is as absent as one that never was.
pub async fn passages_of(chat: &Chat, principal: &Principal, filter: &Filter, raw: &str) -> Result<Vec<Passage>> {
    for id in filter::document(raw)? {
        if let Some(passages) = readable(chat, principal, filter, &id).await? {
            return Ok(passages);
        }
    }
    let asked = DocumentsAsked { filter: filter.clone(), name_end: Some(raw.to_owned()), limit: NAMED };
    let listing = (chat.tools.list)(principal.clone(), asked).await?;
    match listing.documents.as_slice() {
        [] => Err(no_such_document()),
        [one] => readable(chat, principal, filter, &one.id).await?.ok_or_else(no_such_document),
        several => {
            let names: Vec<&str> = several.iter().map(|document| document.name.as_str()).collect();
            Err(invalid(format!("several documents have this name: {}", names.join(", "))))
        }
    }
}

async fn readable(
    chat: &Chat,
    principal: &Principal,
    filter: &Filter,
    id: &DocumentId,
) -> Result<Option<Vec<Passage>>> {
    let index = chat.retriever.index();
    let passages = index.passages(principal, id).await?;
    if passages.is_empty() {
        return Ok(None);
    }
    let is_admitted = filter.is_open() || index.entry(id).await?.is_some_and(|entry| filter.admits(id, &entry));
    Ok(is_admitted.then_some(passages))
}

/// Reads passages that follow each other and says what is in them, by `deadline`. A model that fails leaves the choosing of
/// sentences; what it has read by then stays.
pub async fn summarize(chat: &Chat, mut passages: Vec<Passage>, deadline: Instant) -> Result<Summary> {
    let all = passages.len();
    if all > MOST_PASSAGES {
        let mut at = 0;
        passages.retain(|_| {
            at += 1;
            at * MOST_PASSAGES / all != (at - 1) * MOST_PASSAGES / all
        });
    }
    let is_whole = all <= MOST_PASSAGES;
    let read = match &chat.model {
        ChatModel::OpenAi(model) => reading::read(chat, model, &passages, deadline).await,
        ChatModel::Extractive => None,
    };
    if let Some(read) = read {
        let model = chat.model.name().to_owned();
        let is_whole = is_whole && read.is_whole;
        return Ok(Summary { passages, notes: read.notes, model, is_whole, usage: read.usage });
    }
    let notes = extractive::notes(chat, &passages).await?;
    Ok(Summary { passages, notes, model: "extractive".to_owned(), is_whole, usage: None })
}

/// How long a summary may take when nobody waits for an answer after it.
pub fn own_time(chat: &Chat) -> Duration {
    chat.settings.timeout.mul_f64(0.9)
}
