//! A question of a conversation becomes one that can be searched alone. What enters is a question with its history, what
//! leaves are the words of a model for it, or nothing: then the question is searched as it is. A model that is slow or gone
//! costs a moment and never the answer, and it cannot lead the search to what nobody has spoken of.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::chat::budget::recent;
use crate::chat::patience::Patience;
use crate::chat::prompt::random_code;
use crate::chat::question::Question;
use crate::chat::{ChatRequest, Role};
use crate::index::Index;
use crate::models::openai::OpenAiModel;
use crate::models::{Finish, Message, ModelRequest, Speaker, Usage};
use crate::telemetry::{calls, one_line};

/// The instructions; `{code}` stands for the random mark.
pub(super) const SYSTEM: &str = include_str!("prompts/rewrite.txt");
/// A question waits this long for its words, or a quarter of the time for its answer, whichever is less.
const WAIT: Duration = Duration::from_secs(3);
/// Turns of the history that are shown.
const TURNS: usize = 6;
/// Tokens that these may have.
const TOKENS: usize = 1_000;
/// Tokens of the words.
const MAX_TOKENS: u32 = 120;
/// Characters of the words.
const MAX_CHARS: usize = 300;

/// Asks a model for the words.
#[derive(Debug)]
pub struct Rewriter {
    patience: Patience,
}

/// A question in other words, and what they cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The words.
    pub query: String,
    /// What the model charged, if it told.
    pub usage: Option<Usage>,
}

impl Rewriter {
    /// For answers that may take so long.
    pub fn new(answer_time: Duration) -> Self {
        Self { patience: Patience::new(WAIT.min(answer_time / 4)) }
    }

    /// The words of a model for a question with a history. None for one without, or when what the model says will not do.
    pub async fn rewrite(&self, model: &OpenAiModel, index: &Index, request: &ChatRequest) -> Option<Rewritten> {
        if !request.history.iter().any(|turn| turn.role == Role::User) {
            return None;
        }
        let said = self.patience.ask(|deadline| {
            let call = calls::outside("model", "rewrite").with_model(model.name());
            call.run(model.whole(asked(request, deadline)))
        });
        let said = said.await?.inspect_err(|e| {
            let cause = one_line(&e.chain());
            warn!(error.code = e.kind().row().code, %cause, "searching for a question in its own words");
        });
        let said = said.ok().filter(|said| said.finish == Finish::Complete)?;
        let query = usable(&said.text).filter(|query| is_of_the_conversation(query, request, index))?;
        Some(Rewritten { query, usage: said.usage })
    }
}

fn asked(request: &ChatRequest, deadline: Instant) -> ModelRequest {
    let code = random_code();
    let mut text = format!("conversation {code}\n");
    for turn in recent(&request.history, TURNS, TOKENS) {
        let who = if turn.role == Role::User { "Person" } else { "Answer" };
        write!(text, "\n{who}: {}\n", turn.text.trim()).expect("writing to a string cannot fail");
    }
    write!(text, "\nend of conversation {code}\n\nLast question: {}", request.question.as_str())
        .expect("writing to a string cannot fail");
    let messages = vec![
        Message::said(Speaker::System, SYSTEM.trim_end().replace("{code}", &code)),
        Message::said(Speaker::User, text),
    ];
    ModelRequest::of(messages, MAX_TOKENS, deadline)
}

/// The first line that says something, without the quotes that models put around it.
fn usable(said: &str) -> Option<String> {
    let line = said.lines().map(str::trim).find(|line| !line.is_empty())?;
    let bare =
        line.trim_matches(|c: char| matches!(c, '"' | '“' | '”' | '„' | '«' | '»' | '`' | '*') || c.is_whitespace());
    Question::parse(bare, MAX_CHARS).ok().map(|question| question.as_str().to_owned())
}

/// Whether most of what the words are about was said before: a model is to put together, not to make up.
fn is_of_the_conversation(query: &str, request: &ChatRequest, index: &Index) -> bool {
    let terms = |text: &str| index.terms(text).into_iter().collect::<HashSet<String>>();
    let mut known = terms(request.question.as_str());
    request.history.iter().for_each(|turn| known.extend(terms(&turn.text)));
    let asked = terms(query);
    let of_it = asked.iter().filter(|term| known.contains(*term)).count();
    of_it > 0 && of_it * 2 >= asked.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_words_is_taken() {
        assert_eq!(
            usable("\n \"When does the ferry leave?\"\nBecause…").as_deref(),
            Some("When does the ferry leave?")
        );
        assert_eq!(usable(" \n\u{200b}\n").as_deref(), None);
        assert_eq!(usable(&"x".repeat(MAX_CHARS + 1)), None);
    }
}
