//! Calls that leave the process, seen the same way whomever they go to: one span and one measurement for each, with whom
//! was called, how it ended, how long it took and how often it was tried. Never what was said.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::Stream;
use futures_util::stream::BoxStream;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Status, TraceContextExt};
use tokio::task_local;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{is_on, metrics, trace};
use crate::error::{ErrorKind, Result};

task_local! {
    static CURRENT: Arc<Progress>;
    static UNSEEN: ();
}

/// Work whose calls are not seen: that of sending telemetry, which would never end if it were telemetry itself.
pub(super) async fn unseen<T>(work: impl Future<Output = T>) -> T {
    UNSEEN.scope((), work).await
}

/// One call to somebody outside. It is over when its work is, or when it is dropped, and then it counts as cancelled.
#[derive(Debug)]
pub struct Call(Option<Arc<Progress>>);

#[derive(Debug)]
struct Progress {
    span: Span,
    system: &'static str,
    operation: &'static str,
    began: Instant,
    tries: AtomicU32,
    status: AtomicU16,
    peer: Mutex<Option<(String, Option<u16>)>>,
}

/// A call to `system` (`blob`, `cosmos`, `search`, `model`, `embedding`, `rerank`, `redis`, `vault`, `entra`, `web`, `smtp`, `webhook`) that does `operation` there.
pub fn outside(system: &'static str, operation: &'static str) -> Call {
    if !is_on() || UNSEEN.try_with(|()| ()).is_ok() {
        return Call(None);
    }
    let name = format!("{system} {operation}");
    let span = info_span!(target: trace::TARGET, "call", otel.name = name, otel.kind = "client");
    if let Some(database) = database(system) {
        span.set_attribute("db.system.name", database);
    }
    let (tries, status, peer) = (AtomicU32::new(0), AtomicU16::new(0), Mutex::new(None));
    Call(Some(Arc::new(Progress { span, system, operation, began: Instant::now(), tries, status, peer })))
}

impl Progress {
    fn peer(&self) -> MutexGuard<'_, Option<(String, Option<u16>)>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn goes_to(&self, address: &str) {
        let (host, port) = host_and_port(address);
        *self.peer() = Some((host.to_owned(), port));
    }
}

/// The name of a database in the semantic conventions.
fn database(system: &str) -> Option<&'static str> {
    match system {
        "cosmos" => Some("azure.cosmosdb"),
        "redis" => Some("redis"),
        _ => None,
    }
}

/// Host and port of an address, `https://name:443/path?query` or `name:443`.
fn host_and_port(peer: &str) -> (&str, Option<u16>) {
    let (scheme, rest) = peer.split_once("://").unwrap_or(("", peer));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let usual = match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().or(usual)),
        _ => (authority, usual),
    }
}

impl Call {
    /// Says whom the call goes to, where the work itself does not with [`trying`]. Of the address host and port are kept.
    pub fn to(self, address: &str) -> Self {
        if let Some(progress) = &self.0 {
            progress.goes_to(address);
        }
        self
    }

    /// Names the model that is asked.
    pub fn with_model(self, model: &str) -> Self {
        if let Some(progress) = &self.0 {
            progress.span.set_attribute("gen_ai.request.model", model.to_owned());
        }
        self
    }

    /// Does the work of the call.
    pub fn run<T>(mut self, work: impl Future<Output = Result<T>>) -> impl Future<Output = Result<T>> {
        // On the heap: each layer that takes a future by value makes it two or three times as large, and here are many.
        let work = Box::pin(work);
        async move {
            let Some(progress) = self.0.clone() else { return work.await };
            let span = progress.span.clone();
            let done = CURRENT.scope(progress, work).instrument(span).await;
            self.end(done.as_ref().err().map_or("ok", |e| e.kind().row().code));
            done
        }
    }

    /// Does the work of a call whose answer comes piece by piece.
    pub fn stream<'a, T: 'a>(self, pieces: BoxStream<'a, Result<T>>) -> BoxStream<'a, Result<T>> {
        if self.0.is_none() { pieces } else { Box::pin(Observed { pieces, call: self }) }
    }

    fn end(&mut self, outcome: &'static str) {
        let Some(progress) = self.0.take() else { return };
        let span = &progress.span;
        span.set_attribute("attempts", i64::from(progress.tries.load(Ordering::Relaxed).max(1)));
        if let Some((host, port)) = progress.peer().take() {
            span.set_attribute("server.address", host);
            port.into_iter().for_each(|port| span.set_attribute("server.port", i64::from(port)));
        }
        let status = progress.status.load(Ordering::Relaxed);
        if status > 0 {
            span.set_attribute("http.response.status_code", i64::from(status));
        }
        // A condition that does not hold is an answer and no trouble.
        if matches!(outcome, "ok") || outcome == ErrorKind::PreconditionFailed.row().code {
            span.set_status(Status::Ok);
        } else {
            span.set_status(Status::error(outcome));
            span.set_attribute("error.type", outcome);
        }
        metrics::outside_call(progress.system, progress.operation, outcome, progress.began.elapsed());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end("cancelled");
    }
}

struct Observed<'a, T> {
    pieces: BoxStream<'a, Result<T>>,
    call: Call,
}

impl<T> Stream for Observed<'_, T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(progress) = this.call.0.clone() else { return this.pieces.as_mut().poll_next(context) };
        let _within = progress.span.clone().entered();
        let polled = CURRENT.sync_scope(progress, || this.pieces.as_mut().poll_next(context));
        match &polled {
            Poll::Ready(None) => this.call.end("ok"),
            Poll::Ready(Some(Err(e))) => this.call.end(e.kind().row().code),
            _ => {}
        }
        polled
    }
}

/// Says within a call that a request is sent now, and whom to; from the second one on the trace shows it as a retry. Of the
/// address host and port are kept.
pub fn trying(address: &str) {
    within(|progress| {
        progress.goes_to(address);
        let earlier = progress.tries.fetch_add(1, Ordering::Relaxed);
        if earlier > 0 {
            let status = progress.status.swap(0, Ordering::Relaxed);
            let mut about = vec![KeyValue::new("attempt", i64::from(earlier) + 1)];
            about.extend((status > 0).then(|| KeyValue::new("earlier_status", i64::from(status))));
            progress.span.add_event("retry", about);
        }
    });
}

/// Says within a call how many requests its client has sent, for clients that only count them.
pub fn tried(requests: usize) {
    let requests = u32::try_from(requests).unwrap_or(u32::MAX);
    within(|progress| {
        progress.tries.fetch_add(requests, Ordering::Relaxed);
    });
}

/// Says within a call with which status the other side answered; the last one counts.
pub fn answered(status: u16) {
    within(|progress| progress.status.store(status, Ordering::Relaxed));
}

/// The value of the header `traceparent` that lets the other side take part in the trace; none outside of a call, or when
/// there are no traces.
pub fn traceparent() -> Option<String> {
    let told = CURRENT.try_with(|progress| {
        let context = progress.span.context();
        let span = context.span();
        let span = span.span_context();
        let flags = span.trace_flags().to_u8();
        span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
    });
    told.ok().flatten()
}

fn within(tell: impl FnOnce(&Progress)) {
    let _outside_of_a_call = CURRENT.try_with(|progress| tell(progress));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_host_and_port_are_kept() {
        for (peer, host, port) in [
            ("https://name.openai.azure.com/openai?code=k", "name.openai.azure.com", Some(443)),
            ("http://127.0.0.1:11434/v1", "127.0.0.1", Some(11434)),
            ("http://user:pass@host/", "host", Some(80)),
            ("http://[::1]:7/x", "[::1]", Some(7)),
            ("https://[::1]/x", "[::1]", Some(443)),
            ("redis.example:6380", "redis.example", Some(6380)),
            ("", "", None),
        ] {
            assert_eq!(host_and_port(peer), (host, port), "{peer}");
        }
    }

    #[tokio::test]
    async fn without_telemetry_a_call_is_its_work() {
        assert_eq!(outside("blob", "get").run(async { Ok(traceparent()) }).await.unwrap(), None);
    }
}
