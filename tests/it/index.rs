//! The index, on a blob store and at a search service: what is findable, in which version, whoever writes at the same
//! time and wherever it stops.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use knowledge_worker::clock::Clock;
use knowledge_worker::document::{DocumentId, DocumentVersion, Passage, Principal};
use knowledge_worker::index::azure_search::authorization::Authorization;
use knowledge_worker::index::azure_search::{AzureSearchIndex, AzureSearchSettings};
use knowledge_worker::index::rank::RankSettings;
use knowledge_worker::index::segments::manifest::{Change, DocumentEntry, Manifest, Outcome, Place, SegmentEntry};
use knowledge_worker::index::segments::segment::Row;
use knowledge_worker::index::segments::stored::{StoredManifest, table_from_bytes, table_to_bytes};
use knowledge_worker::index::segments::writer::Upsert;
use knowledge_worker::index::segments::{SegmentIndex, SegmentSettings};
use knowledge_worker::index::{Index, Query};
use knowledge_worker::stores::blobs::azure::AzureBlobs;
use knowledge_worker::stores::blobs::local::LocalBlobs;
use knowledge_worker::stores::blobs::{BlobStore, Condition, list_all};
use knowledge_worker::stores::storage_account::StorageAccount;
use proptest::prelude::*;
use uuid::Uuid;

use crate::fake_azure::identity::UnsignedTokens;
use crate::fake_search::{self, FakeSearch};
use crate::support::app::document_name;
use crate::support::azurite;
use crate::support::vectors::{embedding, random};

/// A home of an index, and indexes on it as several processes would have them.
pub struct Home {
    kind: Kind,
    folder: tempfile::TempDir,
    pub clock: Clock,
}

enum Kind {
    Store(Arc<dyn BlobStore>),
    Service(FakeSearch),
}

impl Home {
    pub fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalBlobs::open(&folder.path().join("store")).unwrap());
        Self { kind: Kind::Store(store), folder, clock: Clock::manual(start()) }
    }

    /// In a container, as a laptop has it and as the cloud has it.
    pub fn azurite() -> [Self; 2] {
        [azurite::account(), azurite::account_by_identity()].map(|account| Self::on_account(&account))
    }

    fn on_account(account: &StorageAccount) -> Self {
        let container = format!("index-{}", Uuid::new_v4().simple());
        let store = Arc::new(AzureBlobs::open(account, &container));
        Self { kind: Kind::Store(store), folder: tempfile::tempdir().unwrap(), clock: Clock::system() }
    }

    async fn search_service() -> Self {
        let kind = Kind::Service(FakeSearch::start().await);
        Self { kind, folder: tempfile::tempdir().unwrap(), clock: Clock::manual(start()) }
    }

    /// One of each kind.
    async fn each() -> Vec<Self> {
        let [plain, secure] = Self::azurite();
        vec![Self::local(), plain, secure, Self::search_service().await]
    }

    /// An index as a new process would open it, with a cache of its own.
    pub fn open(&self) -> Index {
        match &self.kind {
            Kind::Service(service) => open_search(service, self.clock.clone(), |settings| {
                settings.authorization = Authorization::Identity(Arc::new(UnsignedTokens));
            }),
            Kind::Store(_) => self.open_with(&self.folder.path().join(Uuid::new_v4().simple().to_string())),
        }
    }

    fn open_with(&self, cache: &Path) -> Index {
        let settings = SegmentSettings {
            cache: cache.to_owned(),
            refresh: Duration::ZERO,
            stale: Duration::from_secs(300),
            language: "english".parse().unwrap(),
        };
        let segments = SegmentIndex::new(Arc::clone(self.store()), settings, self.clock.clone());
        Index::on_segments(segments, RankSettings::default())
    }

    pub fn store(&self) -> &Arc<dyn BlobStore> {
        match &self.kind {
            Kind::Store(store) => store,
            Kind::Service(_) => panic!("a service has no store"),
        }
    }
}

/// An index at a service, as a new process would open it, with some settings changed.
pub fn open_search(service: &FakeSearch, clock: Clock, change: impl FnOnce(&mut AzureSearchSettings)) -> Index {
    let mut settings = AzureSearchSettings {
        endpoint: service.url().parse().unwrap(),
        index: "knowledge-worker".to_owned(),
        authorization: Authorization::ApiKey(fake_search::KEY.into()),
        semantic: false,
        refresh: Duration::ZERO,
        language: "english".parse().unwrap(),
    };
    change(&mut settings);
    Index::on_azure_search(AzureSearchIndex::new(settings, clock), RankSettings::default())
}

pub fn start() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub fn version(second: i64, etag: &str) -> DocumentVersion {
    DocumentVersion { modified: start() + TimeDelta::seconds(second), etag: etag.to_owned() }
}

pub fn upsert(name: &str, version: DocumentVersion, texts: &[&str]) -> Upsert {
    let name = document_name(name);
    let document_id = DocumentId::of(&name);
    let rows = texts.iter().enumerate().map(|(ordinal, text)| {
        let ordinal = u32::try_from(ordinal).unwrap();
        let passage = Passage {
            id: Passage::id_of(&document_id, ordinal),
            document_id: document_id.clone(),
            name: name.clone(),
            title: "A title".to_owned(),
            ordinal,
            page: Some(ordinal + 1),
            place: None,
            heading_path: vec!["Heading".to_owned()],
            text: (*text).to_owned(),
        };
        Row { passage, readers: vec![Principal::EVERYONE.to_owned()], embedding: None }
    });
    let content_hash = version.etag.clone();
    let (name, recipe) = (name.clone(), "1".to_owned());
    Upsert { name, version, content_hash, category: None, recipe, forced: false, rows: rows.collect() }
}

pub async fn find(index: &Index, text: &str) -> Vec<String> {
    let query = Query::words(text, 20);
    let found = index.search(&Principal::anonymous(), &query).await.unwrap();
    found.hits.into_iter().map(|hit| hit.passage.text.clone()).collect()
}

#[tokio::test]
async fn a_new_version_replaces_the_old_in_one_step() {
    for place in Home::each().await {
        let index = place.open();
        assert_eq!(
            index.upsert(upsert("a.txt", version(1, "1"), &["harbour one", "harbour two"])).await.unwrap(),
            Outcome::Applied
        );
        assert_eq!(index.upsert(upsert("a.txt", version(2, "2"), &["harbour three"])).await.unwrap(), Outcome::Applied);
        assert_eq!(find(&index, "harbours").await, ["harbour three"]);
        assert_eq!(find(&place.open(), "harbours").await, ["harbour three"], "another process sees the same");
        assert_eq!(index.status().await.unwrap().documents, 1);
    }
}

#[tokio::test]
async fn late_and_repeated_versions_change_nothing() {
    for place in Home::each().await {
        let index = place.open();
        index.upsert(upsert("a.txt", version(2, "2"), &["new harbour"])).await.unwrap();
        let generation = index.status().await.unwrap().generation;
        assert_eq!(
            index.upsert(upsert("a.txt", version(1, "1"), &["old harbour"])).await.unwrap(),
            Outcome::Superseded
        );
        assert_eq!(index.upsert(upsert("a.txt", version(2, "2"), &["new harbour"])).await.unwrap(), Outcome::Unchanged);
        assert_eq!(index.status().await.unwrap().generation, generation);
        assert_eq!(find(&index, "harbour").await, ["new harbour"]);
    }
}

#[tokio::test]
async fn what_was_removed_stays_removed_for_late_writers() {
    for place in Home::each().await {
        let index = place.open();
        let id = DocumentId::of(&document_name("a.txt"));
        index.upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap();
        assert_eq!(index.remove(&id, None).await.unwrap(), Outcome::Applied);
        assert_eq!(index.remove(&id, None).await.unwrap(), Outcome::Unchanged);
        assert_eq!(index.upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap(), Outcome::Superseded);
        assert!(find(&index, "harbour").await.is_empty());
        assert_eq!(index.upsert(upsert("a.txt", version(2, "2"), &["harbour again"])).await.unwrap(), Outcome::Applied);
        assert_eq!(find(&index, "harbour").await, ["harbour again"]);
    }
}

#[tokio::test]
async fn text_in_any_script_is_findable() {
    for place in Home::each().await {
        let index = place.open();
        let texts = [
            "有給休暇は年に二十日です。",
            "Отпуск составляет 28 дней",
            "연차 휴가는 15일입니다",
            "Der Urlaub beträgt 30 Tage",
        ];
        index.upsert(upsert("a.txt", version(1, "1"), &texts)).await.unwrap();
        for (query, text) in [("休暇", 0), ("отпуск", 1), ("휴가", 2), ("urlaub betragt", 3)] {
            assert_eq!(find(&index, query).await, [texts[text]], "{query}");
        }
    }
}

#[tokio::test]
async fn the_best_passage_comes_first_and_the_order_never_wavers() {
    for place in Home::each().await {
        let index = place.open();
        index
            .upsert(upsert(
                "a.txt",
                version(1, "1"),
                &["buoy buoy anchor", "anchor chain east", "anchor chain west", "buoy"],
            ))
            .await
            .unwrap();
        let first = find(&index, "anchor chain").await;
        assert_eq!(first[..2], ["anchor chain east", "anchor chain west"]);
        for _ in 0..5 {
            assert_eq!(find(&index, "anchor chain").await, first);
        }
    }
}

#[tokio::test]
async fn a_principal_without_a_mark_finds_nothing() {
    for place in Home::each().await {
        let index = place.open();
        let mut hidden = upsert("a.txt", version(1, "1"), &["secret harbour"]);
        hidden.rows.iter_mut().for_each(|row| row.readers = vec!["user:somebody".to_owned()]);
        index.upsert(hidden).await.unwrap();
        assert!(find(&index, "harbour").await.is_empty());
        let id = DocumentId::of(&document_name("a.txt"));
        assert!(index.passages(&Principal::anonymous(), &id).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn writers_in_many_processes_lose_nothing() {
    for place in Home::each().await {
        let writers = (0..6).map(|writer| {
            let index = place.open();
            tokio::spawn(async move {
                for document in 0..4 {
                    let name = format!("{writer}-{document}.txt");
                    let text = format!("harbour number{writer}x{document}");
                    index.upsert(upsert(&name, version(1, &name), &[&text])).await.unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let index = place.open();
        assert_eq!(index.status().await.unwrap().documents, 24);
        for (writer, document) in (0..6).flat_map(|writer| (0..4).map(move |document| (writer, document))) {
            assert_eq!(find(&index, &format!("number{writer}x{document}")).await.len(), 1);
        }
    }
}

#[tokio::test]
async fn documents_that_come_together_are_committed_together() {
    let place = Home::local();
    let index = place.open();
    index.upsert(upsert("first.txt", version(1, "1"), &["harbour"])).await.unwrap();
    let before = index.status().await.unwrap().generation;
    let together = (0..40).map(|number| {
        let index = index.clone();
        tokio::spawn(async move {
            index.upsert(upsert(&format!("{number}.txt"), version(1, "1"), &["harbour"])).await.unwrap()
        })
    });
    for upsert in together.collect::<Vec<_>>() {
        assert_eq!(upsert.await.unwrap(), Outcome::Applied);
    }
    let status = index.status().await.unwrap();
    assert_eq!(status.documents, 41);
    assert!(status.generation - before < 20, "{} swaps for 40 documents", status.generation - before);
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_found_and_what_it_spoiled_is_forgotten() {
    let place = Home::local();
    let index = place.open();
    for name in ["a.txt", "b.txt"] {
        let mut upsert = upsert(name, version(1, name), &["harbour one", "harbour two"]);
        upsert.rows.iter_mut().zip(random(1, 2, 8)).for_each(|(row, v)| row.embedding = Some(embedding("model", &v)));
        index.upsert(upsert).await.unwrap();
    }
    let files = list_all(place.store(), "").await.unwrap();
    let manifest = place.store().get("manifest.json", None).await.unwrap().unwrap().bytes;
    assert_eq!(files.len(), 5, "a manifest, and for each of two segments its words and its vectors");
    for file in files {
        let whole = place.store().get(&file.name, None).await.unwrap().unwrap().bytes;
        for at in (0..whole.len()).step_by(1 + whole.len() / 40).chain([whole.len() - 1]) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << (at % 8);
            place.store().put(&file.name, bytes.into(), Condition::Always).await.unwrap();
            let verified = place.open().verify(|_| {}).await.unwrap();
            let damaged: Vec<&str> = verified.damage.iter().map(|damage| damage.file.as_str()).collect();
            assert_eq!(damaged, [file.name.as_str()], "byte {at}");
            // Who opens it serves the rest, and knows.
            let opened = place.open();
            let _refused_or_served_from_what_is_whole =
                opened.search(&Principal::anonymous(), &Query::words("harbour", 9)).await;
            opened.checked().await;
            assert_eq!(opened.forget_damaged().await.unwrap(), 1, "{} at {at}", file.name);
            assert_eq!(opened.forget_damaged().await.unwrap(), 0, "{} at {at}", file.name);
            let left = if file.name == "manifest.json" { 0 } else { 2 };
            assert_eq!(find(&opened, "harbour").await.len(), left, "{} at {at}", file.name);
            assert_eq!(opened.verify(|_| {}).await.unwrap().damage, [], "{} at {at}", file.name);
            place.store().put("manifest.json", manifest.clone(), Condition::Always).await.unwrap();
        }
        place.store().put(&file.name, whole, Condition::Always).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_segment_far_away_is_left_out_and_counted() {
    for place in Home::azurite() {
        for (name, text) in [("a.txt", "harbour one"), ("b.txt", "harbour two")] {
            place.open().upsert(upsert(name, version(1, "1"), &[text])).await.unwrap();
        }
        let segment = list_all(place.store(), "segments/").await.unwrap().remove(0);
        let mut bytes = place.store().get(&segment.name, None).await.unwrap().unwrap().bytes.to_vec();
        bytes[10] ^= 1;
        place.store().put(&segment.name, bytes.into(), Condition::Always).await.unwrap();
        let reader = place.open();
        assert_eq!(find(&reader, "harbour").await.len(), 1);
        assert_eq!(reader.status().await.unwrap().damaged_segments, 1);
        assert_eq!(reader.forget_damaged().await.unwrap(), 1);
        assert_eq!((find(&reader, "harbour").await.len(), reader.entries().await.unwrap().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_damaged_copy_is_fetched_again() {
    for place in Home::azurite() {
        place.open().upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap();
        let cache = place.folder.path().join("kept");
        let reader = place.open_with(&cache);
        assert_eq!(find(&reader, "harbour").await, ["harbour"]);
        let copy = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&copy).unwrap();
        let whole = bytes.clone();
        bytes[10] ^= 1;
        std::fs::remove_file(&copy).unwrap();
        std::fs::write(&copy, bytes).unwrap();
        let next = place.open_with(&cache);
        let _served_or_refused = next.search(&Principal::anonymous(), &Query::words("harbour", 1)).await;
        next.checked().await;
        assert_eq!(find(&next, "harbour").await, ["harbour"]);
        assert_eq!(std::fs::read(&copy).unwrap(), whole);
    }
}

#[tokio::test]
async fn an_index_put_back_to_an_earlier_state_is_served_as_it_is() {
    let home = Home::local();
    let index = home.open();
    index.upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap();
    let earlier = home.store().get("manifest.json", None).await.unwrap().unwrap().bytes;
    index.upsert(upsert("b.txt", version(1, "1"), &["harbour too"])).await.unwrap();
    assert_eq!(find(&index, "harbour").await.len(), 2);
    home.store().put("manifest.json", earlier, Condition::Always).await.unwrap();
    assert_eq!(find(&index, "harbour").await, ["harbour"]);
    home.store().delete("manifest.json").await.unwrap();
    assert!(find(&index, "harbour").await.is_empty());
}

/// A step in the life of a manifest.
#[derive(Clone, Debug)]
enum Step {
    Upsert { document: u8, second: i64 },
    Remove { document: u8 },
    Merge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8, 0..6_i64).prop_map(|(document, second)| Step::Upsert { document, second }),
        2 => (0..4_u8).prop_map(|document| Step::Remove { document }),
        1 => Just(Step::Merge),
    ]
}

proptest! {
    /// Whatever happens in whatever order, a version that is visible was never followed by an older one, every
    /// document's segment is listed, and no listed segment is without a document.
    #[test]
    fn versions_only_move_forward(steps in prop::collection::vec(step(), 1..40)) {
        let mut manifest = Manifest::default();
        let mut files: HashMap<String, Vec<(DocumentId, DocumentEntry)>> = HashMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            let before = manifest.clone();
            let segment = SegmentEntry {
                id: format!("s{number}"), files: Vec::new(), passages: 1, analyzer: "english-1".to_owned(), embedding: None,
            };
            match step {
                Step::Upsert { document, second } => {
                    let upsert = upsert(&format!("{document}.txt"), version(second, &second.to_string()), &["x"]);
                    let place = Place::Live { segment: segment.id.clone(), passages: 1 };
                    let entry = DocumentEntry {
                        name: upsert.name, version: upsert.version, content_hash: upsert.content_hash, category: None, recipe: "1".to_owned(), place,
                    };
                    let id = DocumentId::of(&entry.name);
                    files.insert(segment.id.clone(), vec![(id.clone(), entry.clone())]);
                    let change = Change::Upsert { id, entry, forced: false };
                    manifest.apply(&[change], Some(&segment), start());
                }
                Step::Remove { document } => {
                    let id = DocumentId::of(&document_name(&format!("{document}.txt")));
                    manifest.apply(&[Change::Remove { id, unless_newer_than: None }], None, start());
                }
                Step::Merge => {
                    let all: Vec<String> = manifest.segments.iter().map(|segment| segment.id.clone()).collect();
                    let live = manifest.documents.clone().into_iter().filter(|(id, _)| manifest.live(id).is_some());
                    let live = live.map(|(id, entry)| (id, DocumentEntry::clone(&entry)));
                    files.insert(segment.id.clone(), live.collect());
                    manifest.replace_segments(&all, Some(&segment));
                }
            }
            prop_assert!(manifest.generation >= before.generation);
            for (id, entry) in &manifest.documents {
                if let Some(earlier) = before.documents.get(id) {
                    prop_assert!(!entry.version.is_older_than(&earlier.version));
                }
            }
            let listed: Vec<&str> = manifest.segments.iter().map(|segment| segment.id.as_str()).collect();
            let used: Vec<&str> = manifest.documents.keys().filter_map(|id| manifest.segment_of(id)).collect();
            prop_assert!(used.iter().all(|segment| listed.contains(segment)));
            prop_assert!(listed.iter().all(|segment| used.contains(segment)));
            prop_assert_eq!(stored_and_read(&manifest, &files), manifest.clone());
        }
    }
}

/// The manifest as the next reader has it, from its own file and those of its segments.
fn stored_and_read(manifest: &Manifest, files: &HashMap<String, Vec<(DocumentId, DocumentEntry)>>) -> Manifest {
    let ids = |segment: &str| Some(files.get(segment)?.iter().map(|(id, _)| id).collect());
    let bytes = StoredManifest::of(manifest, ids).to_bytes();
    let read = |(segment, documents): (&String, &Vec<_>)| {
        (segment.clone(), table_from_bytes(segment, &table_to_bytes(documents)).unwrap())
    };
    let tables: HashMap<String, _> = files.iter().map(read).collect();
    StoredManifest::from_bytes(&bytes).unwrap().fill(|segment| tables.get(segment).map(|table| &**table))
}

pub fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}
