//! How long questions put up with a model that does not answer. After a failure nobody asks it for a while, and then one
//! question tries for all: an outage costs one question in a while its wait, and no others.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The model is left alone this long after a failure.
const REST: Duration = Duration::from_secs(10);

/// Whether the model is worth asking.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Since the last failure: when the next question may try.
    rests_until: Mutex<Option<Instant>>,
}

impl Patience {
    /// Whether a question may ask. After a rest the first one may, and the others wait for `trial` to see how it went.
    pub(super) fn allows_another(&self, now: Instant, trial: Duration) -> bool {
        let mut rests_until = self.lock();
        match *rests_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                *rests_until = Some(now + trial);
                true
            }
        }
    }

    /// The model has answered.
    pub(super) fn is_rewarded(&self) {
        *self.lock() = None;
    }

    /// The model has failed.
    pub(super) fn is_at_its_end(&self, now: Instant) {
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
        let (patience, trial, start) = (Patience::default(), Duration::from_secs(2), Instant::now());
        let allows = |after: Duration| patience.allows_another(start + after, trial);
        assert!(allows(Duration::ZERO) && allows(Duration::ZERO), "all may ask a model that answers");
        patience.is_at_its_end(start);
        assert!(!allows(REST - Duration::from_millis(1)));
        assert!(allows(REST));
        assert!(!allows(REST), "one is trying");
        assert!(allows(REST + trial), "the one that tried has gone");
        patience.is_rewarded();
        assert!(allows(REST + trial) && allows(REST + trial));
    }
}
