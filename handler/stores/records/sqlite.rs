//! The record store in one SQLite file, for a laptop, a container, or one function instance. Several processes may share it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;
use uuid::Uuid;

use super::{Precondition, Record, RecordPage, RecordStore};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// How long a write waits for another process before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA secure_delete = ON;
    CREATE TABLE IF NOT EXISTS records (
        partition  TEXT NOT NULL,
        id         TEXT NOT NULL,
        body       TEXT NOT NULL,
        etag       TEXT NOT NULL,
        expires_ms INTEGER,
        PRIMARY KEY (partition, id)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expires_ms) WHERE expires_ms IS NOT NULL;
";

/// A record store in a SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteRecords {
    connection: Arc<Mutex<Connection>>,
    clock: Clock,
}

impl SqliteRecords {
    /// Opens the file, making it and its folder if they are not there.
    pub fn open(file: &Path, clock: Clock) -> Result<Self> {
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::StoreUnavailable, format!("cannot open the records file {}", file.display()))
                .caused_by(cause)
        };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|e| failed(e.into()))?;
        }
        let connection = Connection::open(file).map_err(|e| failed(e.into()))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|e| failed(e.into()))?;
        connection.execute_batch(SCHEMA).map_err(|e| failed(e.into()))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), clock })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection, i64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(&self.connection);
        let now_ms = self.clock.now().timestamp_millis();
        let joined = tokio::task::spawn_blocking(move || {
            // A panic in another call cannot leave a transaction open: it rolls back when it is dropped.
            let mut connection = connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            work(&mut connection, now_ms)
        });
        joined.await.map_err(|_| Error::new(ErrorKind::Internal, "a record operation was interrupted"))?
    }
}

#[async_trait]
impl RecordStore for SqliteRecords {
    async fn get(&self, partition: &str, id: &str) -> Result<Option<Record>> {
        let (partition, id) = (partition.to_owned(), id.to_owned());
        self.blocking(move |connection, now_ms| find(connection, &partition, &id, now_ms)).await
    }

    async fn put(
        &self,
        partition: &str,
        id: &str,
        body: &Value,
        precondition: Precondition,
        ttl: Option<Duration>,
    ) -> Result<String> {
        let (partition, id, body) = (partition.to_owned(), id.to_owned(), body.to_string());
        self.blocking(move |connection, now_ms| {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(unavailable)?;
            let current = find(&transaction, &partition, &id, now_ms)?;
            let allowed = match &precondition {
                Precondition::Always => true,
                Precondition::IfAbsent => current.is_none(),
                Precondition::IfMatch(etag) => current.is_some_and(|record| &record.etag == etag),
            };
            if !allowed {
                return Err(Error::new(ErrorKind::PreconditionFailed, "the record was changed by somebody else"));
            }
            let etag = Uuid::new_v4().simple().to_string();
            let expires_ms = ttl.map(|ttl| now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)));
            transaction
                .prepare_cached("INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3, ?4, ?5)")
                .and_then(|mut insert| insert.execute(params![partition, id, body, etag, expires_ms]))
                .map_err(unavailable)?;
            transaction.execute("DELETE FROM records WHERE expires_ms <= ?1", [now_ms]).map_err(unavailable)?;
            transaction.commit().map_err(unavailable)?;
            Ok(etag)
        })
        .await
    }

    async fn delete(&self, partition: &str, id: &str) -> Result<bool> {
        let (partition, id) = (partition.to_owned(), id.to_owned());
        self.blocking(move |connection, now_ms| {
            let was_there = find(connection, &partition, &id, now_ms)?.is_some();
            connection
                .execute("DELETE FROM records WHERE partition = ?1 AND id = ?2", [&partition, &id])
                .map_err(unavailable)?;
            Ok(was_there)
        })
        .await
    }

    async fn list(&self, partition: &str, after: Option<&str>, limit: usize) -> Result<RecordPage> {
        let (partition, after) = (partition.to_owned(), after.unwrap_or_default().to_owned());
        self.blocking(move |connection, now_ms| {
            let mut select = connection
                .prepare_cached(
                    "SELECT id, body, etag, expires_ms FROM records
                     WHERE partition = ?1 AND id > ?2 AND (expires_ms IS NULL OR expires_ms > ?3) ORDER BY id LIMIT ?4",
                )
                .map_err(unavailable)?;
            let most = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
            let rows = select.query_map(params![partition, after, now_ms, most], read).map_err(unavailable)?;
            let mut records = rows.collect::<Result<Vec<_>, _>>().map_err(unavailable)?;
            let more = records.len() > limit;
            records.truncate(limit);
            let next = if more { records.last().map(|record| record.id.clone()) } else { None };
            Ok(RecordPage { records, next })
        })
        .await
    }

    async fn count(&self, partition: &str) -> Result<u64> {
        let partition = partition.to_owned();
        self.blocking(move |connection, now_ms| {
            let sql = "SELECT count(*) FROM records WHERE partition = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)";
            let count: i64 =
                connection.query_row(sql, params![partition, now_ms], |row| row.get(0)).map_err(unavailable)?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .await
    }

    async fn partitions(&self) -> Result<Vec<String>> {
        self.blocking(move |connection, now_ms| {
            let mut select = connection
                .prepare_cached(
                    "SELECT DISTINCT partition FROM records
                     WHERE expires_ms IS NULL OR expires_ms > ?1 ORDER BY partition",
                )
                .map_err(unavailable)?;
            let names = select.query_map([now_ms], |row| row.get(0)).map_err(unavailable)?;
            names.collect::<Result<Vec<String>, _>>().map_err(unavailable)
        })
        .await
    }

    async fn settle(&self) -> Result<()> {
        self.blocking(|connection, now_ms| {
            connection.execute("DELETE FROM records WHERE expires_ms <= ?1", [now_ms]).map_err(unavailable)?;
            // The log of changes holds what was there before; others who write at this moment keep it from being emptied.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(unavailable)
        })
        .await
    }
}

fn find(connection: &Connection, partition: &str, id: &str, now_ms: i64) -> Result<Option<Record>> {
    connection
        .prepare_cached(
            "SELECT id, body, etag, expires_ms FROM records
             WHERE partition = ?1 AND id = ?2 AND (expires_ms IS NULL OR expires_ms > ?3)",
        )
        .and_then(|mut select| select.query_row(params![partition, id, now_ms], read).optional())
        .map_err(unavailable)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    let body: String = row.get(1)?;
    let body: Value = serde_json::from_str(&body)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, e.into()))?;
    let expires = row.get::<_, Option<i64>>(3)?.and_then(DateTime::from_timestamp_millis);
    Ok(Record { id: row.get(0)?, body, etag: row.get(2)?, expires })
}

fn unavailable(cause: rusqlite::Error) -> Error {
    Error::new(ErrorKind::StoreUnavailable, "the records file cannot be used").caused_by(cause)
}
