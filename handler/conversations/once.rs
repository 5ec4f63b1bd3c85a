//! Doing once what is asked several times with the same `Idempotency-Key`. What enters is a key and the body it came with;
//! what leaves is leave to answer, or the answer that was given.
//! Header: <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{ConversationId, Conversations, PAGE, body, read};
use crate::chat::ChatEvent;
use crate::clock::{Clock, is_over};
use crate::deadline::{in_background, last_words};
use crate::document::{Principal, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::{Precondition, RecordStore};

/// How long an answer is given again.
const KEPT: Duration = Duration::from_secs(86_400);
/// Characters of a key.
const KEY_CHARS: usize = 255;

/// Answers by key.
#[derive(Clone, Debug)]
pub struct Once {
    records: Arc<dyn RecordStore>,
    clock: Clock,
    /// An answer that began longer ago is not coming any more: its process is gone.
    longest: TimeDelta,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    /// The hash of the body that the key came with.
    body: String,
    /// Whoever answers has until then.
    until: DateTime<Utc>,
    /// The answer, when it is whole.
    events: Option<Vec<ChatEvent>>,
    /// The turn of a conversation that it is.
    turn: Option<u32>,
    /// The conversation, so that the answer goes with it.
    #[serde(default)]
    conversation: Option<String>,
}

/// What to do with a request.
pub enum Asked {
    /// Answer it.
    First(Leave),
    /// Give this answer again, and say which turn of its conversation it is.
    Again(Vec<ChatEvent>, Option<u32>),
}

/// Leave to answer one request.
#[derive(Clone)]
pub struct Leave {
    once: Once,
    partition: String,
    id: String,
    kept: Kept,
    etag: String,
    is_over: bool,
}

impl Once {
    /// Keys in a record store; an answer may take `longest`.
    pub fn new(records: Arc<dyn RecordStore>, clock: Clock, longest: Duration) -> Self {
        Self { records, clock, longest: TimeDelta::from_std(longest).unwrap_or(TimeDelta::minutes(15)) }
    }

    /// Looks whether a request with this key has come before. `KeyInUse` while it is being answered, `KeyReused` when it came
    /// with another body. Its answer goes with the conversation that it belongs to, if any.
    pub async fn ask(
        &self,
        principal: &Principal,
        key: &str,
        body_bytes: &[u8],
        conversation: Option<&ConversationId>,
    ) -> Result<Asked> {
        if key.is_empty() || key.chars().count() > KEY_CHARS || !key.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            let sentence = "an Idempotency-Key has 1 to 255 printable ASCII characters";
            return Err(Error::new(ErrorKind::InvalidRequest, sentence));
        }
        let (partition, id) = (partition_of(principal), content_hash(key.as_bytes()));
        let hash = content_hash(body_bytes);
        let (mut precondition, mut turn) = (Precondition::IfAbsent, None);
        if let Some(record) = self.records.get(&partition, &id).await? {
            let etag = record.etag.clone();
            let kept: Kept = read(record)?;
            match kept.events {
                _ if kept.body != hash => return Err(reused()),
                Some(events) => return Ok(Asked::Again(events, kept.turn)),
                None if !is_over(kept.until, self.clock.now(), self.longest) => return Err(in_use()),
                // Whoever had the leave is gone, and the turn that was begun is this one's.
                None => (precondition, turn) = (Precondition::IfMatch(etag), kept.turn),
            }
        }
        let conversation = conversation.map(|id| id.as_str().to_owned());
        let kept = Kept { body: hash, until: self.clock.now() + self.longest, events: None, turn, conversation };
        match self.records.put(&partition, &id, &body(&kept)?, precondition, Some(KEPT)).await {
            Ok(etag) => Ok(Asked::First(Leave { once: self.clone(), partition, id, kept, etag, is_over: false })),
            Err(e) if e.kind() == ErrorKind::PreconditionFailed => Err(in_use()),
            Err(e) => Err(e),
        }
    }
}

impl Leave {
    /// The turn that was begun for this request before and that nobody has finished.
    pub fn begun(&self) -> Option<u32> {
        self.kept.turn
    }

    /// Notes which turn of its conversation the answer is, so that whoever tries again after us has the same one.
    pub async fn is_turn(&mut self, number: u32) -> Result<()> {
        self.kept.turn = Some(number);
        self.etag = self.put().await?;
        Ok(())
    }

    /// Passes an answer on and keeps it, which nobody waits for beyond the deadline. One that fails or is left gives the key free
    /// for the next try of the same request.
    pub fn record(
        mut self,
        answer: BoxStream<'static, Result<ChatEvent>>,
        deadline: Instant,
    ) -> BoxStream<'static, Result<ChatEvent>> {
        async_stream::stream! {
            let mut events = Vec::new();
            for await event in answer {
                if let Ok(event) = &event {
                    events.push(event.clone());
                }
                if matches!(&event, Ok(ChatEvent::Done(_))) {
                    last_words(deadline, self.keep(std::mem::take(&mut events))).await;
                } else if event.is_err() {
                    last_words(deadline, self.give_free()).await;
                }
                yield event;
            }
        }
        .boxed()
    }

    /// What has to be written of the answer; from now on the key belongs to it.
    fn keep(&mut self, events: Vec<ChatEvent>) -> impl Future<Output = ()> + Send + use<> {
        self.is_over = true;
        self.kept.events = Some(events);
        let leave = self.clone();
        async move {
            if let Err(e) = leave.put().await {
                tracing::warn!(error.code = e.kind().row().code, "an answer could not be kept under its key");
            }
        }
    }

    /// What has to be written to give the key free, unless somebody else has the leave by now.
    fn give_free(&mut self) -> impl Future<Output = ()> + Send + use<> {
        self.is_over = true;
        let until = std::mem::replace(&mut self.kept.until, self.once.clock.now());
        let mut leave = self.clone();
        async move {
            let given = leave.put().await;
            // Somebody who left while the turn was being noted never learnt of the record's new ETag.
            if given.is_err_and(|e| e.kind() == ErrorKind::PreconditionFailed) && leave.is_still_ours(until).await {
                let _given_free = leave.put().await;
            }
        }
    }

    /// Whether what is kept is what was written under this leave; then its turn and its ETag are taken over.
    async fn is_still_ours(&mut self, until: DateTime<Utc>) -> bool {
        let Ok(Some(record)) = self.once.records.get(&self.partition, &self.id).await else { return false };
        let etag = record.etag.clone();
        let Ok(kept) = read::<Kept>(record) else { return false };
        let is_ours = kept.body == self.kept.body && kept.until == until && kept.events.is_none();
        if is_ours {
            (self.kept.turn, self.etag) = (kept.turn, etag);
        }
        is_ours
    }

    async fn put(&self) -> Result<String> {
        let precondition = Precondition::IfMatch(self.etag.clone());
        self.once.records.put(&self.partition, &self.id, &body(&self.kept)?, precondition, Some(KEPT)).await
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if !self.is_over {
            in_background(self.give_free());
        }
    }
}

impl Conversations {
    /// Forgets the answers of a conversation that were kept for repeated requests.
    pub(super) async fn forget_answers(&self, principal: &Principal, conversation: &ConversationId) -> Result<()> {
        let (partition, mut after) = (partition_of(principal), None);
        loop {
            let page = self.records.list(&partition, after.as_deref(), PAGE).await?;
            for record in page.records {
                let id = record.id.clone();
                if read::<Kept>(record)?.conversation.as_deref() == Some(conversation.as_str()) {
                    self.records.delete(&partition, &id).await?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Where the keys of a person are.
pub(super) fn partition_of(principal: &Principal) -> String {
    format!("once/{}", principal.owner())
}

fn in_use() -> Error {
    Error::new(ErrorKind::KeyInUse, "a request with this Idempotency-Key is just being answered")
}

fn reused() -> Error {
    Error::new(ErrorKind::KeyReused, "this Idempotency-Key came with another body before")
}
