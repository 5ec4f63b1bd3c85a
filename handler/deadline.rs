//! The time by which somebody wants an answer. Enters: a deadline and some work. Leaves: what came of it, if it came in time.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::steps::same_trace;

/// What is written when an answer ends may take this long, even where the answer itself took all the time there was.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Does work until a deadline, and drops it then. `what` did not come in time, as the sentence says.
pub async fn within<T>(deadline: Instant, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout_at(deadline, work).await.map_err(|_| too_late(what))?
}

/// The error of whoever waited for `what` in vain.
pub fn too_late(what: &str) -> Error {
    Error::new(ErrorKind::DeadlineExceeded, format!("{what} did not answer in time"))
}

/// Does work that nobody waits for. Where there is no runtime any more, the process is at its end, and so is the work.
pub fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(work);
    }
}

/// Does work that has to be done whether somebody waits for it or not. Nothing when it took longer than until the deadline, and
/// a moment more: then it goes on by itself.
pub async fn last_words<T: Send + 'static>(
    deadline: Instant,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let working = tokio::spawn(same_trace(work));
    timeout_at(deadline.max(Instant::now() + LAST_WORDS), working).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_longer_than_the_deadline() {
        let deadline = Instant::now();
        let late = within(deadline, "the records", std::future::pending::<Result<()>>()).await.unwrap_err();
        assert_eq!((late.kind(), late.message()), (ErrorKind::DeadlineExceeded, "the records did not answer in time"));
        assert_eq!(within(deadline, "the records", async { Ok(1) }).await.ok(), Some(1), "what is there is taken");
    }

    #[tokio::test]
    async fn last_words_are_written_although_nobody_waits() {
        let (release, released) = tokio::sync::oneshot::channel();
        let (tell, told) = tokio::sync::oneshot::channel();
        let write = async move {
            let is_released = released.await.is_ok();
            tell.send(is_released).is_ok()
        };
        let began = Instant::now();
        assert_eq!(last_words(began, write).await, None);
        assert!(began.elapsed() >= LAST_WORDS);
        assert_eq!(release.send(()), Ok(()));
        assert_eq!(told.await, Ok(true));
        assert_eq!(last_words(began, async { 1 }).await, Some(1), "what takes no time is waited for");
    }
}
