//! What the file system says of a file, in the words of blob stores. Paths and open files come in; what is known of them
//! goes out. Nothing here knows names of blobs or where they lie.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::BlobMeta;
use super::side_file::Metadata;
use crate::document::hex;
use crate::error::{Error, ErrorKind};

/// What the file system says of a file; an equal stamp means an equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    /// The stamp of a file now.
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// Everything but the ETag. The time is that of the last change of the entry, which nobody can set: a file moved or copied
/// here with a date of the past or of the future counts from when it came.
pub(super) fn describe(name: &str, metadata: &fs::Metadata) -> BlobMeta {
    let stamp = Stamp::of(metadata);
    let (seconds, nanoseconds) = stamp.changed;
    let modified =
        DateTime::<Utc>::from_timestamp(seconds, u32::try_from(nanoseconds).unwrap_or(0)).unwrap_or_default();
    BlobMeta {
        name: name.to_owned(),
        size_bytes: metadata.len(),
        etag: String::new(),
        modified,
        metadata: Metadata::new(),
        tags: Metadata::new(),
    }
}

/// Removes a file; `false` if there was none.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if is_absent(&e) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The SHA-256 of a file's content; the file is at its beginning again afterwards.
pub(super) fn hash_file(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(hex(&hasher.finalize()))
}

/// Whether an error says that there is no such file.
pub(super) fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidFilename)
}

/// The failure of the store that a failure of the file system is.
pub(super) fn unavailable(sentence: &str, cause: io::Error) -> Error {
    Error::new(ErrorKind::StoreUnavailable, sentence).caused_by(cause)
}
