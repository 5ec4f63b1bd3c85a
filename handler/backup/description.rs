//! `backup.json`: what a backup holds. It is written last and makes a backup of what lies beside it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::document::EmbeddingSpace;
use crate::error::{Error, ErrorKind, Result};
use crate::index::segments::stored::{FORMAT as INDEX_FORMAT, StoredManifest};
use crate::sealed::{self, Unopened};

/// Its name within the backup.
pub const DESCRIPTION_NAME: &str = "backup.json";
/// The format of backups that this code writes and reads.
const FORMAT: u32 = 1;

/// What a backup is of and which files it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The name of the backup.
    pub id: String,
    /// When it was begun.
    pub made: DateTime<Utc>,
    /// The release that made it.
    pub program: String,
    /// What kind of index it is of.
    pub index: IndexDefinition,
    /// Every file.
    pub files: Vec<BackupFile>,
}

/// An index, without what is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexDefinition {
    /// The format of manifest and segments.
    pub format: u32,
    /// The generation.
    pub generation: u64,
    /// Its segments.
    pub segments: usize,
    /// Passages in them, those included whose documents were replaced or removed since.
    pub passages: u64,
    /// The steps that made terms.
    pub analyzers: BTreeSet<String>,
    /// Where embeddings live.
    pub embeddings: Vec<EmbeddingSpace>,
}

impl IndexDefinition {
    /// That of an index.
    pub(super) fn of(manifest: &StoredManifest) -> Self {
        let segments = || manifest.segments.iter().map(|segment| &segment.entry);
        let mut embeddings: Vec<EmbeddingSpace> = Vec::new();
        for space in segments().filter_map(|segment| segment.embedding.as_ref()) {
            if !embeddings.contains(space) {
                embeddings.push(space.clone());
            }
        }
        Self {
            format: INDEX_FORMAT,
            generation: manifest.generation,
            segments: manifest.segments.len(),
            passages: segments().map(|segment| segment.passages).sum(),
            analyzers: segments().map(|segment| segment.analyzer.clone()).collect(),
            embeddings,
        }
    }
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Its name within the backup; for files of the index also that within the index.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// What is in it.
    #[serde(flatten)]
    pub content: Content,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "content", rename_all = "snake_case")]
pub enum Content {
    /// The manifest of the index.
    Manifest,
    /// A part of a segment of the index.
    Segment,
    /// Records, a line of JSON each.
    Records {
        /// The partition they are in; it may have several files.
        partition: String,
        /// How many they are.
        records: u64,
    },
}

impl Description {
    /// Bytes of all files together.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// Records of all partitions.
    pub fn records(&self) -> u64 {
        let of_file = |file: &BackupFile| match file.content {
            Content::Records { records, .. } => records,
            Content::Manifest | Content::Segment => 0,
        };
        self.files.iter().map(of_file).sum()
    }

    /// As it is stored: two lines of JSON, of which the first holds the checksum of the second.
    pub fn to_bytes(&self) -> Vec<u8> {
        sealed::seal(FORMAT, self)
    }

    /// Reads a stored description. `BackupDamaged` when it is not one or not the one that was written, or when a newer
    /// release wrote it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = |sentence| Error::new(ErrorKind::BackupDamaged, sentence);
        sealed::open(bytes, FORMAT).map_err(|unopened| match unopened {
            Unopened::Unreadable(None) => damaged("its description cannot be read"),
            Unopened::Unreadable(Some(e)) => damaged("its description cannot be read").caused_by(e),
            Unopened::Altered => damaged("its description does not match its checksum"),
            Unopened::Newer => {
                Error::new(ErrorKind::BackupDamaged, "a newer release of this program made it; use that one")
            }
        })
    }
}
