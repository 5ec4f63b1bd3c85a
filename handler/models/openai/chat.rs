//! Chat. What enters is a `ModelRequest`, what leaves is a stream of `ModelEvent`s or one classified error. Retries work
//! until the first chunk, and never after it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use tokio::time::sleep_until;
use tracing::warn;

use super::endpoint::Endpoint;
use super::events::{Chunks, chunks};
use super::failure::Failure;
use super::tool_calls::ToolCalls;
use super::transport::Transport;
use super::wire::{Chunk, RequestBody};
use super::{OpenAiSettings, ServerState};
use crate::error::Result;
use crate::models::{Finish, Message, ModelEvent, ModelRequest, Whole};

/// How often a call is tried before its first chunk, the first time included.
const ATTEMPTS: u32 = 3;

/// So many bytes of words are passed on at once; more of them come in parts.
const MANY_WORDS: usize = 4 << 10;

/// One chat model on one server. Opening it does nothing on the network and costs next to nothing.
pub struct OpenAiModel {
    transport: Transport,
    /// A server has refused a request because of its tools.
    refuses_tools: AtomicBool,
}

impl fmt::Debug for OpenAiModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenAiModel").field(&self.transport.settings).finish()
    }
}

impl OpenAiModel {
    /// Checks the settings. A key that no header can carry is `Misconfigured`.
    pub fn open(settings: OpenAiSettings) -> Result<Self> {
        Ok(Self { transport: Transport::open(settings)?, refuses_tools: AtomicBool::new(false) })
    }

    /// The model, or deployment, as the settings name it.
    pub fn name(&self) -> &str {
        &self.transport.settings.model
    }

    /// What is known of its servers.
    pub fn servers(&self) -> Vec<ServerState> {
        self.transport.servers()
    }

    /// Whether one of its servers lets us in. Costs nothing.
    pub async fn ping(&self) -> Result<()> {
        self.transport.ping().await
    }

    /// Asks, and reads the answer to its end.
    pub async fn whole(&self, request: ModelRequest) -> Result<Whole> {
        let mut events = std::pin::pin!(self.stream(request));
        let mut whole = Whole { text: String::new(), usage: None, finish: Finish::Truncated };
        while let Some(event) = events.next().await {
            match event? {
                ModelEvent::Text(words) => whole.text.push_str(&words),
                ModelEvent::Usage(usage) => whole.usage = Some(usage),
                ModelEvent::Finished(finish) => whole.finish = finish,
                // None were offered.
                ModelEvent::ToolCalls(_) => {}
            }
        }
        Ok(whole)
    }

    /// Asks, and passes on what comes. Dropping the stream closes the connection, which ends the model's work too; that of an
    /// answer which comes in one as soon as the server notices.
    pub fn stream(&self, request: ModelRequest) -> impl Stream<Item = Result<ModelEvent>> + Send + use<'_> {
        async_stream::try_stream! {
            let (deadline, may_call) = (request.deadline, request.may_call);
            let (first, mut rest) = self.begin(request).await?;
            // One timer for all of the answer, and not one for each chunk.
            let mut late = std::pin::pin!(sleep_until(deadline));
            let mut calls = ToolCalls::default();
            let mut finish = None;
            let mut next = Some(first);
            while let Some(mut chunk) = next {
                chunk.check()?;
                for words in parts(chunk.text()) {
                    yield ModelEvent::Text(words);
                }
                if let Some(usage) = chunk.usage() {
                    yield ModelEvent::Usage(usage);
                }
                if may_call {
                    calls.add(chunk.tool_calls()).map_err(Failure::into_error)?;
                }
                finish = chunk.finish().or(finish);
                let more = tokio::select! {
                    biased;
                    more = rest.next() => more.transpose(),
                    () = &mut late => Err(Failure::TooLate),
                };
                next = more.map_err(Failure::into_error)?;
            }
            let finish = finish.ok_or_else(|| Failure::Cut.into_error())?;
            // Calls that were cut off by the token limit are not what the model wanted.
            if finish == Finish::Complete && !calls.is_empty() {
                yield ModelEvent::ToolCalls(calls.finish());
            }
            yield ModelEvent::Finished(finish);
        }
    }

    /// The answer from its first chunk on. A server that refuses the request because of its tools is asked without them, now
    /// and from then on.
    async fn begin(&self, mut request: ModelRequest) -> Result<(Chunk, Chunks)> {
        if !self.takes_tools() {
            request.tools = Arc::default();
        }
        let refused = match self.send(&request).await {
            Ok(opened) => return Ok(opened),
            Err(failure) => failure,
        };
        let is_first_round = request.may_call && !request.messages.iter().any(|m| matches!(m, Message::Called { .. }));
        if request.tools.is_empty() || !is_first_round || !refused.refuses_the_input() {
            return Err(refused.into_error());
        }
        request.tools = Arc::default();
        let opened = self.send(&request).await.map_err(Failure::into_error)?;
        self.refuses_tools.store(true, Ordering::Relaxed);
        warn!(model = self.name(), "the model server refuses tools; it is asked without them");
        Ok(opened)
    }

    async fn send(&self, request: &ModelRequest) -> Result<(Chunk, Chunks), Failure> {
        self.transport.persist(ATTEMPTS, request.deadline, |endpoint| self.open_once(endpoint, request)).await
    }

    async fn open_once(&self, endpoint: Arc<Endpoint>, request: &ModelRequest) -> Result<(Chunk, Chunks), Failure> {
        // Only the first word tells soon that a server works: a whole answer may take all of the time.
        let is_streamed = request.is_streamed || self.transport.is_in_doubt();
        let body = RequestBody::new(&self.transport.settings, request, is_streamed);
        let unwritable = |_| Failure::Wrong("the request of a model cannot be written".to_owned());
        let body = Bytes::from(serde_json::to_vec(&body).map_err(unwritable)?);
        let response = self.transport.send(&endpoint, Method::POST, "/chat/completions", body).await?;
        let mut chunks = chunks(response, is_streamed);
        let first = chunks.next().await.ok_or(Failure::Cut)??;
        Ok((first, chunks))
    }

    /// Whether its servers take tools, as far as is known.
    pub fn takes_tools(&self) -> bool {
        !self.refuses_tools.load(Ordering::Relaxed)
    }
}

/// Words in parts that take no long time each on their way out.
fn parts(words: Option<String>) -> impl Iterator<Item = String> {
    let mut rest = words.filter(|words| !words.is_empty());
    std::iter::from_fn(move || {
        let mut words = rest.take()?;
        if words.len() > MANY_WORDS {
            rest = Some(words.split_off(words.floor_char_boundary(MANY_WORDS)));
        }
        Some(words)
    })
}
