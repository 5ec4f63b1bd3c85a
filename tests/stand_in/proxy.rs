//! Proxying: an HTTP request goes to the handler as it is, and the answer comes back byte by byte; nothing is gathered.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, request};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::task::AbortHandle;

use super::host::Host;
use super::invoke::timeout_text;
use super::log::{Invocation, Outcome};
use super::wire::{self, Connection, HOST_VERSION};

/// The host's limit on a request body.
pub const BODY_LIMIT: usize = 100 * 1024 * 1024;
/// The forwarder gives up on a side that says nothing for so long.
const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(240);
/// Tries at a handler that is down, and the pauses between them.
const TRIES: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Headers that concern one connection only.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Passes `request` on for `function`.
pub async fn forward(host: Arc<Host>, function: &str, request: Request<Body>) -> Response<Body> {
    let subject = format!("{} {}", request.method(), request.uri().path());
    let mut open = OpenInvocation::begin(&host, function, &subject);
    if let Err(error) = host.process.ready().await {
        return open.fail(&format!("{error:#}"));
    }
    let (head, body) = request.into_parts();
    let headers = outgoing_headers(&head, &open.invocation.invocation_id);
    match try_send(&host, &head, headers, body).await {
        Ok((response, connection)) => answer(open, response, connection),
        Err(error) if is_over_limit(&error) => open.refuse(StatusCode::PAYLOAD_TOO_LARGE, "request body too large"),
        Err(error) => open.fail(&format!("failed to proxy the request: {error}")),
    }
}

/// A handler that is down is tried again; so is one that dies under a request without a body. A body cannot be sent twice.
async fn try_send(
    host: &Host,
    head: &request::Parts,
    headers: HeaderMap,
    body: Body,
) -> Result<(Response<Incoming>, Connection), BoxError> {
    let repeatable = body.is_end_stream();
    let mut body = Some(Body::new(Limited::new(body, BODY_LIMIT)));
    let mut pause = FIRST_PAUSE;
    let mut tried = 1;
    loop {
        let error: BoxError = match wire::connect(host.process.port).await {
            Err(error) => error.into(),
            Ok(stream) => {
                let body = body.take().unwrap_or_default();
                let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
                let mut outgoing = Request::builder().method(head.method.clone()).uri(path).body(body)?;
                *outgoing.headers_mut() = headers.clone();
                match wire::send(stream, outgoing).await {
                    Ok(answered) => return Ok(answered),
                    Err(error) if !repeatable => return Err(error.into()),
                    Err(error) => error.into(),
                }
            }
        };
        if tried == TRIES {
            return Err(error);
        }
        tried += 1;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Every header as it came, Host and keys included (fact 14: keys are checked, not stripped), and three of the host's own.
fn outgoing_headers(head: &request::Parts, invocation_id: &str) -> HeaderMap {
    let mut headers = without_hop_by_hop(&head.headers);
    let id = HeaderValue::from_str(invocation_id).expect("a UUID is a header value");
    headers.insert("x-azure-functions-hostversion", HeaderValue::from_static(HOST_VERSION));
    headers.insert("x-azure-functions-invocationid", id.clone());
    headers.insert("x-ms-invocation-id", id);
    headers
}

/// Streams the answer. A 5xx is passed on and counts as success (fact 12).
fn answer(mut open: OpenInvocation, response: Response<Incoming>, connection: Connection) -> Response<Body> {
    let (head, mut incoming) = response.into_parts();
    open.invocation.status = Some(head.status.as_u16());
    let body = if incoming.is_end_stream() {
        open.finish(Outcome::Succeeded);
        Body::empty()
    } else {
        Body::from_stream(async_stream::stream! {
            // Dropped with the stream when the client goes away: that cuts the handler's connection too.
            let _connection = connection;
            let mut open = open;
            loop {
                let error: BoxError = match tokio::time::timeout(ACTIVITY_TIMEOUT, incoming.frame()).await {
                    Ok(None) => return open.finish(Outcome::Succeeded),
                    Ok(Some(Ok(frame))) => {
                        // With a known length the last byte is the end; the server does not ask for more.
                        if incoming.is_end_stream() {
                            open.finish(Outcome::Succeeded);
                        }
                        if let Ok(data) = frame.into_data() {
                            yield Ok::<Bytes, BoxError>(data);
                        }
                        continue;
                    }
                    Ok(Some(Err(error))) => error.into(),
                    Err(_) => "the handler sent nothing for 240 seconds".into(),
                };
                open.finish(Outcome::Failed(format!("the answer broke off: {error}")));
                yield Err(error);
                return;
            }
        })
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = head.status;
    *answer.headers_mut() = without_hop_by_hop(&head.headers);
    answer
}

/// A copy without what belongs to one connection, including whatever `Connection` itself names.
pub fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let stays =
        |name: &HeaderName| !HOP_BY_HOP.contains(&name.as_str()) && !named.iter().any(|one| one == name.as_str());
    headers.iter().filter(|(name, _)| stays(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn is_over_limit(error: &BoxError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(current) = cause {
        if current.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = current.source();
    }
    false
}

/// An HTTP invocation in progress. Dropped unfinished, it is one whose client went away.
pub struct OpenInvocation {
    pub invocation: Invocation,
    host: Arc<Host>,
    watchdog: Option<AbortHandle>,
    finished: bool,
}

impl OpenInvocation {
    /// Starts the clock of the function timeout, which HTTP functions have too (fact 10).
    pub fn begin(host: &Arc<Host>, function: &str, subject: &str) -> Self {
        let invocation = host.begin(function, subject, 1);
        let watchdog = host.settings.function_timeout.map(|limit| {
            let (process, log, function) = (host.process.clone(), host.log.clone(), function.to_string());
            let watchdog = tokio::spawn(async move {
                tokio::time::sleep(limit).await;
                log.host(super::log::Level::Error, timeout_text(&function, limit));
                process.restart_after_timeout().await;
            });
            watchdog.abort_handle()
        });
        Self { invocation, host: host.clone(), watchdog, finished: false }
    }

    pub fn finish(&mut self, outcome: Outcome) {
        if !self.finished {
            self.finished = true;
            self.invocation.outcome = outcome;
            self.host.finish(self.invocation.clone());
        }
    }

    /// The caller of a failed invocation sees an empty 500.
    pub fn fail(&mut self, reason: &str) -> Response<Body> {
        self.refuse(StatusCode::INTERNAL_SERVER_ERROR, reason)
    }

    fn refuse(&mut self, status: StatusCode, reason: &str) -> Response<Body> {
        self.finish(Outcome::Failed(reason.to_string()));
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    }
}

impl Drop for OpenInvocation {
    fn drop(&mut self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.abort();
        }
        self.finish(Outcome::Disconnected);
    }
}
