//! A record as an item of a container, written and read.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::Record;

/// The largest item that the service takes is 2 MB of JSON; some of it is left for what the service adds.
/// Source: <https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits>
const MAX_ITEM_BYTES: usize = (2 << 20) - (4 << 10);
/// The longest time to live that the service takes, in seconds: 68 years.
const MAX_TTL_SECONDS: u64 = i32::MAX as u64;

/// An item on its way to the service.
#[derive(Debug, Serialize)]
pub(super) struct NewItem<'a> {
    /// As [`names::encode`] has it.
    pub id: &'a str,
    kind: &'a str,
    scope: &'a str,
    /// Known to this one write alone, so that it knows its own when its answer got lost.
    pub write: &'a str,
    /// Until when the record lives, in milliseconds since 1970. The service's own clock is kept out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
    /// When the service may throw the item away, in seconds after its last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    body: &'a Value,
}

impl<'a> NewItem<'a> {
    /// An item that lives for `ttl` from `now` on. `BodyTooLarge` when the service would not take it.
    pub fn new(
        id: &'a str,
        (kind, scope): (&'a str, &'a str),
        write: &'a str,
        body: &'a Value,
        now: DateTime<Utc>,
        ttl: Option<Duration>,
    ) -> Result<Self> {
        let expires =
            ttl.map(|ttl| now.timestamp_millis().saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)));
        // The service counts from its own clock in whole seconds: it must never be the first to let go.
        let ttl = ttl.map(|ttl| ttl.as_secs().saturating_add(2).min(MAX_TTL_SECONDS));
        let item = Self { id, kind, scope, write, expires, ttl, body };
        let size = serde_json::to_vec(&item)
            .map_err(|e| Error::new(ErrorKind::Internal, "a record cannot be written").caused_by(e))?
            .len();
        if size > MAX_ITEM_BYTES {
            let sentence = format!("a record of {size} bytes is larger than the {MAX_ITEM_BYTES} that Cosmos DB takes");
            return Err(Error::new(ErrorKind::BodyTooLarge, sentence));
        }
        Ok(item)
    }
}

/// An item as the service has it.
#[derive(Debug, Deserialize)]
pub(super) struct StoredItem {
    id: String,
    #[serde(rename = "_etag")]
    pub etag: String,
    #[serde(default)]
    pub write: String,
    #[serde(default)]
    expires: Option<i64>,
    body: Value,
}

impl StoredItem {
    /// Whether its time is over, whether or not the service has thrown it away.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires.is_some_and(|expires| expires <= now.timestamp_millis())
    }

    /// The record in it; `None` for an item that somebody else put there.
    pub fn into_record(self) -> Option<Record> {
        let id = names::decode(&self.id)?;
        let expires = self.expires.and_then(DateTime::from_timestamp_millis);
        Some(Record { id, body: self.body, etag: self.etag, expires })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_that_is_too_large_is_refused_with_its_size() {
        let item = |bytes: usize| {
            let body = json!("x".repeat(bytes));
            NewItem::new("a", ("documents", ""), "w", &body, DateTime::UNIX_EPOCH, None).map(|_| ())
        };
        item(MAX_ITEM_BYTES - 200).unwrap();
        let refused = item(MAX_ITEM_BYTES).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::BodyTooLarge);
        assert!(refused.message().contains("2093"), "{refused}");
    }

    #[test]
    fn the_service_never_lets_go_before_the_record_expires() {
        let (body, now) = (json!(1), DateTime::UNIX_EPOCH);
        for (ttl, seconds) in [(1, 2), (999, 2), (1_000, 3), (60_000, 62), (u64::MAX, MAX_TTL_SECONDS)] {
            let ttl = Some(Duration::from_millis(ttl));
            let item = NewItem::new("a", ("documents", ""), "w", &body, now, ttl).unwrap();
            assert_eq!(item.ttl, Some(seconds));
        }
    }
}
