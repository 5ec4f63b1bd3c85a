//! A question becomes an answer. What enters is who asks, a valid question and its history; what leaves is one stream of
//! `ChatEvent`s, the same for every wire format. It reads the index and asks a model; it never writes the index, and
//! knows nothing of HTTP.

pub mod agent;
pub mod answer;
pub mod budget;
pub mod citation;
pub mod evidence;
pub mod filter;
pub mod follow_ups;
pub mod kept;
pub mod language;
pub mod marker;
pub mod neighbours;
pub mod outgoing;
pub mod passage_terms;
mod patience;
pub mod prompt;
pub mod question;
pub mod retrieve;
pub mod retriever;
pub mod rewrite;
pub mod tools;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::kept::KeptAnswers;
use self::outgoing::allowlist::LinkAllowlist;
use self::question::Question;
use self::retriever::{Retrieval, Retriever};
use self::rewrite::Rewriter;
use self::tools::{ToolUse, Toolbox};
use crate::document::{DocumentId, DocumentName, Passage};
use crate::index::filter::Filter;
use crate::models::{ChatModel, Usage};

/// Everything that answering needs, wired once at start.
pub struct Chat {
    /// How passages are found.
    pub retriever: Arc<Retriever>,
    /// Who words the answers.
    pub model: ChatModel,
    /// The limits.
    pub settings: ChatSettings,
    /// Where answers are kept for a while; none are without it.
    pub kept: Option<KeptAnswers>,
    /// What makes a question of a conversation one that can be searched alone.
    pub rewriter: Rewriter,
    /// What a model may use while it answers.
    pub tools: Toolbox,
}

/// The limits of answering. The defaults suit passages of about 1,000 characters and a model with 8,000 tokens or more.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatSettings {
    /// How many passages an answer may draw on.
    pub passages: usize,
    /// The most characters of a question.
    pub question_chars: usize,
    /// The most turns of history that a model sees.
    pub history_turns: usize,
    /// The most tokens, by estimate, that these turns may have together.
    pub history_tokens: usize,
    /// The most tokens of an answer.
    pub max_answer_tokens: u32,
    /// The most tokens, by estimate, of all that one call of a model takes: instructions, history, passages and the answer.
    pub context_tokens: usize,
    /// Whether a model may reword a question that has a history before it is searched for.
    pub rewrites: bool,
    /// How often a model may use tools before it has to answer; with 0 it has none.
    pub tool_rounds: usize,
    /// The share of the question, weighted by how telling its words are, that the passages must cover to be worth an answer.
    pub evidence_threshold: f32,
    /// The cosine with a passage from which on the question's words need not be there, where a model words the answer. None:
    /// the words alone decide. Embedding models differ too much for one number to suit them all.
    pub evidence_similarity: Option<f32>,
    /// The share of a sentence's words that a passage must have to be cited for it.
    pub citation_support: f32,
    /// Where links of an answer may lead.
    pub links: LinkAllowlist,
    /// What the model's tokens cost.
    pub prices: Prices,
    /// When an answer has to be complete.
    pub timeout: Duration,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self {
            passages: 6,
            question_chars: 1_000,
            history_turns: 10,
            history_tokens: 1_500,
            max_answer_tokens: 800,
            context_tokens: 8_000,
            rewrites: true,
            tool_rounds: 3,
            evidence_threshold: 0.5,
            evidence_similarity: None,
            citation_support: 0.4,
            links: LinkAllowlist::default(),
            prices: Prices::default(),
            timeout: Duration::from_secs(60),
        }
    }
}

/// What a million tokens of the model cost, in any currency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prices {
    /// Of what it is given.
    pub input: Option<f64>,
    /// Of what it says.
    pub output: Option<f64>,
}

impl Prices {
    /// The cost of some tokens; none as long as a price is not named.
    pub fn of(self, usage: Usage) -> Option<f64> {
        let million = 1_000_000.0;
        let (input, output) = (f64::from(usage.prompt_tokens), f64::from(usage.completion_tokens));
        Some((input * self.input? + output * self.output?) / million)
    }
}

/// A question with what was said before it, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRequest {
    /// What is asked now.
    pub question: Question,
    /// What was said before.
    pub history: Vec<Turn>,
    /// Where to look for an answer.
    pub filter: Filter,
    /// How many passages the answer may draw on; as many as the settings say when nobody says.
    pub passages: Option<usize>,
    /// Whether questions that could come next are wanted.
    pub wants_follow_ups: bool,
    /// Whether an answer of a moment ago will not do.
    pub is_fresh: bool,
    /// Whether there is a person to decide on what a model proposes to do.
    pub may_propose: bool,
    /// Whether words are passed on as they come. Where nobody sees them before the answer is whole, the model need not stream.
    pub is_streamed: bool,
}

impl ChatRequest {
    /// A question with nothing before it, asked of all documents and answered as a whole.
    pub fn of(question: Question) -> Self {
        Self {
            question,
            history: Vec::new(),
            filter: Filter::default(),
            passages: None,
            wants_follow_ups: false,
            is_fresh: false,
            may_propose: true,
            is_streamed: false,
        }
    }
}

/// One message of an earlier exchange. It comes from the caller, so it is data like any other.
#[derive(Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who said it.
    pub role: Role,
    /// The words.
    pub text: String,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turn({:?}, {} bytes)", self.role, self.text.len())
    }
}

/// Who said something. There is no role for instructions: those are never the caller's to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Role {
    /// The person.
    User,
    /// An earlier answer.
    Assistant,
}

/// What happens while an answer is made: a context first, then texts and citations, and between them the tools that a model uses
/// and what they find, then at most one usage and the questions that could come next, if they were wanted, then done.
/// A failure ends the stream as an `Err` item instead.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum ChatEvent {
    /// What was found.
    Context(Context),
    /// The next words of the answer.
    Text(String),
    /// The words just said are supported by this passage. They end without white space: who shows the citation puts a gap.
    Citation(Citation),
    /// The model has used a tool.
    ToolCall(ToolUse),
    /// A tool has found passages: the context again, with these at its end.
    FoundMore(Context),
    /// What the model charged, for all of its calls together.
    Usage(Usage),
    /// Questions that could come next.
    FollowUps(Vec<String>),
    /// The answer is complete.
    Done(Done),
}

impl ChatEvent {
    /// All passages that were found so far, with events that tell of them.
    pub fn found(&self) -> Option<&Context> {
        match self {
            Self::Context(context) | Self::FoundMore(context) => Some(context),
            _ => None,
        }
    }
}

impl fmt::Debug for ChatEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(context) => context.fmt(f),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Citation(citation) => citation.fmt(f),
            Self::ToolCall(used) => write!(f, "ToolCall({})", used.name),
            Self::FoundMore(context) => write!(f, "FoundMore({context:?})"),
            Self::Usage(usage) => usage.fmt(f),
            Self::FollowUps(questions) => write!(f, "FollowUps({})", questions.len()),
            Self::Done(done) => done.fmt(f),
        }
    }
}

/// What was found for a question.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The passages, best first, numbered from 1.
    pub passages: Vec<CitedPassage>,
    /// Which state of the index they are from.
    pub generation: u64,
    /// What was searched for: the question, in the words of a model when it has a history, or with the question before it when
    /// it makes no sense alone.
    pub query: String,
    /// Whether a model put it into these words.
    pub is_rewritten: bool,
    /// How it was searched for.
    pub retrieval: Retrieval,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("passages", &self.passages.len())
            .field("generation", &self.generation)
            .field("retrieval", &self.retrieval)
            .finish_non_exhaustive()
    }
}

/// A passage with the number that answers cite it by.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CitedPassage {
    /// From 1.
    pub number: usize,
    /// The passage.
    pub passage: Arc<Passage>,
}

impl fmt::Debug for CitedPassage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CitedPassage({}, {})", self.number, self.passage.id)
    }
}

/// A checked pointer from a sentence of an answer to the passage that supports it.
#[derive(utoipa::ToSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// The passage's number in the context.
    pub number: usize,
    /// The passage.
    pub passage_id: String,
    /// Its document.
    pub document_id: DocumentId,
    /// That document's name.
    pub name: DocumentName,
    /// The page, for formats that have pages.
    pub page: Option<u32>,
    /// Where to look: the name, with the page where there is one.
    pub source: String,
    /// The words of the passage that support the sentence best.
    pub quote: String,
}

impl fmt::Debug for Citation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Citation({}, {})", self.number, self.passage_id)
    }
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Whether the answer is that the documents do not say.
    pub abstained: bool,
    /// Whether the token limit cut the answer off.
    pub truncated: bool,
    /// The passages cited, in order of first mention, each once. Empty without `abstained` means: nothing in the answer
    /// could be traced to a passage, and the answer ends with a sentence saying so.
    pub citations: Vec<Citation>,
    /// How many markers of the model pointed nowhere or at a passage that does not support its sentence.
    pub dropped_citations: usize,
    /// Who worded the answer.
    pub model: String,
    /// What the model's tokens cost, where somebody has named their prices.
    #[serde(default)]
    pub cost: Option<f64>,
}
