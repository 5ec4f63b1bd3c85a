//! The head of an answer that is to be saved as a file.

use axum::http::{HeaderName, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands for itself in the name of a download (RFC 8187).
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// Lets a browser save an answer under a name, whatever characters that has.
pub(super) fn named(name: &str) -> (HeaderName, String) {
    (header::CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, ATTRIBUTE)))
}
