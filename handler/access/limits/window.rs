//! How many in the last minute, counted a second at a time. In no minute are more let through than the limit: the second that
//! has begun and the sixty before it are looked at, so a place may come free up to a second late and never early.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Seconds that are looked at.
pub(super) const SECONDS: usize = 61;
/// Who is counted at most at once, by this process. Beyond it those who came longest ago begin anew.
const MOST_COUNTED: u64 = 50_000;

/// The answer to who wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether he gets in.
    pub is_admitted: bool,
    /// How many more would get in now.
    pub remaining: u32,
    /// Seconds until there is a place more than now.
    pub wait: u64,
}

/// The counts of one caller: of the second `last`, and of those before it.
#[derive(Debug)]
struct Window {
    last: u64,
    counts: [u16; SECONDS],
}

impl Window {
    fn admit(&mut self, now: u64, limit: u32) -> Standing {
        // A clock that goes back finds itself in the last second it knew.
        let now = now.max(self.last);
        for second in self.last + 1..=now.min(self.last + SECONDS as u64) {
            self.counts[slot(second)] = 0;
        }
        self.last = now;
        let mut sum: u32 = self.counts.iter().map(|count| u32::from(*count)).sum();
        let is_admitted = sum < limit;
        if is_admitted {
            self.counts[slot(now)] += 1;
            sum += 1;
        }
        let oldest = (1..=SECONDS as u64).find(|ahead| self.counts[slot(now + ahead)] > 0);
        Standing { is_admitted, remaining: limit - sum.min(limit), wait: oldest.unwrap_or(SECONDS as u64) }
    }
}

fn slot(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or_default()
}

/// The counts of this process.
pub(super) struct Windows {
    began: Instant,
    counted: moka::sync::Cache<String, Arc<Mutex<Window>>>,
}

impl Windows {
    pub(super) fn new() -> Self {
        let counted = moka::sync::Cache::builder()
            .max_capacity(MOST_COUNTED)
            .time_to_idle(Duration::from_secs(2 * SECONDS as u64))
            .build();
        Self { began: Instant::now(), counted }
    }

    /// Counts one who wants in.
    pub(super) fn admit(&self, who: &str, limit: u32) -> Standing {
        let now = self.began.elapsed().as_secs();
        let empty = || Arc::new(Mutex::new(Window { last: now, counts: [0; SECONDS] }));
        let window = match self.counted.get(who) {
            Some(window) => window,
            None => self.counted.get_with(who.to_owned(), empty),
        };
        window.lock().unwrap_or_else(PoisonError::into_inner).admit(now, limit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fresh() -> Window {
        Window { last: 0, counts: [0; SECONDS] }
    }

    #[test]
    fn places_come_free_when_the_minute_is_over() {
        let mut window = fresh();
        assert_eq!(window.admit(5, 2), Standing { is_admitted: true, remaining: 1, wait: 61 });
        assert_eq!(window.admit(15, 2), Standing { is_admitted: true, remaining: 0, wait: 51 });
        assert_eq!(window.admit(25, 2), Standing { is_admitted: false, remaining: 0, wait: 41 });
        assert!(!window.admit(65, 2).is_admitted);
        assert_eq!(window.admit(66, 2), Standing { is_admitted: true, remaining: 0, wait: 10 });
        assert_eq!(window.admit(10_000, 2), Standing { is_admitted: true, remaining: 1, wait: 61 });
    }

    #[test]
    fn a_clock_that_goes_back_opens_nothing() {
        let mut window = fresh();
        assert!(window.admit(100, 1).is_admitted);
        assert!(!window.admit(3, 1).is_admitted);
        assert_eq!(window.admit(150, 1).wait, 11);
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_the_limit(gaps in prop::collection::vec(0u64..30, 1..300), limit in 1u32..12) {
            let (mut window, mut now, mut admitted) = (fresh(), 0, Vec::new());
            for gap in gaps {
                now += gap;
                let standing = window.admit(now, limit);
                if standing.is_admitted {
                    admitted.push(now);
                } else {
                    // Who comes back when he was told to gets in.
                    let mut later = Window { counts: window.counts, ..window };
                    prop_assert!(!later.admit(now + standing.wait - 1, limit).is_admitted);
                    prop_assert!(later.admit(now + standing.wait, limit).is_admitted);
                }
                let in_a_minute = admitted.iter().filter(|at| now - **at <= 60).count();
                prop_assert!(in_a_minute <= limit as usize);
            }
        }
    }
}
