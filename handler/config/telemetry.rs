//! The settings of traces and metrics.

use super::source::Reader;
use crate::telemetry::settings::{Collector, ConnectionString, TelemetrySettings};

/// Where traces and metrics go; none when nobody is named, or when they are switched off.
pub(super) fn settings(reader: &mut Reader<'_>) -> Option<TelemetrySettings> {
    let endpoint = reader.text("OTEL_EXPORTER_OTLP_ENDPOINT");
    let connection = reader.secret("APPLICATIONINSIGHTS_CONNECTION_STRING");
    let sampling = reader.parsed("OTEL_TRACES_SAMPLER_ARG", 1.0);
    if !(0.0..=1.0).contains(&sampling) {
        reader.problem("OTEL_TRACES_SAMPLER_ARG", "must be from 0 to 1");
    }
    let is_wanted = match reader.text("ENABLE_TELEMETRY").unwrap_or_default().to_ascii_lowercase().as_str() {
        "auto" => endpoint.is_some() || connection.is_some(),
        "true" if endpoint.is_some() || connection.is_some() => true,
        "true" => {
            let sentence = "needs APPLICATIONINSIGHTS_CONNECTION_STRING or OTEL_EXPORTER_OTLP_ENDPOINT";
            reader.problem("ENABLE_TELEMETRY", sentence);
            false
        }
        "false" => false,
        _ => {
            reader.problem("ENABLE_TELEMETRY", "must be auto, true or false");
            false
        }
    };
    if !is_wanted {
        return None;
    }
    let headers = reader.secret("OTEL_EXPORTER_OTLP_HEADERS");
    let collector = endpoint.map(|endpoint| Collector::parse(&endpoint, headers.as_ref()));
    let application_insights = connection.map(ConnectionString::parse);
    Some(TelemetrySettings {
        service: reader.text("OTEL_SERVICE_NAME").unwrap_or_default(),
        sampling,
        collector: collector.and_then(|parsed| reader.accept("OTEL_EXPORTER_OTLP_ENDPOINT", parsed)),
        application_insights: application_insights
            .and_then(|parsed| reader.accept("APPLICATIONINSIGHTS_CONNECTION_STRING", parsed)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    const INSIGHTS: (&str, &str) = ("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=k");

    /// Whether telemetry is on, or the setting that is wrong.
    fn check(values: &[(&'static str, &str)]) -> Result<bool, &'static str> {
        let source = Source::of(values.iter().copied());
        let mut reader = Reader::new(&source);
        let read = settings(&mut reader);
        reader.finish().map(|_| read.is_some()).map_err(|problems| problems[0].name)
    }

    #[test]
    fn it_is_on_when_somebody_is_named_and_off_on_request() {
        let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(check(&[]), Ok(false));
        assert_eq!(check(&[INSIGHTS]), Ok(true));
        assert_eq!(check(&[collector, ("ENABLE_TELEMETRY", "True")]), Ok(true));
        assert_eq!(check(&[INSIGHTS, collector, ("ENABLE_TELEMETRY", "false")]), Ok(false));
    }

    #[test]
    fn mistakes_are_told_under_the_name_of_the_setting() {
        assert_eq!(check(&[("ENABLE_TELEMETRY", "true")]), Err("ENABLE_TELEMETRY"));
        assert_eq!(check(&[("ENABLE_TELEMETRY", "yes")]), Err("ENABLE_TELEMETRY"));
        assert_eq!(check(&[(INSIGHTS.0, "key")]), Err(INSIGHTS.0));
        for wrong in ["2", "-1", "NaN", "all"] {
            assert_eq!(check(&[("OTEL_TRACES_SAMPLER_ARG", wrong)]), Err("OTEL_TRACES_SAMPLER_ARG"), "{wrong}");
        }
        assert_eq!(check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")]), Err("OTEL_EXPORTER_OTLP_ENDPOINT"));
    }
}
