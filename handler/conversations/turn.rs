//! One question with its answer, as it is kept, and what the answer came from.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::chat::tools::ToolUse;
use crate::chat::{ChatEvent, Citation};
use crate::clock::is_over;
use crate::models::Usage;

/// A turn that began longer ago than any answer takes, and has none, never gets one: its process is gone.
const LONGEST_ANSWER: TimeDelta = TimeDelta::minutes(15);

/// How far a turn has come.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnState {
    /// It is being answered.
    Answering,
    /// Its answer is whole.
    Complete,
    /// The answer broke off: who asked went away, something failed, or the process ended.
    Incomplete,
}

/// What an answer came from, to explain it later.
#[derive(utoipa::ToSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The generation of the index that was searched.
    pub generation: u64,
    /// How it was searched.
    pub retrieval: String,
    /// What was searched for.
    pub query: String,
    /// Whether a model put it into these words.
    #[serde(default)]
    pub is_rewritten: bool,
    /// The passages that the answer could draw on.
    pub passages: Vec<String>,
    /// The tools that the model used, in order.
    #[serde(default)]
    pub tools: Vec<ToolUse>,
    /// The instructions that the model was given, as a word that changes with them.
    pub prompt_version: String,
    /// Who worded the answer.
    pub model: String,
    /// What the model charged, rewording and reading of documents among it; nothing for an answer that was kept.
    pub usage: Option<Usage>,
    /// What that cost, where prices are named.
    #[serde(default)]
    pub cost: Option<f64>,
    /// Citations that did not hold.
    pub dropped_citations: usize,
    /// From the question to what was found for it, in milliseconds; rewording is a part of it.
    #[serde(default)]
    pub found_ms: Option<u64>,
    /// From the question to the first word, in milliseconds.
    #[serde(default)]
    pub first_word_ms: Option<u64>,
    /// From the question to the end of the answer, in milliseconds.
    pub took_ms: u64,
}

/// A turn.
#[derive(utoipa::ToSchema)]
#[schema(as = Turn)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTurn {
    /// From 1, in the order in which the questions came.
    pub number: u32,
    /// The question.
    pub question: String,
    /// How far it has come.
    pub state: TurnState,
    /// The answer, as far as it came.
    pub answer: Option<String>,
    /// The passages it cites.
    pub citations: Vec<Citation>,
    /// Whether the answer is that the documents do not say.
    pub abstained: bool,
    /// When the question came.
    pub asked: DateTime<Utc>,
    /// What the answer came from.
    pub provenance: Provenance,
}

impl StoredTurn {
    /// A turn whose answer is still to come.
    pub(super) fn asked(number: u32, question: &str, now: DateTime<Utc>) -> Self {
        Self {
            number,
            question: question.to_owned(),
            state: TurnState::Answering,
            answer: None,
            citations: Vec::new(),
            abstained: false,
            asked: now,
            provenance: Provenance::default(),
        }
    }

    /// The turn as it is to be seen now: one that was left is incomplete.
    pub(super) fn seen_at(mut self, now: DateTime<Utc>) -> Self {
        if self.state == TurnState::Answering && is_over(self.asked + LONGEST_ANSWER, now, LONGEST_ANSWER) {
            self.state = TurnState::Incomplete;
        }
        self
    }

    /// Adds an event of the answer that came so long after the question.
    pub(super) fn take(&mut self, event: &ChatEvent, after: Duration) {
        let answer = self.answer.get_or_insert_default();
        match event {
            ChatEvent::Context(context) => {
                self.provenance.found_ms = Some(milliseconds(after));
                self.provenance.generation = context.generation;
                self.provenance.retrieval = serde_json::to_value(context.retrieval)
                    .ok()
                    .and_then(|word| word.as_str().map(str::to_owned))
                    .unwrap_or_default();
                self.provenance.query.clone_from(&context.query);
                self.provenance.is_rewritten = context.is_rewritten;
                self.provenance.passages = context.passages.iter().map(|cited| cited.passage.id.clone()).collect();
            }
            ChatEvent::Text(text) => {
                self.provenance.first_word_ms.get_or_insert_with(|| milliseconds(after));
                answer.push_str(text);
            }
            ChatEvent::Citation(citation) => answer.push_str(&format!(" [{}]", citation.number)),
            ChatEvent::Usage(usage) => self.provenance.usage = Some(*usage),
            ChatEvent::FoundMore(context) => {
                self.provenance.passages = context.passages.iter().map(|cited| cited.passage.id.clone()).collect();
            }
            ChatEvent::ToolCall(used) => self.provenance.tools.push(used.clone()),
            ChatEvent::FollowUps(_) => {}
            ChatEvent::Done(done) => {
                self.state = TurnState::Complete;
                self.citations.clone_from(&done.citations);
                self.abstained = done.abstained;
                self.provenance.model.clone_from(&done.model);
                self.provenance.dropped_citations = done.dropped_citations;
                self.provenance.cost = done.cost;
            }
        }
    }

    /// Ends the answer after so long. Without its last event it is incomplete.
    pub(super) fn end(&mut self, took: Duration, prompt_version: &str) {
        if self.state == TurnState::Answering {
            self.state = TurnState::Incomplete;
        }
        self.provenance.took_ms = milliseconds(took);
        prompt_version.clone_into(&mut self.provenance.prompt_version);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
