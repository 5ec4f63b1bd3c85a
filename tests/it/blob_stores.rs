//! The contract of a blob store, held against every form there is.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::response::IntoResponse;
use bytes::Bytes;
use knowledge_worker::document::content_hash;
use knowledge_worker::error::ErrorKind;
use knowledge_worker::stores::blobs::azure::AzureBlobs;
use knowledge_worker::stores::blobs::local::LocalBlobs;
use knowledge_worker::stores::blobs::{BlobStore, Condition, PutOptions, Reread, list_all};
use knowledge_worker::stores::storage_account::StorageAccount;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::fake_azure::identity::unsigned_token;
use crate::fake_azure::tls;
use crate::support::azurite;

/// Runs one check on every form.
async fn on_every_form<F: Future<Output = ()>>(check: impl Fn(Arc<dyn BlobStore>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    check(Arc::new(LocalBlobs::open(folder.path()).unwrap())).await;
    for account in azurite::accounts() {
        let container = format!("suite-{}", Uuid::new_v4().simple());
        check(Arc::new(AzureBlobs::open(&account, &container))).await;
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[tokio::test]
async fn what_is_put_is_got() {
    on_every_form(|store| async move {
        let put = store.put("a/b c ü%20.txt", bytes("alpha"), Condition::Always).await.unwrap();
        let got = store.get("a/b c ü%20.txt", None).await.unwrap().unwrap();
        assert_eq!((got.bytes, got.meta.size_bytes), (bytes("alpha"), 5));
        assert_eq!(got.meta.etag, put.etag);
        assert_eq!(store.head("a/b c ü%20.txt").await.unwrap().unwrap(), got.meta);
        assert_eq!(store.put("empty", Bytes::new(), Condition::Always).await.unwrap().size_bytes, 0);
        assert_eq!(store.get("empty", None).await.unwrap().unwrap().bytes, Bytes::new());
    })
    .await;
}

#[tokio::test]
async fn what_is_absent_is_none_everywhere() {
    on_every_form(|store| async move {
        assert!(store.head("nothing").await.unwrap().is_none());
        assert!(store.get("nothing", None).await.unwrap().is_none());
        assert!(store.get("nothing", Some(0..4)).await.unwrap().is_none());
        assert!(matches!(store.get_unless("nothing", "x").await.unwrap(), Reread::Absent));
        assert!(!store.delete("nothing").await.unwrap());
        assert!(store.list("", None, 10).await.unwrap().blobs.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_etag_follows_the_content() {
    on_every_form(|store| async move {
        let first = store.put("a", bytes("one"), Condition::Always).await.unwrap();
        assert!(matches!(store.get_unless("a", &first.etag).await.unwrap(), Reread::Unchanged));
        let second = store.put("a", bytes("two"), Condition::Always).await.unwrap();
        assert_ne!(first.etag, second.etag);
        let Reread::Changed(blob) = store.get_unless("a", &first.etag).await.unwrap() else { panic!("it did change") };
        assert_eq!((blob.bytes, blob.meta.etag), (bytes("two"), second.etag));
        assert!(second.modified >= first.modified);
    })
    .await;
}

#[tokio::test]
async fn a_condition_that_fails_changes_nothing() {
    on_every_form(|store| async move {
        let first = store.put("a", bytes("one"), Condition::IfAbsent).await.unwrap();
        let again = store.put("a", bytes("two"), Condition::IfAbsent).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::PreconditionFailed);
        let second = store.put("a", bytes("two"), Condition::IfMatch(first.etag.clone())).await.unwrap();
        let stale = store.put("a", bytes("three"), Condition::IfMatch(first.etag)).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::PreconditionFailed);
        assert_eq!(store.get("a", None).await.unwrap().unwrap().bytes, bytes("two"));
        store.delete("a").await.unwrap();
        let gone = store.put("a", bytes("four"), Condition::IfMatch(second.etag)).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::PreconditionFailed);
    })
    .await;
}

#[tokio::test]
async fn of_many_writers_one_wins_each_round() {
    on_every_form(|store| async move {
        store.put("counter", bytes("0"), Condition::Always).await.unwrap();
        let writers = (0..8).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..5 {
                    loop {
                        let blob = store.get("counter", None).await.unwrap().unwrap();
                        let count: u32 = std::str::from_utf8(&blob.bytes).unwrap().parse().unwrap();
                        let next = Bytes::from((count + 1).to_string());
                        match store.put("counter", next, Condition::IfMatch(blob.meta.etag)).await {
                            Ok(_) => break,
                            Err(e) => assert_eq!(e.kind(), ErrorKind::PreconditionFailed),
                        }
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        assert_eq!(store.get("counter", None).await.unwrap().unwrap().bytes, bytes("40"));
    })
    .await;
}

#[tokio::test]
async fn a_range_is_cut_at_the_end() {
    on_every_form(|store| async move {
        store.put("a", bytes("0123456789"), Condition::Always).await.unwrap();
        for (range, expected) in
            [(2..5, "234"), (8..99, "89"), (10..12, ""), (50..60, ""), (0..10, "0123456789"), (3..3, "")]
        {
            let part = store.get("a", Some(range)).await.unwrap().unwrap();
            assert_eq!((part.bytes, part.meta.size_bytes), (bytes(expected), 10));
        }
    })
    .await;
}

#[tokio::test]
async fn a_listing_is_in_order_and_comes_in_pages() {
    on_every_form(|store| async move {
        for name in ["b/2", "a", "b/10", "c", "b/1"] {
            store.put(name, bytes(name), Condition::Always).await.unwrap();
        }
        let first = store.list("", None, 2).await.unwrap();
        assert_eq!(names(&first.blobs), ["a", "b/1"]);
        let second = store.list("", first.next.as_deref(), 2).await.unwrap();
        assert_eq!(names(&second.blobs), ["b/10", "b/2"]);
        let third = store.list("", second.next.as_deref(), 2).await.unwrap();
        assert_eq!((names(&third.blobs), third.next), (vec!["c".to_owned()], None));
        assert_eq!(names(&list_all(&store, "b/").await.unwrap()), ["b/1", "b/10", "b/2"]);
        let listed = store.list("a", None, 9).await.unwrap().blobs.remove(0);
        assert_eq!(listed, store.head("a").await.unwrap().unwrap(), "a listing says what a look says");
    })
    .await;
}

#[tokio::test]
async fn names_that_are_none_are_refused_and_touch_nothing() {
    on_every_form(|store| async move {
        let long = "x".repeat(5_000);
        for name in ["", "..", "../up", "a/../../up", "/etc/passwd", "a//b", "a/./b", "a\0b", "a\nb", &long] {
            assert_eq!(
                store.put(name, bytes("x"), Condition::Always).await.unwrap_err().kind(),
                ErrorKind::InvalidName,
                "{name:?}"
            );
            assert_eq!(store.get(name, None).await.unwrap_err().kind(), ErrorKind::InvalidName, "{name:?}");
            assert_eq!(store.delete(name).await.unwrap_err().kind(), ErrorKind::InvalidName, "{name:?}");
        }
        assert!(store.list("", None, 10).await.unwrap().blobs.is_empty());
    })
    .await;
}

fn said(values: &[(&str, &str)], condition: Condition) -> PutOptions {
    let metadata = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    PutOptions { condition, metadata }
}

#[tokio::test]
async fn what_is_said_about_a_blob_comes_with_it() {
    on_every_form(|store| async move {
        let options = said(&[("category", "Übersicht 50%, \u{1f6a2}"), ("owner", "t1/ann")], Condition::Always);
        let put = store.put_with("a/b.txt", bytes("alpha"), options.clone()).await.unwrap();
        assert_eq!(put.metadata, options.metadata);
        let head = store.head("a/b.txt").await.unwrap().unwrap();
        assert_eq!((&head.metadata, &head.etag), (&options.metadata, &put.etag));
        assert_eq!(store.get("a/b.txt", None).await.unwrap().unwrap().meta, head);
        assert_eq!(store.get("a/b.txt", Some(1..3)).await.unwrap().unwrap().meta, head);
        assert_eq!(store.list("", None, 10).await.unwrap().blobs, std::slice::from_ref(&head));
        assert!(matches!(store.get_unless("a/b.txt", &put.etag).await.unwrap(), Reread::Unchanged));
        store.put("plain", bytes("beta"), Condition::Always).await.unwrap();
        assert_eq!(store.head("plain").await.unwrap().unwrap().metadata, BTreeMap::new());
    })
    .await;
}

#[tokio::test]
async fn the_etag_follows_what_is_said_too() {
    on_every_form(|store| async move {
        let first = store.put_with("a", bytes("one"), said(&[("owner", "ann")], Condition::IfAbsent)).await.unwrap();
        let matching = Condition::IfMatch(first.etag.clone());
        let second = store.put_with("a", bytes("one"), said(&[("owner", "bob")], matching.clone())).await.unwrap();
        assert_ne!(first.etag, second.etag);
        assert!(second.modified >= first.modified);
        let stale = store.put_with("a", bytes("one"), said(&[("owner", "eve")], matching)).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::PreconditionFailed);
        assert_eq!(store.head("a").await.unwrap().unwrap().metadata["owner"], "bob");
        let forgotten = store.put("a", bytes("one"), Condition::Always).await.unwrap();
        assert_ne!(forgotten.etag, second.etag);
        assert_eq!(store.head("a").await.unwrap().unwrap(), forgotten);
        assert_eq!(forgotten.metadata, BTreeMap::new());
        store.put_with("a", bytes("one"), said(&[("owner", "ann")], Condition::Always)).await.unwrap();
        assert!(store.delete("a").await.unwrap());
        store.put("a", bytes("one"), Condition::Always).await.unwrap();
        assert_eq!(store.head("a").await.unwrap().unwrap().metadata, BTreeMap::new());
    })
    .await;
}

#[tokio::test]
async fn a_file_replaced_by_hand_keeps_what_was_said_about_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    let first = store.put_with("x/a", bytes("one"), said(&[("owner", "ann")], Condition::Always)).await.unwrap();
    std::fs::write(folder.path().join("x/a"), "two").unwrap();
    let by_hand = store.head("x/a").await.unwrap().unwrap();
    assert_ne!(by_hand.etag, first.etag);
    assert_eq!(by_hand.metadata, first.metadata);
    // What cannot be read may not count as nothing: it says who may read the blob.
    std::fs::write(folder.path().join(".kw-meta/x/a"), "{\"now\"").unwrap();
    assert_eq!(store.head("x/a").await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    assert_eq!(store.get("x/a", None).await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
}

#[tokio::test]
async fn no_link_leads_out_of_the_local_folder() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.txt"), "secret").unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.txt"), folder.path().join("link.txt")).unwrap();
    assert!(store.get("out/secret.txt", None).await.unwrap().is_none());
    assert!(store.get("link.txt", None).await.unwrap().is_none());
    assert!(store.list("", None, 10).await.unwrap().blobs.is_empty());
    assert!(store.put("out/new.txt", bytes("x"), Condition::Always).await.is_err());
    assert!(!outside.path().join("new.txt").exists());
}

#[tokio::test]
async fn a_file_moved_in_with_an_old_date_counts_as_new() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    let first = store.put("a", bytes("one"), Condition::Always).await.unwrap();
    let elsewhere = folder.path().join(".kw-elsewhere");
    std::fs::write(&elsewhere, "two").unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::options().write(true).open(&elsewhere).unwrap().set_modified(old).unwrap();
    std::fs::rename(&elsewhere, folder.path().join("a")).unwrap();
    let second = store.head("a").await.unwrap().unwrap();
    assert_ne!(second.etag, first.etag);
    assert!(second.modified >= first.modified, "the content's own date is that of 1970");
}

fn names(blobs: &[knowledge_worker::stores::blobs::BlobMeta]) -> Vec<String> {
    blobs.iter().map(|blob| blob.name.clone()).collect()
}

/// Runs the official client for Python on a container, and returns what it found there.
async fn official_client(place: &Value, container: &str) -> Vec<Value> {
    // It is installed here when the script that runs the tests has not done it.
    let command = "set -e; source scripts/lib/prepare; need_python_packages storage-client azure_storage.txt
        exec python -B tests/python/azure_storage.py \"$@\"";
    let mut child = tokio::process::Command::new("bash")
        .args(["-c", command, "bash", container])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(place.to_string().as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {stderr}"))
}

#[tokio::test]
async fn the_official_client_for_python_reads_what_we_wrote_and_we_what_it_wrote() {
    let token = unsigned_token("https://storage.azure.com", Duration::from_secs(3_600)).0;
    let url = azurite::addresses_over_tls().0;
    let by_identity = json!({"account_url": url.as_str(), "token": token, "trusted": tls::trusted()});
    let by_key = json!({"connection_string": azurite::connection_string()});
    for (account, place) in [(azurite::account(), by_key), (azurite::account_by_identity(), by_identity)] {
        let container = format!("judged-{}", Uuid::new_v4().simple());
        let store = AzureBlobs::open(&account, &container);
        // More than the clients send in one piece.
        let large = Bytes::from(vec![7; 9 << 20]);
        let mut expected = Vec::new();
        for (name, content, owner) in
            [("a/b c ü%20.txt", bytes("alpha"), "t1/ann"), ("empty", Bytes::new(), "bob"), ("large", large, "50% ü")]
        {
            let put =
                store.put_with(name, content.clone(), said(&[("owner", owner)], Condition::IfAbsent)).await.unwrap();
            let owner = owner.replace('%', "%25").replace('ü', "%C3%BC");
            expected.push(json!({"name": name, "size": content.len(), "etag": put.etag, "metadata": {"owner": owner},
                "sha256": content_hash(&content)}));
        }
        assert_eq!(official_client(&place, &container).await, expected);
        let blob = store.get("from-python.txt", None).await.unwrap().unwrap();
        assert_eq!((blob.bytes, blob.meta.metadata["owner"].as_str()), (bytes("from Python"), "t1/ann"));
    }
}

#[tokio::test]
async fn index_tags_come_with_a_blob_where_they_are_read() {
    for account in [azurite::account(), azurite::account_by_signature()] {
        let container = format!("tagged-{}", Uuid::new_v4().simple());
        let (without, with) =
            (AzureBlobs::open(&account, &container), AzureBlobs::open(&account, &container).with_tags());
        let put = with.put_with("a.txt", bytes("alpha"), said(&[("owner", "bob")], Condition::Always)).await.unwrap();
        with.put("b.txt", bytes("beta"), Condition::Always).await.unwrap();
        azurite::tag(&container, "a.txt", &[("Category", "lamps and piers"), ("allowed_groups", "t1/hr home/it")])
            .await;
        let expected = BTreeMap::from(
            [("category", "lamps and piers"), ("allowed_groups", "t1/hr home/it")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let got = with.get("a.txt", None).await.unwrap().unwrap();
        let Reread::Changed(reread) = with.get_unless("a.txt", "0x1").await.unwrap() else {
            panic!("it is another one")
        };
        let listed = with.list("", None, 10).await.unwrap().blobs;
        let head = with.head("a.txt").await.unwrap().unwrap();
        for meta in [&got.meta, &reread.meta, &listed[0], &head] {
            assert_eq!((&meta.tags, &meta.etag), (&expected, &put.etag), "a tag does not change the ETag");
            assert_eq!(meta.metadata["owner"], "bob");
        }
        assert!(listed[1].tags.is_empty() && with.head("b.txt").await.unwrap().unwrap().tags.is_empty());
        for meta in without.list("", None, 10).await.unwrap().blobs {
            assert!(meta.tags.is_empty() && without.head(&meta.name).await.unwrap().unwrap().tags.is_empty());
        }
        // Whoever writes a blob says anew what is said of it.
        with.put("a.txt", bytes("gamma"), Condition::Always).await.unwrap();
        assert!(with.head("a.txt").await.unwrap().unwrap().tags.is_empty());
    }
}

#[tokio::test]
async fn no_content_comes_with_the_tags_of_another() {
    // A blob that is replaced, with its tags, after the first look at its content.
    let looks = Arc::new(AtomicU32::new(0));
    let answer = move |request: axum::extract::Request| {
        let is_tags = request.uri().query().is_some_and(|query| query.contains("comp=tags"));
        let is_head = request.method() == axum::http::Method::HEAD;
        let round =
            if is_tags || is_head { looks.load(Ordering::SeqCst) } else { looks.fetch_add(1, Ordering::SeqCst) };
        async move {
            let tags = "<Tags><TagSet><Tag><Key>allowed_groups</Key><Value>everyone</Value></Tag></TagSet></Tags>";
            let (etag, content) = if round == 0 { ("\"0x1\"", "secret") } else { ("\"0x2\"", "open") };
            let body = if is_tags { tags } else { content };
            ([("etag", etag), ("x-ms-tag-count", "1")], body).into_response()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/account", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    let account = StorageAccount::from_connection_string(&azurite::connection_string_at(&url)).unwrap();
    let blob = AzureBlobs::open(&account, "documents").with_tags().get("a.txt", None).await.unwrap().unwrap();
    assert_eq!((blob.bytes, blob.meta.etag.as_str()), (bytes("open"), "0x2"));
    assert_eq!(blob.meta.tags["allowed_groups"], "everyone");
}
