//! The one place of the stand-in that asks what time it is.

use chrono::{DateTime, SecondsFormat, Utc};

/// The present moment. The stand-in talks to a real storage emulator, so it lives in real time.
#[allow(clippy::disallowed_methods, reason = "a host has no other clock than the machine's")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A `DateTimeOffset` as it appears in an envelope: whole seconds, because the host writes it through `ToString()`.
pub fn offset_text(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// A moment inside a real JSON object of an envelope, with its fraction.
pub fn precise_text(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Micros, true)
}
