//! The blob store in a folder: a blob is a file at its own name. Files that a person drops there by hand are blobs too.
//!
//! The ETag is the SHA-256 of the content, and of the metadata where there are any; the content's is remembered as long as the file's size, times and inode stay the same.
//! Conditional writes hold a file lock, so that several processes agree. No name and no link leads out of the folder.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::local_file::{Stamp, describe, hash_file, is_absent, remove, unavailable};
use super::side_file::{self, Metadata, Said, SideFile};
use super::{Blob, BlobMeta, BlobPage, BlobStore, Condition, PutOptions, Reread};
use crate::document::{DocumentName, content_hash};
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
    hashes: Mutex<HashMap<PathBuf, (Stamp, String)>>,
}

impl LocalBlobs {
    /// Opens the folder and makes it if it is not there.
    pub fn open(root: &Path) -> Result<Self> {
        let made = fs::create_dir_all(root).and_then(|()| root.canonicalize());
        let root = made.map_err(|e| unavailable(&format!("cannot use the folder {}", root.display()), e))?;
        Ok(Self { inner: Arc::new(Inner { root, hashes: Mutex::default() }) })
    }

    /// The folder, without links.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        let joined = tokio::task::spawn_blocking(move || work(&inner)).await;
        joined.map_err(|_| Error::new(ErrorKind::Internal, "a file operation was interrupted"))?
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

    async fn put_with(&self, name: &str, bytes: Bytes, options: PutOptions) -> Result<BlobMeta> {
        let name = name.to_owned();
        self.blocking(move |inner| inner.put(&name, &bytes, options)).await
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
        Ok(self.look(name)?.map(|(meta, _)| meta))
    }

    /// What is known about a blob, and the hash of its content.
    fn look(&self, name: &str) -> Result<Option<(BlobMeta, String)>> {
        let Some((path, mut file, metadata)) = self.open_file(name)? else { return Ok(None) };
        let hash = self.hash_of(name, &path, &mut file, &metadata)?;
        Ok(Some((self.meta_of(name, &hash, &metadata)?, hash)))
    }

    fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Blob>> {
        let Some((path, mut file, metadata)) = self.open_file(name)? else { return Ok(None) };
        let failed = |e| unavailable(&format!("cannot read the file of blob `{name}`"), e);
        let Some(range) = range else {
            let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
            file.read_to_end(&mut bytes).map_err(failed)?;
            // The ETag is that of the bytes handed out, whatever happens to the file meanwhile.
            let size_bytes = bytes.len() as u64;
            let meta = BlobMeta { size_bytes, ..self.meta_of(name, &content_hash(&bytes), &metadata)? };
            return Ok(Some(Blob { meta, bytes: bytes.into() }));
        };
        let hash = self.hash_of(name, &path, &mut file, &metadata)?;
        let meta = self.meta_of(name, &hash, &metadata)?;
        let (start, end) = (range.start.min(meta.size_bytes), range.end.min(meta.size_bytes));
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        file.take(end.saturating_sub(start)).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(Blob { meta, bytes: bytes.into() }))
    }

    fn hash_of(&self, name: &str, path: &Path, file: &mut File, metadata: &fs::Metadata) -> Result<String> {
        let stamp = Stamp::of(metadata);
        let known = self.hashes.lock().expect("no holder of this lock panics").get(path).cloned();
        if let Some((_, hash)) = known.filter(|(seen, _)| *seen == stamp) {
            return Ok(hash);
        }
        let hash = hash_file(file).map_err(|e| unavailable(&format!("cannot read the file of blob `{name}`"), e))?;
        let mut hashes = self.hashes.lock().expect("no holder of this lock panics");
        hashes.insert(path.to_owned(), (stamp, hash.clone()));
        Ok(hash)
    }

    fn meta_of(&self, name: &str, hash: &str, metadata: &fs::Metadata) -> Result<BlobMeta> {
        let described = describe(name, metadata);
        let Some((side, changed)) = self.side_file(name)? else {
            return Ok(BlobMeta { etag: hash.to_owned(), ..described });
        };
        let metadata = side.of(hash);
        let modified = described.modified.max(changed);
        Ok(BlobMeta { etag: side_file::etag(hash, &metadata), modified, metadata, ..described })
    }

    /// What is kept beside a blob, and when that last changed.
    fn side_file(&self, name: &str) -> Result<Option<(SideFile, DateTime<Utc>)>> {
        let failed = |e| unavailable(&format!("cannot read the metadata of blob `{name}`"), e);
        let opened = File::open(self.side_path(name)).and_then(|mut file| {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok((text, file.metadata()?))
        });
        match opened {
            Ok((text, metadata)) => {
                // Whoever may read the blob is said here, so a side file that is damaged must not count as none.
                let side = serde_json::from_str(&text).map_err(|e| failed(e.into()))?;
                Ok(Some((side, describe(name, &metadata).modified)))
            }
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }

    fn side_path(&self, name: &str) -> PathBuf {
        self.root.join(side_file::FOLDER).join(name)
    }

    fn put(&self, name: &str, bytes: &[u8], options: PutOptions) -> Result<BlobMeta> {
        let path = self.path_of(name)?;
        let PutOptions { condition, metadata } = options;
        let beside = !metadata.is_empty() || self.side_path(name).is_file();
        let alone = beside || condition != Condition::Always;
        let _lock = if alone { Some(self.lock()?) } else { None };
        let current = if alone { self.look(name)? } else { None };
        let allowed = match &condition {
            Condition::Always => true,
            Condition::IfAbsent => current.is_none(),
            Condition::IfMatch(etag) => current.as_ref().is_some_and(|(meta, _)| &meta.etag == etag),
        };
        if !allowed {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                format!("blob `{name}` was changed by somebody else"),
            ));
        }
        let failed = |e| unavailable(&format!("cannot write blob `{name}`"), e);
        let says_nothing = metadata.is_empty();
        if beside {
            let before = current.map(|(meta, content)| Said { content, metadata: meta.metadata });
            self.write_side_file(name, content_hash(bytes), metadata, before).map_err(failed)?;
        }
        self.write(&path, bytes).map_err(failed)?;
        if beside && says_nothing {
            fs::remove_file(self.side_path(name)).map_err(failed)?;
        }
        let absent = || Error::new(ErrorKind::StoreUnavailable, format!("blob `{name}` vanished while it was written"));
        self.head(name)?.ok_or_else(absent)
    }

    fn write_side_file(&self, name: &str, content: String, metadata: Metadata, before: Option<Said>) -> io::Result<()> {
        let side = SideFile { now: Said { content, metadata }, before };
        self.write(&self.side_path(name), &serde_json::to_vec(&side)?)
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
        let _lock = self.lock()?;
        self.hashes.lock().expect("no holder of this lock panics").remove(&path);
        // The content goes first: without its metadata it might be for other readers.
        let removed = remove(&path).and_then(|removed| remove(&self.side_path(name)).map(|_| removed));
        removed.map_err(|e| unavailable(&format!("cannot delete blob `{name}`"), e))
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
            if entry.file_name().to_string_lossy().starts_with(RESERVED_PREFIX) {
                continue;
            }
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
