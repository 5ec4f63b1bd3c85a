//! A turn while it is being answered. What enters are the events of the answer, what leaves are the same events; what they
//! were is written when the answer ends, however it ends. SIGKILL leaves a turn that is shown as incomplete.

use std::time::Instant;

use futures_util::stream::{BoxStream, StreamExt};
use tokio::time::Instant as Deadline;

use super::turn::TurnState;
use super::{ConversationId, Conversations, StoredTurn, body, number, read, turns_of};
use crate::chat::{ChatEvent, prompt};
use crate::deadline::{in_background, last_words};
use crate::document::Principal;
use crate::error::Result;
use crate::stores::records::{Precondition, Record};

/// A turn that has its number, and no answer yet.
pub struct OpenTurn {
    conversations: Conversations,
    partition: String,
    turn: StoredTurn,
    etag: String,
    began: Instant,
}

/// The events of an answer, kept when it ends.
pub struct Recorded {
    open: Option<OpenTurn>,
}

impl OpenTurn {
    pub(super) async fn begin(
        conversations: &Conversations,
        principal: &Principal,
        id: &ConversationId,
        turn: u32,
        question: &str,
    ) -> Result<Self> {
        let turn = StoredTurn::asked(turn, question, conversations.clock.now());
        let partition = turns_of(principal, id);
        let (key, keep) = (number(turn.number), Some(conversations.keep));
        let asked = body(&turn)?;
        let etag = conversations.records.put(&partition, &key, &asked, Precondition::IfAbsent, keep).await?;
        Ok(Self { conversations: conversations.clone(), partition, turn, etag, began: Instant::now() })
    }

    /// The same for a turn that was begun before and whose answer was never whole; it is made anew. Nothing for one that has
    /// its answer.
    pub(super) async fn resume(
        conversations: &Conversations,
        principal: &Principal,
        id: &ConversationId,
        begun: Record,
    ) -> Result<Option<Self>> {
        let (key, precondition) = (begun.id.clone(), Precondition::IfMatch(begun.etag.clone()));
        let begun: StoredTurn = read(begun)?;
        if begun.state == TurnState::Complete {
            return Ok(None);
        }
        let turn = StoredTurn::asked(begun.number, &begun.question, conversations.clock.now());
        let (partition, keep) = (turns_of(principal, id), Some(conversations.keep));
        let etag = conversations.records.put(&partition, &key, &body(&turn)?, precondition, keep).await?;
        Ok(Some(Self { conversations: conversations.clone(), partition, turn, etag, began: Instant::now() }))
    }

    /// The turn's number, from 1.
    pub fn number(&self) -> u32 {
        self.turn.number
    }

    /// Passes an answer on, and keeps it when it ends, which nobody waits for beyond the deadline. Dropping the stream keeps what
    /// came so far, as incomplete.
    pub fn record(
        self,
        answer: BoxStream<'static, Result<ChatEvent>>,
        deadline: Deadline,
    ) -> BoxStream<'static, Result<ChatEvent>> {
        let mut recorded = Recorded { open: Some(self) };
        async_stream::stream! {
            for await event in answer {
                if let (Ok(event), Some(open)) = (&event, &mut recorded.open) {
                    open.turn.take(event, open.began.elapsed());
                }
                // The answer is kept before its last event is passed on: who has seen the end can rely on it.
                let is_last = !matches!(&event, Ok(event) if !matches!(event, ChatEvent::Done(_)));
                if is_last && let Some(open) = recorded.open.take() {
                    last_words(deadline, open.keep()).await;
                }
                yield event;
            }
        }
        .boxed()
    }

    /// Writes the turn. A conversation that was deleted meanwhile stays deleted.
    async fn keep(mut self) {
        self.turn.end(self.began.elapsed(), prompt::version());
        let Ok(body) = body(&self.turn) else { return };
        let (key, keep) = (number(self.turn.number), Some(self.conversations.keep));
        let written =
            self.conversations.records.put(&self.partition, &key, &body, Precondition::IfMatch(self.etag), keep).await;
        if let Err(e) = written {
            // The answer has been given; only its place in the history is lost.
            tracing::warn!(error.code = e.kind().row().code, "an answer could not be kept");
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            in_background(open.keep());
        }
    }
}
