//! The local host: on a laptop or in a container it does what the Functions host does in the cloud. It watches the
//! documents folder, runs the schedules, and calls the same functions through the same envelopes.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use notify::{RecursiveMode, Watcher};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tracing::{Instrument, debug, error_span, warn};
use uuid::Uuid;

use super::definition::{Binding, Definition};
use super::envelope::{Envelope, Reply};
use super::schedule::Schedule;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::one_line;
use crate::telemetry::requests::{self, Caller};

/// Events that come within this time of each other are handled together: a file is often written in several steps.
const SETTLE: Duration = Duration::from_millis(200);

/// Events that wait at most; what comes beyond is found by the sweep.
const EVENTS_WAITING: usize = 4_096;
/// Functions that run at once for events.
const CONCURRENCY: usize = 4;

/// Calls a trigger function by name.
pub type Invoke =
    Arc<dyn Fn(&'static str, Envelope) -> Pin<Box<dyn Future<Output = Result<Reply>> + Send>> + Send + Sync>;

/// What the local host watches and whom it calls.
pub struct LocalHost {
    /// The documents folder; none when documents are elsewhere.
    pub folder: Option<PathBuf>,
    /// What events call it.
    pub container: String,
    /// Every function with its definition.
    pub definitions: Vec<(&'static str, Definition)>,
    /// How functions are called.
    pub invoke: Invoke,
    /// How often storage and index are compared, besides the schedules.
    pub sweep: Duration,
    /// The time.
    pub clock: Clock,
}

impl LocalHost {
    /// Runs until it is dropped. At once a first comparison, then events as they come, sweeps and schedules beside them.
    pub async fn run(self) {
        tokio::join!(self.follow_time(), self.follow_events());
    }

    async fn follow_time(&self) {
        let timers: Vec<(&'static str, Schedule)> = self.definitions.iter().filter_map(timer).collect();
        let mut sweep = tokio::time::interval(self.sweep);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = sweep.tick() => {}
                () = tokio::time::sleep(self.until_due(&timers)) => {}
            }
            self.run_timers().await;
        }
    }

    fn until_due(&self, timers: &[(&'static str, Schedule)]) -> Duration {
        let now = self.clock.now();
        let next = timers.iter().filter_map(|(_, schedule)| schedule.next_after(now)).min();
        next.and_then(|next| (next - now).to_std().ok()).unwrap_or(Duration::from_secs(3_600))
    }

    async fn run_timers(&self) {
        for (function, _) in self.definitions.iter().filter_map(timer) {
            self.call(function, json!({"timer": {"ScheduleStatus": null, "IsPastDue": false}}), Map::new()).await;
        }
    }

    async fn follow_events(&self) {
        let Some(folder) = &self.folder else { return };
        let (sender, mut events) = mpsc::channel(EVENTS_WAITING);
        let _watcher = watch(folder, sender);
        while let Some(first) = events.recv().await {
            let mut paths = BTreeSet::from([first]);
            tokio::time::sleep(SETTLE).await;
            while let Ok(path) = events.try_recv() {
                paths.insert(path);
            }
            self.handle(folder, paths).await;
        }
        // Without a watcher the sweeps alone go on.
        std::future::pending::<()>().await;
    }

    async fn handle(&self, folder: &Path, paths: BTreeSet<PathBuf>) {
        let names = paths.iter().filter_map(|path| Some((path, relative_name(folder, path)?)));
        let (folders, files): (Vec<_>, Vec<_>) =
            names.partition(|(path, name)| path.is_dir() || may_be_folder(path, name));
        let handled = futures_util::stream::iter(files).for_each_concurrent(CONCURRENCY, |(path, name)| async move {
            if path.exists() { self.blob_created(&name).await } else { self.blob_deleted(&name).await }
        });
        handled.await;
        // A whole folder came or went: only a comparison finds what was in it.
        if !folders.is_empty() {
            self.run_timers().await;
        }
    }

    /// Calls every blob-triggered function. The Functions host would send the content along; ours reads it itself.
    async fn blob_created(&self, name: &str) {
        for (function, definition) in &self.definitions {
            if let Some(Binding::BlobTrigger { name: binding, .. }) = definition.trigger() {
                let metadata = Map::from_iter([("name".to_owned(), encoded(name))]);
                self.call(function, json!({ binding: "" }), metadata).await;
            }
        }
    }

    /// Sends a deletion event to the function that takes events from a queue.
    async fn blob_deleted(&self, name: &str) {
        let event = json!({
            "specversion": "1.0",
            "type": "Microsoft.Storage.BlobDeleted",
            "source": "/local",
            "id": Uuid::new_v4().to_string(),
            "time": self.clock.now().to_rfc3339(),
            "subject": format!("/blobServices/default/containers/{}/blobs/{name}", self.container),
            "data": {"api": "DeleteBlob"},
        });
        for (function, definition) in &self.definitions {
            if let Some(Binding::QueueTrigger { name: binding, queue_name, .. }) = definition.trigger()
                && queue_name == "document-events"
            {
                self.call(function, json!({ binding: encoded(&event.to_string()) }), Map::new()).await;
            }
        }
    }

    async fn call(&self, function: &'static str, data: Value, metadata: Map<String, Value>) {
        let data = data.as_object().cloned().unwrap_or_default();
        let id = Uuid::new_v4().to_string();
        // Seen as the Functions host's call would be.
        let traced = requests::begin("POST", Some(&format!("/{function}")), &id, &Caller::default());
        let span = error_span!("request", request.id = %id, trace.id = traced.trace_id(), function);
        let ran = (self.invoke)(function, Envelope { data, metadata }).instrument(span).instrument(traced.span()).await;
        traced.answered(ran.as_ref().err().map_or(200, |e| e.kind().row().status));
        match ran {
            Ok(_) => debug!(function, "ran"),
            // The next sweep tries again, as the Functions host would deliver the event again.
            Err(e) => {
                warn!(function, error.code = e.kind().row().code, cause = %one_line(&e.chain()), "an invocation failed")
            }
        }
    }
}

/// Tells of every path that changes in the folder. A loss of events is made good by the sweep.
fn watch(folder: &Path, sender: mpsc::Sender<PathBuf>) -> Option<notify::RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if matches!(event.kind, notify::EventKind::Access(_)) {
            return;
        }
        for path in event.paths {
            let _full_or_stopped = sender.try_send(path);
        }
    };
    let watching = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    let failed = |e| Error::new(ErrorKind::StoreUnavailable, "cannot watch the documents folder").caused_by(e);
    watching
        .map_err(failed)
        .inspect_err(|e| warn!(cause = %one_line(&e.chain()), "changes will be seen at the next sweep"))
        .ok()
}

fn relative_name(folder: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    let hidden = name.split('/').any(|part| part.starts_with('.') || part.is_empty());
    (!hidden).then(|| name.to_owned())
}

/// What is gone and has no extension may have been a folder.
fn may_be_folder(path: &Path, name: &str) -> bool {
    !path.exists() && !name.rsplit('/').next().unwrap_or(name).contains('.')
}

fn timer((function, definition): &(&'static str, Definition)) -> Option<(&'static str, Schedule)> {
    match definition.trigger() {
        Some(Binding::TimerTrigger { schedule, .. }) => Some((function, schedule.parse().ok()?)),
        _ => None,
    }
}

/// A string as the Functions host sends it: a JSON string that holds a JSON string.
fn encoded(text: &str) -> Value {
    Value::String(Value::String(text.to_owned()).to_string())
}
