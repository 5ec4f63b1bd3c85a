//! Running one invocation so that it harms nobody else: a panic becomes its own failure, and it ends before the host would
//! end it by killing the whole process.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{BoxStream, Stream, StreamExt};

use crate::error::{Error, ErrorKind, Result};

/// Runs `work` until it ends or `deadline` passes. A panic in it is an `Internal` error.
pub async fn guarded<T>(work: impl Future<Output = Result<T>>, deadline: Duration) -> Result<T> {
    match tokio::time::timeout(deadline, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(broken()),
        Err(_) => Err(Error::new(ErrorKind::DeadlineExceeded, format!("it took longer than {} s", deadline.as_secs()))),
    }
}

/// The same items; a panic becomes the last of them, so that whoever reads is told and does not just find the connection gone.
pub fn guarded_stream<T: 'static>(
    items: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    AssertUnwindSafe(items).catch_unwind().map(|item| item.unwrap_or_else(|_| Err(broken()))).boxed()
}

/// What a panic is to callers. Its message may quote a document; its place is in the log already.
fn broken() -> Error {
    Error::new(ErrorKind::Internal, "something broke inside").caused_by("a panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_failure_of_its_own_invocation() {
        let broken = guarded(async { if true { panic!("boom") } else { Ok(()) } }, Duration::from_secs(5)).await;
        let error = broken.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(!error.chain().contains("boom"), "its message is for nobody");
    }

    #[tokio::test]
    async fn a_panic_is_the_last_item_of_its_stream() {
        let breaking =
            futures_util::stream::iter([1, 2, 3]).map(|number| if number == 2 { panic!("boom") } else { Ok(number) });
        let items: Vec<Result<i32>> = guarded_stream(breaking).collect().await;
        assert!(matches!(items.as_slice(), [Ok(1), Err(e)] if e.kind() == ErrorKind::Internal), "{items:?}");
    }

    #[tokio::test]
    async fn an_invocation_ends_at_its_deadline() {
        let late = guarded(std::future::pending::<Result<()>>(), Duration::from_millis(20)).await;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    }
}
