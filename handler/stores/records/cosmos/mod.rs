//! The record store in a container of Azure Cosmos DB, through the official client. Any number of instances share it.
//!
//! The container's partition key has two levels, `/kind` and `/scope` (`names.rs`). Every call names both, so each of them goes
//! to one partition; only [`RecordStore::partitions`], which nothing but a backup asks, looks at all. A logical partition
//! holds 20 GB and does 10,000 request units a second, so what grows without end has to be spread over scopes by its owner.
//!
//! Every write carries a word of its own. The client tries a write again when its answer got lost, and is then told that
//! somebody was faster; the word tells whether that was this very write. Numbers beyond 2^53 lose digits: the service keeps
//! what JSON calls a number as a double.

mod connection;
mod item;
mod names;

use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::Etag;
use azure_data_cosmos::clients::ContainerClient;
use azure_data_cosmos::feed::FeedScope;
use azure_data_cosmos::models::ItemResponse;
use azure_data_cosmos::options::{ItemWriteOptions, MaxItemCountHint, Precondition as ItemPrecondition, QueryOptions};
use azure_data_cosmos::{CosmosError, Query};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use self::connection::{Connection, Failure};
pub use self::connection::{CosmosAuthorization, CosmosSettings, Usage};
use self::item::{NewItem, StoredItem};
use super::{Precondition, Record, RecordPage, RecordStore};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// What is true of items whose time is not over; the service may keep others for a while.
const ALIVE: &str = "(NOT IS_DEFINED(c.expires) OR c.expires > @now)";

/// A record store in one container.
#[derive(Clone, Debug)]
pub struct CosmosRecords {
    connection: Connection,
    clock: Clock,
}

impl CosmosRecords {
    /// A store in a container that an operator has made. Makes no call.
    pub fn new(settings: CosmosSettings, clock: Clock) -> Self {
        Self { connection: Connection::new(settings), clock }
    }

    /// The same with a client that plays faults, for tests.
    #[cfg(feature = "crash-points")]
    pub fn with_faults(
        settings: CosmosSettings,
        clock: Clock,
        faults: Vec<std::sync::Arc<azure_data_cosmos::fault_injection::FaultInjectionRule>>,
    ) -> Self {
        Self { connection: Connection::with_faults(settings, faults), clock }
    }

    /// What the calls of this store came to so far.
    pub fn usage(&self) -> Usage {
        self.connection.usage()
    }

    /// An item as it is there, also when its time is over.
    async fn find(&self, partition: &str, id: &str) -> Result<Option<StoredItem>> {
        let read = |container: ContainerClient| async move {
            let answer = container.read_item(names::levels(partition), id, None).await?;
            self.connection.count("get", &answer.diagnostics());
            answer.into_model()
        };
        match self.connection.call(read).await {
            Ok(item) => Ok(Some(item)),
            Err(e) if e.is_absent() => Ok(None),
            Err(e) => Err(e.into_error()),
        }
    }

    /// Puts an item in the place of the one with an ETag.
    async fn replace(&self, partition: &str, item: &NewItem<'_>, etag: &str) -> Result<String, Failure> {
        let precondition = ItemPrecondition::IfMatch(Etag::from(etag.to_owned()));
        let options = ItemWriteOptions::default().with_precondition(precondition);
        let write = |container: ContainerClient| async move {
            let answer = container.replace_item(names::levels(partition), item.id, item, Some(options)).await?;
            Ok(self.written(&answer))
        };
        self.connection.call(write).await
    }

    fn written(&self, answer: &ItemResponse) -> String {
        self.connection.count("put", &answer.diagnostics());
        answer.headers().etag().map(ToString::to_string).unwrap_or_default()
    }

    /// All answers of a query that goes to one partition, or to all of them.
    async fn query<T: DeserializeOwned + Send + 'static>(
        &self,
        operation: &'static str,
        scope: FeedScope,
        query: Result<Query, CosmosError>,
    ) -> Result<Vec<T>> {
        // The service makes its pages as large as it can; when told nothing it stops at a hundred items.
        let options = QueryOptions::default().with_max_item_count(MaxItemCountHint::ServerDecides);
        let ask = |container: ContainerClient| async move {
            let mut pages = container.query_items::<T>(query?, scope, Some(options)).await?.into_pages();
            let mut found = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page?;
                self.connection.count(operation, &page.diagnostics());
                found.extend(page.into_items());
            }
            Ok(found)
        };
        self.connection.call(ask).await.map_err(Failure::into_error)
    }
}

#[async_trait]
impl RecordStore for CosmosRecords {
    async fn get(&self, partition: &str, id: &str) -> Result<Option<Record>> {
        let item = self.find(partition, &names::encode(id)?).await?;
        Ok(item.filter(|item| !item.is_expired(self.clock.now())).and_then(StoredItem::into_record))
    }

    async fn put(
        &self,
        partition: &str,
        id: &str,
        body: &Value,
        precondition: Precondition,
        ttl: Option<Duration>,
    ) -> Result<String> {
        let (id, levels, write) = (names::encode(id)?, names::levels(partition), Uuid::new_v4().simple().to_string());
        let now = self.clock.now();
        let item = &NewItem::new(&id, (&levels.0, &levels.1), &write, body, now, ttl)?;
        let written = match &precondition {
            Precondition::Always => {
                let write = |container: ContainerClient| async move {
                    let answer = container.upsert_item(names::levels(partition), item.id, item, None).await?;
                    Ok(self.written(&answer))
                };
                return self.connection.call(write).await.map_err(Failure::into_error);
            }
            Precondition::IfAbsent => {
                let write = |container: ContainerClient| async move {
                    let answer = container.create_item(names::levels(partition), item.id, item, None).await?;
                    Ok(self.written(&answer))
                };
                self.connection.call(write).await
            }
            Precondition::IfMatch(etag) => self.replace(partition, item, etag).await,
        };
        let refusal = match written {
            Ok(etag) => return Ok(etag),
            Err(e) if e.is_conflict() || e.is_changed() => e,
            Err(e) => return Err(e.into_error()),
        };
        let found = self.find(partition, &id).await?;
        match found {
            // The answer of this very write got lost, and what refused was its second try.
            Some(found) if found.write == write => Ok(found.etag),
            // What stands in the way is as absent as if it had never been.
            Some(found) if precondition == Precondition::IfAbsent && found.is_expired(now) => {
                let replaced = self.replace(partition, item, &found.etag).await;
                replaced.map_err(|e| if e.is_changed() { changed(e) } else { e.into_error() })
            }
            _ => Err(changed(refusal)),
        }
    }

    async fn delete(&self, partition: &str, id: &str) -> Result<bool> {
        // A deletion whose answer got lost is tried again and finds nothing, so what was there is asked before.
        let was_there = self.get(partition, id).await?.is_some();
        let id = &names::encode(id)?;
        let delete = |container: ContainerClient| async move {
            let answer = container.delete_item(names::levels(partition), id, None).await?;
            self.connection.count("delete", &answer.diagnostics());
            Ok(())
        };
        match self.connection.call(delete).await {
            Err(e) if !e.is_absent() => Err(e.into_error()),
            _ => Ok(was_there),
        }
    }

    async fn list(&self, partition: &str, after: Option<&str>, limit: usize) -> Result<RecordPage> {
        let most = limit.saturating_add(1).min(i32::MAX as usize);
        let text = format!("SELECT TOP {most} * FROM c WHERE c.id > @after AND {ALIVE} ORDER BY c.id");
        let after = names::encode_any(after.unwrap_or_default());
        let query = Query::from(text)
            .with_parameter("@after", after)
            .and_then(|query| query.with_parameter("@now", self.clock.now().timestamp_millis()));
        let mut items: Vec<StoredItem> =
            self.query("list", FeedScope::partition(names::levels(partition)), query).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let records: Vec<Record> = items.into_iter().filter_map(StoredItem::into_record).collect();
        let next = if more { records.last().map(|record| record.id.clone()) } else { None };
        Ok(RecordPage { records, next })
    }

    async fn count(&self, partition: &str) -> Result<u64> {
        let query = Query::from(format!("SELECT VALUE COUNT(1) FROM c WHERE {ALIVE}"))
            .with_parameter("@now", self.clock.now().timestamp_millis());
        let counts: Vec<u64> = self.query("count", FeedScope::partition(names::levels(partition)), query).await?;
        Ok(counts.iter().sum())
    }

    async fn partitions(&self) -> Result<Vec<String>> {
        // In order, so that what the client has to hold does not grow with their number.
        let kinds = format!("SELECT DISTINCT VALUE c.kind FROM c WHERE {ALIVE} ORDER BY c.kind");
        let scopes = format!("SELECT DISTINCT VALUE c.scope FROM c WHERE {ALIVE} ORDER BY c.scope");
        let now = self.clock.now().timestamp_millis();
        let at_present = |text: &str| Query::from(text.to_owned()).with_parameter("@now", now);
        let mut partitions = Vec::new();
        let found: Vec<String> = self.query("partitions", FeedScope::full_container(), at_present(&kinds)).await?;
        for kind in found {
            let of_kind = FeedScope::partition(kind.clone());
            let found: Vec<String> = self.query("partitions", of_kind, at_present(&scopes)).await?;
            partitions.extend(found.iter().map(|scope| names::partition(&kind, scope)));
        }
        partitions.sort_unstable();
        Ok(partitions)
    }
}

fn changed(cause: Failure) -> Error {
    Error::new(ErrorKind::PreconditionFailed, "the record was changed by somebody else").caused_by(cause)
}
