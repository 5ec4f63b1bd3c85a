//! The HTTP server: HTTP/1.1 on one address, a request id for every request, a log line for each, and a stop that lets
//! running requests finish.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};
use tracing::field::Empty;
use tracing::{Instrument, debug, error_span, info};
use uuid::Uuid;

use super::impatient::Impatient;
use super::observed::while_sent;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Unfit};
use crate::telemetry::requests::{self, Caller};
use crate::telemetry::{self, place_in_json, without_secrets};

/// How long a caller may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer that may lie with the system on their way to a caller; Linux takes twice that for its own records. As
/// many as this, and no more than the system would like, so that a caller who takes nothing is noticed soon.
const ON_THEIR_WAY: u32 = 128 << 10;
/// Connections that may wait to be taken.
const BACKLOG: u32 = 1_024;
/// How long running requests may go on after the order to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the answer to an invocation may wait for its traces and metrics to be sent.
const FLUSH: Duration = Duration::from_millis(500);
/// Set by the host on every call; the id under which it logs the invocation.
const INVOCATION_ID: &str = "x-azure-functions-invocationid";
/// What an answer carries the request's id in.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The other end of the connection that a request came on: a caller, or what stands in front of this program.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The id of a request; in its extensions, in every log line of it, and in every problem it is answered with.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Takes connections until `stop` ends, then lets running requests finish for a short while. A connection whose other end
/// takes nothing of an answer for as long as `patience` is closed, and with it ends what the answer is made of.
pub async fn serve(listener: TcpListener, router: Router, patience: Duration, stop: impl Future<Output = ()>) {
    let service = TowerToHyperService::new(router.layer(middleware::from_fn(observe)));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let connection = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, from) = match connection {
            Ok(connection) => connection,
            Err(e) => {
                // Out of descriptors, or a caller who left before we looked: neither may end the server.
                debug!(cause = %e, "could not take a connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let _no_delay = stream.set_nodelay(true);
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        let service = service.clone();
        let with_peer = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(from.ip()));
            service.call(request)
        });
        let connection = builder.serve_connection(TokioIo::new(Impatient::new(stream, patience)), with_peer);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(e) = connection.await {
                debug!(cause = %e, "a connection ended early");
            }
        });
    }
    // Whoever comes now is refused at once, instead of waiting for somebody who takes no more.
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        info!("stopped while requests were still running");
    }
}

/// Binds the listener, with an error that says what to do.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    listen(address).map_err(|e| {
        let sentence = format!("cannot listen on {address}; is another program using the port?");
        Error::new(ErrorKind::Misconfigured, sentence).caused_by(e)
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Connections get it from the one that they come in on.
    socket.set_send_buffer_size(ON_THEIR_WAY)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The whole body of a request, or `BodyTooLarge` as soon as it is longer than `limit`, whether it names a length or not.
pub async fn read_body(body: Body, limit: usize) -> Result<Bytes> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Error::new(ErrorKind::BodyTooLarge, format!("the body is longer than {limit} bytes")))
        }
        Err(e) => Err(Error::new(ErrorKind::InvalidRequest, "the body ended early").caused_by(e)),
    }
}

/// A request's body of at most `limit` bytes as an object of a known shape, with each member once. `what` names the thing that is asked for and
/// `example` shows it, for the sentence of the refusal; the log gets the place of a mistake and never the text.
pub async fn read_json<T: DeserializeOwned>(request: Request, limit: usize, what: &str, example: &str) -> Result<T> {
    if !is_json(request.headers()) {
        return Err(Error::new(ErrorKind::UnsupportedMediaType, format!("send {what} as application/json")));
    }
    let body = read_body(request.into_body(), limit).await?;
    let refused = |kind| Error::new(kind, format!("send {example}"));
    match json::read(&body) {
        Ok(Value::Object(_)) => {}
        Ok(_) => return Err(refused(ErrorKind::InvalidRequest)),
        Err(Unfit::Malformed(e)) => return Err(refused(ErrorKind::MalformedJson).caused_by(place_in_json(&e))),
        Err(Unfit::Repeated) => return Err(refused(ErrorKind::InvalidRequest).caused_by("a member is given twice")),
    }
    serde_json::from_slice(&body).map_err(|e| refused(ErrorKind::InvalidRequest).caused_by(place_in_json(&e)))
}

/// Whether a request says that its body is JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts.find_map(|part| part.to_ascii_lowercase().strip_prefix("charset=").map(str::to_owned));
    essence == "application/json" && charset.is_none_or(|charset| charset.trim_matches('"') == "utf-8")
}

/// Goes with the answer to an invocation: the host may stop this process as soon as it has it, so what is known of the
/// invocation is sent before.
#[derive(Clone, Copy, Debug)]
pub struct FlushFirst;

/// Gives a request its id, its spans and a log line, and every answer the headers that all answers have.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let caller = caller(request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let traced = requests::begin(request.method().as_str(), route.as_ref().map(MatchedPath::as_str), &id, &caller);
    let trace_id = traced.trace_id().or_else(|| caller.trace_id());
    // At the level of errors, so that the ids are on every line that any LOG_LEVEL lets through.
    let span = error_span!("request", request.id = %id, trace.id = trace_id, function = Empty);
    let response = answer(request, next, &id).instrument(span.clone()).instrument(traced.span()).await;
    traced.answered(response.status().as_u16());
    if response.extensions().get::<FlushFirst>().is_some() {
        drop(traced);
        telemetry::flush(FLUSH).await;
        return response;
    }
    while_sent(response, span, traced)
}

async fn answer(request: Request, next: Next, id: &str) -> Response {
    let line = format!("{} {}", request.method(), without_secrets(&request.uri().to_string()));
    // The front end of the platform ends TLS and says so here.
    let forwarded = request.headers().get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    let is_encrypted = forwarded.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let is_readiness = request.uri().path() == "/";
    let began = Instant::now();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    // The host asks for `/` many times a second while it waits for us.
    if is_readiness {
        debug!(request = %line, status, took_ms, "answered");
    } else {
        info!(request = %line, status, took_ms, "answered");
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    guard_browsers(headers, is_encrypted);
    response
}

/// What keeps a browser from doing with an answer what it is not for. A page and its parts say more of themselves.
fn guard_browsers(headers: &mut HeaderMap, is_encrypted: bool) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    let usual = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in usual {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_encrypted {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// What the caller, in the cloud the Functions host, says of the trace that the request belongs to.
fn caller(headers: &HeaderMap) -> Caller {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Caller::parse(text("traceparent"), text("tracestate"))
}

/// The host's invocation id, else a new one. Nothing else that a caller sends gets into the log as an id.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(INVOCATION_ID).and_then(|value| value.to_str().ok());
    match given.and_then(|id| Uuid::parse_str(id).ok()) {
        Some(id) => id.to_string(),
        None => Uuid::new_v4().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_id_is_taken_over() {
        let mut headers = HeaderMap::new();
        headers.insert(INVOCATION_ID, HeaderValue::from_static("0d4f7a8e-6c1b-4f0e-9d3a-2b1c0d9e8f7a"));
        assert_eq!(request_id(&headers), "0d4f7a8e-6c1b-4f0e-9d3a-2b1c0d9e8f7a");
        headers.insert(INVOCATION_ID, HeaderValue::from_static("\"forged\""));
        assert_ne!(request_id(&headers), "\"forged\"");
    }

    #[test]
    fn json_is_told_from_other_types() {
        let says_json = |value: &'static str| {
            is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        assert!(says_json("application/json") && says_json("Application/JSON; charset=utf-8"));
        assert!(!says_json("text/plain") && !says_json("application/json; charset=utf-16") && !says_json(""));
    }
}
