//! The settings of traces and metrics.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;

use super::source::Reader;
use crate::secret::Secret;
use crate::telemetry::settings::{ApplicationInsights, Collector, TelemetrySettings, check_connection_string};

/// Where traces and metrics go; none when nobody is named, or when they are switched off.
pub(super) fn settings(reader: &mut Reader<'_>, identity: &Arc<dyn TokenCredential>) -> Option<TelemetrySettings> {
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
    let collector = endpoint.map(|endpoint| Collector::parse(&endpoint, headers));
    if let Some(Secret::Plain(text)) = &connection {
        reader.accept("APPLICATIONINSIGHTS_CONNECTION_STRING", check_connection_string(text));
    }
    let identity = signs_in(reader).then(|| Arc::clone(identity));
    Some(TelemetrySettings {
        service: reader.text("OTEL_SERVICE_NAME").unwrap_or_default(),
        sampling,
        collector: collector.and_then(|parsed| reader.accept("OTEL_EXPORTER_OTLP_ENDPOINT", parsed)),
        application_insights: connection.map(|connection| ApplicationInsights { connection, identity }),
    })
}

/// Whether Application Insights wants a token: `Authorization=AAD`, as for every Function App.
fn signs_in(reader: &mut Reader<'_>) -> bool {
    const NAME: &str = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING";
    let Some(text) = reader.text(NAME) else { return false };
    let fields: Vec<(String, &str)> = text
        .split(';')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
        .collect();
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    if !field("authorization").is_some_and(|how| how.eq_ignore_ascii_case("aad")) {
        reader.problem(NAME, "must hold Authorization=AAD");
    }
    // One identity is for all services.
    if field("clientid").is_some_and(|id| reader.text("AZURE_CLIENT_ID").as_deref() != Some(id)) {
        reader.problem(NAME, "must name the same ClientId as AZURE_CLIENT_ID");
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::source::Source;
    use crate::identity::{Identity, SignIn};

    const INSIGHTS: (&str, &str) = ("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=k");

    /// Whether telemetry is on, or the setting that is wrong.
    fn check(values: &[(&'static str, &str)]) -> Result<bool, &'static str> {
        let source = Source::of(values.iter().copied());
        let mut reader = Reader::new(&source);
        let nobody: Arc<dyn TokenCredential> = Arc::new(Identity::new(SignIn::DeveloperTools, Clock::system()));
        let read = settings(&mut reader, &nobody);
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
        let sign_in = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING";
        assert_eq!(check(&[INSIGHTS, (sign_in, "Authorization=AAD")]), Ok(true));
        let named = [INSIGHTS, (sign_in, "ClientId=a;Authorization=AAD"), ("AZURE_CLIENT_ID", "a")];
        assert_eq!((check(&named), check(&named[..2])), (Ok(true), Err(sign_in)));
        assert_eq!(check(&[INSIGHTS, (sign_in, "AAD")]), Err(sign_in));
        for wrong in ["2", "-1", "NaN", "all"] {
            assert_eq!(check(&[("OTEL_TRACES_SAMPLER_ARG", wrong)]), Err("OTEL_TRACES_SAMPLER_ARG"), "{wrong}");
        }
        assert_eq!(check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")]), Err("OTEL_EXPORTER_OTLP_ENDPOINT"));
    }
}
