//! Requests to the search service: one address, one version of its interface, time limits, and a bounded number of
//! retries that wait as long as the service asks. Enters: a call. Leaves: its answer, or an error that quotes nothing
//! of the service's words, because those may quote a document or a question.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::authorization::Authorization;
use crate::breaker::{Breaker, chance, spread};
use crate::error::{Error, ErrorKind, Result};
use crate::reason::Reason;
use crate::telemetry::calls;

/// The published version of the interface. Preview features are never sent.
pub const API_VERSION: &str = "2026-04-01";
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a call is tried, the first time included.
const ATTEMPTS: u32 = 3;
/// The wait before the second attempt when the service names none; it doubles from there.
const BACKOFF: Duration = Duration::from_millis(200);
/// The most of an answer that is read. A page of a thousand passages has a few megabytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What is asked of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
    Post,
    Delete,
}

/// When a change may happen.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Whatever is there.
    Always,
    /// Only if nothing is there.
    IfAbsent,
    /// Only if this ETag is there.
    IfMatch(String),
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub verb: Verb,
    /// Path with query, without the version of the interface: `indexes('a')/docs/search.index`.
    pub path: String,
    pub body: Option<Bytes>,
    pub condition: Condition,
    /// How long it may take with all its attempts.
    pub patience: Duration,
}

/// How long a question may take.
pub(super) const READING: Duration = Duration::from_secs(20);
/// How long a change may take.
pub(super) const WRITING: Duration = Duration::from_secs(90);

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// The way to one service.
pub(super) struct Client {
    endpoint: Url,
    authorization: Authorization,
    breaker: Breaker,
    // Made with the first request: reading the machine's certificates is too slow for the start of the process.
    http: OnceLock<reqwest::Client>,
}

/// Why an attempt brought no answer to act on.
enum Failure {
    Busy {
        status: u16,
        retry_after: Option<Duration>,
    },
    Unreachable(reqwest::Error),
    TooSlow,
    TooLarge,
    /// It failed again and again a moment ago, so it was not called.
    LeftAlone,
}

/// Why a call brought no answer.
enum Unanswered {
    Service(Failure),
    /// Nothing that the service has to do with.
    Ours(Error),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.endpoint.host_str()).finish_non_exhaustive()
    }
}

impl Call {
    pub(super) fn get(path: String) -> Self {
        Self { verb: Verb::Get, path, body: None, condition: Condition::Always, patience: READING }
    }

    /// A question in the body of a POST.
    pub(super) fn ask(path: String, body: &Value) -> Self {
        Self { verb: Verb::Post, path, body: Some(json(body)), condition: Condition::Always, patience: READING }
    }

    /// A definition to store.
    pub(super) fn put(path: String, body: &Value, condition: Condition) -> Self {
        Self { verb: Verb::Put, path, body: Some(json(body)), condition, patience: WRITING }
    }

    pub(super) fn delete(path: String) -> Self {
        Self { verb: Verb::Delete, path, body: None, condition: Condition::Always, patience: WRITING }
    }

    /// What is done, in a word for traces. The path itself holds names and filters.
    fn operation(&self) -> &'static str {
        let resource = self.path.split('?').next().unwrap_or_default();
        match self.verb {
            Verb::Post if resource.ends_with("/docs/search.post.search") => "query",
            Verb::Post if resource.ends_with("/docs/search.index") => "index",
            Verb::Get => "get",
            Verb::Put => "put",
            Verb::Post => "post",
            Verb::Delete => "delete",
        }
    }
}

fn json(body: &Value) -> Bytes {
    Bytes::from(body.to_string())
}

impl Answer {
    /// The body of a status that was hoped for; any other is an error.
    pub(super) fn json(&self, hoped_for: &[u16]) -> Result<Value> {
        if !hoped_for.contains(&self.status) {
            return Err(self.refusal());
        }
        serde_json::from_slice(&self.body).map_err(|e| {
            let sentence = "the search service sent something that is not JSON";
            Error::new(ErrorKind::StoreUnavailable, sentence).caused_by(e)
        })
    }

    /// The status as an error.
    pub(super) fn refusal(&self) -> Error {
        let (kind, sentence) = match self.status {
            401 | 403 => {
                (ErrorKind::Misconfigured, "the search service does not accept this program's key or identity")
            }
            404 => (ErrorKind::StoreUnavailable, "the search service does not know the index"),
            409 | 412 => (ErrorKind::PreconditionFailed, "somebody else changed the index definition first"),
            429 => (ErrorKind::StoreUnavailable, "the search service takes no more rows or requests"),
            _ => (ErrorKind::StoreUnavailable, "the search service refused a request"),
        };
        let reason = Reason::of_status(self.status);
        Error::new(kind, sentence).because(reason).caused_by(format!("status {}, {}", self.status, self.code()))
    }

    /// The code of a refusal; of the service's words nothing else is kept.
    fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let code = body["error"]["code"].as_str().unwrap_or("no code");
        code.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '-')).take(60).collect()
    }
}

impl Client {
    pub(super) fn new(endpoint: Url, authorization: Authorization) -> Self {
        Self { endpoint, authorization, breaker: Breaker::default(), http: OnceLock::new() }
    }

    /// Sends a call until there is an answer other than "busy", or patience ends. A lost connection and 408, 429, 500,
    /// 502, 503, 504 are tried again: every call of ours may be repeated without harm.
    /// After too many failures the service is left alone for a moment.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer> {
        let persisted = self.breaker.call(self.persist(call), Unanswered::is_of_the_service);
        let sent = async {
            persisted.await.unwrap_or(Err(Unanswered::Service(Failure::LeftAlone))).map_err(|unanswered| {
                match unanswered {
                    Unanswered::Service(failure) => failure.into_error(),
                    Unanswered::Ours(error) => error,
                }
            })
        };
        calls::outside("search", call.operation()).run(sent).await
    }

    async fn persist(&self, call: &Call) -> Result<Answer, Unanswered> {
        let deadline = Instant::now() + call.patience;
        let mut attempt = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let failure = match timeout(left, self.attempt(call)).await {
                Ok(Ok(Ok(answer))) => return Ok(answer),
                Ok(Ok(Err(failure))) => failure,
                Ok(Err(error)) => return Err(Unanswered::Ours(error)),
                Err(_) => Failure::TooSlow,
            };
            let wait = failure.wait(attempt);
            let is_last = attempt == ATTEMPTS || matches!(failure, Failure::TooLarge);
            if is_last || wait >= deadline.saturating_duration_since(Instant::now()) {
                return Err(Unanswered::Service(failure));
            }
            let wait_ms = wait.as_millis() as u64;
            tracing::debug!(attempt, wait_ms, cause = %failure, "asking the search service again");
            sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Result<Answer, Failure>> {
        let (http, headers) = (self.http()?, self.headers(call).await?);
        let separator = if call.path.contains('?') { '&' } else { '?' };
        let base = self.endpoint.as_str().trim_end_matches('/');
        let address = format!("{base}/{}{separator}api-version={API_VERSION}", call.path);
        calls::trying(&address);
        let request = match call.verb {
            Verb::Get => http.get(address),
            Verb::Put => http.put(address),
            Verb::Post => http.post(address),
            Verb::Delete => http.delete(address),
        };
        let request = request.headers(headers).body(call.body.clone().unwrap_or_default());
        let response = match request.send().await {
            Ok(response) => response,
            Err(e) => return Ok(Err(Failure::Unreachable(e.without_url()))),
        };
        let status = response.status().as_u16();
        calls::answered(status);
        if matches!(status, 408 | 429 | 500 | 502 | 503 | 504) {
            return Ok(Err(Failure::Busy { status, retry_after: retry_after(response.headers()) }));
        }
        Ok(read(response).await.map(|body| Answer { status, body }))
    }

    async fn headers(&self, call: &Call) -> Result<HeaderMap> {
        let proof = self.authorization.proof().await?;
        let unfit = |_| {
            Error::new(
                ErrorKind::Misconfigured,
                "the key or token for the search service holds characters that no header can carry",
            )
        };
        let mut value = HeaderValue::from_str(proof.value.expose_secret()).map_err(unfit)?;
        value.set_sensitive(true);
        let mut headers = HeaderMap::from_iter([
            (HeaderName::from_static(proof.name), value),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ]);
        if let Some(Ok(traceparent)) = calls::traceparent().map(HeaderValue::try_from) {
            headers.insert("traceparent", traceparent);
        }
        if call.verb == Verb::Put {
            headers.insert("prefer", HeaderValue::from_static("return=representation"));
        }
        match &call.condition {
            Condition::Always => {}
            Condition::IfAbsent => drop(headers.insert("if-none-match", HeaderValue::from_static("*"))),
            Condition::IfMatch(etag) => {
                let unfit =
                    |e| Error::new(ErrorKind::StoreUnavailable, "the search service sent a bad ETag").caused_by(e);
                headers.insert("if-match", HeaderValue::from_str(etag).map_err(|e| unfit(e.to_string()))?);
            }
        }
        Ok(headers)
    }

    fn http(&self) -> Result<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect could carry the key and the passages to another server.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Misconfigured, "the client of the search service cannot be made").caused_by(e)
            })?;
        Ok(self.http.get_or_init(|| http))
    }
}

/// Reads a body to its end, but not without bounds.
async fn read(mut response: reqwest::Response) -> Result<Bytes, Failure> {
    if response.content_length().is_some_and(|length| length > MAX_ANSWER_BYTES as u64) {
        return Err(Failure::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|e| Failure::Unreachable(e.without_url()))? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}

impl Unanswered {
    /// Whether it shows that the service does not work, whatever it is asked.
    fn is_of_the_service(&self) -> bool {
        match self {
            Self::Service(Failure::Busy { status, .. }) => *status != 429,
            Self::Service(Failure::Unreachable(_) | Failure::TooSlow | Failure::TooLarge) => true,
            Self::Service(Failure::LeftAlone) | Self::Ours(_) => false,
        }
    }
}

impl Failure {
    fn wait(&self, attempt: u32) -> Duration {
        match self {
            // Those who were refused for being too many must not come back together.
            Self::Busy { retry_after: Some(wait), .. } => spread(*wait),
            _ => backoff(attempt - 1),
        }
    }

    fn into_error(self) -> Error {
        let unavailable = |sentence: &str| Error::new(ErrorKind::StoreUnavailable, sentence);
        match self {
            Self::Busy { status, .. } => {
                let error = unavailable("the search service is busy").because(Reason::of_status(status));
                error.caused_by(format!("status {status}"))
            }
            Self::Unreachable(cause) => {
                let reason = Reason::of_network(&cause);
                unavailable("the search service cannot be reached").because(reason).caused_by(cause)
            }
            Self::TooSlow => unavailable("the search service did not answer in time").because(Reason::TooSlow),
            Self::TooLarge => unavailable("the search service sent more than any answer holds"),
            Self::LeftAlone => unavailable("the search service does not work at the moment").because(Reason::Failed),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { status, .. } => write!(f, "status {status}"),
            Self::Unreachable(_) => f.write_str("unreachable"),
            Self::TooSlow => f.write_str("too slow"),
            Self::TooLarge => f.write_str("too large"),
            Self::LeftAlone => f.write_str("left alone"),
        }
    }
}

/// A wait and up to a quarter of it, so that callers refused together do not come back together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + chance() / 4.0)
}

/// The wait before a further try at what was refused row by row.
pub(super) fn backoff(attempt: u32) -> Duration {
    jittered(BACKOFF * 2_u32.pow(attempt.min(6)))
}

/// The wait that the service asks for, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let raw = text(RETRY_AFTER)?;
    if let Ok(seconds) = raw.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    // A date is measured against the service's own clock, so that ours need not be right.
    let until = chrono::DateTime::parse_from_rfc2822(raw).ok()?;
    let now = chrono::DateTime::parse_from_rfc2822(text(DATE)?).ok()?;
    Some((until - now).to_std().unwrap_or(Duration::ZERO))
}
