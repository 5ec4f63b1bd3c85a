//! The messages of OTLP in plain words.

use std::collections::BTreeMap;

use axum::body::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::{TakenPoint, TakenSpan};

pub(super) fn spans(body: Bytes) -> Vec<TakenSpan> {
    let request = ExportTraceServiceRequest::decode(body).expect("what is sent is a request for traces");
    let scopes = request.resource_spans.into_iter().flat_map(|resource| {
        let service = plain(resource.resource.expect("a process has a name").attributes);
        assert!(service.contains_key("service.name") && service.contains_key("service.instance.id"), "{service:?}");
        resource.scope_spans
    });
    scopes.flat_map(|scope| scope.spans).map(span).collect()
}

fn span(span: Span) -> TakenSpan {
    TakenSpan {
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: span.kind,
        status: span.status.map_or(0, |status| status.code),
        took_ms: (span.end_time_unix_nano - span.start_time_unix_nano) / 1_000_000,
        attributes: plain(span.attributes),
        events: span.events.into_iter().map(|event| (event.name, plain(event.attributes))).collect(),
    }
}

pub(super) fn points(body: Bytes) -> Vec<TakenPoint> {
    let request = ExportMetricsServiceRequest::decode(body).expect("what is sent is a request for metrics");
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).flat_map(|metric| of_metric(&metric.name, metric.data)).collect()
}

fn of_metric(name: &str, data: Option<Data>) -> Vec<TakenPoint> {
    let point = |attributes, value| TakenPoint { metric: name.to_owned(), attributes: plain(attributes), value };
    let number = |value: Option<number_data_point::Value>| match value {
        Some(number_data_point::Value::AsDouble(number)) => number,
        Some(number_data_point::Value::AsInt(number)) => number as f64,
        None => f64::NAN,
    };
    match data {
        Some(Data::Sum(sum)) => sum.data_points.into_iter().map(|at| point(at.attributes, number(at.value))).collect(),
        Some(Data::Gauge(gauge)) => {
            gauge.data_points.into_iter().map(|at| point(at.attributes, number(at.value))).collect()
        }
        Some(Data::Histogram(histogram)) => {
            histogram.data_points.into_iter().map(|at| point(at.attributes, at.count as f64)).collect()
        }
        _ => Vec::new(),
    }
}

fn plain(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| {
        let value = match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::DoubleValue(number)) => number.to_string(),
            Some(Value::BoolValue(flag)) => flag.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key, value)
    };
    attributes.into_iter().map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
