//! The envelope in which the Functions host hands a trigger to the handler, and the answer it wants back.
//!
//! The host sends `{"Data": {binding: value}, "Metadata": {…}}`. A string arrives as a JSON string that holds a JSON string;
//! numbers, dates and arrays as JSON text in a string; bytes as plain base64; objects as they are. Metadata is read
//! leniently: its built-in keys can be overwritten by the properties of a queue message.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::place_in_json;

/// One invocation of a trigger function, as the host sends it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Envelope {
    /// The trigger's value by the binding's name.
    pub data: Map<String, Value>,
    /// What the host knows about the trigger.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// The answer to an invocation. The host waits for ever for a 2xx answer without a body, so there is always one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reply {
    /// Values of output bindings; none of our functions has one besides its answer.
    pub outputs: Map<String, Value>,
    /// Lines for the host to log under the invocation's id.
    pub logs: Vec<String>,
    /// Unused, and therefore null.
    pub return_value: Option<Value>,
}

impl Reply {
    /// An answer that leaves one line in the host's log.
    pub fn logged(line: impl Into<String>) -> Self {
        Self { logs: vec![line.into()], ..Self::default() }
    }
}

impl Envelope {
    /// Reads an envelope from a request's body.
    pub fn parse(body: &[u8]) -> Result<Self> {
        serde_json::from_slice(body).map_err(|e| {
            let kind = if e.is_data() { ErrorKind::InvalidRequest } else { ErrorKind::MalformedJson };
            Error::new(kind, "the body is not an invocation of the Functions host").caused_by(place_in_json(&e))
        })
    }

    /// The trigger's text: decoded twice where the host encoded it twice.
    pub fn text(&self, binding: &str) -> Result<Cow<'_, str>> {
        match self.data.get(binding) {
            Some(Value::String(raw)) => Ok(decode(raw)),
            // A queue trigger may be configured so that the host parses the message itself.
            Some(object @ (Value::Object(_) | Value::Array(_))) => Ok(Cow::Owned(object.to_string())),
            _ => Err(Error::new(ErrorKind::InvalidRequest, format!("the invocation has no text under `{binding}`"))),
        }
    }

    /// Since when the trigger has waited: when its message was put into the queue, or when its blob was last changed. None
    /// for triggers that do not say, and for times that are no times.
    pub fn waiting_since(&self) -> Option<DateTime<Utc>> {
        let of_message = self.metadata_text("InsertionTime");
        let of_blob = || Some(decode(self.metadata.get("Properties")?.get("LastModified")?.as_str()?));
        let told = of_message.or_else(of_blob)?;
        DateTime::parse_from_rfc3339(&told).ok().map(|time| time.to_utc())
    }

    /// A piece of metadata as text, if it is there and is text.
    pub fn metadata_text(&self, key: &str) -> Option<Cow<'_, str>> {
        match self.metadata.get(key) {
            Some(Value::String(raw)) => Some(decode(raw)),
            _ => None,
        }
    }
}

/// Undoes the host's second encoding. Text that is not a JSON string inside is taken as it is.
fn decode(raw: &str) -> Cow<'_, str> {
    match serde_json::from_str::<String>(raw) {
        Ok(inner) => Cow::Owned(inner),
        Err(_) => Cow::Borrowed(raw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(json: &str) -> Envelope {
        Envelope::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_twice_encoded_string_is_decoded_twice() {
        let envelope =
            envelope(r#"{"Data":{"msg":"\"{\\\"id\\\":7}\""},"Metadata":{"name":"\"a b.txt\"","DequeueCount":"1"}}"#);
        assert_eq!(envelope.text("msg").unwrap(), r#"{"id":7}"#);
        assert_eq!(envelope.metadata_text("name").unwrap(), "a b.txt");
        assert_eq!(envelope.metadata_text("DequeueCount").unwrap(), "1");
    }

    #[test]
    fn a_trigger_says_since_when_it_waits() {
        let since = |metadata: &str| {
            envelope(&format!(r#"{{"Data":{{}},"Metadata":{metadata}}}"#)).waiting_since().map(|time| time.timestamp())
        };
        assert_eq!(since(r#"{"InsertionTime":"2026-01-08T10:00:00+00:00"}"#), Some(1_767_866_400));
        assert_eq!(since(r#"{"InsertionTime":"\"2026-01-08T10:00:00Z\""}"#), Some(1_767_866_400));
        assert_eq!(since(r#"{"Properties":{"LastModified":"2026-01-08T10:00:00+00:00"}}"#), Some(1_767_866_400));
        for none in ["{}", r#"{"InsertionTime":7}"#, r#"{"InsertionTime":"soon"}"#, r#"{"Properties":[]}"#] {
            assert_eq!(since(none), None, "{none}");
        }
    }

    #[test]
    fn metadata_may_hold_anything() {
        let envelope = envelope(r#"{"Data":{},"Metadata":{"name":7,"sys":{"x":[1]},"Id":null}}"#);
        assert_eq!(envelope.metadata_text("name"), None);
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for body in ["", "null", "[]", "{}", r#"{"Data":1}"#, r#"{"Data":{},"Metadata":7}"#, "\u{0}"] {
            assert!(Envelope::parse(body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn a_reply_is_never_empty() {
        let json = serde_json::to_string(&Reply::default()).unwrap();
        assert_eq!(json, r#"{"Outputs":{},"Logs":[],"ReturnValue":null}"#);
    }
}
