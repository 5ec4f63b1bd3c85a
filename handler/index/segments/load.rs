//! Reading: which generation is served, and how a newer one takes its place.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use tracing::error;

use super::bundle::Bundle;
use super::files::LocalFile;
use super::manifest::{FileEntry, FileKind, MANIFEST_NAME, SegmentEntry};
use super::snapshot::{OpenSegment, Snapshot};
use super::stored::StoredManifest;
use super::vectors::Vectors;
use super::{Current, SegmentIndex, Stored, blocking, damaged};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::Reread;
use crate::telemetry::one_line;

/// How long a search waits for a newer generation to load before it is answered from the one at hand.
const LOAD_PATIENCE: Duration = Duration::from_secs(2);

impl SegmentIndex {
    /// The generation to search: at most `refresh` old, or a little older while a newer one takes long to load.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let Some(current) = self.current() else { return self.refresh().await };
        if !current.must_reopen && current.checked.elapsed() < self.shared.settings.refresh {
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
        }
    }

    /// Reads the manifest alone, with its ETag.
    pub(super) async fn read_stored(&self) -> Result<Option<(StoredManifest, String)>> {
        let Some(blob) = self.shared.store.get(MANIFEST_NAME, None).await? else { return Ok(None) };
        Ok(Some((StoredManifest::from_bytes(&blob.bytes)?, blob.meta.etag)))
    }

    /// Reads the manifest, and from the files of its segments what it leaves out.
    pub(super) async fn read_manifest(&self) -> Result<Stored> {
        let Some((stored, etag)) = self.read_stored().await? else { return Ok(Stored::default()) };
        let known = self.current().map(|current| current.segments).unwrap_or_default();
        let entries: Vec<SegmentEntry> = stored.segments.iter().map(|segment| segment.entry.clone()).collect();
        let segments = Arc::new(self.open_segments(&entries, &known).await?);
        let open = Arc::clone(&segments);
        let manifest =
            blocking(move || Ok(stored.fill(|id| open.get(id).and_then(|segment| segment.table(id).ok())))).await?;
        Ok(Stored { manifest, segments, etag: Some(etag), may_be_old: false })
    }

    /// Makes a manifest that was just read or written the generation in use. Segments that were open stay open; those that
    /// are damaged are left out, and maintenance makes their documents anew. The caller holds the lock of loading, so that
    /// what was read earlier never replaces what was written later.
    pub(super) async fn install(&self, stored: Stored) -> Result<Arc<Snapshot>> {
        let segments = self.open_segments(&stored.manifest.segments, &stored.segments).await?;
        let (analyzer, manifest) = (self.shared.analyzer.clone(), Arc::new(stored.manifest));
        let (snapshot, segments) = blocking(move || {
            let readable = manifest.segments.iter().filter_map(|entry| Some((entry, segments.get(&entry.id)?)));
            let readable: Vec<_> = readable.collect();
            let snapshot = Snapshot::open(Arc::clone(&manifest), &readable, &analyzer)?;
            Ok((Arc::new(snapshot), segments))
        })
        .await?;
        let current = Current {
            snapshot: Arc::clone(&snapshot),
            segments: Arc::new(segments.clone()),
            etag: stored.etag,
            checked: Instant::now(),
            must_reopen: false,
        };
        *self.shared.current.lock().expect("no holder of this lock panics") = Some(current);
        // Only now, so that what is found bad is found in use.
        segments.into_iter().for_each(|(id, segment)| self.check_later(&id, segment.take_unchecked()));
        self.drop_copies(&snapshot.manifest);
        Ok(snapshot)
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
                    Some(segment) => Ok(segment),
                    None => self.open_segment(entry).await,
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
        blocking(move || opened().map_err(|e| damaged().caused_by(e))).await
    }
}
