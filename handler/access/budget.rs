//! Money: how many tokens of a chat model one caller may spend in a day. What an answer may cost at most is set aside before
//! the model is asked, and what it did cost is taken off afterwards. What was set aside by somebody who then stopped, or was
//! stopped, counts as spent when its time is over. The counts are records, so all instances share them, and a restart
//! forgets nothing.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::Clock;
use crate::deadline::{in_background, last_words};
use crate::document::{Principal, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::{Precondition, RecordStore};

/// How the names of the partitions begin; the day follows.
const PARTITION: &str = "budget/";
/// Others may write the same record meanwhile; this often it is tried.
const TRIES: u32 = 20;
/// Between two tries, at least; at most three times as long.
const PAUSE: Duration = Duration::from_millis(5);
/// A count is of no use after its day.
const KEPT: Duration = Duration::from_hours(48);
/// Callers of this process who are looked after one by one; others wait for those of the same number.
const LANES: usize = 64;

/// The budgets of all callers.
#[derive(Debug)]
pub struct Budget {
    records: Arc<dyn RecordStore>,
    clock: Clock,
    a_day: u64,
    longest: TimeDelta,
    lanes: Vec<Mutex<()>>,
}

/// The tokens of one caller on one day.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Account {
    spent: u64,
    held: BTreeMap<String, Held>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Held {
    tokens: u64,
    until: DateTime<Utc>,
}

/// Tokens set aside for one answer.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    partition: String,
    account: String,
    id: String,
}

impl Budget {
    /// `a_day` tokens for each caller; an answer is over after `longest`.
    pub fn new(records: Arc<dyn RecordStore>, clock: Clock, a_day: u64, longest: Duration) -> Self {
        let longest = TimeDelta::from_std(longest).unwrap_or(TimeDelta::minutes(15));
        Self { records, clock, a_day, longest, lanes: (0..LANES).map(|_| Mutex::new(())).collect() }
    }

    /// Sets tokens aside. `TokenBudgetUsed` when so many are not left today.
    pub async fn reserve(self: &Arc<Self>, principal: &Principal, tokens: u64) -> Result<Reservation> {
        let now = self.clock.now();
        let partition = format!("{PARTITION}{}", now.date_naive());
        let account = content_hash(principal.owner().as_bytes());
        let id = Uuid::new_v4().simple().to_string();
        self.change(&partition, &account, |account| {
            let held: u64 = account.held.values().map(|held| held.tokens).sum();
            if account.spent + held + tokens > self.a_day {
                let sentence =
                    format!("the {} tokens of today are used up; they begin anew at midnight UTC", self.a_day);
                let tomorrow = (now.date_naive() + Days::new(1)).and_time(NaiveTime::MIN).and_utc();
                let wait = (tomorrow - now).to_std().unwrap_or_default();
                return Err(Error::new(ErrorKind::TokenBudgetUsed, sentence).retry_after(wait));
            }
            account.held.insert(id.clone(), Held { tokens, until: now + self.longest });
            Ok(())
        })
        .await?;
        Ok(Reservation { budget: Arc::clone(self), partition, account, id })
    }

    /// Forgets what a caller has spent.
    pub async fn erase(&self, principal: &Principal) -> Result<()> {
        let account = content_hash(principal.owner().as_bytes());
        for partition in self.records.partitions().await?.iter().filter(|name| name.starts_with(PARTITION)) {
            self.records.delete(partition, &account).await?;
        }
        Ok(())
    }

    async fn change(&self, partition: &str, id: &str, change: impl Fn(&mut Account) -> Result<()>) -> Result<()> {
        let lane = id.bytes().map(usize::from).sum::<usize>() % LANES;
        let _alone = self.lanes[lane].lock().await;
        for _ in 0..TRIES {
            let record = self.records.get(partition, id).await?;
            let precondition = match &record {
                Some(record) => Precondition::IfMatch(record.etag.clone()),
                None => Precondition::IfAbsent,
            };
            let mut account = match record {
                Some(record) => serde_json::from_value(record.body).map_err(unreadable)?,
                None => Account::default(),
            };
            account.close(self.clock.now());
            change(&mut account)?;
            let body = serde_json::to_value(&account).map_err(unreadable)?;
            match self.records.put(partition, id, &body, precondition, Some(KEPT)).await {
                Err(e) if e.kind() == ErrorKind::PreconditionFailed => {
                    let random = Uuid::new_v4().as_bytes()[0];
                    tokio::time::sleep(PAUSE + PAUSE * u32::from(random) / 128).await;
                }
                put => return put.map(|_| ()),
            }
        }
        Err(Error::new(ErrorKind::StoreUnavailable, "too many requests change the same budget at once"))
    }
}

impl Account {
    /// What was set aside and never settled counts as spent.
    fn close(&mut self, now: DateTime<Utc>) {
        let over = |held: &Held| held.until <= now;
        self.spent += self.held.values().filter(|held| over(held)).map(|held| held.tokens).sum::<u64>();
        self.held.retain(|_, held| !over(held));
    }
}

/// Tokens set aside for an answer that has not begun. Unless it does, they are given back.
#[derive(Debug)]
pub struct Unused(Option<Reservation>);

impl Unused {
    /// The reservation, now that what it is for begins.
    pub fn begin(mut self) -> Option<Reservation> {
        self.0.take()
    }
}

impl From<Reservation> for Unused {
    fn from(reservation: Reservation) -> Self {
        Self(Some(reservation))
    }
}

impl Drop for Unused {
    fn drop(&mut self) {
        if let Some(reservation) = self.0.take() {
            in_background(reservation.settle(0));
        }
    }
}

impl Reservation {
    /// Says what was spent, and gives back the rest. When it cannot be said, all counts as spent after a while.
    pub async fn settle(self, spent: u64) {
        let settled = self.budget.change(&self.partition, &self.account, |account| {
            // Not there: it took longer than an answer may, and counts as spent.
            if account.held.remove(&self.id).is_some() {
                account.spent += spent;
            }
            Ok(())
        });
        if let Err(e) = settled.await {
            tracing::warn!(error.code = e.kind().row().code, "tokens that were set aside could not be given back");
        }
    }

    /// Passes a stream on, and settles with what the meter says when it ends or is left. Nobody waits for that beyond the
    /// deadline.
    pub fn record<T: Send + 'static>(
        self,
        stream: BoxStream<'static, T>,
        meter: impl Meter<T> + 'static,
        deadline: Instant,
    ) -> BoxStream<'static, T> {
        let mut running = Running { reservation: Some(self), meter, of: PhantomData };
        async_stream::stream! {
            for await item in stream {
                running.meter.look(&item);
                yield item;
            }
            if let Some((reservation, spent)) = running.take() {
                last_words(deadline, reservation.settle(spent)).await;
            }
        }
        .boxed()
    }
}

/// Tells from what goes by what it costs.
pub trait Meter<T>: Send {
    /// Sees the next item.
    fn look(&mut self, item: &T);

    /// The tokens so far.
    fn spent(&self) -> u64;
}

/// A stream under way. Left before its end, it settles in the background.
struct Running<T, M: Meter<T>> {
    reservation: Option<Reservation>,
    meter: M,
    of: PhantomData<fn(T)>,
}

impl<T, M: Meter<T>> Running<T, M> {
    /// What is still to be settled, and with how many tokens.
    fn take(&mut self) -> Option<(Reservation, u64)> {
        Some((self.reservation.take()?, self.meter.spent()))
    }
}

impl<T, M: Meter<T>> Drop for Running<T, M> {
    fn drop(&mut self) {
        if let Some((reservation, spent)) = self.take() {
            in_background(reservation.settle(spent));
        }
    }
}

fn unreadable(cause: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "a budget cannot be read").caused_by(cause)
}
