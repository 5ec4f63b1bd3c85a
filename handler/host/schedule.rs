//! Schedules as timer triggers write them: six-field NCRONTAB expressions, in UTC.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use crate::error::{Error, ErrorKind, Result};

/// When a timer trigger fires.
#[derive(Clone, Debug)]
pub struct Schedule(Cron);

impl Schedule {
    /// The next moment after `now`; none if the expression names no future one.
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.find_next_occurrence(&now, false).ok()
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(expression: &str) -> Result<Self> {
        let parser = CronParser::builder().seconds(Seconds::Required).build();
        let parsed = parser.parse(expression).map_err(|e| {
            Error::new(ErrorKind::Misconfigured, format!("`{expression}` is no schedule of six fields")).caused_by(e)
        })?;
        Ok(Self(parsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_of_six_fields_tells_its_next_moment() {
        let schedule: Schedule = "0 */15 * * * *".parse().unwrap();
        let now = "2026-01-31T23:59:59Z".parse().unwrap();
        assert_eq!(schedule.next_after(now).unwrap().to_rfc3339(), "2026-02-01T00:00:00+00:00");
    }

    #[test]
    fn five_fields_are_refused() {
        assert!("*/15 * * * *".parse::<Schedule>().is_err());
    }
}
