//! Connections for the official clients of Azure that read no answer without bounds, and wait for no service without bounds. The
//! clients read most answers whole, so a service that has gone mad, or somebody in its place, could fill this process; and they
//! sleep for as long as a service asks, while somebody waits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, HttpClient, HttpClientOptions, Method, Request, Transport, new_http_client};
use futures_util::StreamExt;

/// The most bytes of an answer that is not something asked for by its name: of a refusal, or of a change.
const SMALL: u64 = 1 << 20;

/// A service that asks for a longer wait than this has refused.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Connections on which what is asked for may have `most_bytes`.
#[derive(Debug)]
struct Bounded {
    inner: Arc<dyn HttpClient>,
    most_bytes: u64,
}

/// The connections as the official clients take them. Reads the machine's certificates.
pub fn transport(most_bytes: u64) -> Transport {
    // What was stored with a `Content-Encoding` is to come as it was stored.
    let options = HttpClientOptions { automatic_decompression: false };
    Transport::new(Arc::new(Bounded { inner: new_http_client(Some(options)), most_bytes }))
}

#[async_trait]
impl HttpClient for Bounded {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let answer = self.inner.execute_request(request).await?;
        let (status, headers, body) = answer.deconstruct();
        if matches!(u16::from(status), 429 | 503) && asked_wait(&headers).is_some_and(|wait| wait > LONGEST_WAIT) {
            let kind = ErrorKind::HttpResponse { status, error_code: None, raw_response: None };
            return Err(Error::with_message(kind, "the service wants no call for a long time"));
        }
        let is_wanted = request.method() == Method::Get && status.is_success();
        let most = if is_wanted { self.most_bytes } else { SMALL };
        // The length that comes without a body is that of something else.
        let length = header(&headers, "content-length").and_then(|length| length.parse::<u64>().ok());
        if request.method() != Method::Head && length.is_some_and(|length| length > most) {
            return Err(too_large(most));
        }
        let mut left = most;
        let body = body.map(move |piece| {
            let piece = piece?;
            left = left.checked_sub(piece.len() as u64).ok_or_else(|| too_large(most))?;
            Ok(piece)
        });
        Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
    }
}

fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found.as_str() == name).map(|(_, value)| value.as_str().trim())
}

/// How long a refusal asks to wait, in seconds or until a date by the service's own clock.
fn asked_wait(headers: &Headers) -> Option<Duration> {
    let text = header(headers, "retry-after")?;
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let now = chrono::DateTime::parse_from_rfc2822(header(headers, "date")?).ok()?;
    (until - now).to_std().ok()
}

/// Of a kind that is not tried again.
fn too_large(most: u64) -> Error {
    Error::with_message(ErrorKind::Other, format!("the answer has more than {most} bytes"))
}
