//! Where answers come from: a chat server that speaks the OpenAI protocol, or the passages themselves; where embeddings
//! come from, and second opinions on an order. What enters is messages, a question with its passages, or texts; what leaves
//! is text, vectors or scores. Nothing here knows the index or the chat flow.

pub mod embedding;
pub mod extractive;
pub mod numbers;
pub mod openai;
pub mod rerank;
pub mod sentence;

#[cfg(test)]
pub(crate) mod fixture;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use self::openai::{OpenAiModel, ServerState};
use crate::error::Result;

/// Who writes the answers, chosen by settings at start.
#[derive(Debug)]
pub enum ChatModel {
    /// No model: the best-supported sentences of the passages. Deterministic, and free.
    Extractive,
    /// Azure OpenAI or any server with the same protocol.
    OpenAi(OpenAiModel),
}

impl ChatModel {
    /// The name that answers and logs carry.
    pub fn name(&self) -> &str {
        match self {
            Self::Extractive => "extractive",
            Self::OpenAi(model) => model.name(),
        }
    }

    /// What is known of its servers; there are none without a model.
    pub fn servers(&self) -> Vec<ServerState> {
        match self {
            Self::Extractive => Vec::new(),
            Self::OpenAi(model) => model.servers(),
        }
    }

    /// Whether one of its servers lets us in; nothing without a model. Costs nothing.
    pub async fn ping(&self) -> Option<Result<()>> {
        match self {
            Self::Extractive => None,
            Self::OpenAi(model) => Some(model.ping().await),
        }
    }
}

/// Whose words a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The product's own instructions.
    System,
    /// The person, or data handed over on their behalf.
    User,
    /// An earlier answer.
    Assistant,
}

/// One message to a model.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// Words, and whose they are.
    Said(Speaker, String),
    /// The model wants tools to be used. Each call has to be answered before anything else is said.
    Called {
        /// What it said before.
        text: String,
        /// What it wants.
        calls: Vec<ToolCall>,
    },
    /// What came of one of these calls.
    Answered {
        /// The call's id.
        call: String,
        /// What the tool says.
        text: String,
    },
}

/// A model's wish to use a tool. All of it is the model's own words.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// What the answer has to name.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What for: an object as JSON, if the model kept to the form.
    pub arguments: String,
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolCall({} bytes)", self.arguments.len())
    }
}

/// A tool as it is offered to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolDefinition {
    /// Its name: letters, digits and underscores.
    pub name: String,
    /// What it does and when it is of use.
    pub description: String,
    /// A JSON schema of its arguments.
    pub parameters: Value,
}

impl Message {
    /// Words of somebody.
    pub fn said(speaker: Speaker, text: impl Into<String>) -> Self {
        Self::Said(speaker, text.into())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(speaker, text) => write!(f, "Said({speaker:?}, {} bytes)", text.len()),
            Self::Called { calls, .. } => write!(f, "Called({})", calls.len()),
            Self::Answered { text, .. } => write!(f, "Answered({} bytes)", text.len()),
        }
    }
}

/// What a model is asked.
#[derive(Clone, Debug)]
pub struct ModelRequest {
    /// The conversation, instructions first, the question last.
    pub messages: Vec<Message>,
    /// The most tokens the answer may have.
    pub max_answer_tokens: u32,
    /// When the last word has to be here. Waiting, retrying and streaming all end then.
    pub deadline: Instant,
    /// The tools there are. They are named as long as the messages speak of calls, even when none may be called any more.
    pub tools: Arc<[ToolDefinition]>,
    /// Whether the model may call one now.
    pub may_call: bool,
    /// Whether words are wanted as they come. Else the answer may come in one, which costs both sides less.
    pub is_streamed: bool,
}

impl ModelRequest {
    /// A request without tools that is answered as a whole.
    pub fn of(messages: Vec<Message>, max_answer_tokens: u32, deadline: Instant) -> Self {
        Self { messages, max_answer_tokens, deadline, tools: Arc::default(), may_call: false, is_streamed: false }
    }
}

/// What a model says, in order: any number of texts, the tools it wants to use, at most one usage, and one finish at the end.
#[derive(Clone, PartialEq, Eq)]
pub enum ModelEvent {
    /// The next words.
    Text(String),
    /// What it cost.
    Usage(Usage),
    /// Before it goes on it wants to know what comes of these, all of them whole.
    ToolCalls(Vec<ToolCall>),
    /// The answer is over. A stream that ends without this was cut, and is reported as an error.
    Finished(Finish),
}

impl fmt::Debug for ModelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Usage(usage) => usage.fmt(f),
            Self::ToolCalls(calls) => write!(f, "ToolCalls({})", calls.len()),
            Self::Finished(finish) => write!(f, "Finished({finish:?})"),
        }
    }
}

/// Why an answer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Nothing more to say.
    Complete,
    /// The token limit cut it off.
    Truncated,
}

/// An answer read to its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Whole {
    /// The words.
    pub text: String,
    /// What it cost, if the server told.
    pub usage: Option<Usage>,
    /// Why it is over.
    pub finish: Finish,
}

/// The tokens of one answer, as the server counted them.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the instructions, history, passages and question.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub completion_tokens: u32,
}

impl Usage {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
        }
    }
}
