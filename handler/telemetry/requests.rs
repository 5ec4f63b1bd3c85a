//! The span of a request, from its first byte to the last one of its answer. What enters are the words of HTTP as plain
//! text, what leaves is a span that work can be done in. It carries the route's pattern and never the address itself, which
//! may hold a name or a key.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{is_on, metrics, trace};

/// What a caller said of the trace that a request belongs to, as W3C Trace Context has it.
#[derive(Clone, Debug, Default)]
pub struct Caller(Option<SpanContext>);

impl Caller {
    /// Reads `traceparent` and `tracestate`. What is not as the standard has it counts as not sent.
    pub fn parse(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        Self(traceparent.and_then(|text| span_context(text, tracestate)))
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<String> {
        self.0.as_ref().map(|context| context.trace_id().to_string())
    }
}

/// <https://www.w3.org/TR/trace-context/>: version, trace, parent, flags. Of a later version the same four are read.
fn span_context(text: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    let mut parts = text.trim().split('-');
    let mut hex = |digits: usize| {
        let part = parts.next()?;
        let is_fit = part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_fit.then_some(part)
    };
    let (version, trace, parent, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    if version == "ff" || version == "00" && parts.next().is_some() {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let state = tracestate.and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let (trace, parent) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(parent).ok()?);
    Some(SpanContext::new(trace, parent, flags, true, state)).filter(SpanContext::is_valid)
}

/// A request under way.
#[derive(Debug)]
pub struct RequestSpan {
    /// None when nobody is told of it.
    span: Option<Span>,
    began: Instant,
    method: &'static str,
    route: String,
    status: AtomicU16,
}

/// Begins the span of a request. `route` is the pattern that matched, none when no route did; `id` is the one under which
/// the host knows the invocation.
pub fn begin(method: &str, route: Option<&str>, id: &str, caller: &Caller) -> RequestSpan {
    let (method, began) = (known_method(method), Instant::now());
    let status = AtomicU16::new(0);
    // The host asks for `/` many times a second while it waits for us, and nothing may be sent before the first request.
    if !is_on() || route == Some("/") {
        return RequestSpan { span: None, began, method, route: String::new(), status };
    }
    let route = route.unwrap_or("(none)").to_owned();
    let span = info_span!(
        target: trace::TARGET,
        parent: None,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        faas.invocation_id = id,
    );
    if let Some(context) = &caller.0 {
        let _cannot_have_started = span.set_parent(Context::new().with_remote_span_context(context.clone()));
    }
    RequestSpan { span: Some(span), began, method, route, status }
}

/// The methods that a figure is kept of; a caller may invent any other.
fn known_method(method: &str) -> &'static str {
    const KNOWN: &[&str] = &["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    KNOWN.iter().find(|known| **known == method).copied().unwrap_or("_OTHER")
}

impl RequestSpan {
    /// The span to do the work in.
    pub fn span(&self) -> Span {
        self.span.clone().unwrap_or_else(Span::none)
    }

    /// The id of the trace, for the log; none when there are no traces.
    pub fn trace_id(&self) -> Option<String> {
        let context = self.span.as_ref()?.context();
        Some(context.span().span_context().trace_id().to_string())
    }

    /// The status of the answer. A trigger's figures bear this too.
    pub fn answered(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
}

impl Drop for RequestSpan {
    /// The request is over: its answer was sent, or its caller is gone.
    fn drop(&mut self) {
        let Some(span) = &self.span else { return };
        let status = self.status.load(Ordering::Relaxed);
        if status > 0 {
            span.set_attribute("http.response.status_code", i64::from(status));
        }
        if status >= 500 {
            span.set_status(opentelemetry::trace::Status::error(""));
            span.set_attribute("error.type", status.to_string());
        }
        metrics::request(&self.route, self.method, status, self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_callers_trace_is_read_as_the_standard_has_it() {
        let read = span_context(PARENT, Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")).unwrap();
        assert_eq!(read.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(read.span_id().to_string(), "00f067aa0ba902b7");
        assert!(read.is_sampled() && read.is_remote());
        assert_eq!(read.trace_state().get("congo"), Some("t61rcWkgMzE"));
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-comes-then";
        assert!(span_context(later, None).unwrap().is_sampled());
        assert!(span_context(PARENT, Some("\u{0}no state")).is_some(), "a wrong state does not spoil the rest");
    }

    #[test]
    fn what_is_no_trace_counts_as_not_sent() {
        let zeros = "0".repeat(32);
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473\u{e9}-00f067aa0ba902b7-01",
            &format!("00-{zeros}-00f067aa0ba902b7-01"),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert!(Caller::parse(Some(wrong), None).trace_id().is_none(), "{wrong}");
        }
        assert!(Caller::parse(None, None).trace_id().is_none());
    }
}
