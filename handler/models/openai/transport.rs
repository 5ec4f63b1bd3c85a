//! One way to call a model server, for chat, for embeddings and for reranking: one connection pool, one bounded layer of retries, one
//! deadline. What enters are calls, what leaves are their answers or one classified error.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use async_openai::config::Config;
use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::OpenAiSettings;
use super::endpoint::Endpoint;
use super::failure::{Failure, Refusal};
use crate::error::{Error, ErrorKind, Result};

/// The wait before the second attempt when the server names none; it doubles from there.
const BACKOFF: Duration = Duration::from_millis(250);

/// A model server that can be called. Opening it does nothing on the network and costs next to nothing.
pub(in crate::models) struct Transport {
    pub(in crate::models) settings: OpenAiSettings,
    pub(super) endpoint: Endpoint,
    // Made with the first request: reading the machine's certificates is too slow for the start of the process.
    http: OnceLock<reqwest::Client>,
}

impl Transport {
    /// Checks the settings. A key that no header can carry is `Misconfigured`.
    pub(in crate::models) fn open(settings: OpenAiSettings) -> Result<Self> {
        let endpoint = Endpoint::from_settings(&settings)?;
        Ok(Self { settings, endpoint, http: OnceLock::new() })
    }

    /// The connections.
    pub(super) fn http(&self) -> Result<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(self.settings.connect_timeout)
            // A redirect could carry the key and the passages to another server.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Misconfigured, "the client of the model server cannot be made").caused_by(e)
            })?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Makes a call until it succeeds, at most `attempts` times and never beyond `deadline`. Only what may pass is tried
    /// again, after the wait that the server asks for.
    pub(in crate::models) async fn persist<T, F>(
        &self,
        attempts: u32,
        deadline: Instant,
        call: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut attempt = 1;
        loop {
            let failure = match timeout_at(deadline, call()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(Failure::TooLate),
            };
            let wait = failure.retry_after().unwrap_or(BACKOFF * 2_u32.pow(attempt - 1));
            let wait = wait.mul_f64(1.0 + jitter());
            let has_time = Instant::now() + wait < deadline;
            if attempt == attempts || !failure.is_passing() || !has_time {
                return Err(failure);
            }
            tracing::warn!(attempt, wait_ms = wait.as_millis() as u64, cause = %failure, "asking the model again");
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// Posts JSON and reads the whole answer, which may have `max_bytes`.
    pub(in crate::models) async fn post(
        &self,
        path: &str,
        body: Vec<u8>,
        max_bytes: usize,
    ) -> Result<Vec<u8>, Failure> {
        let unusable = || Failure::Wrong("the address of the model server cannot be used".to_owned());
        let mut url = Url::parse(&self.endpoint.url(path)).map_err(|_| unusable())?;
        for (name, value) in self.endpoint.query() {
            url.query_pairs_mut().append_pair(name, value);
        }
        let request = self.http().map_err(|_| unusable())?.post(url).headers(self.endpoint.headers());
        let sent = request.header(CONTENT_TYPE, "application/json").body(body).send().await;
        let mut response = sent.map_err(Failure::Unreachable)?;
        if !response.status().is_success() {
            return Err(Failure::Refused(Refusal::read(response).await));
        }
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|_| Failure::Cut)? {
            if answer.len() + piece.len() > max_bytes {
                return Err(Failure::Wrong(format!("the model server's answer has more than {max_bytes} bytes")));
            }
            answer.extend_from_slice(&piece);
        }
        Ok(answer)
    }
}

/// A share of the wait to add, up to a quarter, so that callers refused together do not come back together.
fn jitter() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 1024.0
}
