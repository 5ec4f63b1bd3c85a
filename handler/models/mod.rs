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

use serde::{Deserialize, Serialize};
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
}

/// What a model says, in order: any number of texts, at most one usage, and one finish at the end.
#[derive(Clone, PartialEq, Eq)]
pub enum ModelEvent {
    /// The next words.
    Text(String),
    /// What it cost.
    Usage(Usage),
    /// The answer is over. A stream that ends without this was cut, and is reported as an error.
    Finished(Finish),
}

impl fmt::Debug for ModelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Usage(usage) => usage.fmt(f),
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
