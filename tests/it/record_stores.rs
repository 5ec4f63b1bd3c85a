//! The contract of a record store, held against every form there is.

use std::sync::Arc;
use std::time::Duration;

use knowledge_worker::clock::Clock;
use knowledge_worker::error::ErrorKind;
use knowledge_worker::stores::records::cosmos::CosmosRecords;
use knowledge_worker::stores::records::sqlite::SqliteRecords;
use knowledge_worker::stores::records::{Precondition, RecordStore};
use serde_json::json;

use crate::support::cosmos::Container;

/// Runs one check on every form, with a clock that the check moves.
async fn on_every_form<F: Future<Output = ()>>(check: impl Fn(Arc<dyn RecordStore>, Clock) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let clock = start();
    check(Arc::new(SqliteRecords::open(&folder.path().join("new/records.db"), clock.clone()).unwrap()), clock).await;
    let (container, clock) = (Container::new().await, start());
    check(Arc::new(CosmosRecords::new(container.settings(), clock.clone())), clock).await;
}

fn start() -> Clock {
    Clock::manual("2026-01-01T00:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn what_is_put_is_got_within_its_partition() {
    on_every_form(|store, _| async move {
        let body = json!({"text": "ü\u{0}\"", "number": 7, "nested": [null, true]});
        let etag = store.put("p", "a/b c", &body, Precondition::Always, None).await.unwrap();
        let record = store.get("p", "a/b c").await.unwrap().unwrap();
        assert_eq!((record.id.as_str(), &record.body, &record.etag), ("a/b c", &body, &etag));
        assert!(store.get("q", "a/b c").await.unwrap().is_none());
        assert_eq!((store.count("p").await.unwrap(), store.count("q").await.unwrap()), (1, 0));
        assert!(store.delete("p", "a/b c").await.unwrap());
        assert!(!store.delete("p", "a/b c").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_precondition_that_fails_changes_nothing() {
    on_every_form(|store, _| async move {
        let first = store.put("p", "a", &json!(1), Precondition::IfAbsent, None).await.unwrap();
        let again = store.put("p", "a", &json!(2), Precondition::IfAbsent, None).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::PreconditionFailed);
        let second = store.put("p", "a", &json!(2), Precondition::IfMatch(first.clone()), None).await.unwrap();
        assert_ne!(first, second);
        let stale = store.put("p", "a", &json!(3), Precondition::IfMatch(first), None).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::PreconditionFailed);
        assert_eq!(store.get("p", "a").await.unwrap().unwrap().body, json!(2));
        let absent = store.put("p", "b", &json!(1), Precondition::IfMatch(second), None).await.unwrap_err();
        assert_eq!(absent.kind(), ErrorKind::PreconditionFailed);
    })
    .await;
}

#[tokio::test]
async fn a_partition_is_listed_in_order_and_in_pages() {
    on_every_form(|store, _| async move {
        for id in ["c", "a", "e", "b", "d"] {
            store.put("p", id, &json!(id), Precondition::Always, None).await.unwrap();
        }
        store.put("other", "x", &json!(0), Precondition::Always, None).await.unwrap();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store.list("p", after.as_deref(), 2).await.unwrap();
            seen.extend(page.records.into_iter().map(|record| record.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    })
    .await;
}

#[tokio::test]
async fn the_partitions_that_hold_a_record_are_listed() {
    on_every_form(|store, clock| async move {
        assert!(store.partitions().await.unwrap().is_empty());
        store.put("q", "b", &json!(1), Precondition::Always, Some(Duration::from_secs(60))).await.unwrap();
        for (partition, id) in [("z/ü", "a"), ("p", "a"), ("p", "b")] {
            store.put(partition, id, &json!(1), Precondition::Always, None).await.unwrap();
        }
        assert_eq!(store.partitions().await.unwrap(), ["p", "q", "z/ü"]);
        let expires = store.get("q", "b").await.unwrap().unwrap().expires;
        assert_eq!(expires, Some(clock.now() + Duration::from_secs(60)));
        assert_eq!(store.list("p", None, 1).await.unwrap().records[0].expires, None);
        clock.advance(Duration::from_secs(60));
        store.delete("z/ü", "a").await.unwrap();
        assert_eq!(store.partitions().await.unwrap(), ["p"]);
    })
    .await;
}

#[tokio::test]
async fn an_expired_record_is_as_absent_as_one_that_never_was() {
    on_every_form(|store, clock| async move {
        store.put("p", "short", &json!(1), Precondition::Always, Some(Duration::from_secs(60))).await.unwrap();
        store.put("p", "long", &json!(1), Precondition::Always, None).await.unwrap();
        clock.advance(Duration::from_secs(59));
        assert_eq!(store.count("p").await.unwrap(), 2);
        clock.advance(Duration::from_secs(1));
        assert!(store.get("p", "short").await.unwrap().is_none());
        assert_eq!(store.list("p", None, 9).await.unwrap().records.len(), 1);
        assert_eq!(store.count("p").await.unwrap(), 1);
        assert!(!store.delete("p", "short").await.unwrap());
        store.put("p", "short", &json!(2), Precondition::IfAbsent, None).await.unwrap();
    })
    .await;
}

/// Two processes that count in one record, each fifty times: nothing is counted twice or lost.
async fn count_together(open: impl Fn() -> Arc<dyn RecordStore>) {
    let writers = [open(), open()].map(|store| {
        tokio::spawn(async move {
            for _ in 0..50 {
                loop {
                    let current = store.get("p", "counter").await.unwrap();
                    let (count, precondition) = match current {
                        Some(record) => (record.body.as_u64().unwrap(), Precondition::IfMatch(record.etag)),
                        None => (0, Precondition::IfAbsent),
                    };
                    match store.put("p", "counter", &json!(count + 1), precondition, None).await {
                        Ok(_) => break,
                        Err(e) => assert_eq!(e.kind(), ErrorKind::PreconditionFailed),
                    }
                }
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(open().get("p", "counter").await.unwrap().unwrap().body, json!(100));
}

#[tokio::test]
async fn two_processes_share_one_file() {
    let folder = tempfile::tempdir().unwrap();
    count_together(|| Arc::new(SqliteRecords::open(&folder.path().join("records.db"), Clock::system()).unwrap())).await;
}

#[tokio::test]
async fn two_processes_share_one_container() {
    let container = Container::new().await;
    count_together(|| Arc::new(CosmosRecords::new(container.settings(), Clock::system()))).await;
}
