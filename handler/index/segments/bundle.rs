//! A segment's lexical part as one file: the library's own files one after another, then a table of them. One file is one
//! storage transaction to write, one to read and one memory map to open. Also the read-only directory over open bundles.
//!
//! Layout: `bytes of all files | table as JSON | length of the table, 8 bytes little endian | 8 bytes of magic`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, WatchCallback, WatchHandle, WritePtr,
};

use super::map;

const MAGIC: &[u8; 8] = b"KWSEGv01";
const TRAILER_BYTES: usize = 16;

/// Puts files, each with its name, into one.
pub fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut packed = Vec::with_capacity(total + 1_024);
    let mut table: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (name, bytes) in files {
        table.insert(name, (packed.len(), packed.len() + bytes.len()));
        packed.extend_from_slice(bytes);
    }
    let table = serde_json::to_vec(&table).expect("a map of strings to numbers is always JSON");
    packed.extend_from_slice(&table);
    packed.extend_from_slice(&(table.len() as u64).to_le_bytes());
    packed.extend_from_slice(MAGIC);
    packed
}

/// A packed file, mapped into memory.
#[derive(Clone)]
pub struct Bundle {
    map: OwnedBytes,
    table: BTreeMap<String, Range<usize>>,
}

impl Bundle {
    /// Maps a packed file. Fails with `InvalidData` when it is not one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let map = map(path)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is not a whole segment");
        let body = map.len().checked_sub(TRAILER_BYTES).ok_or_else(damaged)?;
        if &map[body + 8..] != MAGIC {
            return Err(damaged());
        }
        let length = u64::from_le_bytes(map[body..body + 8].try_into().expect("the slice has eight bytes"));
        let table_start =
            usize::try_from(length).ok().and_then(|length| body.checked_sub(length)).ok_or_else(damaged)?;
        let raw: BTreeMap<String, (usize, usize)> =
            serde_json::from_slice(&map[table_start..body]).map_err(|_| damaged())?;
        if raw.values().any(|(start, end)| start > end || *end > table_start) {
            return Err(damaged());
        }
        let table = raw.into_iter().map(|(name, (start, end))| (name, start..end)).collect();
        Ok(Self { map: OwnedBytes::new(map), table })
    }

    /// One of the files in it.
    pub fn file(&self, name: &str) -> Option<OwnedBytes> {
        self.table.get(name).map(|range| self.map.slice(range.clone()))
    }
}

/// The read-only directory the index library sees: the files of all live segments side by side, and one list of them.
#[derive(Clone)]
pub struct BundleDirectory {
    inner: Arc<Contents>,
}

struct Contents {
    files: BTreeMap<PathBuf, OwnedBytes>,
    meta: Vec<u8>,
}

/// The name of the table of a segment's documents; the library does not know it.
pub const DOCUMENTS_FILE: &str = "documents.jsonl";
/// The name under which the library looks for the list of segments.
pub const META_FILE: &str = "meta.json";

impl BundleDirectory {
    /// Joins bundles; `meta` is the list of their segments in the library's own form.
    pub fn new<'a>(bundles: impl IntoIterator<Item = &'a Bundle>, meta: Vec<u8>) -> Self {
        let mut files = BTreeMap::new();
        for bundle in bundles {
            for (name, range) in
                bundle.table.iter().filter(|(name, _)| ![META_FILE, DOCUMENTS_FILE].contains(&name.as_str()))
            {
                files.insert(PathBuf::from(name), bundle.map.slice(range.clone()));
            }
        }
        Self { inner: Arc::new(Contents { files, meta }) }
    }

    fn find(&self, path: &Path) -> Result<&OwnedBytes, OpenReadError> {
        self.inner.files.get(path).ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))
    }
}

impl fmt::Debug for BundleDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BundleDirectory").field("files", &self.inner.files.len()).finish()
    }
}

#[derive(Debug)]
struct BundledFile(OwnedBytes);

impl HasLen for BundledFile {
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl FileHandle for BundledFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        if range.start > range.end || range.end > self.0.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end of a segment's file"));
        }
        Ok(self.0.slice(range))
    }
}

impl Directory for BundleDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        Ok(Arc::new(BundledFile(self.find(path)?.clone())))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(path == Path::new(META_FILE) || self.inner.files.contains_key(path))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::wrap_io_error(read_only(), path.to_owned()))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if path == Path::new(META_FILE) {
            return Ok(self.inner.meta.clone());
        }
        Ok(self.find(path)?.as_slice().to_vec())
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn acquire_lock(&self, _lock: &Lock) -> Result<DirectoryLock, LockError> {
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "segments are never changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        std::fs::write(&path, pack(&[("a.term".into(), b"alpha".to_vec()), ("b.pos".into(), Vec::new())])).unwrap();
        let bundle = Bundle::open(&path).unwrap();
        assert_eq!(bundle.file("a.term").unwrap().as_slice(), b"alpha");
        assert_eq!(bundle.file("b.pos").unwrap().as_slice(), b"");
        assert!(bundle.file("c").is_none());
    }

    #[test]
    fn a_cut_or_foreign_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        let whole = pack(&[("a".into(), b"alpha".to_vec())]);
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Bundle::open(&path).is_err(), "cut to {length} bytes");
        }
    }
}
