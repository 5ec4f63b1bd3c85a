//! The bridge from `tracing` to OpenTelemetry: which spans and events become part of a trace, and which traces are kept.

use opentelemetry::trace::{Event, Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, SdkTracer, ShouldSample};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::{Layer, Registry};

/// The target of every span of a trace. The log takes no notice of it, so a log line holds no attribute of a trace.
pub(super) const TARGET: &str = "trace";

/// Turns spans of [`TARGET`] into spans of a trace, and errors that are logged within them into exceptions.
pub(super) fn layer(tracer: SdkTracer) -> Box<dyn Layer<Registry> + Send + Sync> {
    let wanted = filter_fn(|about| {
        if about.is_span() {
            return about.target() == TARGET;
        }
        // What goes into the log at this level has been freed of questions and secrets already.
        *about.level() == Level::ERROR && about.target().starts_with("knowledge_worker")
    });
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(wanted.with_max_level_hint(LevelFilter::INFO))
        .boxed()
}

/// Gives an error that was logged the form of the semantic conventions for exceptions, by which services count them.
pub(super) fn error_to_exception(event: &mut Event) {
    let text = |wanted: &str| {
        let found = event.attributes.iter().find(|about| about.key.as_str() == wanted);
        found.map(|about| about.value.as_str().into_owned())
    };
    if text("level").as_deref() != Some("ERROR") {
        return;
    }
    let kind = text("error.code").unwrap_or_else(|| "internal".to_owned());
    let message = std::mem::replace(&mut event.name, "exception".into());
    event.attributes.push(KeyValue::new("exception.type", kind));
    event.attributes.push(KeyValue::new("exception.message", message.into_owned()));
}

/// Keeps a share of all traces, the same ones in every process that keeps the same share.
///
/// Within the process a child does what its parent does. A caller who keeps a trace is followed. One who does not is not
/// believed: the SDK of Application Insights, which the Functions host uses, sends the flag 00 with every request, kept or
/// not (<https://github.com/microsoft/ApplicationInsights-dotnet/issues/2835>).
#[derive(Clone, Debug)]
pub(super) struct Share(pub f64);

impl ShouldSample for Share {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent_span = parent.filter(|context| context.has_active_span()).map(TraceContextExt::span);
        let parent_context = parent_span.as_ref().map(|span| span.span_context());
        let decide = |decision, state: Option<TraceState>| SamplingResult {
            decision,
            attributes: Vec::new(),
            trace_state: state.unwrap_or_default(),
        };
        match parent_context {
            Some(caller) if caller.is_sampled() => {
                decide(SamplingDecision::RecordAndSample, Some(caller.trace_state().clone()))
            }
            Some(caller) if caller.is_valid() && !caller.is_remote() => {
                decide(SamplingDecision::Drop, Some(caller.trace_state().clone()))
            }
            _ => Sampler::TraceIdRatioBased(self.0).should_sample(parent, trace, name, kind, attributes, links),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    use super::*;

    fn is_kept(share: f64, parent: Option<(TraceFlags, bool)>) -> bool {
        let trace = TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        let context = parent.map(|(flags, is_remote)| {
            let span = SpanContext::new(trace, SpanId::from(7), flags, is_remote, TraceState::default());
            Context::new().with_remote_span_context(span)
        });
        let sampled = Share(share).should_sample(context.as_ref(), trace, "x", &SpanKind::Server, &[], &[]);
        sampled.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn who_keeps_a_trace_is_followed_and_a_stranger_who_does_not_is_not_believed() {
        let (kept, not_kept) = (TraceFlags::SAMPLED, TraceFlags::default());
        assert!(is_kept(1.0, None) && !is_kept(0.0, None));
        assert!(is_kept(0.0, Some((kept, true))) && is_kept(0.0, Some((kept, false))));
        assert!(is_kept(1.0, Some((not_kept, true))) && !is_kept(0.0, Some((not_kept, true))));
        assert!(!is_kept(1.0, Some((not_kept, false))), "a child does what its parent does");
    }
}
