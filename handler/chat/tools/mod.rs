//! What a model may use while it answers: one registry, one file for each tool. What enters is a name with arguments, both a
//! model's own words and never trusted; what leaves is text for the model, with the passages behind it, and a line for the
//! person. Every tool reads as the person who asks and within the filter of the request. Nothing here acts: what changes
//! something is proposed (`actions.rs`), and a person decides.

pub mod actions;
pub mod arguments;
mod list;
mod search;
pub mod shelf;
pub mod summarize;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::actions::ProposeAction;
use self::arguments::Arguments;
use self::shelf::Shelf;
use crate::chat::Chat;
use crate::document::{DocumentId, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::index::filter::Filter;
use crate::models::{ToolCall, ToolDefinition, Usage};
use crate::tokens::estimate;

/// Whoever knows the documents: those that a principal may read and a filter admits.
pub type ListDocuments = Arc<dyn Fn(Principal, DocumentsAsked) -> BoxFuture<'static, Result<Listing>> + Send + Sync>;

/// Which documents are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DocumentsAsked {
    /// Only these.
    pub filter: Filter,
    /// Only those whose names end so, at a folder or whole, in any case.
    pub name_end: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// Some documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The documents.
    pub documents: Vec<ListedDocument>,
    /// Whether there are more.
    pub has_more: bool,
}

/// A document that can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDocument {
    /// Its id.
    pub id: DocumentId,
    /// Its name.
    pub name: String,
    /// Its category.
    pub category: Option<String>,
    /// When it was last changed.
    pub modified: Option<DateTime<Utc>>,
    /// Its pages, for formats that have pages.
    pub pages: Option<u32>,
}

/// The tools of an installation.
pub struct Toolbox {
    /// Knows the documents.
    pub list: ListDocuments,
    /// What may be proposed.
    actions: Vec<Arc<dyn ProposeAction>>,
    /// What a model is offered, without and with what it may propose.
    offers: [OnceLock<Offer>; 2],
}

/// The tools as a model is offered them.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The tools.
    pub tools: Arc<[ToolDefinition]>,
    /// Their estimated tokens.
    pub tokens: usize,
}

impl fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toolbox").field("actions", &self.actions.len()).finish_non_exhaustive()
    }
}

/// What a tool works with.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Retriever, model and settings.
    pub chat: &'a Chat,
    /// Who asks.
    pub principal: &'a Principal,
    /// Where the person wants to look.
    pub filter: &'a Filter,
    /// Whether there is a person to decide on proposals.
    pub may_propose: bool,
    /// When the tool has to be done.
    pub deadline: Instant,
    /// Tokens that its words may have.
    pub room: usize,
}

/// What a tool says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// For the model.
    pub text: String,
    /// For the person: what was done, in few words.
    pub summary: String,
    /// Whether there is something in it that an answer can rest on.
    pub is_evidence: bool,
    /// Names of documents in it: an answer may name these without a passage.
    pub names: Vec<String>,
    /// What a model charged for it.
    pub usage: Option<Usage>,
    /// What was proposed, for the person to decide on.
    pub proposal: Option<Value>,
}

/// A tool that was used, as clients are told.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolUse {
    /// The tool.
    pub name: String,
    /// What was done, in few words.
    pub summary: String,
    /// Whether it came to nothing because the call could not be used.
    pub is_error: bool,
    /// What was proposed, for the person to decide on: nothing has been done yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proposal: Option<Value>,
}

/// What a running tool returns.
type ToolFuture<'a> = Pin<Box<dyn Future<Output = Result<Told>> + Send + 'a>>;

/// A tool that reads.
struct Tool {
    name: &'static str,
    description: &'static str,
    parameters: fn() -> Value,
    run: for<'a> fn(Desk<'a>, Arguments<'a>, &'a mut Shelf) -> ToolFuture<'a>,
}

/// Every tool that reads.
const READING: [Tool; 3] = [
    Tool {
        name: search::NAME,
        description: search::DESCRIPTION,
        parameters: search::parameters,
        run: |desk, arguments, shelf| Box::pin(search::run(desk, arguments, shelf)),
    },
    Tool {
        name: summarize::NAME,
        description: summarize::DESCRIPTION,
        parameters: summarize::parameters,
        run: |desk, arguments, shelf| Box::pin(summarize::run(desk, arguments, shelf)),
    },
    Tool {
        name: list::NAME,
        description: list::DESCRIPTION,
        parameters: list::parameters,
        run: |desk, arguments, _| Box::pin(list::run(desk, arguments)),
    },
];

impl Toolbox {
    /// Tools that read, and those that propose an action each.
    pub fn new(list: ListDocuments, actions: Vec<Arc<dyn ProposeAction>>) -> Self {
        Self { list, actions, offers: Default::default() }
    }

    /// The tools as a model is offered them.
    pub fn offer(&self, may_propose: bool) -> &Offer {
        self.offers[usize::from(may_propose)].get_or_init(|| {
            let tools = self.definitions(may_propose);
            let of = |tool: &ToolDefinition| estimate(&tool.description) + estimate(&tool.parameters.to_string());
            Offer { tokens: tools.iter().map(of).sum(), tools: tools.into() }
        })
    }

    fn definitions(&self, may_propose: bool) -> Vec<ToolDefinition> {
        let reading = READING.iter().map(|tool| ToolDefinition {
            name: tool.name.to_owned(),
            description: tool.description.to_owned(),
            parameters: (tool.parameters)(),
        });
        let proposing = self.actions.iter().filter(|_| may_propose).map(|action| ToolDefinition {
            name: action.name().to_owned(),
            description: action.description().to_owned(),
            parameters: action.parameters(),
        });
        reading.chain(proposing).collect()
    }

    /// Uses a tool. A call that cannot be used is told to the model, and to the person when it names a tool that there is; a
    /// failure on this side ends the answer: it must not go on as if nothing had been there to find.
    pub async fn run(&self, desk: Desk<'_>, call: &ToolCall, shelf: &mut Shelf) -> Result<(Option<ToolUse>, Told)> {
        let reading = READING.iter().find(|tool| tool.name == call.name);
        let action = self.actions.iter().find(|action| desk.may_propose && action.name() == call.name);
        let (name, parameters) = match (reading, action) {
            (Some(tool), _) => (tool.name, (tool.parameters)()),
            (None, Some(action)) => (action.name(), action.parameters()),
            (None, None) => return Ok((None, refused("there is no such tool"))),
        };
        let ran = async {
            let arguments = object_of(&call.arguments)?;
            Arguments(&arguments).check_names(&parameters)?;
            match (reading, action) {
                (Some(tool), _) => (tool.run)(desk, Arguments(&arguments), shelf).await,
                (None, Some(action)) => actions::propose(action.as_ref(), desk.principal, &arguments).await,
                (None, None) => Ok(refused("there is no such tool")),
            }
        };
        let (told, is_error) = match ran.await {
            Ok(told) => (told, false),
            Err(e) if is_of_the_call(e.kind()) => (refused(e.message()), true),
            Err(e) => return Err(e),
        };
        let (summary, proposal) = (told.summary.clone(), told.proposal.clone());
        Ok((Some(ToolUse { name: name.to_owned(), summary, is_error, proposal }), told))
    }
}

/// What a model is told of a call that cannot be used.
pub fn refused(sentence: &str) -> Told {
    Told { text: format!("error: {sentence}"), summary: sentence.to_owned(), ..Told::default() }
}

fn object_of(arguments: &str) -> Result<Map<String, Value>> {
    if arguments.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(arguments).map_err(|_| arguments::invalid("the arguments are no JSON object".to_owned()))
}

/// Whether another call may do better.
fn is_of_the_call(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidRequest
            | ErrorKind::InvalidName
            | ErrorKind::NotFound
            | ErrorKind::QuotaExceeded
            | ErrorKind::ActionNotAllowed
    )
}

/// There is no such document, or not for whoever asks.
fn no_such_document() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such document")
}
