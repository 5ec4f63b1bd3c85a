//! Which server a request calls next. What enters are the servers in order, with what is known of each, and what became of
//! this request at each so far; what leaves is the one to call and when.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::failure::Failure;
use crate::breaker::{Breaker, Standing, chance, spread};

/// The wait before the second call of one server when it names none; it doubles from there.
const BACKOFF: Duration = Duration::from_millis(250);

/// Whoever asks for a longer wait does not mean it, and no deadline is that far.
const A_DAY: Duration = Duration::from_secs(86_400);

/// The turns of one request.
pub(super) struct Turns<'a> {
    breakers: Vec<&'a Breaker>,
    deadline: Instant,
    /// For each server: when this request may call it; never again with none.
    from: Vec<Option<Instant>>,
    /// For each server: how often this request called it.
    calls: Vec<u32>,
}

impl<'a> Turns<'a> {
    /// The turns of a request that has to be over at `deadline`.
    pub(super) fn new(breakers: Vec<&'a Breaker>, deadline: Instant) -> Self {
        let (from, calls) = (vec![Some(Instant::now()); breakers.len()], vec![0; breakers.len()]);
        Self { breakers, deadline, from, calls }
    }

    /// The server to call now: the first that is open, those before the others that this request has not called yet; else
    /// the one that is open soonest, after the wait for it. None when no server can be called before the deadline.
    pub(super) async fn next(&self) -> Option<usize> {
        let mut servers: Vec<usize> = (0..self.from.len()).collect();
        servers.sort_by_key(|server| self.calls[*server]);
        loop {
            let now = Instant::now();
            let mut soonest: Option<Instant> = None;
            for server in servers.iter().copied() {
                let Some(from) = self.from[server] else { continue };
                let until = if now < from {
                    from
                } else {
                    match self.breakers[server].standing(now) {
                        Standing::Open => return Some(server),
                        Standing::Busy(until) => now + spread(until - now),
                        Standing::Broken => continue,
                    }
                };
                soonest = Some(soonest.map_or(until, |soonest| soonest.min(until)));
            }
            let until = soonest.filter(|until| *until < self.deadline)?;
            sleep_until(until).await;
        }
    }

    /// When a call of `server` has to be over: others get their share of the time, as far as they can be called.
    pub(super) fn limit(&self, server: usize) -> Instant {
        let others = (0..self.from.len()).filter(|other| *other != server && self.calls[*other] == 0);
        let others = others.filter(|other| self.from[*other].is_some()).count();
        let now = Instant::now();
        now + self.deadline.saturating_duration_since(now) / u32::try_from(others + 1).unwrap_or(u32::MAX)
    }

    /// Learns what became of a call, for this request and for all others.
    pub(super) fn note<T>(&mut self, server: usize, answer: &Result<T, Failure>) {
        let (now, breaker) = (Instant::now(), self.breakers[server]);
        self.calls[server] += 1;
        let Err(failure) = answer else { return breaker.answered() };
        let wait = failure.retry_after().unwrap_or(BACKOFF * 2_u32.saturating_pow(self.calls[server] - 1)).min(A_DAY);
        if failure.asks_for_a_pause() {
            breaker.is_busy(now, wait);
        } else if failure.is_of_the_server() {
            breaker.failed(now);
        } else {
            breaker.answered();
        }
        // Those who were refused for being too many must not come back together.
        let wait = if failure.asks_for_a_pause() { spread(wait) } else { wait.mul_f64(1.0 + chance() / 4.0) };
        self.from[server] = failure.is_passing().then(|| now + wait);
        if !failure.may_pass_elsewhere() {
            self.from.fill(None);
        }
    }
}
