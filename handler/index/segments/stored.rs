//! How the manifest is stored: small, whatever the number of documents. What is known of a document lies in its segment's own
//! file, which never changes ([`table_to_bytes`]); the manifest names, for each segment, the documents in it that are not to
//! be seen any more. So a commit writes a few kilobytes, and a reader reads the rest once for each segment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::manifest::{DocumentEntry, FileEntry, Manifest, Place, SegmentEntry};
use crate::document::{DocumentId, DocumentName, DocumentVersion};
use crate::error::{Error, ErrorKind, Result};
use crate::sealed::{self, Unopened};

/// The format of manifest and segments that this code writes and reads.
pub const FORMAT: u32 = 2;

/// What a segment's file says of the documents in it.
pub type Table = [(DocumentId, Arc<DocumentEntry>)];

/// A manifest without what its segments' files say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredManifest {
    /// See [`Manifest::generation`].
    pub generation: u64,
    /// The live segments.
    pub segments: Vec<StoredSegment>,
    /// Documents removed a short while ago.
    pub removed: BTreeMap<DocumentId, DocumentEntry>,
}

/// A segment, and what in it is not to be seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSegment {
    /// The segment.
    #[serde(flatten)]
    pub entry: SegmentEntry,
    /// Documents in it of which another segment holds the visible version, or none does.
    pub dead: BTreeSet<DocumentId>,
}

/// A line of a segment's table of documents.
#[derive(Serialize, Deserialize)]
struct TableLine {
    id: DocumentId,
    name: DocumentName,
    version: DocumentVersion,
    content_hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    recipe: String,
    passages: u32,
}

impl StoredManifest {
    /// What is stored of `manifest`; `documents` says which documents a segment's file holds.
    pub fn of<'a>(manifest: &Manifest, documents: impl Fn(&str) -> Option<Vec<&'a DocumentId>>) -> Self {
        let segments = manifest.segments.iter().map(|entry| {
            let is_dead = |id: &&DocumentId| manifest.segment_of(id) != Some(&entry.id);
            let dead = match documents(&entry.id) {
                Some(documents) => documents.into_iter().filter(is_dead).cloned().collect(),
                None => manifest.unread.get(&entry.id).cloned().unwrap_or_default(),
            };
            StoredSegment { entry: entry.clone(), dead }
        });
        let gone = manifest.documents.iter().filter(|(_, entry)| matches!(entry.place, Place::Removed { .. }));
        let removed = gone.map(|(id, entry)| (id.clone(), DocumentEntry::clone(entry))).collect();
        Self { generation: manifest.generation, segments: segments.collect(), removed }
    }

    /// The whole manifest; `table` gives what a segment's file says of its documents, or nothing when it cannot be read.
    pub fn fill<'a>(self, table: impl Fn(&str) -> Option<&'a Table>) -> Manifest {
        let documents = self.removed.into_iter().map(|(id, entry)| (id, Arc::new(entry))).collect();
        let mut manifest = Manifest { generation: self.generation, documents, ..Manifest::default() };
        for StoredSegment { entry, dead } in self.segments {
            match table(&entry.id) {
                Some(table) => table.iter().filter(|(id, _)| !dead.contains(id)).for_each(|(id, document)| {
                    manifest.show(id.clone(), Arc::clone(document));
                }),
                None => {
                    manifest.unread.insert(entry.id.clone(), dead);
                }
            }
            manifest.segments.push(entry);
        }
        manifest
    }

    /// The segments as they are known elsewhere.
    pub(super) fn entries(&self) -> Vec<SegmentEntry> {
        self.segments.iter().map(|segment| segment.entry.clone()).collect()
    }

    /// Every file that the manifest names.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.segments.iter().flat_map(|segment| &segment.entry.files)
    }

    /// The manifest as it is stored: two lines of JSON, of which the first holds the checksum of the second.
    pub fn to_bytes(&self) -> Vec<u8> {
        sealed::seal(FORMAT, self)
    }

    /// Reads a stored manifest. `IndexDamaged` when it is not one or not the one that was written, `Misconfigured` when a
    /// newer release wrote it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = |sentence| Error::new(ErrorKind::IndexDamaged, sentence);
        sealed::open(bytes, FORMAT).map_err(|unopened| match unopened {
            Unopened::Unreadable(None) => damaged("the index manifest cannot be read"),
            Unopened::Unreadable(Some(e)) => damaged("the index manifest cannot be read").caused_by(e),
            Unopened::Altered => damaged("the index manifest does not match its checksum"),
            Unopened::Newer => Error::new(
                ErrorKind::Misconfigured,
                "the index was written by a newer release of this program; use that one",
            ),
        })
    }
}

/// What a segment's file says of its documents: a line of JSON for each.
pub fn table_to_bytes(documents: &[(DocumentId, DocumentEntry)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, entry) in documents {
        let Place::Live { passages, .. } = entry.place else { continue };
        let DocumentEntry { name, version, content_hash, category, recipe, .. } = entry.clone();
        let line = TableLine { id: id.clone(), name, version, content_hash, category, recipe, passages };
        bytes.extend(serde_json::to_vec(&line).expect("a line of a table is always JSON"));
        bytes.push(b'\n');
    }
    bytes
}

/// Reads such a table back, as what is to be seen from `segment`.
pub fn table_from_bytes(segment: &str, bytes: &[u8]) -> Result<Arc<Table>, serde_json::Error> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let TableLine { id, name, version, content_hash, category, recipe, passages } =
                serde_json::from_slice(line)?;
            let place = Place::Live { segment: segment.to_owned(), passages };
            Ok((id, Arc::new(DocumentEntry { name, version, content_hash, category, recipe, place })))
        })
        .collect()
}
