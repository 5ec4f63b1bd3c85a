//! Running one invocation so that it harms nobody else: a panic becomes its own failure, and it ends before the host would
//! end it by killing the whole process.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use crate::error::{Error, ErrorKind, Result};

/// Runs `work` until it ends or `deadline` passes. A panic in it is an `Internal` error.
pub async fn guarded<T>(work: impl Future<Output = Result<T>>, deadline: Duration) -> Result<T> {
    match tokio::time::timeout(deadline, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(result)) => result,
        // The message of a panic may quote a document. Its place is in the log already.
        Ok(Err(_)) => Err(Error::new(ErrorKind::Internal, "something broke inside").caused_by("a panic")),
        Err(_) => Err(Error::new(ErrorKind::DeadlineExceeded, format!("it took longer than {} s", deadline.as_secs()))),
    }
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
    async fn an_invocation_ends_at_its_deadline() {
        let late = guarded(std::future::pending::<Result<()>>(), Duration::from_millis(20)).await;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    }
}
