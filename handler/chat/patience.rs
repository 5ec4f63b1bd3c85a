//! How long questions put up with a server that they can do without. After a failure nobody asks it for a while, and then one
//! question tries for all: an outage costs one question in a while its wait, and no others.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::{Error, ErrorKind, Result};

/// The server is left alone this long after a failure.
const REST: Duration = Duration::from_secs(10);

/// Whether a server is worth asking.
#[derive(Debug)]
pub(in crate::chat) struct Patience {
    /// How long one question waits.
    wait: Duration,
    /// Since the last failure: when the next question may try.
    rests_until: Mutex<Option<Instant>>,
}

impl Patience {
    pub(in crate::chat) fn new(wait: Duration) -> Self {
        Self { wait, rests_until: Mutex::default() }
    }

    /// Makes a call that is to end by the moment it is given. None when the server is being left alone.
    pub(in crate::chat) async fn ask<T, F>(&self, call: impl FnOnce(Instant) -> F) -> Option<Result<T>>
    where
        F: Future<Output = Result<T>>,
    {
        let began = Instant::now();
        if !self.allows_another(began) {
            return None;
        }
        let deadline = began + self.wait;
        let too_late = |_| Error::new(ErrorKind::DeadlineExceeded, "the model did not answer in time");
        let answered = timeout_at(deadline, call(deadline)).await.map_err(too_late).flatten();
        match &answered {
            Ok(_) => self.is_rewarded(),
            // That is about this question, not about the server.
            Err(e) if e.kind() == ErrorKind::ContentFiltered => {}
            Err(_) => self.is_at_its_end(Instant::now()),
        }
        Some(answered)
    }

    /// Whether a question may ask. After a rest the first one may, and the others wait to see how it went.
    fn allows_another(&self, now: Instant) -> bool {
        let mut rests_until = self.lock();
        match *rests_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                *rests_until = Some(now + self.wait);
                true
            }
        }
    }

    /// The server has answered.
    fn is_rewarded(&self) {
        *self.lock() = None;
    }

    /// The server has failed.
    fn is_at_its_end(&self, now: Instant) {
        *self.lock() = Some(now + REST);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_for_all_after_a_rest() {
        let wait = Duration::from_secs(2);
        let (patience, start) = (Patience::new(wait), Instant::now());
        let allows = |after: Duration| patience.allows_another(start + after);
        assert!(allows(Duration::ZERO) && allows(Duration::ZERO), "all may ask a server that answers");
        patience.is_at_its_end(start);
        assert!(!allows(REST - Duration::from_millis(1)));
        assert!(allows(REST));
        assert!(!allows(REST), "one is trying");
        assert!(allows(REST + wait), "the one that tried has gone");
        patience.is_rewarded();
        assert!(allows(REST + wait) && allows(REST + wait));
    }

    #[tokio::test]
    async fn a_failure_of_the_server_ends_it_and_one_of_the_question_does_not() {
        let patience = Patience::new(Duration::from_secs(2));
        let fails = async |kind: ErrorKind| patience.ask(async |_| Err::<(), _>(Error::new(kind, "no"))).await;
        assert!(matches!(fails(ErrorKind::ContentFiltered).await, Some(Err(_))));
        assert!(matches!(patience.ask(async |_| Ok(7)).await, Some(Ok(7))));
        assert!(matches!(fails(ErrorKind::ModelFailed).await, Some(Err(_))));
        assert!(patience.ask(async |_| Ok(7)).await.is_none(), "it is left alone now");
    }
}
