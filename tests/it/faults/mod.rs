//! Every fault of every dependency: the request ends in time with the documented problem, or with an answer where the product
//! can do without; the next one is served when all is well again; and nothing is left behind. What was measured is written as
//! the table of `docs/reliability.md` into `target/tmp/faults.md`.

mod gone_clients;
mod scene;

use std::time::{Duration, Instant};

use futures_util::StreamExt;

use self::scene::{ANSWER, Dependency, Held, INVOCATION, Outcome, Scene};
use crate::support::faults::Fault;

/// How much longer than its limit a request may take, on a machine that is busy with all of this at once.
const SLACK: Duration = Duration::from_secs(2);
/// How long the next request may take that is served, retries included.
const RECOVERY: Duration = Duration::from_secs(3);
/// A model that asks to be left alone until tomorrow is left alone for this long.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long what was left behind may take to go.
const CLEANUP: Duration = Duration::from_secs(12);
/// The most memory of a process, in megabytes: of a body of a gigabyte next to nothing is read.
const MOST_MEGABYTES: u64 = 150;
/// Calls of a request: three tries of each of two, or the four of the client of Cosmos DB.
const MOST_CALLS: u64 = 6;
/// Processes at once.
const AT_ONCE: usize = 16;

/// What came of one fault of one dependency.
#[derive(Debug)]
struct Cell {
    dependency: Dependency,
    fault: Fault,
    outcome: Outcome,
    calls: u64,
    /// How long it took from the end of the fault until a request was served.
    recovered: Option<Duration>,
    peak_megabytes: u64,
    before: Held,
    after: Held,
    has_panic: bool,
}

/// What may come of a request, as `docs/reliability.md` says it.
fn documented(dependency: Dependency, fault: Fault) -> &'static [&'static str] {
    use Dependency as D;
    use Fault as F;
    let is_busy = matches!(fault, F::BusySeconds | F::BusyDate | F::BusyMilliseconds | F::BusyTomorrow);
    match (dependency, fault) {
        // Documents could not be ingested without embeddings either.
        (D::QuestionEmbedding, F::BadCertificate | F::NoSuchName) => &["abstained"],
        (D::Redis | D::Reranker | D::QuestionEmbedding, _) | (_, F::Burst) => &["answered"],
        // Nothing was ever loaded where the address is wrong from the beginning.
        (D::Index, _) if !fault.is_of_the_address() => &["answered"],
        (_, F::BlackHole | F::Drip) => &["deadline-exceeded"],
        (D::Chat | D::PassageEmbedding, F::Unavailable) => &["model-busy"],
        (D::Chat | D::PassageEmbedding, _) if is_busy => &["model-busy"],
        // The first documents have failed already, and the model is left alone.
        (D::PassageEmbedding, F::BadCertificate | F::NoSuchName) => &["model-failed", "model-busy"],
        (D::Chat | D::PassageEmbedding, _) => &["model-failed"],
        (D::KeyVault, _) => &["model-failed", "deadline-exceeded"],
        (D::IndexAnew, F::TruncatedJson | F::WrongType) => &["index-damaged"],
        (D::Identity, _) => &["store-unavailable", "deadline-exceeded"],
        _ if is_busy => &["store-unavailable", "deadline-exceeded"],
        _ => &["store-unavailable"],
    }
}

async fn cell(dependency: Dependency, fault: Fault, before: Held) -> Cell {
    let scene = Scene::start(dependency, Some(fault)).await;
    scene.prepare().await;
    // A secret is fetched once; it has to fail before that.
    if dependency != Dependency::KeyVault && !fault.is_of_the_address() {
        let healthy = scene.probe().await;
        assert_eq!(healthy.word, "answered", "{dependency:?} {fault:?}: {healthy:?}");
    }
    scene.faults.play(fault);
    let outcome = scene.probe().await;
    let calls = scene.faults.calls();
    let recovered = if fault.is_of_the_address() { None } else { Some(recovered(&scene).await) };
    let after = settled(&scene, before).await;
    let has_panic = scene.log().contains("panic");
    let peak_megabytes = scene.peak_megabytes();
    Cell { dependency, fault, outcome, calls, recovered, peak_megabytes, before, after, has_panic }
}

async fn recovered(scene: &Scene) -> Duration {
    scene.faults.heal();
    let began = Instant::now();
    loop {
        let outcome = scene.probe().await;
        if outcome.word == "answered" || began.elapsed() > LONGEST_PAUSE * 2 {
            return began.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the process holds when what a fault left behind is gone.
async fn settled(scene: &Scene, before: Held) -> Held {
    let began = Instant::now();
    loop {
        let now = scene.held().await;
        if now.is_within(before) || began.elapsed() > CLEANUP {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a process holds that has served the same requests without any fault.
async fn baseline(dependency: Dependency) -> Held {
    let scene = Scene::start(dependency, None).await;
    scene.prepare().await;
    for _ in 0..3 {
        let healthy = scene.probe().await;
        assert_eq!(healthy.word, "answered", "{dependency:?}: {healthy:?}");
    }
    scene.held().await
}

impl Cell {
    fn check(&self) {
        let documented = documented(self.dependency, self.fault);
        assert!(documented.contains(&self.outcome.word.as_str()), "not one of {documented:?}: {self:?}");
        assert!(self.outcome.took <= ANSWER.max(INVOCATION) + SLACK, "too late: {self:?}");
        assert!(self.calls <= MOST_CALLS, "too many calls: {self:?}");
        assert!(!self.has_panic, "{self:?}");
        assert!(self.peak_megabytes <= MOST_MEGABYTES, "too much memory: {self:?}");
        let is_paused = self.fault == Fault::BusyTomorrow
            && matches!(self.dependency, Dependency::Chat | Dependency::PassageEmbedding);
        let limit = if is_paused { LONGEST_PAUSE + RECOVERY } else { RECOVERY };
        assert!(self.recovered.is_none_or(|took| took <= limit), "not served again: {self:?}");
        // A connection or two that wait to be used again are no leak, and have a task each.
        let Held { tasks, descriptors } = self.before;
        assert!(self.after.is_within(Held { tasks: tasks + 2, descriptors: descriptors + 2 }), "left over: {self:?}");
    }
}

/// The table of the document.
fn table(cells: &[Cell]) -> String {
    let mut text = String::from("| |");
    Dependency::ALL.iter().for_each(|dependency| text += &format!(" {} |", dependency.name()));
    text += "\n|---|";
    Dependency::ALL.iter().for_each(|_| text += "---|");
    for fault in Fault::ALL {
        text += &format!("\n| {} |", fault.name());
        for dependency in Dependency::ALL {
            let cell = cells.iter().find(|cell| (cell.dependency, cell.fault) == (dependency, fault));
            let cell = cell.expect("every pair was tried");
            text += &format!(" {} {:.1} s |", cell.outcome.word, cell.outcome.took.as_secs_f32());
        }
    }
    text + "\n"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_every_dependency_ends_well() {
    let baselines = futures_util::stream::iter(Dependency::ALL).map(baseline);
    let baselines: Vec<Held> = baselines.buffered(AT_ONCE).collect().await;
    let pairs = Dependency::ALL.into_iter().zip(baselines);
    let pairs = pairs.flat_map(|(dependency, before)| Fault::ALL.map(|fault| (dependency, fault, before)));
    let mut pairs: Vec<_> = pairs.collect();
    // What takes longest begins first.
    pairs.sort_by_key(|(_, fault, _)| !matches!(fault, Fault::BusyTomorrow));
    let cells = futures_util::stream::iter(pairs).map(|(dependency, fault, before)| cell(dependency, fault, before));
    let cells: Vec<Cell> = cells.buffer_unordered(AT_ONCE).collect().await;
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.md");
    std::fs::write(file, table(&cells)).expect("a file can be written");
    for cell in &cells {
        println!(
            "{:?} {:?} {} {:?} calls {} recovered {:?} peak {} {:?}",
            cell.dependency,
            cell.fault,
            cell.outcome.word,
            cell.outcome.took,
            cell.calls,
            cell.recovered,
            cell.peak_megabytes,
            (cell.before, cell.after)
        );
    }
    cells.iter().for_each(Cell::check);
    // What leaves something behind each time would do so in more than a few.
    let above = cells.iter().filter(|cell| !cell.after.is_within(cell.before)).count();
    assert!(above * 20 <= cells.len(), "{above} of {} left something behind", cells.len());
}

/// Requests during an outage that is not over.
const REQUESTS: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_not_made_worse_and_is_told_at_once() {
    let stores = [
        Dependency::Chat,
        Dependency::PassageEmbedding,
        Dependency::SearchQuery,
        Dependency::Documents,
        Dependency::IndexAnew,
        Dependency::Cosmos,
        Dependency::Identity,
        Dependency::KeyVault,
    ];
    let outages = stores.map(|dependency| async move {
        let scene = Scene::start(dependency, None).await;
        scene.prepare().await;
        scene.faults.play(Fault::Unavailable);
        let mut took = Vec::new();
        for _ in 0..REQUESTS {
            let outcome = scene.probe().await;
            assert_ne!(outcome.word, "answered", "{dependency:?}");
            took.push(outcome.took);
        }
        took.sort();
        (dependency, scene.faults.calls(), took[took.len() / 2])
    });
    for (dependency, calls, median) in futures_util::future::join_all(outages).await {
        println!("{}: {calls} calls for {REQUESTS} requests, half of them told within {median:?}", dependency.name());
        assert!(calls * 10 <= REQUESTS * 11, "{dependency:?}: {calls} calls for {REQUESTS} requests");
        assert!(median < Duration::from_millis(500), "{dependency:?}: {median:?}");
    }
}
