//! From a decoded question to its answer, for every route that answers: the conversation it belongs to, and a key that makes a
//! repeated request the same request.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::Instant;

use super::audited;
use crate::access::budget::{Meter, Reservation, Unused};
use crate::app::App;
use crate::chat::answer::answer_until;
use crate::chat::{ChatEvent, ChatRequest};
use crate::conversations::ConversationId;
use crate::conversations::once::{Asked, Leave};
use crate::deadline::within;
use crate::dialects::{Decoded, Echo};
use crate::document::{DocumentId, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::host::invoke::guarded_stream;
use crate::ingest::ledger::State;
use crate::models::ChatModel;
use crate::tokens;

/// The header that makes repeated requests one.
pub const KEY_HEADER: &str = "idempotency-key";

/// The events of an answer.
pub type Events = BoxStream<'static, Result<ChatEvent>>;

/// A conversation, and the number of a turn in it.
pub type Named = Option<(String, u32)>;

/// Begins to answer. `body` is what came with the key, if one came.
pub async fn begin(
    app: &Arc<App>,
    principal: Principal,
    decoded: Decoded,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Echo, Events)> {
    let Decoded { request, conversation, mut echo } = decoded;
    let (turn, events) = begin_turn(app, principal, request, conversation, headers, body).await?;
    echo.turn = turn;
    Ok((echo, events))
}

/// The same for a request that is not of one of the dialects of `/api/chat`.
pub async fn begin_turn(
    app: &Arc<App>,
    principal: Principal,
    request: ChatRequest,
    conversation: Option<String>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Named, Events)> {
    if app.config.strict_input {
        request.question.refuse_scripts()?;
    }
    // One time for all of it: what is read and written before and after the answer is a part of it.
    let deadline = Instant::now() + app.config.answer_timeout;
    let by = principal.clone();
    let opening = open_turn(app, principal, request, conversation, headers, body, deadline);
    let (turn, events) = within(deadline, "the records", opening).await?;
    let events = audited::answer(app, &by, &turn, events, deadline);
    Ok((turn, events))
}

async fn open_turn(
    app: &Arc<App>,
    principal: Principal,
    mut request: ChatRequest,
    conversation: Option<String>,
    headers: &HeaderMap,
    body: &[u8],
    deadline: Instant,
) -> Result<(Named, Events)> {
    request.is_fresh = request.is_fresh || wants_fresh(headers);
    let conversation = conversation.filter(|_| app.conversations.are_kept());
    let conversation = conversation.as_deref().map(ConversationId::parse).transpose()?;
    let named = |turn: u32| conversation.as_ref().map(|id| (id.as_str().to_owned(), turn));
    let mut leave = match key(headers)? {
        None => None,
        Some(key) => match app.once.ask(&principal, key, body, conversation.as_ref()).await? {
            Asked::First(leave) => Some(leave),
            Asked::Again(events, turn) if may_be_shown(app, &principal, &events).await? => {
                return Ok((turn.and_then(named), stream::iter(events.into_iter().map(Ok)).boxed()));
            }
            // What it rested on is not for this caller any more, so it is made anew.
            Asked::Again(..) => None,
        },
    };
    let reserved = reserve(app, &principal, &request).await?;
    let Some(id) = &conversation else {
        let events = answered(app, principal, request, reserved, deadline);
        return Ok((None, kept(leave, events, deadline)));
    };
    let begun = match leave.as_ref().and_then(Leave::begun) {
        Some(turn) => app.conversations.resume(&principal, id, turn).await?,
        None => None,
    };
    let open = match begun {
        Some(open) => open,
        None => app.conversations.begin(&principal, id, request.question.as_str()).await?,
    };
    let turns = app.chat.settings.history_turns;
    let stored = app.conversations.history_before(&principal, id, open.number(), turns).await?;
    if !stored.is_empty() {
        request.history = stored;
    }
    let turn = named(open.number());
    if let Some(leave) = &mut leave {
        leave.is_turn(open.number()).await?;
    }
    let events = open.record(answered(app, principal, request, reserved, deadline), deadline);
    Ok((turn, kept(leave, events, deadline)))
}

/// Whether a caller may still read everything that an answer of before was made of.
async fn may_be_shown(app: &App, principal: &Principal, events: &[ChatEvent]) -> Result<bool> {
    let shown = events.iter().filter_map(ChatEvent::found).flat_map(|context| &context.passages);
    let documents: BTreeSet<&DocumentId> = shown.map(|cited| &cited.passage.document_id).collect();
    for document in documents {
        let row = app.ingest.ledger.get(document).await?;
        if row.is_none_or(|row| row.state == State::Deleted || !principal.may_read(&row.readers)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sets the tokens of an answer aside, where a model is paid and callers have a budget.
async fn reserve(app: &App, principal: &Principal, request: &ChatRequest) -> Result<Option<(Unused, TokenMeter)>> {
    let (Some(budget), ChatModel::OpenAi(_)) = (&app.budget, &app.chat.model) else { return Ok(None) };
    let meter = TokenMeter::of(app, request);
    Ok(Some((budget.reserve(principal, meter.most).await?.into(), meter)))
}

/// The same for an answer that is made elsewhere; whoever asks for it says what it came to.
pub(super) async fn reserve_for(
    app: &App,
    principal: &Principal,
    request: &ChatRequest,
) -> Result<Option<Reservation>> {
    Ok(reserve(app, principal, request).await?.and_then(|(unused, _)| unused.begin()))
}

/// An answer that is paid from what was set aside for it.
fn answered(
    app: &App,
    principal: Principal,
    request: ChatRequest,
    reserved: Option<(Unused, TokenMeter)>,
    deadline: Instant,
) -> Events {
    let events = guarded_stream(answer_until(deadline, Arc::clone(&app.chat), principal, request));
    match reserved.and_then(|(unused, meter)| Some((unused.begin()?, meter))) {
        Some((reservation, meter)) => reservation.record(events, meter, deadline),
        None => events,
    }
}

/// What an answer costs: what the model says it does, else an estimate of what went there and what came back. Of an answer that
/// comes as a whole nothing is seen before all of it is there, so whoever leaves before pays for the longest.
struct TokenMeter {
    most: u64,
    prompt: u64,
    unseen: u64,
    said: u64,
    told: Option<u64>,
    is_at_work: bool,
}

impl TokenMeter {
    fn of(app: &App, request: &ChatRequest) -> Self {
        let settings = &app.chat.settings;
        let passages = request.passages.unwrap_or(settings.passages) * app.config.ingest.chunk.tokens;
        let prompt = tokens::estimate(request.question.as_str()) + settings.history_tokens + passages;
        let prompt = u64::try_from(prompt).unwrap_or(u64::MAX);
        // A call has room for so much, and each round of tools is another call.
        let call = settings.context_tokens as u64 + u64::from(settings.max_answer_tokens);
        let most = call * (1 + settings.tool_rounds as u64);
        let unseen = if request.is_streamed { 0 } else { u64::from(settings.max_answer_tokens) };
        Self { most, prompt, unseen, said: 0, told: None, is_at_work: false }
    }
}

impl Meter<Result<ChatEvent>> for TokenMeter {
    fn look(&mut self, event: &Result<ChatEvent>) {
        match event {
            // From here on the model is asked.
            Ok(ChatEvent::Context(_)) => self.is_at_work = true,
            Ok(ChatEvent::Text(text)) => self.said += u64::try_from(tokens::estimate(text)).unwrap_or_default(),
            Ok(ChatEvent::Usage(spent)) => {
                self.told = Some(u64::from(spent.prompt_tokens) + u64::from(spent.completion_tokens));
            }
            Ok(ChatEvent::Done(_)) => self.is_at_work = false,
            // It may have been at work until then; any other failure is its own, or that of a server which is not there.
            Err(e) if e.kind() != ErrorKind::DeadlineExceeded => self.is_at_work = false,
            _ => {}
        }
    }

    fn spent(&self) -> u64 {
        match self.told {
            Some(tokens) => tokens,
            None if self.said > 0 => self.prompt + self.said,
            None if self.is_at_work => self.prompt + self.unseen,
            None => 0,
        }
    }
}

/// Whether the caller wants no answer of a moment ago, as RFC 9111 has it for a request.
fn wants_fresh(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(','));
    directives.any(|directive| matches!(directive.trim().to_ascii_lowercase().as_str(), "no-cache" | "no-store"))
}

fn kept(leave: Option<Leave>, events: Events, deadline: Instant) -> Events {
    match leave {
        Some(leave) => leave.record(events, deadline),
        None => events,
    }
}

fn key(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    let unfit = |_| Error::new(ErrorKind::InvalidRequest, "the Idempotency-Key is not printable ASCII");
    value.to_str().map(Some).map_err(unfit)
}
