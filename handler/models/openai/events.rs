//! The events of an answer that streams. What enters is a response, what leaves are its chunks, each as soon as it is whole; who
//! takes none lets the server wait. Dropping them closes the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::future::ready;
use futures_util::stream::{BoxStream, StreamExt};

use super::failure::Failure;
use super::wire::Chunk;

/// An answer of more bytes is none: each of its words comes with some hundred others around it.
const MAX_ANSWER_BYTES: usize = 128 << 20;

/// More bytes without an event are none of an answer. They are looked through again with every part of it that comes.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// What ends an answer.
const DONE: &str = "[DONE]";

/// Some servers send these so that nobody takes them for dead.
const KEEPALIVE: &str = "keepalive";

/// What may stand before the first event and means nothing.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The chunks of an answer, or why there are no more.
pub(super) type Chunks = BoxStream<'static, Result<Chunk, Failure>>;

/// The chunks of a response, up to the one that ends it.
pub(super) fn chunks(response: reqwest::Response) -> Chunks {
    let without_event = Arc::new(AtomicUsize::new(0));
    let waiting = Arc::clone(&without_event);
    let (mut left, mut mark) = (MAX_ANSWER_BYTES, BYTE_ORDER_MARK);
    let bytes = response.bytes_stream().map(move |bytes| {
        let bytes = without_mark(bytes.map_err(|_| Failure::Cut)?, &mut mark);
        left = left.checked_sub(bytes.len()).ok_or(Failure::NotUnderstood)?;
        let waiting = waiting.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        if waiting > MAX_EVENT_BYTES { Err(Failure::NotUnderstood) } else { Ok(bytes) }
    });
    let events = bytes.eventsource().inspect(move |_| without_event.store(0, Ordering::Relaxed));
    let events = events.take_while(|event| ready(!matches!(event, Ok(event) if event.data == DONE)));
    let events = events.filter(|event| ready(!matches!(event, Ok(event) if event.event == KEEPALIVE)));
    let chunks = events.map(|event| match event {
        Ok(event) => serde_json::from_str(&event.data).map_err(|_| Failure::NotUnderstood),
        Err(EventStreamError::Transport(failure)) => Err(failure),
        // Ended within a character, perhaps.
        Err(EventStreamError::Utf8(_)) => Err(Failure::Cut),
        Err(EventStreamError::Parser(_)) => Err(Failure::NotUnderstood),
    });
    chunks.boxed()
}

/// The bytes without what is `left` of the mark, in which the library would stumble.
fn without_mark(mut bytes: Bytes, left: &mut &[u8]) -> Bytes {
    while let ([expected, rest @ ..], Some(first)) = (*left, bytes.first()) {
        if first == expected {
            bytes.advance(1);
            *left = rest;
        } else {
            *left = &[];
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// The words of an answer that comes in these pieces, and how it failed, if it did.
    async fn read(pieces: Vec<&[u8]>) -> (String, Option<String>) {
        let pieces: Vec<std::io::Result<Vec<u8>>> = pieces.into_iter().map(|piece| Ok(piece.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(stream::iter(pieces));
        let mut chunks = chunks(http::Response::new(body).into());
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
        "data: {\"choices\":[{\"delta\":{\"content\":\" Tage\"}}]}\r\n\r\ndata: [DONE]\n\ndata: nonsense\n\n"
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
    async fn what_is_no_answer_ends_it() {
        let failure = |pieces| async { read(pieces).await.1.expect("a failure") };
        assert_eq!(failure(vec![b"data: {\n\n"]).await, "not understood");
        assert_eq!(failure(vec![b"data: Zw\xc3"]).await, "cut");
        let half = vec![b'x'; MAX_EVENT_BYTES / 2];
        assert_eq!(failure(vec![b"data: ", &half, &half]).await, "not understood");
        // What stands behind a wrong byte never becomes an event.
        assert_eq!(failure(vec![b"data: \xff\n\n", &half, b"\n\n", &half]).await, "not understood");
        let event = [b"data: {}\ndata: ".as_slice(), &vec![b' '; MAX_EVENT_BYTES - 100], b"\n\n"].concat();
        let many = vec![event.as_slice(); MAX_ANSWER_BYTES / event.len() + 1];
        assert_eq!(failure(many).await, "not understood");
    }
}
