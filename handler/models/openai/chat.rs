//! Chat. What enters is a `ModelRequest`, what leaves is a stream of `ModelEvent`s or one classified error. Retries work
//! until the first chunk, and never after it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_openai::Client;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::stream::StreamResponse;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout_at;
use tracing::warn;

use super::endpoint::Endpoint;
use super::failure::{Failure, Refusal};
use super::tool_calls::ToolCalls;
use super::transport::Transport;
use super::wire::{Chunk, RequestBody};
use super::{OpenAiSettings, ServerState};
use crate::error::Result;
use crate::models::{Finish, Message, ModelEvent, ModelRequest, Whole};
use crate::telemetry::calls;

/// How often a call is tried before its first chunk, the first time included.
const ATTEMPTS: u32 = 3;

/// A longer answer is not one. Those that come as they are made tell no length, and end with the deadline.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

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

    /// Asks, and passes on what comes. Dropping the stream closes the connection, which ends the model's work too.
    pub fn stream(&self, request: ModelRequest) -> impl Stream<Item = Result<ModelEvent>> + Send + use<'_> {
        async_stream::try_stream! {
            let (deadline, may_call) = (request.deadline, request.may_call);
            let (first, mut rest) = self.begin(request).await?;
            let mut calls = ToolCalls::default();
            let mut finish = None;
            let mut next = Some(first);
            while let Some(mut chunk) = next {
                chunk.check()?;
                if let Some(text) = chunk.text() {
                    yield ModelEvent::Text(text);
                }
                if let Some(usage) = chunk.usage() {
                    yield ModelEvent::Usage(usage);
                }
                if may_call {
                    calls.add(chunk.tool_calls()).map_err(Failure::into_error)?;
                }
                finish = chunk.finish().or(finish);
                let more = timeout_at(deadline, rest.next()).await.map_err(|_| Failure::TooLate.into_error())?;
                next = more.transpose().map_err(|e| Failure::from(e).into_error())?;
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
    async fn begin(&self, mut request: ModelRequest) -> Result<(Chunk, StreamResponse<Chunk>)> {
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

    async fn send(&self, request: &ModelRequest) -> Result<(Chunk, StreamResponse<Chunk>), Failure> {
        let body = RequestBody::new(&self.transport.settings, request);
        let unusable = |_| Failure::Wrong("the client of the model server cannot be made".to_owned());
        let http = self.transport.http().map_err(unusable)?;
        self.transport.persist(ATTEMPTS, request.deadline, |endpoint| open_once(http, endpoint, &body)).await
    }

    /// Whether its servers take tools, as far as is known.
    pub fn takes_tools(&self) -> bool {
        !self.refuses_tools.load(Ordering::Relaxed)
    }
}

/// Sends one request. An answer other than success becomes a `Refusal` before the library reads it.
async fn call(
    http: reqwest::Client,
    endpoint: Arc<Endpoint>,
    factory: HttpRequestFactory,
) -> Result<reqwest::Response, OpenAIError> {
    let mut request = factory.build().await?;
    let ours = |failure: Failure| OpenAIError::Boxed(Box::new(failure));
    endpoint.authorize(request.headers_mut()).await.map_err(ours)?;
    calls::trying(request.url().as_str());
    let response = http.execute(request).await.map_err(OpenAIError::Reqwest)?;
    calls::answered(response.status().as_u16());
    if response.content_length().is_some_and(|length| length > MAX_ANSWER_BYTES) {
        return Err(ours(Failure::NotUnderstood));
    }
    if response.status().is_success() {
        return Ok(response);
    }
    Err(ours(Failure::Refused(Refusal::read(response).await)))
}

async fn open_once(
    http: &reqwest::Client,
    endpoint: Arc<Endpoint>,
    body: &RequestBody,
) -> Result<(Chunk, StreamResponse<Chunk>), Failure> {
    let (for_service, config) = (http.clone(), (*endpoint).clone());
    // The library retries on its own unless it is given a service, and would log the body of a failure.
    let service = tower::service_fn(move |factory| call(for_service.clone(), Arc::clone(&endpoint), factory));
    let client = Client::build(http.clone(), config).with_http_service(service);
    let mut stream: StreamResponse<Chunk> = client.chat().create_stream_byot(body).await?;
    let first = stream.next().await.ok_or(Failure::Cut)??;
    Ok((first, stream))
}
