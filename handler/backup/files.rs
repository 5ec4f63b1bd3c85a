//! Reading a file that should be what it was when its length and checksum were noted.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::document::content_hash;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::BlobStore;

/// Bytes that are asked for at once, so that no single call takes long.
const PART_BYTES: u64 = 8 << 20;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not there.
    Missing,
    /// It has this length instead of that.
    Length(u64, u64),
    /// Its bytes are others.
    Checksum,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "it is missing"),
            Self::Length(found, noted) => write!(f, "it has {found} bytes instead of {noted}"),
            Self::Checksum => write!(f, "its bytes do not match its checksum"),
        }
    }
}

/// A whole file, or what is wrong with it.
pub(super) async fn read(
    store: &Arc<dyn BlobStore>,
    name: &str,
    size_bytes: u64,
    sha256: &str,
) -> Result<Result<Bytes, Fault>> {
    // Not reserved at once: the noted length may be of a damaged description.
    let mut whole = BytesMut::new();
    loop {
        let start = whole.len() as u64;
        let Some(part) = store.get(name, Some(start..(start + PART_BYTES).min(size_bytes))).await? else {
            return Ok(Err(Fault::Missing));
        };
        if part.meta.size_bytes != size_bytes {
            return Ok(Err(Fault::Length(part.meta.size_bytes, size_bytes)));
        }
        whole.extend_from_slice(&part.bytes);
        if whole.len() as u64 >= size_bytes || part.bytes.is_empty() {
            break;
        }
    }
    let hashed = tokio::task::spawn_blocking(move || (content_hash(&whole), whole.freeze())).await;
    let (found, whole) = hashed.map_err(|_| Error::new(ErrorKind::Internal, "checking a file was interrupted"))?;
    Ok(if found == sha256 { Ok(whole) } else { Err(Fault::Checksum) })
}
