//! Many small segments become few, by the timer and by writers, and nothing that can be found changes by it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use knowledge_worker::document::DocumentId;
use knowledge_worker::index::Index;
use knowledge_worker::index::segments::manifest::Outcome;
use knowledge_worker::stores::blobs::{Condition, list_all};

use super::index::{Home, find, later, upsert, version};
use crate::support::app::document_name;

async fn files(home: &Home) -> BTreeSet<String> {
    list_all(home.store(), "segments/").await.unwrap().into_iter().map(|file| file.name).collect()
}

async fn remove(index: &Index, name: &str) -> Outcome {
    index.remove(&DocumentId::of(&document_name(name)), None).await.unwrap()
}

#[tokio::test]
async fn tidying_merges_segments_and_collects_what_nobody_names() {
    let place = Home::local();
    let index = place.open();
    for number in 0..10 {
        let name = format!("{number}.txt");
        index.upsert(upsert(&name, version(1, "1"), &["harbour old"])).await.unwrap();
        index.upsert(upsert(&name, version(2, "2"), &[&format!("harbour word{number}")])).await.unwrap();
    }
    let before = find(&index, "harbour").await.len();
    place.store().put("segments/left-over.lexical", Bytes::from_static(b"x"), Condition::Always).await.unwrap();
    // The store's own clock dates the files; ours stands long before it, then long after.
    assert_eq!(
        index.tidy(Duration::from_secs(900), later()).await.unwrap().collected_files,
        0,
        "too young to be collected"
    );
    place.clock.advance(Duration::from_secs(400 * 24 * 3_600));
    let tidied = index.tidy(Duration::from_secs(900), later()).await.unwrap();
    assert!(tidied.collected_files > 0);
    let status = index.status().await.unwrap();
    assert_eq!((status.segments, status.documents, status.passages), (1, 10, 10));
    assert_eq!(files(&place).await.len(), 1);
    assert_eq!((before, find(&place.open(), "harbour").await.len()), (10, 10));
    let again = index.tidy(Duration::from_secs(900), later()).await.unwrap();
    assert_eq!((again.merged_segments, again.collected_files), (0, 0), "a second run finds nothing to do");
}

#[tokio::test]
async fn a_writer_merges_before_segments_crowd() {
    let home = Home::local();
    let index = home.open();
    for number in 0..70 {
        let name = format!("{}.txt", number % 60);
        let texts = [format!("harbour word{number}"), format!("quay word{number}")];
        let texts = [texts[0].as_str(), texts[1].as_str()];
        assert_eq!(index.upsert(upsert(&name, version(number, "1"), &texts)).await.unwrap(), Outcome::Applied);
        let segments = index.status().await.unwrap().segments;
        assert!(segments <= 25, "{segments} segments after {number} documents");
    }
    let status = home.open().status().await.unwrap();
    assert_eq!((status.documents, status.passages), (60, 120));
    for number in 0..70 {
        let expected = if number < 10 { 0 } else { 2 };
        assert_eq!(find(&index, &format!("word{number}")).await.len(), expected, "word{number}");
    }
}

#[tokio::test]
async fn a_large_segment_is_left_alone_until_small_ones_have_grown_to_its_size() {
    let home = Home::local();
    let index = home.open();
    let many: Vec<String> = (0..1_500).map(|number| format!("harbour part{number}")).collect();
    let large: Vec<&str> = many.iter().map(String::as_str).collect();
    index.upsert(upsert("large.txt", version(1, "1"), &large)).await.unwrap();
    let file = files(&home).await;
    for number in 0..10 {
        index
            .upsert(upsert(&format!("{number}.txt"), version(1, "1"), &[&format!("quay pier{number}")]))
            .await
            .unwrap();
    }
    home.clock.advance(Duration::from_secs(400 * 24 * 3_600));
    assert_eq!(index.tidy(Duration::from_secs(900), later()).await.unwrap().merged_segments, 10);
    let left = files(&home).await;
    assert!(left.len() == 2 && left.is_superset(&file), "{left:?} and not {file:?}");
    assert_eq!((find(&index, "part7").await.len(), find(&index, "quay").await.len()), (1, 10));
    index.upsert(upsert("large.txt", version(2, "2"), &["harbour anew"])).await.unwrap();
    assert!(!files_named(&index, &home).await.is_superset(&file), "nothing in it can be found any more");
}

/// The files that are left when everything unnamed has been collected.
async fn files_named(index: &Index, home: &Home) -> BTreeSet<String> {
    index.tidy(Duration::from_secs(900), later()).await.unwrap();
    files(home).await
}

#[tokio::test]
async fn what_another_process_wrote_meanwhile_counts() {
    let home = Home::local();
    let (one, other) = (home.open(), home.open());
    one.upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap();
    other.upsert(upsert("b.txt", version(1, "1"), &["quay"])).await.unwrap();
    other.upsert(upsert("a.txt", version(2, "2"), &["harbour anew"])).await.unwrap();
    // To the first it looks as if there were nothing to do, until it looks again.
    assert_eq!(remove(&one, "b.txt").await, Outcome::Applied);
    assert_eq!(one.upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap(), Outcome::Superseded);
    assert_eq!((find(&other, "quay").await.len(), find(&other, "anew").await.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_findable_stays_so_while_others_come_and_segments_are_merged() {
    for home in Home::azurite().into_iter().chain([Home::local()]) {
        let (writer, reader) = (home.open(), home.open());
        writer.upsert(upsert("kept.txt", version(1, "1"), &["buoy works"])).await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let looks = [writer.clone(), reader].map(|index| {
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let mut looks = 0;
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(find(&index, "buoy").await, ["buoy works"], "at look {looks}");
                    looks += 1;
                }
                looks
            })
        });
        for number in 0..80 {
            let text = format!("quay pier{number}");
            writer.upsert(upsert(&format!("{number}.txt"), version(1, "1"), &[&text])).await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
        for look in looks {
            assert!(look.await.unwrap() > 10);
        }
    }
}
