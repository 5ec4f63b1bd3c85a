//! Whatever happens to documents, in whatever order, however often the process dies: at rest the index holds exactly what
//! storage holds, each document in one version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use knowledge_worker::clock::Clock;
use knowledge_worker::config::Config;
use knowledge_worker::config::source::Source;
use knowledge_worker::document::Principal;
use knowledge_worker::index::segments::{SegmentIndex, SegmentSettings};
use knowledge_worker::index::{Index, Query};
use knowledge_worker::ingest::extract::Extractor;
use knowledge_worker::ingest::ledger::Ledger;
use knowledge_worker::ingest::locks::NameLocks;
use knowledge_worker::ingest::pipeline::Ingest;
use knowledge_worker::stores::blobs::azure::AzureBlobs;
use knowledge_worker::stores::blobs::local::LocalBlobs;
use knowledge_worker::stores::blobs::{BlobStore, Condition};
use knowledge_worker::stores::records::RecordStore;
use knowledge_worker::stores::records::cosmos::{CosmosRecords, CosmosSettings};
use knowledge_worker::stores::records::sqlite::SqliteRecords;
use knowledge_worker::stores::storage_account::StorageAccount;
use proptest::prelude::*;
use uuid::Uuid;

use crate::support::app::{document_name, program};
use crate::support::azurite;
use crate::support::cosmos::Container;
use crate::support::dying::{DyingBlobs, DyingRecords, Life};

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A document is put into storage, and nobody is told.
    Put { document: u8, version: u8 },
    /// A document is deleted from storage, and nobody is told.
    Delete { document: u8 },
    /// Somebody is told of a document, rightly or not, perhaps for the tenth time.
    Event { document: u8 },
    /// Two are told at once, each in a process of its own.
    TwoEvents { document: u8 },
    /// The timer runs.
    Timer,
    /// Somebody is told, and the process dies at one of its writes.
    EventAndDeath { document: u8, writes: i64 },
    /// The timer runs, and the process dies at one of its writes.
    TimerAndDeath { writes: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let document = 0..3_u8;
    prop_oneof![
        4 => (document.clone(), 0..5_u8).prop_map(|(document, version)| Step::Put { document, version }),
        2 => document.clone().prop_map(|document| Step::Delete { document }),
        4 => document.clone().prop_map(|document| Step::Event { document }),
        1 => document.clone().prop_map(|document| Step::TwoEvents { document }),
        1 => Just(Step::Timer),
        4 => (document, 0..6_i64).prop_map(|(document, writes)| Step::EventAndDeath { document, writes }),
        1 => (0..12_i64).prop_map(|writes| Step::TimerAndDeath { writes }),
    ]
}

/// What outlives every process.
struct World {
    folder: tempfile::TempDir,
    /// The account that blobs are in, and how its containers end; without one they are in the folder.
    account: Option<(StorageAccount, String)>,
    clock: Clock,
    config: Config,
    /// Where records are at Cosmos DB; without it they are in a file.
    cosmos: Option<CosmosSettings>,
}

impl World {
    fn new(cosmos: Option<CosmosSettings>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::from_source(&Source::default(), program()).unwrap();
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        Self { folder, account: None, clock, config, cosmos }
    }

    /// With blobs in storage as the cloud has it. Storage goes by its own clock, so this world begins now.
    fn with_storage_over_tls() -> Self {
        let account = Some((azurite::account_by_identity(), Uuid::new_v4().simple().to_string()));
        Self { account, clock: Clock::manual(Clock::system().now()), ..Self::new(None) }
    }

    fn blobs(&self, name: &str) -> Arc<dyn BlobStore> {
        match &self.account {
            Some((account, unique)) => Arc::new(AzureBlobs::open(account, &format!("{name}-{unique}"))),
            None => Arc::new(LocalBlobs::open(&self.path(name)).unwrap()),
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A process that will die after so many writes.
    fn process(&self, life: &Life) -> (Ingest, Arc<dyn RecordStore>) {
        let blobs = |name: &str| -> Arc<dyn BlobStore> { Arc::new(DyingBlobs(self.blobs(name), life.clone())) };
        let records: Arc<dyn RecordStore> = match &self.cosmos {
            None => Arc::new(SqliteRecords::open(&self.path("records.db"), self.clock.clone()).unwrap()),
            Some(settings) => Arc::new(CosmosRecords::new(settings.clone(), self.clock.clone())),
        };
        let records: Arc<dyn RecordStore> = Arc::new(DyingRecords(records, life.clone()));
        let settings = SegmentSettings {
            cache: self.path("cache"),
            refresh: Duration::ZERO,
            stale: Duration::from_secs(300),
            language: self.config.language,
        };
        let segments = SegmentIndex::new(blobs("index"), settings, self.clock.clone());
        let ingest = Ingest {
            documents: blobs("documents"),
            ledger: Ledger::new(Arc::clone(&records), self.clock.clone(), Duration::from_secs(240)),
            index: Arc::new(Index::on_segments(segments, self.config.ranking.clone())),
            extractor: Arc::new(Extractor::new(self.config.extract.clone())),
            embedder: None,
            settings: self.config.ingest.clone(),
            clock: self.clock.clone(),
            locks: NameLocks::default(),
        };
        (ingest, records)
    }

    async fn event(&self, document: u8, life: &Life) {
        let (ingest, _) = self.process(life);
        // A failure is the host's to repeat; here it simply comes again later, or the timer finds it.
        let _failed = life.live(ingest.sync(&document_name(&name_of(document)))).await;
    }

    async fn timer(&self, life: &Life) {
        let (ingest, records) = self.process(life);
        let deadline = Instant::now() + Duration::from_secs(60);
        let _failed = life.live(ingest.reconcile(deadline, &records)).await;
    }

    async fn happen(&self, step: &Step) {
        let immortal = Life::of(i64::MAX);
        match step {
            Step::Put { document, version } => {
                let text = text_of(*document, *version).into();
                self.blobs("documents").put(&name_of(*document), text, Condition::Always).await.unwrap();
            }
            Step::Delete { document } => {
                let _was_there = self.blobs("documents").delete(&name_of(*document)).await.unwrap();
            }
            Step::Event { document } => self.event(*document, &immortal).await,
            Step::TwoEvents { document } => {
                tokio::join!(self.event(*document, &immortal), self.event(*document, &immortal));
            }
            Step::Timer => self.timer(&immortal).await,
            Step::EventAndDeath { document, writes } => self.event(*document, &Life::of(*writes)).await,
            Step::TimerAndDeath { writes } => self.timer(&Life::of(*writes)).await,
        }
    }

    /// The texts that can be found, by document.
    async fn findable(&self) -> BTreeMap<String, Vec<String>> {
        let (ingest, _) = self.process(&Life::of(i64::MAX));
        let query = Query::words("harbour", 100);
        let found = ingest.index.search(&Principal::anonymous(), &query).await.unwrap();
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for hit in found.hits {
            texts.entry(hit.passage.name.to_string()).or_default().push(hit.passage.text.clone());
        }
        texts
    }

    /// The texts that are in storage.
    async fn stored(&self) -> BTreeMap<String, Vec<String>> {
        let mut texts = BTreeMap::new();
        for name in (0..3).map(name_of) {
            if let Some(blob) = self.blobs("documents").get(&name, None).await.unwrap() {
                texts.insert(name, vec![String::from_utf8(blob.bytes.to_vec()).unwrap()]);
            }
        }
        texts
    }
}

fn name_of(document: u8) -> String {
    format!("{document}.txt")
}

fn text_of(document: u8, version: u8) -> String {
    format!("The harbour number {document} in its version {version}.")
}

/// What can be found and what is in storage when all is at rest after some steps.
async fn at_rest(world: &World, steps: &[Step]) -> (BTreeMap<String, Vec<String>>, BTreeMap<String, Vec<String>>) {
    for step in steps {
        world.happen(step).await;
        for (name, texts) in world.findable().await {
            assert_eq!(texts.len(), 1, "{name} is visible in more than one version: {texts:?}");
        }
    }
    // Time passes until whoever died is known to be dead; then the timer runs as it always does.
    world.clock.advance(Duration::from_secs(3_600));
    world.timer(&Life::of(i64::MAX)).await;
    (world.findable().await, world.stored().await)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_rest_the_index_holds_what_storage_holds(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = runtime();
        let (findable, stored) = runtime.block_on(async { at_rest(&World::new(None), &steps).await });
        prop_assert_eq!(findable, stored);
        runtime.shutdown_background();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_with_records_in_cosmos_db(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = runtime();
        let (findable, stored) = runtime.block_on(async {
            let container = Container::new().await;
            at_rest(&World::new(Some(container.settings())), &steps).await
        });
        prop_assert_eq!(findable, stored);
        runtime.shutdown_background();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_with_storage_over_tls(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = runtime();
        let (findable, stored) = runtime.block_on(async { at_rest(&World::with_storage_over_tls(), &steps).await });
        prop_assert_eq!(findable, stored);
        runtime.shutdown_background();
    }
}
