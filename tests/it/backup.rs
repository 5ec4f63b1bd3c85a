//! Copies of index and records: a restore into an empty place gives the same answers, a damaged one is refused, and whatever
//! stops in between does no harm.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use knowledge_worker::app::App;
use knowledge_worker::backup::description::{Content, Description};
use knowledge_worker::backup::{BackupState, Backups, Daily};
use knowledge_worker::clock::Clock;
use knowledge_worker::document::{Passage, Principal};
use knowledge_worker::error::{ErrorKind, Result};
use knowledge_worker::index::Query;
use knowledge_worker::ingest::ledger::LedgerRow;
use knowledge_worker::stores::blobs::azure::AzureBlobs;
use knowledge_worker::stores::blobs::local::LocalBlobs;
use knowledge_worker::stores::blobs::{Blob, BlobMeta, BlobPage, BlobStore, Condition, PutOptions, Reread, list_all};
use knowledge_worker::stores::records::sqlite::SqliteRecords;
use knowledge_worker::stores::records::{Precondition, RecordStore};
use knowledge_worker::stores::storage_account::StorageAccount;
use serde_json::json;
use uuid::Uuid;

use crate::support::app::{TestApp, get, post_json};
use crate::support::azurite;
use crate::support::functions_app::FunctionsApp;
use crate::support::process::Place;

const QUESTIONS: [&str; 4] = ["harbour master", "ferry", "lamp on the pier", "bakery"];

/// A product with documents of several kinds of fate.
async fn with_documents() -> TestApp {
    let test = TestApp::with(&[("FOLDER_RIGHTS", "crew/=group:crew")]);
    test.ingest("notes/harbour.txt", "The harbour master of Lindesvik is called Oda Strand.").await;
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n\n# Fare\n\nThe ferry costs four crowns.").await;
    test.ingest("crew/lamp.txt", "The lamp on the pier is green.").await;
    test.ingest("broken.pdf", "%PDF-1.7 broken").await;
    test.ingest("gone.txt", "The bakery opens at six.").await;
    test.delete("gone.txt");
    test.sync("gone.txt").await;
    test
}

/// Everything that somebody can find, and everything that the ledger says.
async fn knowledge(app: &App) -> (Vec<Vec<(Arc<Passage>, String)>>, Vec<LedgerRow>) {
    let mut found = Vec::new();
    for question in QUESTIONS {
        for principal in [Principal::anonymous(), Principal::user("home", "eva", ["crew"]).unwrap()] {
            let hits = app.index.search(&principal, &Query::words(question, 9)).await.unwrap().hits;
            found.push(hits.into_iter().map(|hit| (hit.passage, hit.score.to_string())).collect());
        }
    }
    (found, app.ingest.ledger.all().await.unwrap())
}

/// What lies in a store.
async fn content(store: &Arc<dyn BlobStore>) -> BTreeMap<String, Bytes> {
    let mut content = BTreeMap::new();
    for blob in list_all(store, "").await.unwrap() {
        content.insert(blob.name.clone(), store.get(&blob.name, None).await.unwrap().unwrap().bytes);
    }
    content
}

/// Copies a folder, as somebody would who takes a backup to another machine.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[tokio::test]
async fn an_empty_place_answers_as_before_and_nothing_has_to_be_made_anew() {
    let test = with_documents().await;
    let made = test.app.backups.create(&|_| ()).await.unwrap();
    assert_eq!((made.index.passages, made.index.generation), (4, 5), "{made:?}");

    let elsewhere = tempfile::tempdir().unwrap();
    copy(&test.data().join("backups"), &elsewhere.path().join("backups"));
    let fresh = test.beside(elsewhere.path());
    assert!(knowledge(&fresh).await.0.iter().all(Vec::is_empty), "nothing is there yet");
    let latest = fresh.backups.find("latest").await.unwrap();
    assert_eq!(latest, made);
    fresh.backups.restore(&latest, false, &|_| ()).await.unwrap();

    let restored = test.beside_with(elsewhere.path(), &[("FOLDER_RIGHTS", "crew/=group:crew")]);
    let (before, after) = (knowledge(&test.app).await, knowledge(&restored).await);
    assert!(before.0.iter().filter(|found| !found.is_empty()).count() >= 4 && before.1.len() == 5, "{before:?}");
    assert_eq!(before, after);
    assert!(restored.index.verify(|_| ()).await.unwrap().damage.is_empty());
    assert_eq!(restored.ingest.drift().await.unwrap(), BTreeMap::new());
    let deadline = Instant::now() + Duration::from_secs(600);
    let report = restored.ingest.reconcile(deadline, &restored.records).await.unwrap();
    assert_eq!((report.drift.len(), report.indexed, report.removed), (0, 0, 0), "{report:?}");
}

/// Stores of one form, and records.
struct Home {
    index: Arc<dyn BlobStore>,
    backups: Arc<dyn BlobStore>,
    elsewhere: Arc<dyn BlobStore>,
    folder: tempfile::TempDir,
}

impl Home {
    fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Arc::new(LocalBlobs::open(&folder.path().join(name)).unwrap());
        Self { index: open("index"), backups: open("backups"), elsewhere: open("elsewhere"), folder }
    }

    fn azurite(account: &StorageAccount) -> Self {
        let open = |name: &str| {
            let container = format!("{name}-{}", Uuid::new_v4().simple());
            Arc::new(AzureBlobs::open(account, &container))
        };
        let folder = tempfile::tempdir().unwrap();
        Self { index: open("index"), backups: open("backups"), elsewhere: open("elsewhere"), folder }
    }

    fn records(&self, name: &str, clock: &Clock) -> Arc<dyn RecordStore> {
        Arc::new(SqliteRecords::open(&self.folder.path().join(name), clock.clone()).unwrap())
    }

    fn of(&self, index: &Arc<dyn BlobStore>, records: &Arc<dyn RecordStore>, clock: &Clock) -> Backups {
        let (store, index, records) = (Arc::clone(&self.backups), Arc::clone(index), Arc::clone(records));
        Backups { store, index: Some(index), records, clock: clock.clone(), keep: 3 }
    }
}

/// Puts the index of a product with documents into a store.
async fn fill(index: &Arc<dyn BlobStore>) -> BTreeMap<String, Bytes> {
    let test = with_documents().await;
    let store: Arc<dyn BlobStore> = Arc::new(LocalBlobs::open(&test.data().join("index")).unwrap());
    test.app.index.tidy(Duration::ZERO, Instant::now() + Duration::from_secs(600)).await.unwrap();
    let content = content(&store).await;
    for (name, bytes) in &content {
        index.put(name, bytes.clone(), Condition::Always).await.unwrap();
    }
    content
}

async fn every_byte_and_every_record_comes_back(home: Home) {
    let clock = Clock::manual(Clock::system().now());
    let records = home.records("records.db", &clock);
    let index = fill(&home.index).await;
    let odd = ["documents", "conversations/eva@home", "ü % ..", "short"];
    for partition in odd {
        for (id, body) in [("a/b c", json!({"text": "ü\u{0}\n\""})), ("z", json!([1, null]))] {
            let ttl = (partition == "short" && id == "z").then(|| Duration::from_secs(3_600));
            records.put(partition, id, &body, Precondition::Always, ttl).await.unwrap();
        }
    }
    let made = home.of(&home.index, &records, &clock).create(&|_| ()).await.unwrap();
    assert_eq!(made.records(), 8);
    clock.advance(Duration::from_secs(1_800));

    let fresh = home.records("fresh.db", &clock);
    let backups = home.of(&home.elsewhere, &fresh, &clock);
    assert_eq!(backups.verify(&made, &|_| ()).await.unwrap(), []);
    backups.restore(&made, false, &|_| ()).await.unwrap();
    assert_eq!(content(&home.elsewhere).await, index);
    assert_eq!(fresh.partitions().await.unwrap(), records.partitions().await.unwrap());
    for partition in odd {
        let of = async |store: &Arc<dyn RecordStore>| {
            let page = store.list(partition, None, 9).await.unwrap();
            page.records.into_iter().map(|record| (record.id, record.body, record.expires)).collect::<Vec<_>>()
        };
        assert_eq!(of(&fresh).await, of(&records).await, "{partition}");
    }
    clock.advance(Duration::from_secs(1_800));
    assert_eq!(fresh.count("short").await.unwrap(), 1, "what was to go goes when it was to go");
}

#[tokio::test]
async fn every_byte_and_every_record_comes_back_from_a_folder() {
    every_byte_and_every_record_comes_back(Home::local()).await;
}

#[tokio::test]
async fn every_byte_and_every_record_comes_back_from_a_container() {
    for account in azurite::accounts() {
        every_byte_and_every_record_comes_back(Home::azurite(&account)).await;
    }
}

#[tokio::test]
async fn a_flipped_byte_or_a_missing_file_is_refused_and_changes_nothing() {
    let (home, clock) = (Home::local(), Clock::system());
    let records = home.records("records.db", &clock);
    fill(&home.index).await;
    records.put("documents", "a", &json!({"state": "indexed"}), Precondition::Always, None).await.unwrap();
    let made = home.of(&home.index, &records, &clock).create(&|_| ()).await.unwrap();
    let fresh = home.records("fresh.db", &clock);
    let backups = home.of(&home.elsewhere, &fresh, &clock);

    let files = content(&home.backups).await;
    assert_eq!(files.len(), made.files.len() + 1);
    let mut tampered = 0;
    for (name, whole) in &files {
        let steps = (0..whole.len()).step_by(1 + whole.len() / 40).chain([whole.len() - 1]);
        let flips = steps.map(|at| {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << (at % 8);
            Some(bytes)
        });
        let shorter = Some(whole[..whole.len() - 1].to_vec());
        for bytes in flips.chain([shorter, Some(Vec::new()), None]) {
            match bytes {
                Some(bytes) => drop(home.backups.put(name, bytes.into(), Condition::Always).await.unwrap()),
                None => drop(home.backups.delete(name).await.unwrap()),
            }
            let file = name.strip_prefix(&format!("{}/", made.id)).unwrap();
            let refused = match backups.find(&made.id).await {
                Err(e) => e,
                Ok(found) => {
                    let damage = backups.verify(&found, &|_| ()).await.unwrap();
                    assert!(damage.iter().any(|damage| damage.file == file), "{name}: {damage:?}");
                    backups.restore(&found, true, &|_| ()).await.unwrap_err()
                }
            };
            let kinds = [ErrorKind::BackupDamaged, ErrorKind::NotFound];
            assert!(kinds.contains(&refused.kind()) && refused.message().contains("--list"), "{name}: {refused}");
            assert!(file == "backup.json" || refused.message().contains(file), "{refused}");
            tampered += 1;
        }
        home.backups.put(name, whole.clone(), Condition::Always).await.unwrap();
    }
    assert!(tampered > 100, "{tampered}");
    assert!(content(&home.elsewhere).await.is_empty() && fresh.partitions().await.unwrap().is_empty());
    backups.restore(&made, false, &|_| ()).await.unwrap();
}

#[tokio::test]
async fn a_damaged_index_is_told_instead_of_copied() {
    let test = with_documents().await;
    for entry in std::fs::read_dir(test.data().join("index/segments")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[30] ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let refused = test.app.backups.create(&|_| ()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::IndexDamaged);
    assert!(refused.message().contains("handler index verify --repair"), "{refused}");
    let listed = test.app.backups.list().await.unwrap();
    assert!(listed.iter().all(|kept| kept.state == BackupState::Unfinished), "{listed:?}");
}

#[tokio::test]
async fn what_is_there_is_replaced_only_by_force_and_then_wholly() {
    let test = with_documents().await;
    let made = test.app.backups.create(&|_| ()).await.unwrap();
    let before = knowledge(&test.app).await;
    test.ingest("later.txt", "The bakery opens at seven.").await;
    test.ingest("ferry.md", "The ferry leaves at ten.").await;
    let after = knowledge(&test.app).await;
    assert_ne!(before, after);

    let refused = test.app.backups.restore(&made, false, &|_| ()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PreconditionFailed);
    assert!(refused.message().contains("6 records in `documents`"), "{refused}");
    // Records alone are a reason, and so is an index alone.
    let without_records = tempfile::tempdir().unwrap();
    copy(&test.data().join("backups"), &without_records.path().join("backups"));
    copy(&test.data().join("index"), &without_records.path().join("index"));
    let refused_too = test.beside(without_records.path()).backups.restore(&made, false, &|_| ()).await.unwrap_err();
    assert!(refused_too.message().contains("an index of ") && refused_too.message().contains("--force"));
    assert_eq!(knowledge(&test.app).await, after);

    for _ in 0..2 {
        test.app.backups.restore(&made, true, &|_| ()).await.unwrap();
        let restored = test.again(&[("FOLDER_RIGHTS", "crew/=group:crew")]);
        assert_eq!(knowledge(&restored).await, before);
    }
    let app = test.again(&[("FOLDER_RIGHTS", "crew/=group:crew")]);
    app.ingest.reconcile(Instant::now() + Duration::from_secs(600), &app.records).await.unwrap();
    assert_eq!(knowledge(&app).await.0, after.0, "maintenance brings in what came later");
}

#[tokio::test]
async fn where_a_search_service_keeps_the_index_records_alone_are_copied() {
    let (home, clock) = (Home::local(), Clock::system());
    let records = home.records("records.db", &clock);
    fill(&home.index).await;
    records.put("documents", "a", &json!({"state": "indexed"}), Precondition::Always, None).await.unwrap();
    let with_index = home.of(&home.index, &records, &clock).create(&|_| ()).await.unwrap();
    let made = Backups { index: None, ..home.of(&home.index, &records, &clock) }.create(&|_| ()).await.unwrap();
    assert_eq!((made.files.len(), made.records(), made.index.segments), (1, 1, 0));
    let fresh = home.records("fresh.db", &clock);
    let backups = Backups { index: None, ..home.of(&home.index, &fresh, &clock) };
    let refused = backups.restore(&with_index, false, &|_| ()).await.unwrap_err();
    assert!(refused.message().contains("search service"), "{refused}");
    assert!(fresh.partitions().await.unwrap().is_empty());
    backups.restore(&made, false, &|_| ()).await.unwrap();
    assert_eq!(fresh.count("documents").await.unwrap(), 1);
}

#[tokio::test]
async fn the_timer_makes_one_a_day_and_keeps_as_many_as_are_wanted() {
    let clock = Clock::manual(Clock::system().now());
    let home = Home::local();
    let records = home.records("records.db", &clock);
    fill(&home.index).await;
    let backups = home.of(&home.index, &records, &clock);
    home.backups.put("notes.txt", Bytes::from_static(b"not ours"), Condition::Always).await.unwrap();
    let mut ids = Vec::new();
    for day in 0..5 {
        let Daily::Made(made) = backups.daily().await.unwrap() else { panic!("one is made on day {day}") };
        assert_eq!(backups.daily().await.unwrap(), Daily::MadeBefore { id: made.id.clone() });
        ids.insert(0, made.id);
        clock.advance(Duration::from_secs(24 * 3_600));
    }
    let kept = async || backups.list().await.unwrap().into_iter().map(|kept| kept.id).collect::<Vec<_>>();
    assert_eq!(kept().await, ids[..3]);
    assert!(home.backups.head("notes.txt").await.unwrap().is_some());

    // One without its description is none: it is not counted, not found, and thrown away when nobody goes on with it.
    home.backups.delete(&format!("{}/backup.json", ids[0])).await.unwrap();
    assert_eq!(backups.find(&ids[0]).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(backups.find("latest").await.unwrap().id, ids[1]);
    let young = "20990101T000000Z-01234567";
    let real_time = Backups { clock: Clock::system(), ..backups.clone() };
    home.backups.put(&format!("{young}/manifest.json"), Bytes::from_static(b"x"), Condition::Always).await.unwrap();
    let made = real_time.create(&|_| ()).await.unwrap();
    let left = kept().await;
    assert!(left.contains(&young.to_owned()) && left.contains(&ids[0]), "somebody may be at them: {left:?}");
    let Daily::Made(last) = backups.daily().await.unwrap() else { panic!("one is made") };
    assert_eq!(kept().await, [&last.id[..], &ids[1], &ids[2]], "{} is the oldest", made.id);

    let off = Backups { keep: 0, ..backups };
    assert_eq!(off.daily().await.unwrap(), Daily::TurnedOff);
}

/// A store in which somebody changes the index while its first segment is being copied.
#[derive(Debug)]
struct Merging {
    inner: Arc<dyn BlobStore>,
    later: BTreeMap<String, Bytes>,
    merged: AtomicBool,
}

#[async_trait]
impl BlobStore for Merging {
    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>> {
        let got = self.inner.get(name, range).await;
        if name.starts_with("segments/") && !self.merged.swap(true, Ordering::SeqCst) {
            for blob in list_all(&self.inner, "segments/").await? {
                self.inner.delete(&blob.name).await?;
            }
            for (name, bytes) in &self.later {
                self.inner.put(name, bytes.clone(), Condition::Always).await?;
            }
        }
        got
    }
    async fn head(&self, name: &str) -> Result<Option<BlobMeta>> {
        self.inner.head(name).await
    }
    async fn get_unless(&self, name: &str, known: &str) -> Result<Reread> {
        self.inner.get_unless(name, known).await
    }
    async fn put_with(&self, name: &str, bytes: Bytes, options: PutOptions) -> Result<BlobMeta> {
        self.inner.put_with(name, bytes, options).await
    }
    async fn delete(&self, name: &str) -> Result<bool> {
        self.inner.delete(name).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage> {
        self.inner.list(prefix, after, limit).await
    }
    fn location(&self) -> String {
        self.inner.location()
    }
}

#[tokio::test]
async fn a_merge_meanwhile_is_noticed_and_one_generation_is_copied() {
    let (home, clock) = (Home::local(), Clock::system());
    let records = home.records("records.db", &clock);
    let test = with_documents().await;
    let files = async || content(&(Arc::new(LocalBlobs::open(&test.data().join("index")).unwrap()) as _)).await;
    let earlier = files().await;
    for (name, bytes) in &earlier {
        home.index.put(name, bytes.clone(), Condition::Always).await.unwrap();
    }
    // All documents again, in segments of other names.
    test.app.ingest.rebuild(&test.app.records, true, |_| ()).await.unwrap();
    let mut later = files().await;
    later.retain(|name, _| name == "manifest.json" || !earlier.contains_key(name));
    let merging: Arc<dyn BlobStore> =
        Arc::new(Merging { inner: Arc::clone(&home.index), later, merged: AtomicBool::new(false) });
    let made = home.of(&merging, &records, &clock).create(&|_| ()).await.unwrap();
    let backups = home.of(&home.elsewhere, &records, &clock);
    assert_eq!(backups.verify(&made, &|_| ()).await.unwrap(), []);
    let named: Vec<&str> =
        made.files.iter().filter(|file| file.content == Content::Segment).map(|f| &*f.name).collect();
    let copied = content(&home.backups).await;
    let segments = copied.keys().filter(|name| name.contains("/segments/")).count();
    assert_eq!(segments, named.len(), "what belongs to the earlier generation alone is not kept");
    backups.restore(&made, false, &|_| ()).await.unwrap();
    let restored = home.elsewhere.get("manifest.json", None).await.unwrap().unwrap().bytes;
    assert!(restored != earlier["manifest.json"], "what was read first is gone");
    assert_eq!(restored, home.index.get("manifest.json", None).await.unwrap().unwrap().bytes);
}

#[tokio::test]
async fn the_function_makes_one_and_then_has_nothing_to_do() {
    let test = with_documents().await;
    let first = test.send(post_json("/backup", r#"{"Data": {}}"#)).await.json();
    assert!(first["Logs"][0].as_str().unwrap().contains("4 passages"), "{first}");
    let second = test.send(post_json("/backup", r#"{"Data": {}}"#)).await.json();
    assert!(second["Logs"][0].as_str().unwrap().contains("nothing to do"), "{second}");
    assert_eq!(test.app.backups.list().await.unwrap().len(), 1);
    test.send(get("/api/backup")).await.assert_problem("not-found");
}

#[tokio::test]
async fn a_function_app_is_backed_up_and_put_back() {
    let app = FunctionsApp::start_with(|options| {
        options.app_settings.push(("INDEX_REFRESH_SECONDS".to_owned(), "0".to_owned()));
    })
    .await;
    app.upload("ferry.txt", "The ferry leaves at nine.").await;
    let first = app.host.run_timer("backup").await;
    assert!(first.succeeded() && first.logs[0].contains("made the backup") && first.logs[0].contains("1 passages"));
    let second = app.host.run_timer("backup").await;
    assert!(second.succeeded() && second.logs[0].contains("nothing to do"), "{second:?}");
    // The index is lost, and nothing else.
    let open = |container: &str| AzureBlobs::open(&azurite::account(), container);
    let index: Arc<dyn BlobStore> = Arc::new(open(&app.index));
    for blob in list_all(&index, "").await.unwrap() {
        index.delete(&blob.name).await.unwrap();
    }
    assert!(app.ask("When does the ferry leave?").await.contains("don't know"));
    let folder = tempfile::tempdir().unwrap();
    let records = SqliteRecords::open(&folder.path().join("records.db"), Clock::system()).unwrap();
    let store = Arc::new(open(&app.backups));
    let backups = Backups { store, index: Some(index), records: Arc::new(records), clock: Clock::system(), keep: 7 };
    let latest: Description = backups.find("latest").await.unwrap();
    backups.restore(&latest, false, &|_| ()).await.unwrap();
    assert!(app.ask("When does the ferry leave?").await.contains("nine"));
}

#[test]
fn killed_while_it_copies_or_restores_it_is_as_before_or_done_by_the_next_call() {
    let place = Place::new();
    place.write("papers/ferry.txt", "The ferry leaves at nine.");
    place.run(&["ingest", "papers"]).assert_status(0);
    let cut = place.run_with(&[("KNOWLEDGE_WORKER_CRASH_AT", "backup-copied")], &["backup"]);
    assert_eq!(cut.status, None, "it was killed: {cut:?}");
    let listed = place.run(&["backup", "--list"]).assert_status(0);
    assert!(listed.stdout.contains("unfinished") && !listed.stdout.contains("complete"), "{listed:?}");
    assert!(place.run(&["restore", "latest"]).assert_status(1).stderr.contains("no complete backup"));
    place.run(&["backup"]).assert_status(0);

    for point in ["restore-copied", "restore-swapped"] {
        for lost in ["index", "cache", "records.db", "records.db-wal", "records.db-shm"] {
            let path = place.path("data").join(lost);
            let _not_there = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
        let cut = place.run_with(&[("KNOWLEDGE_WORKER_CRASH_AT", point)], &["restore", "latest"]);
        assert_eq!(cut.status, None, "{cut:?}");
        let asked = place.run(&["ask", "When does the ferry leave?"]);
        assert_eq!(asked.status, Some(if point == "restore-copied" { 1 } else { 0 }), "{point}: {asked:?}");
        place.run(&["restore", "latest", "--force", "--yes"]).assert_status(0);
        place.run(&["ask", "When does the ferry leave?"]).assert_status(0);
        let rows = place.run(&["documents", "--json"]).assert_status(0).json();
        assert_eq!(rows["documents"][0]["state"], "indexed", "{rows}");
        assert_eq!(place.run(&["maintain", "--json"]).assert_status(0).json()["drift"], json!({}));
    }
}

#[test]
fn the_commands_say_what_they_did_and_what_they_refuse() {
    let place = Place::new();
    place.write("papers/ferry.txt", "The ferry leaves at nine.");
    place.run(&["ingest", "papers"]).assert_status(0);
    assert!(
        place.run(&["backup", "--verify", "latest"]).assert_status(1).stderr.contains("`handler backup` makes one")
    );
    let made = place.run(&["backup", "--json"]).assert_status(0).json();
    let id = made["id"].as_str().unwrap();
    assert_eq!((&made["index"]["segments"], &made["index"]["passages"]), (&json!(1), &json!(1)), "{made}");
    let listed = place.run(&["backup", "--list", "--json"]).assert_status(0).json();
    assert_eq!((&listed["backups"][0]["id"], &listed["backups"][0]["state"]), (&json!(id), &json!("complete")));
    assert!(place.run(&["backup", "--verify", id]).assert_status(0).stdout.contains("0 damaged"));
    for (arguments, said) in [
        (&["restore", id][..], "--force replaces it"),
        (&["restore", id, "--force"], "--yes"),
        (&["restore", "20260101T000000Z-00000000", "--yes"], "--list"),
        (&["restore", "../index", "--yes"], "--list"),
    ] {
        let refused = place.run(arguments).assert_status(1);
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    let manifest = place.path("data/backups").join(id).join("manifest.json");
    std::fs::write(&manifest, b"damaged").unwrap();
    let damaged = place.run(&["backup", "--verify", "latest"]).assert_status(1);
    assert!(damaged.stdout.contains("manifest.json: it has 7 bytes"), "{damaged:?}");
    let refused = place.run(&["restore", id, "--force", "--yes"]).assert_status(1);
    assert!(refused.stderr.contains("nothing was changed"), "{refused:?}");
    place.run(&["ask", "When does the ferry leave?"]).assert_status(0);
}

#[tokio::test]
async fn what_was_answered_spent_or_decided_since_stays_so_after_a_restore() {
    let (home, clock) = (Home::local(), Clock::system());
    let records = home.records("records.db", &clock);
    let over = ["once/eva@home", "budget/2026-06-01", "actions/eva@home"];
    let put = async |partition: &str, state: &str| {
        records.put(partition, "a", &json!({"state": state}), Precondition::Always, None).await.unwrap();
    };
    put("documents", "then").await;
    let mut made = home.of(&home.index, &records, &clock).create(&|_| ()).await.unwrap();
    assert_eq!(made.records(), 1);
    for partition in over {
        put(partition, "then").await;
    }
    let again = home.of(&home.index, &records, &clock).create(&|_| ()).await.unwrap();
    assert_eq!(again.records(), 1, "they are not copied");
    // A backup from before that was so has them all the same.
    for file in &mut made.files {
        let Content::Records { partition, .. } = &mut file.content else { continue };
        *partition = over[0].to_owned();
    }
    put("documents", "now").await;
    for partition in over {
        put(partition, "now").await;
    }
    for backup in [&made, &again] {
        home.of(&home.index, &records, &clock).restore(backup, true, &|_| ()).await.unwrap();
        for partition in over {
            let kept = records.get(partition, "a").await.unwrap().unwrap();
            assert_eq!(kept.body["state"], "now", "{partition}");
        }
    }
    assert_eq!(records.get("documents", "a").await.unwrap().unwrap().body["state"], "then");
}
