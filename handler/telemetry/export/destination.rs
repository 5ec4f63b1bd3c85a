//! Whoever takes traces and metrics: a collector of OpenTelemetry, or Application Insights.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry_application_insights::Exporter;
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use secrecy::{ExposeSecret, SecretString};

use super::http::LazyClient;
use crate::error::{Error, ErrorKind};
use crate::telemetry::calls::unseen;
use crate::telemetry::settings::{self, Collector, TelemetrySettings};

/// One place that takes traces and metrics, not yet opened. Opening it does nothing on the network.
pub(super) struct Destination {
    pub name: &'static str,
    pub reader: SharedReader,
}

/// The names, which the log uses too.
const COLLECTOR: &str = "the collector";
pub(super) const APPLICATION_INSIGHTS: &str = "Application Insights";

/// The places that settings name.
pub(super) fn of(settings: &TelemetrySettings) -> Vec<Destination> {
    let collector = settings.collector.as_ref().map(|_| (COLLECTOR, Temporality::Cumulative));
    // It adds up itself.
    let insights = settings.application_insights.as_ref().map(|_| (APPLICATION_INSIGHTS, Temporality::Delta));
    let to_destination = |(name, temporality)| Destination {
        name,
        reader: SharedReader(Arc::new(ManualReader::builder().with_temporality(temporality).build())),
    };
    collector.into_iter().chain(insights).map(to_destination).collect()
}

/// A place that takes traces and metrics, with its client.
pub(super) struct Opened {
    pub client: LazyClient,
    reader: SharedReader,
    exporter: Exporters,
    /// The secret that it was made with.
    secret: Option<SecretString>,
}

enum Exporters {
    Collector { spans: Box<SpanExporter>, metrics: Box<MetricExporter> },
    ApplicationInsights(Box<Exporter<LazyClient>>),
}

impl Opened {
    /// The exporters of a destination as they have to be now: those at hand, unless their secret was replaced. A secret in a
    /// Key Vault is fetched here, which is with the first thing to send.
    pub(super) async fn refresh(
        at_hand: Option<Self>,
        destination: &Destination,
        settings: &TelemetrySettings,
        resource: &Resource,
    ) -> Result<Self, Error> {
        let insights = settings.application_insights.as_ref().filter(|_| destination.name == APPLICATION_INSIGHTS);
        let secret = match (insights, &settings.collector) {
            (Some(insights), _) => Some(&insights.connection),
            (None, collector) => collector.as_ref().and_then(|collector| collector.headers.as_ref()),
        };
        let secret = match secret {
            Some(secret) => Some(unseen(secret.expose()).await?),
            None => None,
        };
        let exposed = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        if let Some(opened) = at_hand.filter(|opened| exposed(&opened.secret) == exposed(&secret)) {
            return Ok(opened);
        }
        let client = LazyClient::new(insights.and_then(|insights| insights.identity.clone()));
        let exporter = match (insights, &settings.collector, &secret) {
            (Some(_), _, Some(connection)) => of_insights(connection, &client, settings, resource),
            (None, Some(collector), headers) => of_collector(collector, headers.as_ref(), &client, resource),
            _ => Err(unusable("it is not named")),
        }?;
        Ok(Self { client, reader: destination.reader.clone(), exporter, secret })
    }

    /// Sends spans.
    pub(super) async fn send(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        match &self.exporter {
            Exporters::Collector { spans: exporter, .. } => exporter.export(spans).await,
            Exporters::ApplicationInsights(exporter) => {
                opentelemetry_sdk::trace::SpanExporter::export(exporter.as_ref(), spans).await
            }
        }
    }

    /// Sends what was measured.
    pub(super) async fn measure(&self) -> OTelSdkResult {
        let mut measured = ResourceMetrics::default();
        self.reader.collect(&mut measured)?;
        match &self.exporter {
            Exporters::Collector { metrics, .. } => metrics.export(&measured).await,
            Exporters::ApplicationInsights(exporter) => PushMetricExporter::export(exporter.as_ref(), &measured).await,
        }
    }
}

fn unusable(sentence: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, sentence)
}

fn of_insights(
    connection: &SecretString,
    client: &LazyClient,
    settings: &TelemetrySettings,
    resource: &Resource,
) -> Result<Exporters, Error> {
    settings::check_connection_string(connection)?;
    // The reason may quote the string.
    let broken = |_| unusable("the connection string cannot be used");
    let exporter = Exporter::new_from_connection_string(connection.expose_secret(), client.clone()).map_err(broken)?;
    let mut exporter = exporter.with_sample_rate(settings.sampling);
    exporter.set_resource(resource);
    Ok(Exporters::ApplicationInsights(Box::new(exporter)))
}

fn of_collector(
    collector: &Collector,
    headers: Option<&SecretString>,
    client: &LazyClient,
    resource: &Resource,
) -> Result<Exporters, Error> {
    let base = collector.endpoint.as_str().trim_end_matches('/');
    let headers = headers.map(settings::headers).transpose()?.unwrap_or_default();
    let headers: HashMap<String, String> =
        headers.into_iter().map(|(name, value)| (name, value.expose_secret().to_owned())).collect();
    let broken = |_| unusable("the exporter cannot be made");
    let mut spans = SpanExporter::builder()
        .with_http()
        .with_http_client(client.clone())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{base}/v1/traces"))
        .with_headers(headers.clone())
        .build()
        .map_err(broken)?;
    spans.set_resource(resource);
    let metrics = MetricExporter::builder()
        .with_http()
        .with_http_client(client.clone())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{base}/v1/metrics"))
        .with_headers(headers)
        .build()
        .map_err(broken)?;
    Ok(Exporters::Collector { spans: Box::new(spans), metrics: Box::new(metrics) })
}

/// A reader that is asked for the figures when they are sent, held by who asks and by who counts.
#[derive(Clone, Debug)]
pub(super) struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, measured: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(measured)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
