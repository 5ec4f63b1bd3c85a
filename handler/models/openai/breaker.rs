//! Whether a server is worth calling. After some failures in a row it is left alone for a while, and then one call tries for
//! all; after a refusal for being busy, for as long as it asks. So an outage costs few calls, and no caller waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which a server is left alone.
const FAILURES: u32 = 5;
/// The first rest of a server that failed. It doubles with each try that fails.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest, whoever asks for it.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// A try that never comes back holds the others up for this long.
const TRY_TIME: Duration = Duration::from_secs(10);

/// What is known of one server.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rest: Option<Rest>,
}

#[derive(Clone, Copy, Debug)]
enum Rest {
    /// It does not work.
    Broken { until: Instant, length: Duration },
    /// It works, and asked for a pause.
    Busy { until: Instant },
}

/// What to do with a server now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Call it.
    Open,
    /// It wants no call until then.
    Busy(Instant),
    /// It does not work; do not wait for it.
    Broken,
}

impl Breaker {
    /// What to do at `now`. After the rest of a broken server the first who asks may call it, and the others see how it goes.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        let mut state = self.lock();
        match state.rest {
            None => Standing::Open,
            Some(Rest::Busy { until }) if now < until => Standing::Busy(until),
            Some(Rest::Busy { .. }) => Standing::Open,
            Some(Rest::Broken { until, .. }) if now < until => Standing::Broken,
            Some(Rest::Broken { length, .. }) => {
                state.rest = Some(Rest::Broken { until: now + TRY_TIME, length });
                Standing::Open
            }
        }
    }

    /// What is known of the server, for people: `open`, `busy` or `left alone`. Takes nobody's turn.
    pub(super) fn word(&self, now: Instant) -> &'static str {
        match self.lock().rest {
            Some(Rest::Busy { until }) if now < until => "busy",
            Some(Rest::Broken { .. }) => "left alone",
            _ => "open",
        }
    }

    /// The server has answered, if only to say that the request is wrong.
    pub(super) fn answered(&self) {
        *self.lock() = State::default();
    }

    /// The server is there, and wants no call for `pause`.
    pub(super) fn is_busy(&self, now: Instant, pause: Duration) {
        let rest = Some(Rest::Busy { until: now + pause.min(LONGEST_REST) });
        *self.lock() = State { failures: 0, rest };
    }

    /// The server has failed.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.lock();
        state.failures += 1;
        let length = match state.rest {
            Some(Rest::Broken { length, .. }) => (length * 2).min(LONGEST_REST),
            _ => FIRST_REST,
        };
        if state.failures >= FAILURES {
            state.rest = Some(Rest::Broken { until: now + length, length });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(start: Instant) -> Breaker {
        let breaker = Breaker::default();
        (0..FAILURES).for_each(|_| breaker.failed(start));
        breaker
    }

    #[test]
    fn some_failures_in_a_row_close_it_and_one_tries_for_all() {
        let start = Instant::now();
        let breaker = Breaker::default();
        (1..FAILURES).for_each(|_| breaker.failed(start));
        assert_eq!(breaker.standing(start), Standing::Open);
        breaker.answered();
        (1..FAILURES).for_each(|_| breaker.failed(start));
        assert_eq!(breaker.standing(start), Standing::Open, "they were not in a row");
        breaker.failed(start);
        assert_eq!(breaker.standing(start), Standing::Broken);
        let rested = start + FIRST_REST;
        assert_eq!([breaker.word(start), breaker.word(rested)], ["left alone"; 2]);
        assert_eq!([breaker.standing(rested), breaker.standing(rested)], [Standing::Open, Standing::Broken]);
        assert_eq!(breaker.standing(rested + TRY_TIME), Standing::Open, "the one that tried has gone");
        breaker.answered();
        assert_eq!([breaker.standing(rested), breaker.standing(rested)], [Standing::Open, Standing::Open]);
    }

    #[test]
    fn each_try_that_fails_doubles_the_rest() {
        let mut now = Instant::now();
        let breaker = broken(now);
        for rest in [1, 2, 4, 8, 16, 30, 30].map(Duration::from_secs) {
            assert_eq!(breaker.standing(now + rest - Duration::from_millis(1)), Standing::Broken, "{rest:?}");
            now += rest;
            assert_eq!(breaker.standing(now), Standing::Open, "{rest:?}");
            breaker.failed(now);
        }
    }

    #[test]
    fn a_busy_server_is_believed_but_not_for_days() {
        let start = Instant::now();
        let breaker = broken(start);
        breaker.is_busy(start, Duration::from_secs(2));
        let until = start + Duration::from_secs(2);
        assert_eq!([breaker.standing(start), breaker.standing(until)], [Standing::Busy(until), Standing::Open]);
        breaker.is_busy(start, Duration::from_secs(86_400));
        assert_eq!(breaker.standing(start), Standing::Busy(start + LONGEST_REST));
    }
}
