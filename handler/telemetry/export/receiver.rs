//! Whoever takes traces and metrics, for those who want to know whether it does: one span goes there, on the very way of all others.

use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData};
use url::Url;

use super::destination::{self, APPLICATION_INSIGHTS, Destination, Opened};
use super::waiting::Load;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::telemetry::settings::{TelemetrySettings, connection_field};

/// Where Application Insights takes telemetry when a connection string does not say.
const USUAL_ENDPOINT: &str = "https://dc.services.visualstudio.com/";

/// One of those who take telemetry.
pub struct Receiver {
    settings: TelemetrySettings,
    destination: Destination,
}

/// What lets the product in there.
pub enum Entry {
    /// A token of its identity.
    Identity,
    /// What is in this setting.
    Secret(&'static str),
    /// Nothing.
    Open,
}

/// All that settings name.
pub fn receivers(settings: &TelemetrySettings) -> Vec<Receiver> {
    let receiver = |destination| Receiver { settings: settings.clone(), destination };
    destination::of(settings).into_iter().map(receiver).collect()
}

impl Receiver {
    fn is_insights(&self) -> bool {
        self.destination.name == APPLICATION_INSIGHTS
    }

    /// What lets the product in there.
    pub fn entry(&self) -> Entry {
        match (&self.settings.application_insights, &self.settings.collector) {
            (Some(insights), _) if self.is_insights() => match insights.identity {
                Some(_) => Entry::Identity,
                None => Entry::Secret("APPLICATIONINSIGHTS_CONNECTION_STRING"),
            },
            (_, Some(collector)) if collector.headers.is_some() => Entry::Secret("OTEL_EXPORTER_OTLP_HEADERS"),
            _ => Entry::Open,
        }
    }

    /// Its address, or where that is. Never a key.
    pub fn place(&self) -> String {
        match (&self.settings.application_insights, &self.settings.collector) {
            (Some(insights), _) if self.is_insights() => match &insights.connection {
                Secret::Plain(text) => {
                    let endpoint = connection_field(text, "IngestionEndpoint").and_then(|text| Url::parse(text).ok());
                    endpoint.map_or_else(|| USUAL_ENDPOINT.to_owned(), |url| url.to_string())
                }
                secret => secret.place(),
            },
            (_, Some(collector)) => collector.endpoint.to_string(),
            (_, None) => String::new(),
        }
    }

    /// Sends one span with exporters as those of the product. `StoreUnavailable` with the reason when it is not taken.
    pub async fn send_one(&self) -> Result<()> {
        let resource = super::resource(&self.settings);
        let opened = Opened::refresh(None, &self.destination, &self.settings, &resource).await?;
        let load = Load { spans: vec![span()], dropped: 0, measured: false, flushes: Vec::new() };
        super::ship(&opened, &load).await.map_err(|(cause, reason)| {
            Error::new(ErrorKind::StoreUnavailable, "sending one span").because(reason).caused_by(cause)
        })
    }
}

/// A span that says where it comes from.
fn span() -> SpanData {
    let ids = RandomIdGenerator::default();
    let (trace, span): (TraceId, SpanId) = (ids.new_trace_id(), ids.new_span_id());
    #[expect(clippy::disallowed_methods, reason = "whoever takes it compares it with its own clock")]
    let now = SystemTime::now();
    SpanData {
        span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "handler doctor".into(),
        start_time: now,
        end_time: now,
        attributes: vec![KeyValue::new("test", true)],
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: Status::Ok,
        instrumentation_scope: InstrumentationScope::builder("knowledge-worker").build(),
    }
}
