//! Parts of a request's work that stay within the process and take long enough to be seen by themselves.

use std::future::Future;

use opentelemetry::trace::FutureExt;
use tracing::{Instrument, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{is_on, trace};

/// Does a piece of work within a span of its own.
pub async fn step<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    if !is_on() {
        return work.await;
    }
    work.instrument(info_span!(target: trace::TARGET, "step", otel.name = name)).await
}

/// The same for work on one document. The id is a hash of its name, by which all that became of it can be found.
pub async fn document_step<T>(name: &'static str, document: &str, work: impl Future<Output = T>) -> T {
    if !is_on() {
        return work.await;
    }
    let span = info_span!(target: trace::TARGET, "step", otel.name = name);
    span.set_attribute("document.id", document.to_owned());
    work.instrument(span).await
}

/// Work that goes into a task of its own, and belongs to the request that begins it.
pub fn same_trace<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    work.in_current_span().with_current_context()
}
