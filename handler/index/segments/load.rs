//! Reading: which generation is served, and how a newer one takes its place.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use tracing::error;

use super::bundle::Bundle;
use super::files::LocalFile;
use super::manifest::{FileEntry, FileKind, MANIFEST_NAME, SegmentEntry};
use super::snapshot::{OpenSegment, Snapshot};
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

    /// Makes a manifest that was just read or written the generation in use. Segments that were open stay open; those that
    /// are damaged are left out, and maintenance makes their documents anew. The caller holds the lock of loading, so that
    /// what was read earlier never replaces what was written later.
    pub(super) async fn install(&self, stored: Stored) -> Result<Arc<Snapshot>> {
        let open = self.current().map(|current| current.segments).unwrap_or_default();
        let known_bad = self.shared.checks.bad();
        let opened = join_all(stored.manifest.segments.iter().map(|entry| {
            let already_open = open.get(&entry.id).cloned();
            let is_bad = known_bad.contains(&entry.id);
            async move {
                match already_open {
                    _ if is_bad => Err(damaged()),
                    Some(segment) => Ok((segment, Vec::new())),
                    None => self.open_segment(entry).await,
                }
            }
        }))
        .await;
        let (mut segments, mut unchecked, mut bad) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (entry, opened) in stored.manifest.segments.iter().zip(opened) {
            match opened {
                Ok((segment, files)) => {
                    segments.push((entry.clone(), segment));
                    unchecked.push((entry.id.clone(), files));
                }
                Err(e) if e.kind() == ErrorKind::IndexDamaged => {
                    error!(segment = entry.id, cause = %one_line(&e.chain()), "a segment of the index cannot be read");
                    bad.insert(entry.id.clone());
                }
                Err(e) => return Err(e),
            }
        }
        let (analyzer, manifest) = (self.shared.analyzer.clone(), Arc::new(stored.manifest));
        let (snapshot, segments) = blocking(move || {
            let snapshot = Snapshot::open(manifest, &segments, &analyzer)?;
            let by_id: HashMap<_, _> = segments.into_iter().map(|(entry, segment)| (entry.id, segment)).collect();
            Ok((Arc::new(snapshot), by_id))
        })
        .await?;
        let current = Current {
            snapshot: Arc::clone(&snapshot),
            segments: Arc::new(segments),
            damaged: Arc::new(bad),
            etag: stored.etag,
            checked: Instant::now(),
        };
        *self.shared.current.lock().expect("no holder of this lock panics") = Some(current);
        // Only now, so that what is found bad is found in use.
        unchecked.into_iter().for_each(|(segment, files)| self.check_later(&segment, files));
        self.drop_copies(&snapshot.manifest);
        Ok(snapshot)
    }

    /// Has the generation in use looked at anew by the next search, without a segment that turned out to be bad.
    pub(super) fn reopen_without(&self, segment: &str) {
        if let Some(current) = self.shared.current.lock().expect("no holder of this lock panics").as_mut() {
            Arc::make_mut(&mut current.segments).remove(segment);
            current.etag = None;
            current.checked -= self.shared.settings.refresh.min(current.checked.elapsed());
        }
    }

    /// Opens the files of a segment, from the store's own disk or from copies on this machine; also says which of them are
    /// still to be checked.
    async fn open_segment(&self, entry: &SegmentEntry) -> Result<(OpenSegment, Vec<(LocalFile, FileEntry)>)> {
        let files = try_join_all(entry.files.iter().map(|file| self.local_file(file))).await?;
        let paths: HashMap<FileKind, LocalFile> =
            entry.files.iter().map(|file| file.kind).zip(files.iter().cloned()).collect();
        let opened = blocking(move || {
            let lexical = paths.get(&FileKind::Lexical).ok_or_else(damaged)?;
            let lexical = Bundle::open(&lexical.path).map_err(|e| damaged().caused_by(e))?;
            let vectors = paths.get(&FileKind::Vectors).map(|file| Vectors::open(&file.path)).transpose();
            Ok(OpenSegment::new(lexical, vectors.map_err(|e| damaged().caused_by(e))?))
        })
        .await?;
        let files = files.into_iter().zip(entry.files.iter().cloned());
        Ok((opened, files.filter(|(file, _)| !file.is_checked).collect()))
    }
}
