//! The blob store in a folder: a blob is a file at its own name. Files that a person drops there by hand are blobs too.
//!
//! The ETag is the SHA-256 of the content; it is remembered as long as the file's size, times and inode stay the same.
//! Conditional writes hold a file lock, so that several processes agree. No name and no link leads out of the folder.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{Blob, BlobMeta, BlobPage, BlobStore, Condition, Reread};
use crate::document::{DocumentName, content_hash, hex};
use crate::error::{Error, ErrorKind, Result};

/// Files of the store's own begin like this; they are no blobs and cannot be named.
const RESERVED_PREFIX: &str = ".kw-";
/// Longest part of a name, in bytes, that common file systems take.
const MAX_SEGMENT_BYTES: usize = 255;

/// A blob store in one folder of this machine.
#[derive(Clone, Debug)]
pub struct LocalBlobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    etags: Mutex<HashMap<PathBuf, (Stamp, String)>>,
}

/// What the file system says of a file; an equal stamp means an equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl LocalBlobs {
    /// Opens the folder and makes it if it is not there.
    pub fn open(root: &Path) -> Result<Self> {
        let made = fs::create_dir_all(root).and_then(|()| root.canonicalize());
        let root = made.map_err(|e| unavailable(&format!("cannot use the folder {}", root.display()), e))?;
        Ok(Self { inner: Arc::new(Inner { root, etags: Mutex::default() }) })
    }

    /// The folder, without links.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        let joined = tokio::task::spawn_blocking(move || work(&inner)).await;
        joined.map_err(|e| Error::new(ErrorKind::Internal, "a file operation was interrupted").caused_by(e))?
    }
}

#[async_trait]
impl BlobStore for LocalBlobs {
    async fn head(&self, name: &str) -> Result<Option<BlobMeta>> {
        let name = name.to_owned();
        self.blocking(move |inner| inner.head(&name)).await
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>> {
        let name = name.to_owned();
        self.blocking(move |inner| inner.get(&name, range)).await
    }

    async fn get_unless(&self, name: &str, known: &str) -> Result<Reread> {
        let (name, known) = (name.to_owned(), known.to_owned());
        self.blocking(move |inner| match inner.head(&name)? {
            None => Ok(Reread::Absent),
            Some(meta) if meta.etag == known => Ok(Reread::Unchanged),
            Some(_) => Ok(inner.get(&name, None)?.map_or(Reread::Absent, Reread::Changed)),
        })
        .await
    }

    async fn put(&self, name: &str, bytes: Bytes, condition: Condition) -> Result<BlobMeta> {
        let name = name.to_owned();
        self.blocking(move |inner| inner.put(&name, &bytes, &condition)).await
    }

    async fn delete(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.blocking(move |inner| inner.delete(&name)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(move |inner| inner.list(&prefix, after.as_deref(), limit)).await
    }

    fn local_path(&self, name: &str) -> Option<PathBuf> {
        self.inner.path_of(name).ok().filter(|path| path.is_file())
    }

    fn location(&self) -> String {
        self.inner.root.display().to_string()
    }
}

impl Inner {
    fn path_of(&self, name: &str) -> Result<PathBuf> {
        let name = DocumentName::parse(name)?;
        for segment in name.as_str().split('/') {
            if segment.len() > MAX_SEGMENT_BYTES || segment.starts_with(RESERVED_PREFIX) {
                let sentence = "a part of the name is longer than 255 bytes or starts with `.kw-`";
                return Err(Error::new(ErrorKind::InvalidName, sentence));
            }
        }
        Ok(self.root.join(name.as_str()))
    }

    /// Opens the blob's file; `None` if it is absent, a folder, or a link that leads out of the root.
    fn open_file(&self, name: &str) -> Result<Option<(PathBuf, File, fs::Metadata)>> {
        let path = self.path_of(name)?;
        let opened = path.canonicalize().and_then(|real| {
            if !real.starts_with(&self.root) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let file = File::open(&real)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        });
        match opened {
            Ok((file, metadata)) if metadata.is_file() => Ok(Some((path, file, metadata))),
            Ok(_) => Ok(None),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(unavailable(&format!("cannot open the file of blob `{name}`"), e)),
        }
    }

    fn head(&self, name: &str) -> Result<Option<BlobMeta>> {
        let Some((path, mut file, metadata)) = self.open_file(name)? else { return Ok(None) };
        self.meta_of(name, &path, &mut file, &metadata).map(Some)
    }

    fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>> {
        let Some((path, mut file, metadata)) = self.open_file(name)? else { return Ok(None) };
        let failed = |e| unavailable(&format!("cannot read the file of blob `{name}`"), e);
        let Some(range) = range else {
            let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
            file.read_to_end(&mut bytes).map_err(failed)?;
            // The ETag is that of the bytes handed out, whatever happens to the file meanwhile.
            let size_bytes = bytes.len() as u64;
            let meta = BlobMeta { etag: content_hash(&bytes), size_bytes, ..describe(name, &metadata) };
            return Ok(Some(Blob { meta, bytes: bytes.into() }));
        };
        let meta = self.meta_of(name, &path, &mut file, &metadata)?;
        let (start, end) = (range.start.min(meta.size_bytes), range.end.min(meta.size_bytes));
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        file.take(end.saturating_sub(start)).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(Blob { meta, bytes: bytes.into() }))
    }

    fn meta_of(&self, name: &str, path: &Path, file: &mut File, metadata: &fs::Metadata) -> Result<BlobMeta> {
        let stamp = Stamp::of(metadata);
        let known = self.etags.lock().expect("no holder of this lock panics").get(path).cloned();
        let etag = match known {
            Some((seen, etag)) if seen == stamp => etag,
            _ => {
                let etag =
                    hash_file(file).map_err(|e| unavailable(&format!("cannot read the file of blob `{name}`"), e))?;
                let mut etags = self.etags.lock().expect("no holder of this lock panics");
                etags.insert(path.to_owned(), (stamp, etag.clone()));
                etag
            }
        };
        Ok(BlobMeta { etag, ..describe(name, metadata) })
    }

    fn put(&self, name: &str, bytes: &[u8], condition: &Condition) -> Result<BlobMeta> {
        let path = self.path_of(name)?;
        let _lock = match condition {
            Condition::Always => None,
            Condition::IfAbsent | Condition::IfMatch(_) => Some(self.lock()?),
        };
        let current = match condition {
            Condition::Always => None,
            _ => self.head(name)?,
        };
        let allowed = match condition {
            Condition::Always => true,
            Condition::IfAbsent => current.is_none(),
            Condition::IfMatch(etag) => current.is_some_and(|meta| &meta.etag == etag),
        };
        if !allowed {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                format!("blob `{name}` was changed by somebody else"),
            ));
        }
        self.write(&path, bytes).map_err(|e| unavailable(&format!("cannot write blob `{name}`"), e))?;
        let absent = || Error::new(ErrorKind::StoreUnavailable, format!("blob `{name}` vanished while it was written"));
        self.head(name)?.ok_or_else(absent)
    }

    /// Writes beside the target and renames, so that nobody ever sees half a blob.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        if !folder.canonicalize()?.starts_with(&self.root) {
            return Err(io::Error::other("a link leads out of the folder"));
        }
        let mut temporary = tempfile::Builder::new().prefix(RESERVED_PREFIX).tempfile_in(folder)?;
        temporary.write_all(bytes)?;
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|e| e.error)?;
        File::open(folder)?.sync_all()
    }

    fn delete(&self, name: &str) -> Result<bool> {
        let path = self.path_of(name)?;
        self.etags.lock().expect("no holder of this lock panics").remove(&path);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if is_absent(&e) => Ok(false),
            Err(e) => Err(unavailable(&format!("cannot delete blob `{name}`"), e)),
        }
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage> {
        let mut names = Vec::new();
        self.walk(&self.root, &mut names).map_err(|e| unavailable("cannot list the folder", e))?;
        names.retain(|name| name.starts_with(prefix) && after.is_none_or(|after| name.as_str() > after));
        names.sort_unstable();
        let next = (names.len() > limit && limit > 0).then(|| names[limit - 1].clone());
        names.truncate(limit);
        let mut blobs = Vec::with_capacity(names.len());
        for name in names {
            // A file may go between the walk and this look; then it is simply not listed. One that cannot be read hides
            // no other: it is listed without an ETag, and who looks at it by its name is told why.
            blobs.extend(self.head(&name).unwrap_or_else(|_| self.unread(&name)));
        }
        Ok(BlobPage { blobs, next })
    }

    fn unread(&self, name: &str) -> Option<BlobMeta> {
        fs::symlink_metadata(self.root.join(name)).ok().map(|metadata| describe(name, &metadata))
    }

    fn walk(&self, folder: &Path, names: &mut Vec<String>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let Some(name) = path.strip_prefix(&self.root).ok().and_then(Path::to_str) else { continue };
            if entry.file_type()?.is_dir() {
                // A folder that cannot be read hides no other either.
                let _unreadable = self.walk(&path, names);
            } else if self.path_of(name).is_ok() {
                names.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn lock(&self) -> Result<File> {
        let locked = File::create(self.root.join(".kw-lock")).and_then(|file| file.lock().map(|()| file));
        locked.map_err(|e| unavailable("cannot lock the folder", e))
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// Everything but the ETag. The time is the later of the content's and the entry's: a file moved or copied here with an
/// old date still counts as new.
fn describe(name: &str, metadata: &fs::Metadata) -> BlobMeta {
    let stamp = Stamp::of(metadata);
    let (seconds, nanoseconds) = stamp.modified.max(stamp.changed);
    let modified =
        DateTime::<Utc>::from_timestamp(seconds, u32::try_from(nanoseconds).unwrap_or(0)).unwrap_or_default();
    BlobMeta { name: name.to_owned(), size_bytes: metadata.len(), etag: String::new(), modified }
}

fn hash_file(file: &mut File) -> io::Result<String> {
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

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidFilename)
}

fn unavailable(sentence: &str, cause: io::Error) -> Error {
    Error::new(ErrorKind::StoreUnavailable, sentence).caused_by(cause)
}
