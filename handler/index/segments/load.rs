//! Reading: which generation is served, and how a newer one takes its place.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use tracing::{error, warn};

use super::bundle::Bundle;
use super::files::{LocalFile, cannot_open};
use super::manifest::{FileEntry, FileKind, MANIFEST_NAME, Manifest, SegmentEntry};
use super::snapshot::{OpenSegment, Snapshot};
use super::stored::StoredManifest;
use super::vectors::Vectors;
use super::{Current, SegmentIndex, Stored, blocking, damaged};
use crate::error::{Error, ErrorKind, Result};
use crate::reason::Reason;
use crate::stores::blobs::Reread;
use crate::telemetry::one_line;
use crate::telemetry::steps::same_trace;

/// How long a search waits for a newer generation before it is answered from the one at hand.
const LOAD_PATIENCE: Duration = Duration::from_millis(1_500);
/// The same when an earlier one has waited in vain: one question needs the index several times.
const PATIENCE_BEHIND: Duration = Duration::from_millis(250);

impl SegmentIndex {
    /// The generation to search: at most `refresh` old. While storage fails, is silent, or takes long to bring a newer one, it
    /// is the one at hand, as long as that was the newest no longer than `stale` ago: who may read is in it, and what is missed
    /// are changes by other instances. Not so when storage refuses this process, because somebody may have meant that.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let Some(current) = self.current() else { return self.refresh().await };
        let age = current.checked.elapsed();
        if !current.must_reopen && age < self.shared.settings.refresh {
            return Ok(current.snapshot);
        }
        let may_serve = !current.must_reopen && age < self.shared.settings.stale;
        // Somebody has waited in vain already, and still asks for all of us.
        if may_serve && current.is_behind && self.shared.loading.try_lock().is_err() {
            return Ok(current.snapshot);
        }
        let this = self.clone();
        let mut refreshing = tokio::spawn(same_trace(async move { this.refresh().await }));
        let patience = match (may_serve, current.is_behind) {
            (true, false) => LOAD_PATIENCE,
            (true, true) => PATIENCE_BEHIND,
            (false, _) => Duration::MAX,
        };
        let failed = match tokio::time::timeout(patience, &mut refreshing).await {
            Ok(Ok(Ok(snapshot))) => return Ok(snapshot),
            Ok(Ok(Err(e))) => Some(e),
            Ok(Err(_)) => Some(Error::new(ErrorKind::Internal, "loading the index was interrupted")),
            // The load goes on by itself; a later search will have it.
            Err(_) => None,
        };
        match failed {
            Some(e) if !may_serve || !is_outage(&e) => Err(e),
            failed => {
                self.fall_behind(failed.as_ref());
                Ok(current.snapshot)
            }
        }
    }

    /// The newest generation, at most `refresh` old, and nothing in its place: for those who change the index.
    pub async fn newest(&self) -> Result<Arc<Snapshot>> {
        match self.current() {
            Some(current) if !current.must_reopen && current.checked.elapsed() < self.shared.settings.refresh => {
                Ok(current.snapshot)
            }
            _ => self.refresh().await,
        }
    }

    /// Whether searches are answered from a generation that may not be the newest, because storage does not tell.
    pub fn is_behind(&self) -> bool {
        self.current().is_some_and(|current| current.is_behind)
    }

    fn fall_behind(&self, cause: Option<&Error>) {
        let mut current = self.shared.current.lock().expect("no holder of this lock panics");
        if let Some(current) = current.as_mut().filter(|current| !current.is_behind) {
            current.is_behind = true;
            let cause = cause.map_or_else(|| "no answer in time".to_owned(), Error::chain);
            warn!(cause = %one_line(&cause), "storage does not tell which generation is the newest; answering from the one at hand");
        }
    }

    /// Where the index is and the ETag of its manifest in use; none while there is no manifest, or a segment is damaged.
    pub async fn state(&self) -> Result<Option<String>> {
        self.snapshot().await?;
        let etag = self.current().and_then(|current| current.etag);
        Ok(etag.map(|etag| format!("{} {etag}", self.shared.store.location())))
    }

    /// Asks the store for the manifest and opens it when it is another than the one in use. One at a time.
    pub(super) async fn refresh(&self) -> Result<Arc<Snapshot>> {
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
            current.is_behind = false;
        }
    }

    /// Reads the manifest alone, with its ETag.
    pub(super) async fn read_stored(&self) -> Result<Option<(StoredManifest, String)>> {
        let Some(blob) = self.shared.store.get(MANIFEST_NAME, None).await? else { return Ok(None) };
        Ok(Some((StoredManifest::from_bytes(&blob.bytes)?, blob.meta.etag)))
    }

    /// Reads the manifest, and from the files of its segments what it leaves out.
    pub(super) async fn read_manifest(&self) -> Result<Stored> {
        let Some((mut stored, mut etag)) = self.read_stored().await? else { return Ok(Stored::default()) };
        let known = self.current().map(|current| current.segments).unwrap_or_default();
        let mut segments = self.open_segments(&stored.entries(), &known).await?;
        if segments.len() < stored.segments.len() {
            // Perhaps they were merged away and collected while they were fetched; then the manifest says so.
            let Some((again, etag_again)) = self.read_stored().await? else { return Ok(Stored::default()) };
            if etag_again != etag {
                segments = self.open_segments(&again.entries(), &segments).await?;
                (stored, etag) = (again, etag_again);
            }
        }
        let segments = Arc::new(segments);
        let open = Arc::clone(&segments);
        let manifest = blocking(move || Ok(stored.fill(|id| open.get(id).map(|segment| &*segment.table)))).await?;
        Ok(Stored { manifest, segments, etag: Some(etag), may_be_old: false })
    }

    /// Makes a manifest that was just read or written the generation in use. Segments that were open stay open; those that
    /// are damaged are left out, and maintenance makes their documents anew. The caller holds the lock of loading, so that
    /// what was read earlier never replaces what was written later.
    pub(super) async fn install(&self, stored: Stored) -> Result<Arc<Snapshot>> {
        let manifest = Arc::new(stored.manifest);
        let mut segments = self.open_segments(&manifest.segments, &stored.segments).await?;
        let opened = self.open_snapshot(&manifest, &segments).await;
        let snapshot = match opened {
            Ok(snapshot) => snapshot,
            // Something is damaged that shows only when all is put together: find out what, and do without.
            Err(e) => {
                error!(cause = %one_line(&e.chain()), "the index cannot be opened as it is; looking at every byte");
                segments.iter().for_each(|(id, segment)| self.check_later(id, segment));
                self.checked().await;
                segments = self.open_segments(&manifest.segments, &segments).await?;
                self.open_snapshot(&manifest, &segments).await?
            }
        };
        // A segment that was just found bad, or was left out although its documents are listed: nothing may be written from
        // this view of the index, and the next look begins with the manifest.
        let is_whole = |entry: &SegmentEntry| match segments.get(&entry.id) {
            Some(segment) => !segment.is_bad.load(Ordering::Acquire),
            None => manifest.unread.contains_key(&entry.id),
        };
        {
            let mut current = self.shared.current.lock().expect("no holder of this lock panics");
            let must_reopen = !manifest.segments.iter().all(is_whole);
            *current = Some(Current {
                snapshot: Arc::clone(&snapshot),
                segments: Arc::new(segments.clone()),
                etag: stored.etag.filter(|_| !must_reopen),
                checked: Instant::now(),
                is_behind: false,
                must_reopen,
            });
        }
        // Only now, so that what is found bad is found in use.
        segments.iter().for_each(|(id, segment)| self.check_later(id, segment));
        self.drop_copies(&snapshot.manifest);
        Ok(snapshot)
    }

    async fn open_snapshot(
        &self,
        manifest: &Arc<Manifest>,
        segments: &HashMap<String, OpenSegment>,
    ) -> Result<Arc<Snapshot>> {
        let (analyzer, manifest, segments) = (self.shared.analyzer.clone(), Arc::clone(manifest), segments.clone());
        let passages = Arc::clone(&self.shared.passages);
        blocking(move || {
            let readable = manifest.segments.iter().filter_map(|entry| Some((entry, segments.get(&entry.id)?)));
            let readable: Vec<_> = readable.collect();
            Snapshot::open(Arc::clone(&manifest), &readable, &analyzer, passages).map(Arc::new)
        })
        .await
    }

    /// Opens segments, taking those that are `known` as they are, and leaving out those that are damaged.
    async fn open_segments(
        &self,
        entries: &[SegmentEntry],
        known: &HashMap<String, OpenSegment>,
    ) -> Result<HashMap<String, OpenSegment>> {
        let bad = self.shared.checks.bad();
        let opened = join_all(entries.iter().map(|entry| {
            let known = known.get(&entry.id).cloned();
            let is_bad = bad.contains(&entry.id);
            async move {
                match known {
                    _ if is_bad => Err(damaged()),
                    Some(segment) if !segment.is_bad.load(Ordering::Acquire) => Ok(segment),
                    _ => self.open_segment(entry).await,
                }
            }
        }))
        .await;
        let mut segments = HashMap::with_capacity(opened.len());
        for (entry, opened) in entries.iter().zip(opened) {
            match opened {
                Ok(segment) => {
                    segments.insert(entry.id.clone(), segment);
                }
                Err(e) if e.kind() == ErrorKind::IndexDamaged => {
                    error!(segment = entry.id, cause = %one_line(&e.chain()), "a segment of the index cannot be read");
                }
                Err(e) => return Err(e),
            }
        }
        Ok(segments)
    }

    /// Has the generation in use looked at anew by the next search, without a segment that turned out to be bad.
    pub(super) fn reopen_without(&self, segment: &str) {
        if let Some(current) = self.shared.current.lock().expect("no holder of this lock panics").as_mut() {
            Arc::make_mut(&mut current.segments).remove(segment);
        }
        self.must_reopen();
    }

    /// Has the next look begin with the manifest.
    pub(super) fn must_reopen(&self) {
        if let Some(current) = self.shared.current.lock().expect("no holder of this lock panics").as_mut() {
            current.etag = None;
            current.must_reopen = true;
        }
    }

    /// Opens the files of a segment, from the store's own disk or from copies on this machine.
    async fn open_segment(&self, entry: &SegmentEntry) -> Result<OpenSegment> {
        let files = try_join_all(entry.files.iter().map(|file| self.local_file(file))).await?;
        let files: Vec<(LocalFile, FileEntry)> = files.into_iter().zip(entry.files.iter().cloned()).collect();
        let id = entry.id.clone();
        let opened = move || {
            let path = |kind| files.iter().find(|(_, file)| file.kind == kind).map(|(file, _)| file.path.as_path());
            let missing = || io::Error::new(io::ErrorKind::InvalidData, "a segment without its lexical file");
            let lexical = Bundle::open(path(FileKind::Lexical).ok_or_else(missing)?)?;
            let vectors = path(FileKind::Vectors).map(Vectors::open).transpose()?;
            let unchecked = files.iter().filter(|(file, _)| !file.is_checked).cloned().collect();
            OpenSegment::new(&id, lexical, vectors, unchecked)
        };
        blocking(move || opened().map_err(cannot_open)).await
    }
}

/// Whether a failure is one of storage itself, and not its word that this process may not read.
fn is_outage(error: &Error) -> bool {
    let is_refusal = matches!(error.reason(), Some(Reason::NotAllowed | Reason::NotKnown | Reason::KeptOut));
    matches!(error.kind(), ErrorKind::StoreUnavailable | ErrorKind::IndexDamaged) && !is_refusal
}
