//! Answers that were given a moment ago. What enters is a question with who asks it; what leaves is the answer to the very
//! same one, if it was given to somebody who may read the same, in the same state of the index, with the same model and
//! prompt. While one such answer is being made, others who ask the same wait for it a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::cache::{Cache, Key, Turn};
use crate::chat::{Chat, ChatEvent, ChatRequest, Role, prompt};
use crate::document::Principal;
use crate::error::Result;
use crate::models::Usage;

/// Whoever asks what is just being answered waits this long, and then asks himself: the first may read slowly.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where answers are kept, and for how long.
#[derive(Debug)]
pub struct KeptAnswers {
    /// Where.
    pub cache: Arc<Cache>,
    /// For how long.
    pub time: Duration,
}

/// A question in a state of the index.
pub struct AnswerKey {
    key: Key,
    state: String,
}

impl KeptAnswers {
    /// What the answer to a question is kept under; nothing when there is no telling whether the index has changed.
    pub async fn key(&self, chat: &Chat, principal: &Principal, request: &ChatRequest) -> Result<Option<AnswerKey>> {
        let Some(state) = chat.retriever.index().state().await? else { return Ok(None) };
        let history: Vec<(Role, &str)> = request.history.iter().map(|turn| (turn.role, turn.text.as_str())).collect();
        let wanted = (&request.filter, request.passages, request.wants_follow_ups, request.may_propose);
        let asked = (principal.readers(), request.question.as_str(), history, wanted);
        // The settings of answering are numbers and the hosts of links.
        let by = (chat.model.name(), prompt::version(), format!("{:?}", chat.settings), chat.retriever.describe());
        Ok(Some(AnswerKey { key: Key::of("answer", &(asked, by, &state)), state }))
    }

    /// The answer, if it is there, else the turn to make it; neither when somebody else takes long to make it, or when an
    /// answer of a moment ago will not do.
    pub async fn known(&self, key: &AnswerKey, is_fresh: bool) -> (Option<Turn>, Option<Vec<ChatEvent>>) {
        if is_fresh {
            return (None, None);
        }
        if let Some(events) = self.cache.get(&key.key).await {
            return (None, Some(events));
        }
        match timeout(PATIENCE, self.cache.turn(&key.key)).await {
            Ok(turn) => (Some(turn), self.cache.get(&key.key).await),
            Err(_) => (None, None),
        }
    }

    /// Keeps an answer, if it is complete, found as well as it can be, and of the state of the index that its key says.
    pub async fn keep(&self, chat: &Chat, key: AnswerKey, mut events: Vec<ChatEvent>) -> Result<()> {
        let is_complete = matches!(events.last(), Some(ChatEvent::Done(done)) if !done.truncated);
        // What was proposed is to be decided on once.
        let proposes = |event: &ChatEvent| matches!(event, ChatEvent::ToolCall(used) if used.proposal.is_some());
        let is_complete = is_complete && !events.iter().any(proposes);
        let found_well = matches!(events.first(), Some(ChatEvent::Context(context))
            if context.retrieval == chat.retriever.retrieval());
        if is_complete && found_well && chat.retriever.index().state().await? == Some(key.state) {
            // Nobody pays for it again.
            for event in &mut events {
                match event {
                    ChatEvent::Usage(usage) => *usage = Usage::default(),
                    ChatEvent::Done(done) => done.cost = None,
                    _ => {}
                }
            }
            self.cache.put(key.key, &events, self.time).await;
        }
        Ok(())
    }
}
