//! How much: requests a minute of one address and of one caller, and requests at once. Counted for all instances together
//! where there is a Redis; while it does not answer, and without one, each instance counts for itself, so that as many
//! instances let as many times the limit through.

mod headers;
mod shared;
mod window;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::headers::describe;
pub use self::window::Standing;
use self::window::Windows;
use super::Need;
use super::address::{Proxies, place};
use crate::cache::redis::Redis;
use crate::document::{Principal, content_hash};
use crate::error::{Error, ErrorKind, Result};

/// Who is told that there are too many at once comes back after this time.
const CROWDED: Duration = Duration::from_secs(1);

/// The limits. A limit of 0 is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Questions a minute of one caller.
    pub questions: u32,
    /// Other requests a minute of one caller.
    pub requests: u32,
    /// Requests a minute from one address, of whoever.
    pub address: u32,
    /// Requests that are answered at once.
    pub at_once: usize,
    /// What stands in front of this program.
    pub proxies: Proxies,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name, for callers.
    pub name: &'static str,
    /// How many a minute.
    pub limit: u32,
}

/// Counts, and says when it is enough.
pub struct Limits {
    settings: LimitSettings,
    own: Windows,
    shared: Option<Arc<Redis>>,
    places: Arc<Semaphore>,
}

/// One who is in.
pub struct Entered {
    address: Option<IpAddr>,
    /// Given back when the last byte of the answer is sent.
    pub permit: Option<OwnedSemaphorePermit>,
}

impl Limits {
    /// Nothing is counted yet, and Redis not asked.
    pub fn new(settings: LimitSettings, shared: Option<Arc<Redis>>) -> Self {
        let at_once = if settings.at_once == 0 { Semaphore::MAX_PERMITS } else { settings.at_once };
        Self { own: Windows::new(), shared, places: Arc::new(Semaphore::new(at_once)), settings }
    }

    /// Lets a request in before anything is known of its caller. `TooManyRequests` when its address has had its share,
    /// `Overloaded` when there is no place, `NotThroughFrontDoor` for who went around it.
    pub async fn enter(&self, need: Need, head: &Parts) -> Result<Entered> {
        // Health is asked for from inside, by those who decide whether this instance lives.
        if need == Need::Open {
            return Ok(Entered { address: None, permit: None });
        }
        let address = self.settings.proxies.caller(head)?;
        if let Some(address) = address {
            let policy = Policy { name: "address", limit: self.settings.address };
            self.admit(policy, &place(address)).await?;
        }
        let crowded =
            |_| Error::new(ErrorKind::Overloaded, "too many requests are being answered").retry_after(CROWDED);
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(crowded)?;
        Ok(Entered { address, permit: Some(permit) })
    }

    /// Counts a request of a caller who is known now: what was counted, and how he stands. Callers of whom nothing is known
    /// are told apart by their address. `TooManyRequests` when it is enough.
    pub async fn count(&self, need: Need, who: &Principal, from: &Entered) -> Result<Option<(Policy, Standing)>> {
        let policy = match need {
            Need::Open => return Ok(None),
            Need::Ask => Policy { name: "chat", limit: self.settings.questions },
            Need::Read | Need::Contribute | Need::Operate => Policy { name: "requests", limit: self.settings.requests },
        };
        let who = match from.address {
            Some(address) if who.owner() == Principal::ANONYMOUS => place(address),
            _ => who.owner().to_owned(),
        };
        self.admit(policy, &who).await
    }

    async fn admit(&self, policy: Policy, who: &str) -> Result<Option<(Policy, Standing)>> {
        if policy.limit == 0 {
            return Ok(None);
        }
        // Who it is need not be known to whoever looks into Redis.
        let key = format!("knowledge-worker:limit:{}:{}", policy.name, &content_hash(who.as_bytes())[..32]);
        let together = match &self.shared {
            Some(redis) => shared::admit(redis, &key, policy.limit).await,
            None => None,
        };
        let standing = together.unwrap_or_else(|| self.own.admit(&key, policy.limit));
        if standing.is_admitted {
            return Ok(Some((policy, standing)));
        }
        let sentence = match policy.name {
            "address" => format!("more than {} requests in a minute came from this address", policy.limit),
            "chat" => format!("more than {} questions in a minute; wait a little", policy.limit),
            _ => format!("more than {} requests in a minute; wait a little", policy.limit),
        };
        let error = Error::new(ErrorKind::TooManyRequests, sentence).retry_after(Duration::from_secs(standing.wait));
        Err(error)
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").field("settings", &self.settings).finish_non_exhaustive()
    }
}
