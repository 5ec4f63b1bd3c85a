//! What can go wrong between us and a model server, sorted by what to do about it. What enters are the client's errors and
//! refused answers, what leaves is one `Error` of ours. Of a server's own words only known codes are kept: the rest may
//! hold the prompt, or whatever somebody wants to see in our log.

use std::fmt;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::reason;

/// The most of a refused answer that is read, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Why a call gave no answer.
#[derive(Debug)]
pub(in crate::models) enum Failure {
    /// The server answered with an error.
    Refused(Refusal),
    /// There is no token or key to show to the server.
    NoToken(Error),
    /// All servers failed in a row a moment ago, so nobody was called.
    LeftAlone,
    /// Nobody answered, or the connection broke before the answer began.
    Unreachable(reqwest::Error),
    /// The stream ended in the middle.
    Cut,
    /// The answer was not there in time.
    TooLate,
    /// What came is not of the protocol.
    NotUnderstood,
    /// What came is of the protocol, but not what was asked for. The sentence is ours and holds nothing of the server's.
    Wrong(String),
}

/// An answer with an error status, or an error in the stream.
#[derive(Debug)]
pub(in crate::models) struct Refusal {
    status: Option<u16>,
    reason: Reason,
    retry_after: Option<Duration>,
}

/// The codes that change what we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) enum Reason {
    /// The content filter refused question or answer.
    ContentFilter,
    /// The content filter did not run, so the answer was not looked at.
    FilterDown,
    /// The account has nothing left; waiting does not help.
    Quota,
    /// Too many calls or tokens just now.
    RateLimit,
    /// The messages do not fit the model.
    TooLong,
    /// Anything else.
    Other,
}

impl Failure {
    /// Whether the same call may succeed in a moment at the same server.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                refusal.reason != Reason::Quota
                    && matches!(refusal.status, Some(408 | 409 | 429 | 500 | 502 | 503 | 504))
            }
            Self::Unreachable(_) | Self::Cut => true,
            Self::NoToken(_) | Self::LeftAlone | Self::TooLate | Self::NotUnderstood | Self::Wrong(_) => false,
        }
    }

    /// Whether another server may take the call: its region, quota or rights may differ. The text is the same everywhere.
    pub(super) fn may_pass_elsewhere(&self) -> bool {
        match self {
            Self::Refused(refusal) => match refusal.reason {
                Reason::ContentFilter | Reason::FilterDown | Reason::TooLong => false,
                Reason::Quota | Reason::RateLimit => true,
                Reason::Other => !matches!(refusal.status, None | Some(400 | 413 | 422)),
            },
            Self::Unreachable(_) | Self::Cut | Self::TooLate | Self::NotUnderstood => true,
            Self::NoToken(_) | Self::LeftAlone | Self::Wrong(_) => false,
        }
    }

    /// Whether the server is there and lets us in, but knows no such path.
    pub(super) fn is_unknown_path(&self) -> bool {
        matches!(self, Self::Refused(refusal) if matches!(refusal.status, Some(404 | 405 | 501)))
    }

    /// Whether the server works but wants fewer calls.
    pub(super) fn asks_for_a_pause(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                refusal.reason != Reason::Quota
                    && (refusal.status == Some(429) || refusal.status == Some(503) && refusal.retry_after.is_some())
            }
            _ => false,
        }
    }

    /// Whether it shows that the server does not work, whatever it is asked.
    pub(super) fn is_of_the_server(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(refusal.status, Some(408 | 500..=599)),
            Self::Unreachable(_) | Self::Cut | Self::TooLate | Self::NotUnderstood => true,
            Self::NoToken(_) | Self::LeftAlone | Self::Wrong(_) => false,
        }
    }

    /// Whether the server read the request and does not want it. One text too many or too long may be why: servers agree
    /// on no code for that, and some name none.
    pub(super) fn refuses_the_input(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                refusal.reason == Reason::TooLong
                    || refusal.reason == Reason::Other && matches!(refusal.status, Some(400 | 413 | 422))
            }
            _ => false,
        }
    }

    /// How long the server asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// Why, for a person who looks after the server.
    fn outside_reason(&self) -> Option<reason::Reason> {
        match self {
            Self::Refused(refusal) if refusal.reason == Reason::Quota => Some(reason::Reason::Busy),
            Self::Refused(refusal) => refusal.status.and_then(reason::Reason::of_status),
            Self::NoToken(cause) => cause.reason(),
            Self::Unreachable(cause) => Some(reason::Reason::of_network(cause)),
            Self::TooLate => Some(reason::Reason::TooSlow),
            Self::LeftAlone | Self::Cut | Self::NotUnderstood | Self::Wrong(_) => None,
        }
    }

    /// The failure as callers see it, with the cause for the log.
    pub(in crate::models) fn into_error(self) -> Error {
        use ErrorKind::{ContentFiltered, DeadlineExceeded, ModelBusy, ModelFailed};
        let (kind, sentence) = match &self {
            Self::Refused(refusal) => match (refusal.reason, refusal.status) {
                (Reason::ContentFilter, _) => (ContentFiltered, "the content filter of the model refused the text"),
                (Reason::FilterDown, _) => {
                    (ModelFailed, "the answer was withheld, because the model's content filter did not run")
                }
                (Reason::Quota, _) => (ModelBusy, "the quota of the model is used up"),
                (Reason::TooLong, _) => (ModelFailed, "the text is too long for the model"),
                (Reason::RateLimit, _) | (_, Some(429 | 503)) => {
                    (ModelBusy, "the model is busy, please try again in a moment")
                }
                (Reason::Other, Some(401 | 403)) => {
                    (ModelFailed, "the model server does not accept the configured key or identity")
                }
                (Reason::Other, Some(404)) => (ModelFailed, "the model server does not know the configured model"),
                (Reason::Other, _) => (ModelFailed, "the model server answered with an error"),
            },
            Self::NoToken(_) => (ModelFailed, "there is no token for the model server: is an identity assigned?"),
            Self::LeftAlone => (ModelBusy, "the model server does not work at the moment, please try again later"),
            Self::Unreachable(_) => (ModelFailed, "the model server cannot be reached"),
            Self::TooLate => (DeadlineExceeded, "the model did not answer in time"),
            Self::Cut => (ModelFailed, "the model's answer ended in the middle"),
            Self::NotUnderstood => (ModelFailed, "the model server sent something that cannot be understood"),
            Self::Wrong(sentence) => (ModelFailed, sentence.as_str()),
        };
        let error = Error::new(kind, sentence).because(self.outside_reason());
        match self {
            Self::Refused(refusal) => error.caused_by(refusal),
            Self::Unreachable(cause) => error.caused_by(cause.without_url()),
            Self::NoToken(cause) => error.caused_by(cause),
            Self::LeftAlone | Self::TooLate | Self::Cut | Self::NotUnderstood | Self::Wrong(_) => error,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoToken(_) => f.write_str("no token"),
            Self::LeftAlone => f.write_str("left alone"),
            Self::Unreachable(_) => f.write_str("unreachable"),
            Self::TooLate => f.write_str("too late"),
            Self::Cut => f.write_str("cut"),
            Self::NotUnderstood => f.write_str("not understood"),
            Self::Wrong(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Failure {}

impl Refusal {
    /// Reads a refused answer: its status, the code in its body, and when to come back.
    pub(super) async fn read(mut response: reqwest::Response) -> Self {
        let status = Some(response.status().as_u16());
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        while let Ok(Some(piece)) = response.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() > MAX_BODY_BYTES {
                break;
            }
        }
        let reason = serde_json::from_slice::<Value>(&body).map_or(Reason::Other, |body| Reason::of(&body["error"]));
        Self { status, reason, retry_after }
    }

    /// A refusal found inside a stream, where there is no status.
    pub(super) fn in_stream(reason: Reason) -> Self {
        Self { status: None, reason, retry_after: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "status {status}, {:?}", self.reason),
            None => write!(f, "error in the stream, {:?}", self.reason),
        }
    }
}

impl std::error::Error for Refusal {}

impl Reason {
    /// The reason that an error object names in `code`, `type` or `innererror.code`.
    pub(super) fn of(error: &Value) -> Self {
        let named = [&error["code"], &error["type"], &error["innererror"]["code"]];
        let mut known = named.into_iter().filter_map(Value::as_str).map(|code| match code {
            "content_filter" | "content_policy_violation" | "ResponsibleAIPolicyViolation" => Self::ContentFilter,
            "content_filter_error" => Self::FilterDown,
            "insufficient_quota" | "billing_hard_limit_reached" => Self::Quota,
            "rate_limit_exceeded" | "rate_limit_error" | "too_many_requests" => Self::RateLimit,
            "context_length_exceeded" => Self::TooLong,
            _ => Self::Other,
        });
        known.find(|reason| *reason != Self::Other).unwrap_or(Self::Other)
    }
}

/// The wait that a server asks for, in any of the three forms in use.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(milliseconds) = text("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(milliseconds / 1000.0).ok();
    }
    let raw = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = raw.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    // A date is measured against the server's own clock, so that ours need not be right.
    let until = DateTime::parse_from_rfc2822(raw).ok()?;
    let now = DateTime::parse_from_rfc2822(text(DATE.as_str())?).ok()?;
    Some((until - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn check_wait(headers: &[(&'static str, &str)], expected_ms: Option<u128>) {
        let header = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_str(value).expect("a test's value");
            (HeaderName::from_static(name), value)
        };
        let headers: HeaderMap = headers.iter().map(header).collect();
        assert_eq!(retry_after(&headers).map(|wait| wait.as_millis()), expected_ms, "{headers:?}");
    }

    #[test]
    fn reads_every_form_of_retry_after() {
        check_wait(&[("retry-after", "2")], Some(2000));
        check_wait(&[("retry-after-ms", "150"), ("retry-after", "2")], Some(150));
        check_wait(&[("retry-after", "0.5")], Some(500));
        let date = ("date", "Fri, 01 May 2026 10:00:00 GMT");
        check_wait(&[date, ("retry-after", "Fri, 01 May 2026 10:00:07 GMT")], Some(7000));
        check_wait(&[date, ("retry-after", "Fri, 01 May 2026 09:00:00 GMT")], Some(0));
        check_wait(&[("retry-after", "Fri, 01 May 2026 10:00:07 GMT")], None);
        check_wait(&[("retry-after", "-3")], None);
        check_wait(&[("retry-after", "1e300")], None);
        check_wait(&[("retry-after", "soon")], None);
        check_wait(&[], None);
    }

    fn check_kind(status: u16, body: Value, kind: ErrorKind, passing: bool) {
        let failure =
            Failure::Refused(Refusal { status: Some(status), reason: Reason::of(&body["error"]), retry_after: None });
        assert_eq!(failure.is_passing(), passing, "{status} {body}");
        assert_eq!(failure.into_error().kind(), kind, "{status} {body}");
    }

    #[test]
    fn sorts_refusals_by_what_can_be_done() {
        check_kind(429, json!({"error": {"code": "rate_limit_exceeded"}}), ErrorKind::ModelBusy, true);
        check_kind(429, json!({"error": {"type": "insufficient_quota", "code": null}}), ErrorKind::ModelBusy, false);
        check_kind(503, json!("overloaded"), ErrorKind::ModelBusy, true);
        check_kind(500, json!({"error": "a secret"}), ErrorKind::ModelFailed, true);
        check_kind(401, json!({"error": {"code": "401"}}), ErrorKind::ModelFailed, false);
        check_kind(400, json!({"error": {"code": "content_filter"}}), ErrorKind::ContentFiltered, false);
        let inner = json!({"error": {"code": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}});
        check_kind(400, inner, ErrorKind::ContentFiltered, false);
        check_kind(400, json!({"error": {"code": "context_length_exceeded"}}), ErrorKind::ModelFailed, false);
    }
}
