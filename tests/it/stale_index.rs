//! The index while its storage does not answer: what is at hand is searched for a while, whatever way storage fails, and no longer
//! than that; and not when storage says that this process may not read.

use std::future::pending;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::StatusCode;
use bytes::Bytes;
use knowledge_worker::clock::Clock;
use knowledge_worker::document::{DocumentId, Principal};
use knowledge_worker::error::{Error, ErrorKind, Result};
use knowledge_worker::index::rank::RankSettings;
use knowledge_worker::index::segments::{SegmentIndex, SegmentSettings};
use knowledge_worker::index::{Index, Query};
use knowledge_worker::reason::Reason;
use knowledge_worker::stores::blobs::local::LocalBlobs;
use knowledge_worker::stores::blobs::{Blob, BlobMeta, BlobPage, BlobStore, PutOptions, Reread};
use tokio::time::timeout;

use crate::index::{find, upsert, version};
use crate::support::app::{TestApp, document_name, get};
use crate::support::process::eventually;

/// How a store is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    Fails(Reason),
    /// What comes is not what was stored.
    Garbled,
    Silent,
}

/// A store with moods.
#[derive(Debug)]
struct Moody {
    inner: LocalBlobs,
    mood: Mutex<Mood>,
}

impl Moody {
    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn answer<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well | Mood::Garbled => answer.await,
            Mood::Fails(reason) => Err(Error::new(ErrorKind::StoreUnavailable, "moody").because(Some(reason))),
            Mood::Silent => pending().await,
        }
    }
}

#[async_trait]
impl BlobStore for Moody {
    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>> {
        let mut got = self.answer(self.inner.get(name, range)).await?;
        if let (Some(blob), Mood::Garbled) = (&mut got, *self.mood.lock().unwrap()) {
            blob.bytes = Bytes::from_static(b"<html>");
        }
        Ok(got)
    }
    async fn head(&self, name: &str) -> Result<Option<BlobMeta>> {
        self.answer(self.inner.head(name)).await
    }
    async fn get_unless(&self, name: &str, known: &str) -> Result<Reread> {
        let known = if *self.mood.lock().unwrap() == Mood::Garbled { "another" } else { known };
        self.answer(self.inner.get_unless(name, known)).await
    }
    async fn put_with(&self, name: &str, bytes: Bytes, options: PutOptions) -> Result<BlobMeta> {
        self.answer(self.inner.put_with(name, bytes, options)).await
    }
    async fn delete(&self, name: &str) -> Result<bool> {
        self.answer(self.inner.delete(name)).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage> {
        self.answer(self.inner.list(prefix, after, limit)).await
    }
    fn location(&self) -> String {
        self.inner.location()
    }
}

/// Whatever a store can fall into that is not its word about us.
const OUTAGES: [Mood; 6] = [
    Mood::Fails(Reason::NoConnection),
    Mood::Fails(Reason::Failed),
    Mood::Fails(Reason::Busy),
    Mood::Fails(Reason::NoToken),
    Mood::Garbled,
    Mood::Silent,
];

struct Place {
    store: Arc<Moody>,
    index: Index,
    /// Another instance on the same store.
    other: Index,
    _folder: tempfile::TempDir,
}

/// An index with one document, searched once, which asks storage with every search.
async fn place(stale: Duration) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Moody {
        inner: LocalBlobs::open(&folder.path().join("index")).unwrap(),
        mood: Mutex::new(Mood::Well),
    });
    let open = |store: Arc<dyn BlobStore>, cache: &str| {
        let cache = folder.path().join(cache);
        let settings = SegmentSettings { cache, refresh: Duration::ZERO, stale, language: "english".parse().unwrap() };
        Index::on_segments(SegmentIndex::new(store, settings, Clock::system()), RankSettings::default())
    };
    let (index, other) = (open(Arc::clone(&store) as _, "one"), open(Arc::new(store.inner.clone()), "other"));
    index.upsert(upsert("a.txt", version(1, "1"), &["the old harbour"])).await.unwrap();
    assert_eq!(find(&index, "harbour").await, ["the old harbour"]);
    Place { store, index, other, _folder: folder }
}

async fn search(index: &Index) -> Result<usize> {
    index.search(&Principal::anonymous(), &Query::words("harbour", 20)).await.map(|found| found.hits.len())
}

#[tokio::test]
async fn whatever_way_storage_fails_the_generation_at_hand_is_searched() {
    for outage in OUTAGES {
        let place = place(Duration::from_secs(300)).await;
        place.store.is(outage);
        let began = Instant::now();
        assert_eq!(find(&place.index, "harbour").await, ["the old harbour"], "{outage:?}");
        let first = began.elapsed();
        assert_eq!(find(&place.index, "harbour").await, ["the old harbour"], "{outage:?}");
        assert!(place.index.is_behind(), "{outage:?}");
        let second = began.elapsed() - first;
        assert!(first < Duration::from_secs(4) && second < Duration::from_secs(1), "{outage:?}: {first:?} {second:?}");
        // Who changes the index does not go by what may be old.
        let id = DocumentId::of(&document_name("a.txt"));
        let entry = timeout(Duration::from_millis(200), place.index.entry(&id)).await;
        assert!(!matches!(entry, Ok(Ok(_))), "{outage:?}");
    }
}

#[tokio::test]
async fn when_storage_is_well_again_the_newest_generation_is_searched() {
    for outage in [Mood::Fails(Reason::Failed), Mood::Garbled] {
        let place = place(Duration::from_secs(300)).await;
        place.store.is(outage);
        place.other.upsert(upsert("b.txt", version(1, "1"), &["the new harbour"])).await.unwrap();
        assert_eq!(search(&place.index).await.unwrap(), 1, "{outage:?}");
        place.store.is(Mood::Well);
        assert_eq!(search(&place.index).await.unwrap(), 2, "{outage:?}");
        assert!(!place.index.is_behind(), "{outage:?}");
    }
}

#[tokio::test]
async fn it_is_searched_for_so_long_and_no_longer() {
    for outage in OUTAGES {
        let place = place(Duration::ZERO).await;
        place.store.is(outage);
        let answer = timeout(Duration::from_millis(300), search(&place.index)).await;
        match outage {
            Mood::Silent => assert!(answer.is_err(), "there is no answer: {answer:?}"),
            _ => assert!(answer.unwrap().is_err(), "{outage:?}"),
        }
    }
    let stale = Duration::from_millis(400);
    let place = place(stale).await;
    let loaded = Instant::now();
    place.store.is(Mood::Fails(Reason::NoConnection));
    let refused = eventually("its time is over", async || search(&place.index).await.err()).await;
    assert_eq!((refused.kind(), refused.reason()), (ErrorKind::StoreUnavailable, Some(Reason::NoConnection)));
    assert!(loaded.elapsed() >= stale - Duration::from_millis(100), "{:?}", loaded.elapsed());
}

#[tokio::test]
async fn storage_that_refuses_us_is_obeyed_at_once() {
    for reason in [Reason::NotAllowed, Reason::NotKnown, Reason::KeptOut] {
        let place = place(Duration::from_secs(300)).await;
        place.store.is(Mood::Fails(reason));
        assert_eq!(search(&place.index).await.unwrap_err().reason(), Some(reason));
        assert!(!place.index.is_behind());
    }
}

#[tokio::test]
async fn health_says_that_what_is_at_hand_is_searched() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Moody {
        inner: LocalBlobs::open(&folder.path().join("index")).unwrap(),
        mood: Mutex::new(Mood::Well),
    });
    let settings = SegmentSettings {
        cache: folder.path().join("cache"),
        refresh: Duration::ZERO,
        stale: Duration::from_secs(300),
        language: "english".parse().unwrap(),
    };
    let segments = SegmentIndex::new(Arc::clone(&store) as _, settings, Clock::system());
    let index = Index::on_segments(segments, RankSettings::default());
    index.upsert(upsert("a.txt", version(1, "1"), &["the old harbour"])).await.unwrap();
    let mut test = TestApp::new();
    Arc::get_mut(&mut test.app).unwrap().index = Arc::new(index);
    for (mood, search, ready) in [
        (Mood::Well, "healthy", StatusCode::OK),
        (Mood::Fails(Reason::Failed), "degraded", StatusCode::OK),
        (Mood::Fails(Reason::NotAllowed), "unhealthy", StatusCode::SERVICE_UNAVAILABLE),
        (Mood::Silent, "degraded", StatusCode::OK),
    ] {
        store.is(mood);
        // A verdict is kept for a moment; the router of each request is a new one.
        let told = test.send(get("/health")).await.json();
        assert_eq!(told["services"]["search"], search, "{mood:?}: {told}");
        assert_eq!(told["status"], if search == "healthy" { "healthy" } else { "degraded" }, "{told}");
        assert_eq!(test.send(get("/health/ready")).await.status, ready, "{mood:?}");
    }
}
