//! Chat models behind the OpenAI protocol: Azure OpenAI, or any compatible server. What enters is a `ModelRequest`, what
//! leaves is a stream of `ModelEvent`s or one classified error; what the server wrote in a failure stays here and is
//! never logged. One bounded layer of retries works until the first chunk, and never after it.

mod endpoint;
mod failure;
mod wire;

use std::fmt;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use async_openai::Client;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::stream::StreamResponse;
use futures_util::{Stream, StreamExt};
use secrecy::SecretString;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use self::endpoint::Endpoint;
use self::failure::{Failure, Refusal};
use self::wire::{Chunk, RequestBody};
use crate::error::{Error, ErrorKind, Result};
use crate::models::{ModelEvent, ModelRequest};

/// How often a call is tried before its first chunk, the first time included.
const ATTEMPTS: u32 = 3;

/// The wait before the second attempt when the server names none; it doubles from there.
const BACKOFF: Duration = Duration::from_millis(250);

/// Which form of the protocol a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Azure OpenAI: the key travels in `api-key`, the model is the name of a deployment.
    Azure,
    /// OpenAI itself or a server with its interface: the key is a bearer token.
    Compatible,
}

/// Where the chat model is and how to call it.
#[derive(Clone)]
pub struct OpenAiSettings {
    /// The server: `https://name.openai.azure.com`, or `http://localhost:11434/v1`. A compatible server's address without
    /// a path gets `/v1`.
    pub endpoint: Url,
    /// The key; servers on the own machine often need none.
    pub api_key: Option<SecretString>,
    /// The model; for Azure the deployment.
    pub model: String,
    /// Which form of the protocol the server speaks.
    pub kind: ServerKind,
    /// For Azure: the dated version of the classic interface. Without one the undated `/openai/v1` is called.
    pub api_version: Option<String>,
    /// How freely the model words its answers. Models that reason refuse any value, so `None` sends none.
    pub temperature: Option<f32>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
}

impl fmt::Debug for OpenAiSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiSettings")
            .field("host", &self.endpoint.host_str())
            .field("model", &self.model)
            .field("kind", &self.kind)
            .field("api_version", &self.api_version)
            .finish_non_exhaustive()
    }
}

/// One chat model on one server. Opening it does nothing on the network and costs next to nothing.
pub struct OpenAiModel {
    settings: OpenAiSettings,
    endpoint: Endpoint,
    // Made with the first request: reading the machine's certificates is too slow for the start of the process.
    client: OnceLock<Client<Endpoint>>,
}

impl fmt::Debug for OpenAiModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenAiModel").field(&self.settings).finish()
    }
}

impl OpenAiModel {
    /// Checks the settings. A key that no header can carry is `Misconfigured`.
    pub fn open(settings: OpenAiSettings) -> Result<Self> {
        let endpoint = Endpoint::from_settings(&settings)?;
        Ok(Self { settings, endpoint, client: OnceLock::new() })
    }

    /// The model, or deployment, as the settings name it.
    pub fn name(&self) -> &str {
        &self.settings.model
    }

    /// Asks, and passes on what comes. Dropping the stream closes the connection, which ends the model's work too.
    pub fn stream(&self, request: ModelRequest) -> impl Stream<Item = Result<ModelEvent>> + Send + use<'_> {
        async_stream::try_stream! {
            let deadline = request.deadline;
            let body = RequestBody::new(&self.settings, &request);
            let (first, mut rest) = self.open_stream(&body, deadline).await?;
            let mut finish = None;
            let mut next = Some(first);
            while let Some(chunk) = next {
                chunk.check()?;
                if let Some(text) = chunk.text() {
                    yield ModelEvent::Text(text);
                }
                if let Some(usage) = chunk.usage() {
                    yield ModelEvent::Usage(usage);
                }
                finish = chunk.finish().or(finish);
                next = before(deadline, rest.next()).await?.transpose().map_err(|e| Failure::from(e).into_error())?;
            }
            yield ModelEvent::Finished(finish.ok_or_else(|| Failure::Cut.into_error())?);
        }
    }

    /// The stream up to its first chunk, with retries.
    async fn open_stream(&self, body: &RequestBody, deadline: Instant) -> Result<(Chunk, StreamResponse<Chunk>)> {
        let client = self.client()?;
        let mut attempt = 1;
        loop {
            let failure = match before(deadline, open_once(client, body)).await? {
                Ok(opened) => return Ok(opened),
                Err(failure) => failure,
            };
            let wait = failure.retry_after().unwrap_or(BACKOFF * 2_u32.pow(attempt - 1));
            let wait = wait.mul_f64(1.0 + jitter());
            let has_time = Instant::now() + wait < deadline;
            if attempt == ATTEMPTS || !failure.is_passing() || !has_time {
                return Err(failure.into_error());
            }
            tracing::warn!(attempt, wait_ms = wait.as_millis() as u64, cause = %failure, "asking the model again");
            sleep(wait).await;
            attempt += 1;
        }
    }

    fn client(&self) -> Result<&Client<Endpoint>> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(self.settings.connect_timeout)
            // A redirect could carry the key and the passages to another server.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Misconfigured, "the client of the model server cannot be made").caused_by(e)
            })?;
        // The library retries on its own unless it is given a service, and would log the body of a failure.
        let for_service = http.clone();
        let service = tower::service_fn(move |factory: HttpRequestFactory| call(for_service.clone(), factory));
        let client = Client::build(http, self.endpoint.clone()).with_http_service(service);
        Ok(self.client.get_or_init(|| client))
    }
}

/// Sends one request. An answer other than success becomes a `Refusal` before the library reads it.
async fn call(http: reqwest::Client, factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
    let request = factory.build().await?;
    let response = http.execute(request).await.map_err(OpenAIError::Reqwest)?;
    if response.status().is_success() {
        return Ok(response);
    }
    Err(OpenAIError::Boxed(Box::new(Refusal::read(response).await)))
}

async fn open_once(client: &Client<Endpoint>, body: &RequestBody) -> Result<(Chunk, StreamResponse<Chunk>), Failure> {
    let mut stream: StreamResponse<Chunk> = client.chat().create_stream_byot(body).await?;
    let first = stream.next().await.ok_or(Failure::Cut)??;
    Ok((first, stream))
}

async fn before<F: Future>(deadline: Instant, work: F) -> Result<F::Output> {
    let too_late = |_| Error::new(ErrorKind::DeadlineExceeded, "the model did not answer in time");
    timeout_at(deadline, work).await.map_err(too_late)
}

/// A share of the wait to add, up to a quarter, so that callers refused together do not come back together.
fn jitter() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 1024.0
}
