//! The index on blob storage: immutable segments and one manifest that is replaced by compare-and-swap.
//!
//! Enters: a blob store, rows, changes. Leaves: snapshots to search. Several processes may read and write at once; they
//! need no lock, because a writer whose manifest is out of date is refused, reads it again and tries again.

pub mod analyze;
pub mod bundle;
pub mod maintain;
pub mod manifest;
pub mod search;
pub mod segment;
pub mod snapshot;
pub mod writer;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;

use self::analyze::Analyzer;
use self::bundle::Bundle;
use self::manifest::{FORMAT, FileEntry, FileKind, MANIFEST_NAME, Manifest};
use self::snapshot::Snapshot;
use crate::clock::Clock;
use crate::document::content_hash;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::{BlobStore, Reread};

/// How long a search waits for a newer generation to load before it is answered from the one at hand.
const LOAD_PATIENCE: Duration = Duration::from_secs(2);

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
}

/// The generation in use.
#[derive(Clone)]
struct Current {
    snapshot: Arc<Snapshot>,
    bundles: Arc<HashMap<String, Bundle>>,
    etag: Option<String>,
    checked: Instant,
}

/// A manifest with the ETag it was read with; none if there is no manifest yet.
struct Stored {
    manifest: Manifest,
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
        };
        Self { shared: Arc::new(shared) }
    }

    /// How text becomes terms.
    pub fn analyzer(&self) -> &Analyzer {
        &self.shared.analyzer
    }

    /// The generation to search: at most `refresh` old, or a little older while a newer one takes long to load.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let Some(current) = self.current() else { return self.refresh().await };
        if current.checked.elapsed() < self.shared.settings.refresh {
            return Ok(current.snapshot);
        }
        let this = self.clone();
        let refreshed = tokio::spawn(async move { this.refresh().await });
        match tokio::time::timeout(LOAD_PATIENCE, refreshed).await {
            Ok(Ok(snapshot)) => snapshot,
            Ok(Err(_)) => Err(Error::new(ErrorKind::Internal, "loading the index was interrupted")),
            // The load goes on by itself; the next search will have it.
            Err(_) => Ok(current.snapshot),
        }
    }

    fn current(&self) -> Option<Current> {
        self.shared.current.lock().expect("no holder of this lock panics").clone()
    }

    /// Asks the store for the manifest and opens it when it is another than the one in use. One at a time.
    async fn refresh(&self) -> Result<Arc<Snapshot>> {
        let asked = Instant::now();
        let _one_at_a_time = self.shared.loading.lock().await;
        let current = self.current();
        if let Some(current) = current.as_ref().filter(|current| current.checked >= asked) {
            return Ok(Arc::clone(&current.snapshot));
        }
        if let Some(Current { etag: Some(etag), snapshot, .. }) = &current
            && let Reread::Unchanged = self.shared.store.get_unless(MANIFEST_NAME, etag).await?
        {
            self.mark_checked();
            return Ok(Arc::clone(snapshot));
        }
        let stored = self.read_manifest().await?;
        self.install(stored).await
    }

    fn mark_checked(&self) {
        if let Some(current) = self.shared.current.lock().expect("no holder of this lock panics").as_mut() {
            current.checked = Instant::now();
        }
    }

    async fn read_manifest(&self) -> Result<Stored> {
        let Some(blob) = self.shared.store.get(MANIFEST_NAME, None).await? else {
            return Ok(Stored { manifest: Manifest::default(), etag: None, may_be_old: false });
        };
        let damaged = |sentence: &str| Error::new(ErrorKind::IndexDamaged, sentence);
        let manifest: Manifest = serde_json::from_slice(&blob.bytes)
            .map_err(|e| damaged("the index manifest cannot be read").caused_by(e))?;
        if manifest.format != FORMAT {
            return Err(damaged("the index manifest was written by another release of this program"));
        }
        Ok(Stored { manifest, etag: Some(blob.meta.etag), may_be_old: false })
    }

    /// Makes a manifest that was just read or written the generation in use. Segments that were open stay open. The caller
    /// holds the lock of loading, so that what was read earlier never replaces what was written later.
    async fn install(&self, stored: Stored) -> Result<Arc<Snapshot>> {
        let open = self.current().map(|current| current.bundles).unwrap_or_default();
        let bundles = try_join_all(stored.manifest.segments.iter().map(|segment| {
            let already_open = open.get(&segment.id).cloned();
            async move {
                match already_open {
                    Some(bundle) => Ok(bundle),
                    None => self.open_segment(&segment.files).await,
                }
            }
        }))
        .await?;
        let (analyzer, manifest) = (self.shared.analyzer.clone(), Arc::new(stored.manifest));
        let (opened, bundles) = blocking(move || {
            let snapshot = Snapshot::open(Arc::clone(&manifest), &bundles, &analyzer)?;
            let ids = manifest.segments.iter().map(|segment| segment.id.clone());
            Ok((Arc::new(snapshot), ids.zip(bundles).collect::<HashMap<_, _>>()))
        })
        .await?;
        let current = Current {
            snapshot: Arc::clone(&opened),
            bundles: Arc::new(bundles),
            etag: stored.etag,
            checked: Instant::now(),
        };
        *self.shared.current.lock().expect("no holder of this lock panics") = Some(current);
        Ok(opened)
    }

    /// Opens the lexical file of a segment, from the store's own disk or from a copy on this machine.
    async fn open_segment(&self, files: &[FileEntry]) -> Result<Bundle> {
        let damaged = || Error::new(ErrorKind::IndexDamaged, "a segment of the index is damaged or missing");
        let file = files.iter().find(|file| file.kind == FileKind::Lexical).ok_or_else(damaged)?.clone();
        let path = match self.shared.store.local_path(&file.name) {
            Some(path) => path,
            None => self.fetch(&file).await?,
        };
        let size_bytes = file.size_bytes;
        blocking(move || {
            let size_on_disk = std::fs::metadata(&path).map_err(|e| damaged().caused_by(e))?.len();
            if size_on_disk != size_bytes {
                return Err(damaged());
            }
            Bundle::open(&path).map_err(|e| damaged().caused_by(e))
        })
        .await
    }

    /// Where a copy of a file of the store is kept on this machine.
    fn copy_of(&self, file: &FileEntry) -> PathBuf {
        self.shared.settings.cache.join(file.name.replace('/', "-"))
    }

    /// Keeps what was just put into the store on this machine too, unless the store is on it. When that fails, the file
    /// is fetched like any other.
    async fn keep_copy(&self, file: &FileEntry, bytes: Bytes) {
        if self.shared.store.local_path(&file.name).is_none() {
            let path = self.copy_of(file);
            let _fetched_later = tokio::task::spawn_blocking(move || keep(&path, &bytes)).await;
        }
    }

    /// Copies a file of the store to this machine, checking it on the way; an earlier copy is used as it is.
    async fn fetch(&self, file: &FileEntry) -> Result<PathBuf> {
        let local = self.copy_of(file);
        let size_bytes = file.size_bytes;
        if tokio::fs::metadata(&local).await.is_ok_and(|metadata| metadata.len() == size_bytes) {
            return Ok(local);
        }
        let missing = || Error::new(ErrorKind::IndexDamaged, "a segment of the index is missing in the store");
        let blob = self.shared.store.get(&file.name, None).await?.ok_or_else(missing)?;
        let (sha256, path) = (file.sha256.clone(), local.clone());
        blocking(move || {
            if content_hash(&blob.bytes) != sha256 {
                return Err(Error::new(ErrorKind::IndexDamaged, "a segment of the index does not match its checksum"));
            }
            keep(&path, &blob.bytes).map_err(|e| {
                Error::new(ErrorKind::StoreUnavailable, "cannot keep a segment on this machine").caused_by(e)
            })
        })
        .await?;
        Ok(local)
    }
}

/// Writes a file whole or not at all.
fn keep(path: &std::path::Path, bytes: &Bytes) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(std::path::Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut temporary, bytes)?;
    temporary.persist(path).map(|_| ()).map_err(|e| e.error)
}

/// Runs CPU-heavy or blocking work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|_| Error::new(ErrorKind::Internal, "work on the index was interrupted"))?
}
