//! How a caller stands, in the headers of an answer: `RateLimit-Policy` and `RateLimit` as the draft
//! `draft-ietf-httpapi-ratelimit-headers-10` has them.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{Policy, Standing};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// Writes what was counted, and what is left of it for how many seconds.
pub fn describe(headers: &mut HeaderMap, (policy, standing): (Policy, Standing)) {
    let name = policy.name;
    let lines = [
        (POLICY, format!("\"{name}\";q={};w=60", policy.limit)),
        (LEFT, format!("\"{name}\";r={};t={}", standing.remaining, standing.wait)),
    ];
    for (header, line) in lines {
        if let Ok(line) = HeaderValue::from_str(&line) {
            headers.insert(header, line);
        }
    }
}
