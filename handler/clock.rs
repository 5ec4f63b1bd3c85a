//! The one place that asks what time it is, so that a test can say it instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// How far the clocks of two machines, or of one before and after it was set, may be apart and still be believed.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);

/// Whether the time is over that somebody was given until `until`, of at most `longest`. A time that lies further ahead than any
/// that is given was given while a clock was wrong, and nobody waits for it.
pub fn is_over(until: DateTime<Utc>, now: DateTime<Utc>, longest: TimeDelta) -> bool {
    until <= now || until - now > longest + CLOCKS_APART
}

/// The wall clock, or a clock that only moves when told to. Clones of a manual clock move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self { manual_ms: Some(Arc::new(AtomicI64::new(start.timestamp_millis()))) }
    }

    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.manual_ms {
            None => Utc::now(),
            Some(ms) => DateTime::from_timestamp_millis(ms.load(Ordering::SeqCst)).unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }

    /// Moves a manual clock forward; does nothing to the machine's clock.
    pub fn advance(&self, by: Duration) {
        if let Some(ms) = &self.manual_ms {
            ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Moves a manual clock back, as a machine does whose clock was wrong; does nothing to the machine's clock.
    pub fn set_back(&self, by: Duration) {
        if let Some(ms) = &self.manual_ms {
            ms.fetch_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_was_given_by_a_wrong_clock_is_not_waited_for() {
        let now: DateTime<Utc> = "2026-06-01T12:00:00Z".parse().unwrap();
        let minute = TimeDelta::minutes(1);
        for (ahead, is_so) in
            [(-1, true), (0, true), (1, false), (60, false), (360, false), (361, true), (86_400, true)]
        {
            assert_eq!(is_over(now + TimeDelta::seconds(ahead), now, minute), is_so, "{ahead}");
        }
    }
}
