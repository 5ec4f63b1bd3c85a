//! Timer triggers: the next occurrence of a schedule, in UTC, and runs asked for by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use croner::Cron;

use super::super::clock;
use super::super::envelope;
use super::super::functions::{Function, Trigger};
use super::super::host::Host;
use super::super::invoke::Delivery;
use super::super::log::{Invocation, Level};

/// When each timer last ran. A real host stores this; here it lives as long as the stand-in.
#[derive(Default)]
pub struct TimerStatus {
    last_runs: Mutex<HashMap<String, DateTime<Utc>>>,
}

/// Runs `function` on its schedule until dropped. A run that takes longer than the interval delays the next one.
pub async fn listen(host: Arc<Host>, function: Function) {
    let Trigger::Timer { schedule, run_on_startup, .. } = &function.trigger else { return };
    if *run_on_startup {
        run(&host, &function).await;
    }
    loop {
        let now = clock::now();
        let next = match schedule.find_next_occurrence(&now, false) {
            Ok(next) => next,
            Err(error) => return host.log.host(Level::Error, format!("schedule of '{}': {error}", function.name)),
        };
        tokio::time::sleep((next - now).to_std().unwrap_or_default()).await;
        run(&host, &function).await;
    }
}

/// One run, now.
pub async fn run(host: &Host, function: &Function) -> Option<Invocation> {
    let Trigger::Timer { binding, schedule, use_monitor, .. } = &function.trigger else { return None };
    let now = clock::now();
    let next = schedule.find_next_occurrence(&now, false).ok()?;
    let last = {
        let mut last_runs = host.timers.last_runs.lock().expect("no holder of the timers panics");
        last_runs.insert(function.name.clone(), now).unwrap_or(DateTime::UNIX_EPOCH)
    };
    // The host does not monitor timers that run more often than once a minute.
    let monitored = *use_monitor && !is_frequent(schedule, next);
    let status = monitored.then_some([last, next, last]);
    let name = function.name.as_str();
    let envelope = envelope::timer(name, binding, status, now);
    Some(host.deliver(Delivery { function: name, subject: name, attempt: 1, envelope }).await)
}

fn is_frequent(schedule: &Cron, next: DateTime<Utc>) -> bool {
    schedule.find_next_occurrence(&next, false).is_ok_and(|after| after - next < TimeDelta::minutes(1))
}

#[cfg(test)]
mod tests {
    use super::super::super::functions::parse_schedule;
    use super::*;

    #[test]
    fn six_fields_begin_with_seconds_and_days_must_both_fit() {
        let start = DateTime::parse_from_rfc3339("2026-11-22T10:00:30Z").expect("a moment").to_utc();
        let next = |text: &str| {
            let schedule = parse_schedule(text).expect("a schedule");
            schedule.find_next_occurrence(&start, false).expect("an occurrence").to_rfc3339()
        };
        assert_eq!(next("0 */5 * * * *"), "2026-11-22T10:05:00+00:00");
        // The 13th and a Friday: not whichever comes first.
        assert_eq!(next("0 0 3 13 * 5"), "2027-08-13T03:00:00+00:00");
        let minute = DateTime::parse_from_rfc3339("2026-11-22T10:01:00Z").expect("a moment").to_utc();
        assert!(is_frequent(&parse_schedule("*/10 * * * * *").expect("a schedule"), minute));
        assert!(!is_frequent(&parse_schedule("0 * * * * *").expect("a schedule"), minute));
    }
}
