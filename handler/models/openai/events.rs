//! The events of an answer that streams. What enters is a response, what leaves are its chunks, each as soon as it is whole; who
//! takes none lets the server wait. Dropping them closes the connection.

use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::future::ready;
use futures_util::stream::{BoxStream, StreamExt};

use super::failure::Failure;
use super::wire::Chunk;

/// A longer answer is not one.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A longer line is none of an answer. It is looked through again with every part of it that comes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What ends an answer.
const DONE: &str = "[DONE]";

/// Some servers send these so that nobody takes them for dead.
const KEEPALIVE: &str = "keepalive";

/// The chunks of an answer, or why there are no more.
pub(super) type Chunks = BoxStream<'static, Result<Chunk, Failure>>;

/// The chunks of a response, up to the one that ends it.
pub(super) fn chunks(response: reqwest::Response) -> Chunks {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let (mut left, mut line) = (MAX_ANSWER_BYTES, 0);
    let is_too_long = announced.is_some_and(|length| length > left);
    let bytes = response.bytes_stream().map(move |bytes| {
        let bytes = bytes.map_err(|_| Failure::Cut)?;
        line = bytes.iter().rev().position(|byte| *byte == b'\n').unwrap_or(line + bytes.len());
        left = left.checked_sub(bytes.len()).ok_or(Failure::NotUnderstood)?;
        if is_too_long || line > MAX_LINE_BYTES {
            return Err(Failure::NotUnderstood);
        }
        Ok(bytes)
    });
    let events = bytes.eventsource().take_while(|event| ready(!matches!(event, Ok(event) if event.data == DONE)));
    let events = events.filter(|event| ready(!matches!(event, Ok(event) if event.event == KEEPALIVE)));
    let chunks = events.map(|event| match event {
        Ok(event) => serde_json::from_str(&event.data).map_err(|_| Failure::NotUnderstood),
        Err(EventStreamError::Transport(failure)) => Err(failure),
        Err(EventStreamError::Utf8(_) | EventStreamError::Parser(_)) => Err(Failure::NotUnderstood),
    });
    chunks.boxed()
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
        "data: {\"choices\":[{\"delta\":{\"content\":\"Zwölf\"}}]}\n\n: waiting\n\nevent: keepalive\ndata: {}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\" Tage\"}}]}\r\n\r\ndata: [DONE]\n\ndata: nonsense\n\n"
    );

    #[tokio::test]
    async fn chunks_are_the_same_wherever_the_bytes_part() {
        let whole = ("Zwölf Tage".to_owned(), None);
        for at in 0..=ANSWER.len() {
            assert_eq!(read(vec![&ANSWER.as_bytes()[..at], &ANSWER.as_bytes()[at..]]).await, whole, "{at}");
        }
        assert_eq!(read(ANSWER.as_bytes().chunks(1).collect()).await, whole);
    }

    #[tokio::test]
    async fn what_is_no_answer_ends_it() {
        let failure = |pieces| async { read(pieces).await.1.expect("a failure") };
        assert_eq!(failure(vec![b"data: {\n\n"]).await, "not understood");
        assert_eq!(failure(vec![b"data: \xff\xff\n\n"]).await, "not understood");
        let line = vec![b'x'; MAX_LINE_BYTES / 2];
        assert_eq!(failure(vec![b"data: ", &line, &line]).await, "not understood");
        let comment = [b":".as_slice(), &line, b"\n"].concat();
        let many = vec![comment.as_slice(); MAX_ANSWER_BYTES / comment.len() + 1];
        assert_eq!(failure(many).await, "not understood");
    }
}
