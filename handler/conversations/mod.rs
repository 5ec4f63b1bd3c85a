//! What was asked and answered, kept for whoever asked: conversations with their turns. What enters is a principal, a
//! conversation and the events of an answer; what leaves are turns, in one order for all. Somebody else's conversation is as
//! absent as one that never was.
//!
//! A conversation is one record with the number of its turns; a turn is one record beside it. Who wants to add a turn first
//! takes the next number by replacing the conversation's record, so of many writers each gets a number of its own.

mod erase;
pub mod feedback;
pub mod once;
mod open_turn;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use self::open_turn::{OpenTurn, Recorded};
pub use self::turn::{Provenance, StoredTurn, TurnState};
use crate::chat::{Role, Turn};
use crate::clock::Clock;
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::{Precondition, Record, RecordStore, clear};

/// Turns of one conversation.
const MOST_TURNS: u32 = 1_000;
/// How often one tries to take the next number while others take theirs.
const TRIES: u32 = 20;
/// Characters of a title.
const TITLE_CHARS: usize = 80;
/// Turns that are read at once.
const PAGE: usize = 100;

/// The id of a conversation: 1 to 64 letters, digits and hyphens, chosen by whoever begins it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ConversationId(String);

impl ConversationId {
    /// Reads an id from outside.
    pub fn parse(raw: &str) -> Result<Self> {
        let is_fit = (1..=64).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let sentence = "a conversation id has 1 to 64 letters, digits and hyphens";
        is_fit.then(|| Self(raw.to_owned())).ok_or_else(|| Error::new(ErrorKind::InvalidRequest, sentence))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A conversation, without its turns.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its id; unique for its owner.
    pub id: String,
    /// Its title: the first question, until somebody names it.
    pub title: String,
    /// When it began.
    pub created: DateTime<Utc>,
    /// When its last turn began.
    pub updated: DateTime<Utc>,
    /// How many turns were begun.
    pub turns: u32,
}

/// One page of conversations.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Serialize)]
pub struct ConversationPage {
    /// In order of id.
    pub conversations: Vec<Conversation>,
    /// Pass it back as `after` to get the next page; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// All conversations.
#[derive(Clone, Debug)]
pub struct Conversations {
    records: Arc<dyn RecordStore>,
    clock: Clock,
    /// How long a turn is kept; nothing is kept with zero.
    keep: Duration,
}

impl Conversations {
    /// Conversations in a record store, whose turns go after `keep`; with zero none are kept.
    pub fn new(records: Arc<dyn RecordStore>, clock: Clock, keep: Duration) -> Self {
        Self { records, clock, keep }
    }

    /// A principal's conversations, at most `limit` of them, from the one after `after` on.
    pub async fn list(&self, principal: &Principal, after: Option<&str>, limit: usize) -> Result<ConversationPage> {
        let page = self.records.list(&list_of(principal), after, limit).await?;
        let conversations = page.records.into_iter().map(read).collect::<Result<_>>()?;
        Ok(ConversationPage { conversations, next: page.next })
    }

    /// A conversation with all its turns, in order.
    pub async fn get(&self, principal: &Principal, id: &ConversationId) -> Result<(Conversation, Vec<StoredTurn>)> {
        let conversation = self.find(principal, id).await?.ok_or_else(unknown)?.0;
        let (partition, mut turns, mut after) = (turns_of(principal, id), Vec::new(), None);
        loop {
            let page = self.records.list(&partition, after.as_deref(), PAGE).await?;
            for record in page.records {
                turns.push(read::<StoredTurn>(record)?.seen_at(self.clock.now()));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok((conversation, turns)),
            }
        }
    }

    /// Gives a conversation another title.
    pub async fn rename(&self, principal: &Principal, id: &ConversationId, title: &str) -> Result<Conversation> {
        let title = title_of(title);
        if title.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "a title has at least one visible character"));
        }
        for _ in 0..TRIES {
            let (mut conversation, etag) = self.find(principal, id).await?.ok_or_else(unknown)?;
            conversation.title.clone_from(&title);
            match self.put(principal, &conversation, Precondition::IfMatch(etag)).await {
                Err(e) if e.kind() == ErrorKind::PreconditionFailed => {}
                other => return other.map(|()| conversation),
            }
        }
        Err(busy())
    }

    /// Deletes a conversation with its turns, what was said of them and the answers that were kept for repeated requests. A turn
    /// that is just being answered is not kept. Cut off in between, what is left goes with its time or with the person.
    pub async fn delete(&self, principal: &Principal, id: &ConversationId) -> Result<()> {
        let turns = self.find(principal, id).await?.ok_or_else(unknown)?.0.turns;
        // The conversation goes first: from then on nobody finds it, whatever happens to us.
        if !self.records.delete(&list_of(principal), id.as_str()).await? {
            return Err(unknown());
        }
        clear(self.records.as_ref(), &turns_of(principal, id)).await?;
        self.forget_feedback(principal, id, turns).await?;
        self.forget_answers(principal, id).await
    }

    /// What was said in a conversation, oldest first, without turns that have no whole answer; at most the last `turns`.
    pub async fn history(&self, principal: &Principal, id: &ConversationId, turns: usize) -> Result<Vec<Turn>> {
        match self.find(principal, id).await? {
            Some((conversation, _)) => self.history_before(principal, id, conversation.turns + 1, turns).await,
            None => Ok(Vec::new()),
        }
    }

    /// The same of what was said before a turn that has begun.
    pub async fn history_before(
        &self,
        principal: &Principal,
        id: &ConversationId,
        turn: u32,
        turns: usize,
    ) -> Result<Vec<Turn>> {
        let before = turn.saturating_sub(1);
        if before == 0 {
            return Ok(Vec::new());
        }
        let first = before.saturating_sub(u32::try_from(turns).unwrap_or(u32::MAX));
        let page = self.records.list(&turns_of(principal, id), Some(&number(first)), turns.max(1)).await?;
        let (mut history, own) = (Vec::new(), number(turn));
        for record in page.records.into_iter().filter(|record| record.id < own) {
            let turn: StoredTurn = read(record)?;
            if let (TurnState::Complete, Some(answer)) = (turn.state, turn.answer) {
                history.push(Turn { role: Role::User, text: turn.question });
                history.push(Turn { role: Role::Assistant, text: answer });
            }
        }
        Ok(history)
    }

    /// Begins a turn: takes the next number of the conversation, and makes the conversation if this is its first turn.
    pub async fn begin(&self, principal: &Principal, id: &ConversationId, question: &str) -> Result<OpenTurn> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let (mut conversation, precondition) = match self.find(principal, id).await? {
                Some((conversation, etag)) => (conversation, Precondition::IfMatch(etag)),
                None => (Conversation::begun(id, question, now), Precondition::IfAbsent),
            };
            if conversation.turns >= MOST_TURNS {
                let sentence = format!("the conversation has its {MOST_TURNS} turns: begin another one");
                return Err(Error::new(ErrorKind::QuotaExceeded, sentence));
            }
            conversation.turns += 1;
            conversation.updated = now;
            match self.put(principal, &conversation, precondition).await {
                Ok(()) => return OpenTurn::begin(self, principal, id, conversation.turns, question).await,
                Err(e) if e.kind() == ErrorKind::PreconditionFailed => {}
                Err(e) => return Err(e),
            }
        }
        Err(busy())
    }

    /// Begins a turn again that was begun for the same request before; nothing where it is no more, or has its answer.
    pub async fn resume(&self, principal: &Principal, id: &ConversationId, turn: u32) -> Result<Option<OpenTurn>> {
        for _ in 0..TRIES {
            let Some(begun) = self.records.get(&turns_of(principal, id), &number(turn)).await? else { return Ok(None) };
            match OpenTurn::resume(self, principal, id, begun).await {
                // Whoever began it was just writing that it broke off.
                Err(e) if e.kind() == ErrorKind::PreconditionFailed => {}
                resumed => return resumed,
            }
        }
        Err(busy())
    }

    /// Whether conversations are kept at all.
    pub fn are_kept(&self) -> bool {
        !self.keep.is_zero()
    }

    async fn find(&self, principal: &Principal, id: &ConversationId) -> Result<Option<(Conversation, String)>> {
        let Some(record) = self.records.get(&list_of(principal), id.as_str()).await? else { return Ok(None) };
        let etag = record.etag.clone();
        Ok(Some((read(record)?, etag)))
    }

    async fn put(&self, principal: &Principal, conversation: &Conversation, when: Precondition) -> Result<()> {
        let partition = list_of(principal);
        self.records.put(&partition, &conversation.id, &body(conversation)?, when, Some(self.keep)).await.map(|_| ())
    }
}

impl Conversation {
    fn begun(id: &ConversationId, question: &str, now: DateTime<Utc>) -> Self {
        Self { id: id.as_str().to_owned(), title: title_of(question), created: now, updated: now, turns: 0 }
    }
}

/// The first words of a text on one line.
fn title_of(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_seen = |c: &char| !c.is_control();
    if line.chars().count() <= TITLE_CHARS {
        return line.chars().filter(is_seen).collect();
    }
    line.chars().filter(is_seen).take(TITLE_CHARS - 1).chain(['…']).collect()
}

fn list_of(principal: &Principal) -> String {
    format!("conversations/{}", principal.owner())
}

fn turns_of(principal: &Principal, id: &ConversationId) -> String {
    format!("turns/{}/{}", principal.owner(), id.as_str())
}

/// A turn's number as an id, in an order of text that is that of numbers.
fn number(turn: u32) -> String {
    format!("{turn:08}")
}

fn read<T: DeserializeOwned>(record: Record) -> Result<T> {
    let unreadable = |e| Error::new(ErrorKind::Internal, "a record of a conversation cannot be read").caused_by(e);
    serde_json::from_value(record.body).map_err(unreadable)
}

fn body(value: &impl Serialize) -> Result<Value> {
    let unwritable = |e| Error::new(ErrorKind::Internal, "a record of a conversation cannot be written").caused_by(e);
    serde_json::to_value(value).map_err(unwritable)
}

fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such conversation")
}

fn busy() -> Error {
    Error::new(ErrorKind::ConversationBusy, "too many ask in this conversation at once, please try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_titles_are_what_a_person_can_use() {
        assert!(ConversationId::parse("a-1B").is_ok());
        for bad in ["", "a b", "../x", "ä", "a'or'1", &"x".repeat(65)] {
            assert_eq!(ConversationId::parse(bad).unwrap_err().kind(), ErrorKind::InvalidRequest, "{bad}");
        }
        assert_eq!(title_of(" When does\nthe  ferry\u{7} leave? "), "When does the ferry leave?");
        let long = title_of(&"word ".repeat(40));
        assert_eq!((long.chars().count(), long.chars().last()), (TITLE_CHARS, Some('…')));
    }
}
