//! The files of segments on this machine: the store's own, or copies of what is far away. A copy is checked while it comes;
//! what lies here already is opened at once and checked meanwhile, so that an instance that starts need not read it all.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tracing::{error, warn};

use super::manifest::{FileEntry, Manifest};
use super::{SegmentIndex, blocking, damaged};
use crate::document::hex;
use crate::error::{Error, ErrorKind, Result};

/// A file is fetched in parts of this size, a few at once.
const PART_BYTES: u64 = 8 << 20;
const PARTS_AT_ONCE: usize = 4;
/// A copy that is not needed any more is kept this long: another process may be about to open it.
const COPY_GRACE: Duration = Duration::from_secs(600);

/// A file of a segment, here.
#[derive(Clone, Debug)]
pub(super) struct LocalFile {
    pub(super) path: PathBuf,
    /// Whether it is a copy, which can be fetched again.
    is_copy: bool,
    /// Whether its checksum was looked at just now.
    pub(super) is_checked: bool,
}

/// Checks under way, and what they found.
#[derive(Debug)]
pub(super) struct Checks {
    bad: Mutex<BTreeSet<String>>,
    under_way: watch::Sender<usize>,
}

impl Default for Checks {
    fn default() -> Self {
        Self { bad: Mutex::default(), under_way: watch::Sender::new(0) }
    }
}

impl Checks {
    /// Segments whose files in the store do not match their checksums.
    pub(super) fn bad(&self) -> BTreeSet<String> {
        self.bad.lock().expect("no holder of this lock panics").clone()
    }

    /// Notes a segment as bad.
    pub(super) fn mark(&self, segment: &str) {
        self.bad.lock().expect("no holder of this lock panics").insert(segment.to_owned());
    }
}

impl SegmentIndex {
    /// Waits until every file that was opened has been checked.
    pub async fn checked(&self) {
        let mut under_way = self.shared.checks.under_way.subscribe();
        let _sender_lives = under_way.wait_for(|under_way| *under_way == 0).await;
    }

    /// The file on this machine, of the right length.
    pub(super) async fn local_file(&self, file: &FileEntry) -> Result<LocalFile> {
        let (path, is_copy) = match self.shared.store.local_path(&file.name) {
            Some(path) => (path, false),
            None => (self.shared.settings.cache.join(copy_name(&file.name)), true),
        };
        match tokio::fs::metadata(&path).await {
            Ok(found) if found.len() == file.size_bytes => Ok(LocalFile { path, is_copy, is_checked: false }),
            _ if is_copy => {
                self.fetch(file, &path).await?;
                Ok(LocalFile { path, is_copy, is_checked: true })
            }
            Ok(_) => Err(damaged()),
            Err(e) => Err(damaged().caused_by(e)),
        }
    }

    /// Copies a file of the store to this machine, checking it on the way.
    async fn fetch(&self, file: &FileEntry, path: &Path) -> Result<()> {
        let cannot_keep = |e: io::Error| {
            Error::new(ErrorKind::StoreUnavailable, "cannot keep a segment on this machine").caused_by(e)
        };
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let made = blocking(move || {
            std::fs::create_dir_all(&folder)
                .and_then(|()| tempfile::NamedTempFile::new_in(&folder))
                .map_err(cannot_keep)
        });
        let copy = (made.await?, Sha256::new());
        let starts = (0..file.size_bytes).step_by(PART_BYTES as usize);
        let parts = stream::iter(starts).map(|start| async move {
            let range = start..(start + PART_BYTES).min(file.size_bytes);
            let missing = || Error::new(ErrorKind::IndexDamaged, "a segment of the index is missing in the store");
            Ok::<_, Error>(self.shared.store.get(&file.name, Some(range)).await?.ok_or_else(missing)?.bytes)
        });
        let write = |(mut copy, mut hash): (tempfile::NamedTempFile, Sha256), part: bytes::Bytes| {
            blocking(move || {
                hash.update(&part);
                copy.write_all(&part).map_err(cannot_keep)?;
                Ok((copy, hash))
            })
        };
        let (copy, hash) = parts.buffered(PARTS_AT_ONCE).try_fold(copy, write).await?;
        if hex(&hash.finalize()) != file.sha256 {
            return Err(Error::new(ErrorKind::IndexDamaged, "a segment of the index does not match its checksum"));
        }
        copy.persist(path).map(|_| ()).map_err(|e| cannot_keep(e.error))
    }

    /// Keeps what was just put into the store on this machine too, unless the store is on it. When that fails, the file is
    /// fetched like any other.
    pub(super) async fn keep_copy(&self, file: &FileEntry, bytes: bytes::Bytes) {
        if self.shared.store.local_path(&file.name).is_none() {
            let path = self.shared.settings.cache.join(copy_name(&file.name));
            let _fetched_later = tokio::task::spawn_blocking(move || keep(&path, &bytes)).await;
        }
    }

    /// Compares files that were opened as they lay here with their checksums. A copy that is bad is fetched again; a bad
    /// file of the store makes its segment bad.
    pub(super) fn check_later(&self, segment: &str, files: Vec<(LocalFile, FileEntry)>) {
        if files.is_empty() {
            return;
        }
        self.shared.checks.under_way.send_modify(|under_way| *under_way += 1);
        let (this, segment) = (self.clone(), segment.to_owned());
        tokio::task::spawn_blocking(move || {
            for (file, entry) in &files {
                match checksum(&file.path) {
                    Ok(sha256) if sha256 == entry.sha256 => {}
                    // Merged away meanwhile; whoever has it open reads on.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    found => this.found_bad(&segment, file, found.err()),
                }
            }
            this.shared.checks.under_way.send_modify(|under_way| *under_way -= 1);
        });
    }

    fn found_bad(&self, segment: &str, file: &LocalFile, cause: Option<io::Error>) {
        let cause = cause.map_or_else(|| "another checksum".to_owned(), |e| e.to_string());
        if file.is_copy {
            warn!(segment, cause, "a copy of a segment is damaged and is fetched again");
            let _gone_already = std::fs::remove_file(&file.path);
        } else {
            error!(segment, cause, "a segment of the index is damaged");
            self.shared.checks.mark(segment);
        }
        self.reopen_without(segment);
    }

    /// Deletes copies of segments that are gone, in the background. A snapshot that still has one open keeps reading it.
    pub(super) fn drop_copies(&self, manifest: &Manifest) {
        let files = manifest.segments.iter().flat_map(|segment| &segment.files);
        let kept: BTreeSet<String> = files.map(|file| copy_name(&file.name)).collect();
        let folder = self.shared.settings.cache.clone();
        tokio::task::spawn_blocking(move || {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                let is_old = modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > COPY_GRACE));
                if name.starts_with("segments-") && !kept.contains(&name) && is_old {
                    let _gone_already = std::fs::remove_file(entry.path());
                }
            }
        });
    }
}

/// Writes a file whole or not at all.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.persist(path).map(|_| ()).map_err(|e| e.error)
}

fn copy_name(name: &str) -> String {
    name.replace('/', "-")
}

/// The SHA-256 of a file, read piece by piece.
fn checksum(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut piece) = (std::fs::File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(&piece[..length]),
        }
    }
}
