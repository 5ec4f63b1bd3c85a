//! Whether a service is worth calling. After some failures in a row it is left alone for a while, and then one call tries for
//! all; after a refusal for being busy, for as long as it asks. So an outage costs few calls, and no caller waits for it.

use std::future::Future;
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
/// Whoever gave a call up after this long has shown that the service does not work.
const SLOW: Duration = Duration::from_secs(2);
/// Callers who were refused together come back spread over at least this long.
const LEAST_SPREAD: Duration = Duration::from_secs(1);

/// What is known of one service, or of one of several servers.
#[derive(Debug, Default)]
pub struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rest: Option<Rest>,
}

#[derive(Clone, Copy, Debug)]
enum Rest {
    /// It does not work. The time is that of one who tries for all, or the end of the rest.
    Broken { until: Instant, length: Duration, is_tried: bool },
    /// It works, and asked for a pause.
    Busy { until: Instant },
}

/// What to do with a service now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Call it.
    Open,
    /// It wants no call until then.
    Busy(Instant),
    /// It does not work; do not wait for it.
    Broken,
}

impl Breaker {
    /// Makes a call and learns from it; none while the service is left alone. `is_of_the_service` says whether a failure
    /// shows that the service does not work. A call that is given up after a while shows it, too.
    pub async fn call<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        is_of_the_service: impl FnOnce(&E) -> bool,
    ) -> Option<Result<T, E>> {
        if self.standing(Instant::now()) != Standing::Open {
            return None;
        }
        let mut waiting = Waiting { breaker: self, since: Instant::now(), is_over: false };
        let answer = work.await;
        waiting.is_over = true;
        match &answer {
            Err(e) if is_of_the_service(e) => self.failed(Instant::now()),
            _ => self.answered(),
        }
        Some(answer)
    }

    /// What to do at `now`. After the rest of a broken server the first who asks may call it, and the others see how it goes.
    pub fn standing(&self, now: Instant) -> Standing {
        let mut state = self.lock();
        match state.rest {
            None => Standing::Open,
            Some(Rest::Busy { until }) if now < until => Standing::Busy(until),
            Some(Rest::Busy { .. }) => Standing::Open,
            Some(Rest::Broken { until, .. }) if now < until => Standing::Broken,
            Some(Rest::Broken { length, .. }) => {
                state.rest = Some(Rest::Broken { until: now + TRY_TIME, length, is_tried: true });
                Standing::Open
            }
        }
    }

    /// What is known of the server, for people: `open`, `busy` or `left alone`. Takes nobody's turn.
    pub fn word(&self, now: Instant) -> &'static str {
        match self.lock().rest {
            Some(Rest::Busy { until }) if now < until => "busy",
            Some(Rest::Broken { .. }) => "left alone",
            _ => "open",
        }
    }

    /// Whether it failed last.
    pub fn is_in_doubt(&self) -> bool {
        self.lock().failures > 0
    }

    /// The server has answered, if only to say that the request is wrong.
    pub fn answered(&self) {
        *self.lock() = State::default();
    }

    /// The server is there, and wants no call for `pause`.
    pub fn is_busy(&self, now: Instant, pause: Duration) {
        let rest = Some(Rest::Busy { until: now + pause.min(LONGEST_REST) });
        *self.lock() = State { failures: 0, rest };
    }

    /// The server has failed.
    pub fn failed(&self, now: Instant) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        let length = match state.rest {
            // Called before the rest began: that tells nothing new.
            Some(Rest::Broken { is_tried: false, .. }) => return,
            Some(Rest::Broken { length, .. }) => (length * 2).min(LONGEST_REST),
            _ => FIRST_REST,
        };
        if state.failures >= FAILURES {
            state.rest = Some(Rest::Broken { until: now + length, length, is_tried: false });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way.
struct Waiting<'a> {
    breaker: &'a Breaker,
    since: Instant,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() >= SLOW {
            self.breaker.failed(Instant::now());
        }
    }
}

/// When to come back after a wait that many were asked to make: later by a part of it that chance gives, up to a quarter and
/// to a second at least, so that those who were refused together do not come back together.
pub fn spread(wait: Duration) -> Duration {
    wait.saturating_add((wait / 4).max(LEAST_SPREAD).mul_f64(chance()))
}

/// A number from 0 to 1, another one each time.
pub fn chance() -> f64 {
    let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
    f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX)
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
    fn many_who_failed_together_count_as_one_outage() {
        let start = Instant::now();
        let breaker = Breaker::default();
        (0..100).for_each(|_| breaker.failed(start));
        assert_eq!(breaker.standing(start + FIRST_REST), Standing::Open, "the rest is the first one");
        (0..100).for_each(|_| breaker.failed(start + FIRST_REST));
        assert_eq!(breaker.standing(start + FIRST_REST * 3), Standing::Open, "and then the second");
    }

    #[tokio::test]
    async fn a_call_that_somebody_gave_up_waiting_for_is_a_failure() {
        let breaker = Breaker::default();
        let begun = |ago: Duration| {
            let since = Instant::now().checked_sub(ago).expect("the machine runs for longer");
            drop(Waiting { breaker: &breaker, since, is_over: false });
        };
        (0..FAILURES).for_each(|_| begun(SLOW / 2));
        assert_eq!(breaker.standing(Instant::now()), Standing::Open, "whoever left soon tells nothing");
        (0..FAILURES).for_each(|_| begun(SLOW));
        assert!(breaker.call(async { Ok::<_, ()>(()) }, |()| true).await.is_none(), "it is left alone");
    }

    #[tokio::test]
    async fn a_failure_that_is_not_of_the_service_counts_for_nothing() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES * 2 {
            assert_eq!(breaker.call(async { Err::<(), _>(7) }, |_| false).await, Some(Err(7)));
        }
        for _ in 0..FAILURES {
            assert_eq!(breaker.call(async { Err::<(), _>(7) }, |_| true).await, Some(Err(7)));
        }
        assert_eq!(breaker.call(async { Err::<(), _>(7) }, |_| true).await, None);
    }

    #[test]
    fn a_thousand_who_were_refused_together_do_not_come_back_together() {
        for wait in [0, 1, 200, 1_000, 2_000, 20_000].map(Duration::from_millis) {
            let mut bins = std::collections::HashMap::<u128, u32>::new();
            for _ in 0..1_000 {
                let back = spread(wait);
                assert!(back >= wait, "nobody comes before it may");
                *bins.entry(back.as_millis() / 50).or_default() += 1;
            }
            let fullest = bins.values().max().copied().unwrap_or_default();
            assert!(fullest <= 100, "{fullest} of 1,000 within 50 ms after a wait of {wait:?}");
        }
        assert_eq!(spread(Duration::MAX), Duration::MAX);
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
