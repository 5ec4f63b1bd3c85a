//! The files of segments on this machine: the store's own, or copies of what is far away. A copy is checked while it comes;
//! what lies here already is opened at once and checked meanwhile, so that an instance that starts need not read it all.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tracing::{error, warn};

use super::manifest::{FileEntry, Manifest};
use super::snapshot::OpenSegment;
use super::{SegmentIndex, blocking, damaged};
use crate::document::hex;
use crate::error::{Error, ErrorKind, Result};

/// A file is fetched in parts of this size, a few at once.
const PART_BYTES: u64 = 8 << 20;
const PARTS_AT_ONCE: usize = 4;
/// How the names of copies begin, also of those that are not whole because the process was killed.
const COPY_PREFIX: &str = "segments-";
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
            Err(e) => Err(cannot_open(e)),
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
                .and_then(|()| tempfile::NamedTempFile::with_prefix_in(COPY_PREFIX, &folder))
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
    pub(super) fn check_later(&self, id: &str, segment: &OpenSegment) {
        let files = segment.take_unchecked();
        if files.is_empty() {
            return;
        }
        self.shared.checks.under_way.send_modify(|under_way| *under_way += 1);
        let (this, id, segment) = (self.clone(), id.to_owned(), segment.clone());
        tokio::task::spawn_blocking(move || {
            for (file, entry) in &files {
                match checksum(&file.path) {
                    Ok(sha256) if sha256 == entry.sha256 => {}
                    Ok(_) => {
                        segment.is_bad.store(true, Ordering::Release);
                        this.found_bad(&id, file);
                    }
                    // Merged away meanwhile, and whoever has it open reads on; or trouble of this machine, which is no damage.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => warn!(segment = id, cause = e.to_string(), "a file of the index could not be checked"),
                }
            }
            this.shared.checks.under_way.send_modify(|under_way| *under_way -= 1);
        });
    }

    fn found_bad(&self, segment: &str, file: &LocalFile) {
        if file.is_copy {
            warn!(segment, "a copy of a segment is damaged and is fetched again");
            let _gone_already = std::fs::remove_file(&file.path);
        } else {
            error!(segment, "a segment of the index is damaged");
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
                if name.starts_with(COPY_PREFIX) && !kept.contains(&name) && is_old {
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
    let mut temporary = tempfile::NamedTempFile::with_prefix_in(COPY_PREFIX, folder)?;
    temporary.write_all(bytes)?;
    temporary.persist(path).map(|_| ()).map_err(|e| e.error)
}

/// What cannot be opened is damaged when it is not there or not what it should be; anything else is trouble of this machine.
pub(super) fn cannot_open(cause: io::Error) -> Error {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match cause.kind() {
        InvalidData | NotFound | UnexpectedEof => damaged().caused_by(cause),
        _ => Error::new(ErrorKind::StoreUnavailable, "a file of the index cannot be opened on this machine")
            .caused_by(cause),
    }
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
