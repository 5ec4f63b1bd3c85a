//! The index on blob storage: immutable segments and one manifest that is replaced by compare-and-swap.
//!
//! Enters: a blob store, rows, changes. Leaves: snapshots to search. Several processes may read and write at once; they
//! need no lock, because a writer whose manifest is out of date is refused, reads it again and tries again.

pub mod analyze;
pub mod best;
pub mod bundle;
pub mod export;
pub mod files;
mod known_words;
pub mod load;
pub mod maintain;
pub mod manifest;
pub mod overview;
pub mod passages;
pub mod repair;
pub mod rows;
pub mod search;
pub mod segment;
pub mod snapshot;
pub mod stored;
pub mod tiers;
pub mod vectors;
pub mod writer;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memmap2::Mmap;

use self::analyze::Analyzer;
use self::manifest::Manifest;
use self::passages::PassageCache;
use self::snapshot::{OpenSegment, Snapshot};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::BlobStore;

/// The index on one blob store.
#[derive(Clone)]
pub struct SegmentIndex {
    shared: Arc<Shared>,
}

/// What a [`SegmentIndex`] is made with.
#[derive(Clone, Debug)]
pub struct SegmentSettings {
    /// Where segments from a remote store are kept on this machine.
    pub cache: PathBuf,
    /// A generation this young is not asked after again.
    pub refresh: Duration,
    /// How long ago a generation may have been the newest that is still searched while storage fails.
    pub stale: Duration,
    /// How text becomes terms.
    pub language: analyze::StemmerLanguage,
}

struct Shared {
    store: Arc<dyn BlobStore>,
    settings: SegmentSettings,
    analyzer: Analyzer,
    clock: Clock,
    current: Mutex<Option<Current>>,
    loading: tokio::sync::Mutex<()>,
    queue: writer::Queue,
    checks: files::Checks,
    passages: Arc<PassageCache>,
}

/// The generation in use.
#[derive(Clone)]
struct Current {
    snapshot: Arc<Snapshot>,
    segments: Arc<HashMap<String, OpenSegment>>,
    etag: Option<String>,
    checked: Instant,
    /// Storage did not tell since whether there is a newer one.
    is_behind: bool,
    /// A segment in it turned out to be bad.
    must_reopen: bool,
}

/// A manifest with the ETag it was read with, none if there is no manifest yet, and those of its segments that can be read.
#[derive(Default)]
struct Stored {
    manifest: Manifest,
    segments: Arc<HashMap<String, OpenSegment>>,
    etag: Option<String>,
    /// It was not read just now: another writer may have replaced it meanwhile.
    may_be_old: bool,
}

impl fmt::Debug for SegmentIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentIndex").field("store", &self.shared.store.location()).finish_non_exhaustive()
    }
}

impl SegmentIndex {
    /// An index on `store`. Reads nothing until it is first used.
    pub fn new(store: Arc<dyn BlobStore>, settings: SegmentSettings, clock: Clock) -> Self {
        let analyzer = Analyzer::new(settings.language);
        let shared = Shared {
            store,
            settings,
            analyzer,
            clock,
            current: Mutex::new(None),
            loading: tokio::sync::Mutex::new(()),
            queue: writer::Queue::default(),
            checks: files::Checks::default(),
            passages: Arc::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How text becomes terms.
    pub fn analyzer(&self) -> &Analyzer {
        &self.shared.analyzer
    }

    fn current(&self) -> Option<Current> {
        self.shared.current.lock().expect("no holder of this lock panics").clone()
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::IndexDamaged, "a segment of the index is damaged or missing")
}

/// Maps a file of a segment into memory.
fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    #[expect(unsafe_code, reason = "segment files are written once, under a name never used again, and never changed")]
    let map = unsafe { Mmap::map(&file)? };
    Ok(map)
}

/// Runs CPU-heavy or blocking work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|_| Error::new(ErrorKind::Internal, "work on the index was interrupted"))?
}
