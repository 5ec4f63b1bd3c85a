//! What an answer comes in. What enters is a response, what leaves are its chunks: those of a stream each as soon as it is whole;
//! an answer that comes as a whole is one chunk. Who takes none lets the server wait. Dropping them closes the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use sse_stream::{Sse, SseStream};

use super::failure::Failure;
use super::transport::read;
use super::wire::Chunk;

/// An answer of more bytes is none: each of its words comes with some hundred others around it.
const MAX_ANSWER_BYTES: usize = 128 << 20;

/// The same for one that comes as a whole, in which there is little but words.
const MAX_WHOLE_BYTES: usize = 2 << 20;

/// More bytes without an event are none of an answer.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// What ends an answer.
const DONE: &str = "[DONE]";

/// Some servers send these so that nobody takes them for dead.
const KEEPALIVE: &str = "keepalive";

/// The chunks of an answer, or why there are no more.
pub(super) type Chunks = BoxStream<'static, Result<Chunk, Failure>>;

/// The chunks of a response, up to the one that ends it. Whether they are a stream is for the server to say, because some never
/// stream and some always do; where it does not, it has done what it was asked.
pub(super) fn chunks(response: reqwest::Response, is_stream_wanted: bool) -> Chunks {
    let is_streamed = match essence(response.headers()).as_str() {
        "text/event-stream" => true,
        "application/json" => false,
        _ => is_stream_wanted,
    };
    if is_streamed { streamed(response) } else { stream::once(whole(response)).boxed() }
}

/// The type of what comes, in lower case and without its parameters.
fn essence(headers: &HeaderMap) -> String {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

async fn whole(response: reqwest::Response) -> Result<Chunk, Failure> {
    let body = read(response, MAX_WHOLE_BYTES).await?;
    serde_json::from_slice(&body).map_err(|_| Failure::NotUnderstood)
}

fn streamed(response: reqwest::Response) -> Chunks {
    let without_event = Arc::new(AtomicUsize::new(0));
    let waiting = Arc::clone(&without_event);
    let mut left = MAX_ANSWER_BYTES;
    let bytes = response.bytes_stream().map(move |bytes| {
        let bytes = bytes.map_err(|_| Failure::Cut)?;
        left = left.checked_sub(bytes.len()).ok_or(Failure::NotUnderstood)?;
        let waiting = waiting.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        if waiting > MAX_EVENT_BYTES { Err(Failure::NotUnderstood) } else { Ok(bytes) }
    });
    // A line at a time: of what comes with a line that is none, the library would keep nothing.
    let lines = bytes.map_ok(|bytes| stream::iter(lines(bytes).map(Ok::<_, Failure>))).try_flatten();
    let events = SseStream::from_bytes_stream(Box::pin(lines)).inspect(move |event| {
        if event.is_ok() {
            without_event.store(0, Ordering::Relaxed);
        }
    });
    let events = events.take_while(|event| ready(!matches!(event, Ok(event) if event.data.as_deref() == Some(DONE))));
    let chunks = events.filter_map(|event| ready(chunk(event).transpose()));
    chunks.boxed()
}

/// The same bytes, parted where lines end.
fn lines(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        Some(bytes.split_to(end)).filter(|line| !line.is_empty())
    })
}

/// What an event says; nothing where it is only a sign of life, or a line that the standard has readers pass over.
fn chunk(event: Result<Sse, sse_stream::Error>) -> Result<Option<Chunk>, Failure> {
    use sse_stream::Error::{Body, Utf8Parse};
    let event = match event {
        Ok(event) => event,
        Err(Body(e)) => return Err(e.downcast().map_or(Failure::Cut, |failure| *failure)),
        Err(Utf8Parse(_)) => return Err(Failure::NotUnderstood),
        Err(_) => return Ok(None),
    };
    let data = event.data.filter(|_| event.event.as_deref() != Some(KEEPALIVE));
    data.map(|data| serde_json::from_str(&data).map_err(|_| Failure::NotUnderstood)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of an answer that comes in these pieces, and how it failed, if it did.
    async fn read(pieces: Vec<&[u8]>) -> (String, Option<String>) {
        let pieces: Vec<std::io::Result<Vec<u8>>> = pieces.into_iter().map(|piece| Ok(piece.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(stream::iter(pieces));
        let mut chunks = chunks(http::Response::new(body).into(), true);
        let mut words = String::new();
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => words.extend(chunk.text()),
                Err(failure) => return (words, Some(failure.to_string())),
            }
        }
        (words, None)
    }

    const ANSWER: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"Zwölf\"}}]}\n\n: waiting\n\nevent: keepalive\ndata: waiting\n\n",
        "whatever: this is\nand this\nretry: soon\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\" Tage\"}}]}\r\n\r\ndata: [DONE]\n\nbye\ndata: nonsense\n\n"
    );

    #[tokio::test]
    async fn chunks_are_the_same_wherever_the_bytes_part() {
        let whole = ("Zwölf Tage".to_owned(), None);
        for at in 0..=ANSWER.len() {
            assert_eq!(read(vec![&ANSWER.as_bytes()[..at], &ANSWER.as_bytes()[at..]]).await, whole, "{at}");
        }
        assert_eq!(read(ANSWER.as_bytes().chunks(1).collect()).await, whole);
        let marked = format!("\u{feff}{ANSWER}");
        assert_eq!(read(vec![marked.as_bytes()]).await, whole);
        assert_eq!(read(marked.as_bytes().chunks(1).collect()).await, whole);
    }

    #[tokio::test]
    async fn the_server_says_whether_an_answer_is_one() {
        let told = async |content_type: &str, is_wanted: bool, body: String| {
            let response = http::Response::builder().header(CONTENT_TYPE, content_type).body(reqwest::Body::from(body));
            let mut chunks = chunks(response.expect("a response").into(), is_wanted);
            let chunk = chunks.next().await.expect("a chunk");
            assert!(chunks.next().await.is_none());
            chunk.map(|chunk| chunk.text().unwrap_or_default()).map_err(|failure| failure.to_string())
        };
        let whole =
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Zwölf"},"finish_reason":"stop"}]}"#;
        let not_understood = Err("not understood".to_owned());
        for is_wanted in [true, false] {
            let told = async |content_type, body: &str| told(content_type, is_wanted, body.to_owned()).await;
            assert_eq!(told("application/json; charset=utf-8", whole).await, Ok("Zwölf".to_owned()));
            assert_eq!(told("Application/JSON", "data: {}\n\n").await, not_understood);
            assert_eq!(told("text/event-stream", "data: {}\n\n").await, Ok(String::new()));
        }
        assert_eq!(told("text/plain", true, "data: {}\n\n".to_owned()).await, Ok(String::new()));
        assert_eq!(told("text/plain", false, whole.to_owned()).await, Ok("Zwölf".to_owned()));
        let long = whole.replace("Zwölf", &"x".repeat(MAX_WHOLE_BYTES - whole.len()));
        assert_eq!(told("", false, long.clone()).await.map(|words| words.len()), Ok(MAX_WHOLE_BYTES - whole.len()));
        let longer = told("", false, long + "       ").await;
        assert!(longer.expect_err("it is too long").contains("more than"));
    }

    #[tokio::test]
    async fn what_is_no_answer_ends_it() {
        let failure = |pieces| async { read(pieces).await.1.expect("a failure") };
        assert_eq!(failure(vec![b"data: {\n\n"]).await, "not understood");
        assert_eq!(failure(vec![b"data: Zw\xc3\n"]).await, "not understood");
        let half = vec![b'x'; MAX_EVENT_BYTES / 2];
        assert_eq!(failure(vec![b"data: ", &half, &half]).await, "not understood");
        // What stands behind a wrong byte never becomes an event.
        assert_eq!(failure(vec![b"data: \xff\n\n", &half, b"\n\n", &half]).await, "not understood");
        let event = [b"data: {}\ndata: ".as_slice(), &vec![b' '; MAX_EVENT_BYTES - 100], b"\n\n"].concat();
        let many = vec![event.as_slice(); MAX_ANSWER_BYTES / event.len() + 1];
        assert_eq!(failure(many).await, "not understood");
    }
}
