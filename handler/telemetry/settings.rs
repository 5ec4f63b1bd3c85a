//! Where traces and metrics go, and how many of them.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Where traces and metrics go. At least one of the two places is named.
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// Under which name the process is seen there.
    pub service: String,
    /// The share of traces that is kept, from 0 to 1. Metrics count everything.
    pub sampling: f64,
    /// A collector of OpenTelemetry.
    pub collector: Option<Collector>,
    /// Application Insights.
    pub application_insights: Option<ApplicationInsights>,
}

/// A collector that takes OTLP over HTTP, as protocol buffers.
#[derive(Clone, Debug)]
pub struct Collector {
    /// Its address, to which `/v1/traces` and `/v1/metrics` are added.
    pub endpoint: Url,
    /// What every request carries besides, as [`headers`] reads it.
    pub headers: Option<Secret>,
}

/// An Application Insights resource.
#[derive(Clone, Debug)]
pub struct ApplicationInsights {
    /// Where it is, and which one: a connection string that [`check_connection_string`] has nothing against.
    pub connection: Secret,
    /// Who signs in there; nobody when the resource takes whatever names its key.
    pub identity: Option<Arc<dyn TokenCredential>>,
}

impl Collector {
    /// Checks an address, and a list of headers where it is not in a Key Vault.
    pub fn parse(endpoint: &str, headers: Option<Secret>) -> Result<Self> {
        let wrong = |sentence: &str| Error::new(ErrorKind::Misconfigured, sentence);
        let endpoint = Url::parse(endpoint).map_err(|_| wrong("must be the address of a collector"))?;
        if !matches!(endpoint.scheme(), "http" | "https") || endpoint.host_str().is_none() {
            return Err(wrong("must be the address of a collector, http:// or https://"));
        }
        if let Some(Secret::Plain(text)) = &headers {
            self::headers(text)?;
        }
        Ok(Self { endpoint, headers })
    }
}

/// Reads a list of headers, `name=value,name=value` with percent-encoded values.
pub fn headers(text: &SecretString) -> Result<Vec<(String, SecretString)>> {
    let wrong = |sentence: &str| Error::new(ErrorKind::Misconfigured, sentence);
    let mut pairs = Vec::new();
    for pair in text.expose_secret().split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("has a header without a value"))?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
        let is_fit = http::HeaderName::try_from(name.trim()).is_ok() && http::HeaderValue::try_from(&value).is_ok();
        if !is_fit {
            return Err(wrong("has a header that cannot be sent"));
        }
        pairs.push((name.trim().to_owned(), SecretString::from(value)));
    }
    Ok(pairs)
}

/// Checks `InstrumentationKey=…;IngestionEndpoint=https://…;…`.
pub fn check_connection_string(text: &SecretString) -> Result<()> {
    let wrong = |sentence: &str| Err(Error::new(ErrorKind::Misconfigured, sentence));
    let fields: Vec<(&str, &str)> = text.expose_secret().split(';').filter_map(|field| field.split_once('=')).collect();
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    if field("InstrumentationKey").is_none() {
        return wrong("must hold InstrumentationKey=…");
    }
    // The library turns http into https without a word, and then nobody answers.
    let is_secure = |address: &str| Url::parse(address).is_ok_and(|url| url.scheme() == "https");
    if field("IngestionEndpoint").is_some_and(|address| !is_secure(address)) {
        return wrong("must have an https:// address in IngestionEndpoint");
    }
    Ok(())
}

/// A field of a connection string of Application Insights.
pub(super) fn connection_field<'a>(text: &'a SecretString, wanted: &str) -> Option<&'a str> {
    let mut fields = text.expose_secret().split(';').filter_map(|field| field.split_once('='));
    let found = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
    found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(endpoint: &str, headers: Option<&str>) -> Result<Collector> {
        Collector::parse(endpoint, headers.map(Secret::from))
    }

    #[test]
    fn headers_are_taken_apart_and_not_shown() {
        let collector = parse("http://127.0.0.1:4318", Some("x-key=a%20b, other = c ,")).unwrap();
        let read = headers(&"x-key=a%20b, other = c ,".into()).unwrap();
        let headers: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(headers, [("x-key", "a b"), ("other", "c")]);
        assert!(!format!("{collector:?}").contains("a b"));
    }

    #[test]
    fn wrong_addresses_and_headers_are_refused() {
        for (endpoint, headers) in
            [("collector:4318", None), ("ftp://a", None), ("http://a", Some("x")), ("http://a", Some("a b=c"))]
        {
            assert!(parse(endpoint, headers).is_err(), "{endpoint} {headers:?}");
        }
        assert!(parse("http://a", Some("x=%0a")).is_err(), "a line end is no header");
    }

    #[test]
    fn a_connection_string_names_a_key_and_a_safe_address() {
        assert!(check_connection_string(&"InstrumentationKey=k;IngestionEndpoint=https://a.example/".into()).is_ok());
        assert!(check_connection_string(&"InstrumentationKey=k".into()).is_ok());
        for wrong in ["", "k", "InstrumentationKey=", "InstrumentationKey=k;IngestionEndpoint=http://a.example"] {
            assert!(check_connection_string(&wrong.into()).is_err(), "{wrong}");
        }
    }
}
