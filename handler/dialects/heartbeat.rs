//! Signs of life in a streamed answer. Between here and the caller are proxies that take silence for death: the front end
//! of Azure Functions after 230 seconds, others after 30. What enters is a stream of bytes, what leaves is the same with a
//! few bytes that mean nothing put into every longer silence.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep};

/// A silence this long is broken.
pub const SILENCE: Duration = Duration::from_secs(15);

/// A comment of server-sent events, which every client passes over.
pub const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Puts `beat` into every silence of `stream` that lasts as long as `silence`. Dropping the result drops the stream.
pub fn with_heartbeat(
    stream: impl Stream<Item = Bytes> + Send,
    beat: Bytes,
    silence: Duration,
) -> impl Stream<Item = Bytes> + Send {
    async_stream::stream! {
        let mut stream = std::pin::pin!(stream);
        // It is wound up when it goes off and not with every word, which would cost more than the word.
        let mut alarm = std::pin::pin!(sleep(silence));
        let mut last = Instant::now();
        loop {
            let next = tokio::select! {
                biased;
                next = stream.next() => Some(next),
                () = &mut alarm => None,
            };
            match next {
                Some(Some(bytes)) => yield bytes,
                Some(None) => break,
                None if last.elapsed() < silence => {
                    alarm.as_mut().reset(last + silence);
                    continue;
                }
                None => {
                    yield beat.clone();
                    alarm.as_mut().reset(Instant::now() + silence);
                }
            }
            last = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_put_between_words_that_come_in_time() {
        let words = stream::unfold(0, |at| async move {
            tokio::time::sleep(Duration::from_secs(if at < 5 { 10 } else { 16 })).await;
            (at < 6).then(|| (Bytes::from("a"), at + 1))
        });
        let sent: Vec<Bytes> = with_heartbeat(words, COMMENT, SILENCE).collect().await;
        let beats: Vec<usize> = (0..sent.len()).filter(|at| sent[*at] == COMMENT).collect();
        assert_eq!((beats, sent.len()), (vec![5, 7], 8), "before the last word, and before the end");
    }

    #[tokio::test]
    async fn a_silence_is_broken_until_the_next_word_and_no_longer() {
        let (speak, spoken) = oneshot::channel::<Bytes>();
        let words = stream::iter([Bytes::from("a")]).chain(stream::once(async { spoken.await.unwrap_or_default() }));
        let mut sent = std::pin::pin!(with_heartbeat(words, COMMENT, Duration::from_millis(5)));
        assert_eq!(sent.next().await.as_deref(), Some(&b"a"[..]));
        for _ in 0..3 {
            assert_eq!(sent.next().await, Some(COMMENT), "nothing was said meanwhile");
        }
        speak.send(Bytes::from("b")).expect("somebody listens");
        let rest: Vec<Bytes> = sent.collect().await;
        assert_eq!(rest.last().map(|last| &last[..]), Some(&b"b"[..]), "and what was said then was not lost");
    }
}
