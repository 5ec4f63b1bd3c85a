//! Parts of a request's work that stay within the process and take long enough to be seen by themselves.

use std::future::Future;

use opentelemetry::trace::FutureExt;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{is_on, trace};

/// Does a piece of work within a span of its own.
pub fn step<T>(name: &'static str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let span = if is_on() { info_span!(target: trace::TARGET, "step", otel.name = name) } else { Span::none() };
    // On the heap: each layer that takes a future by value makes it two or three times as large.
    Box::pin(work).instrument(span)
}

/// The same for work on one document. The id is a hash of its name, by which all that became of it can be found.
pub fn document_step<T>(name: &'static str, document: &str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let span = if is_on() { info_span!(target: trace::TARGET, "step", otel.name = name) } else { Span::none() };
    if is_on() {
        span.set_attribute("document.id", document.to_owned());
    }
    Box::pin(work).instrument(span)
}

/// Work that goes into a task of its own, and belongs to the request that begins it.
pub fn same_trace<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    work.in_current_span().with_current_context()
}
