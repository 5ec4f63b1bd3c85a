//! The manifest: the one thing in the index that changes. It names the live segments and, for each document, the version
//! that may be seen and the segment it is in. Replacing it replaces what every reader sees, all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::document::{DocumentId, DocumentName, DocumentVersion, EmbeddingSpace};

/// Where the manifest is in the store.
pub const MANIFEST_NAME: &str = "manifest.json";
/// A removal is remembered longer than any invocation can last, so that no late writer brings the document back.
pub const REMOVAL_MEMORY: TimeDelta = TimeDelta::minutes(15);

/// What the index holds, as one generation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Grows by one with every swap.
    pub generation: u64,
    /// The live segments.
    pub segments: Vec<SegmentEntry>,
    /// Every document that can be found, and those removed a short while ago. Shared with the segments that hold them, so that
    /// the next generation costs no copy of them.
    pub documents: BTreeMap<DocumentId, Arc<DocumentEntry>>,
    /// Segments whose documents are not known because their files cannot be read, each with those that are not to be seen.
    pub unread: BTreeMap<String, BTreeSet<DocumentId>>,
}

/// A live segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// 32 hexadecimal digits, never used again.
    pub id: String,
    /// The files it consists of; one of vectors only when its passages have embeddings.
    pub files: Vec<FileEntry>,
    /// Rows in it, live or not.
    pub passages: u64,
    /// The steps that made its terms.
    pub analyzer: String,
    /// Where the embeddings of its passages live; none when they have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<EmbeddingSpace>,
}

impl SegmentEntry {
    /// Bytes of its files.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// Its file of one kind.
    pub fn file(&self, kind: FileKind) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.kind == kind)
    }
}

/// A file of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// What is in it.
    pub kind: FileKind,
    /// Its name in the store.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// The parts a segment can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Terms, postings, positions and the stored passages: a bundle of the index library's files.
    Lexical,
    /// Codes of the embeddings, a row for each passage in the order of the lexical file.
    Vectors,
}

impl FileKind {
    /// The end of its files' names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Lexical => "lexical",
            Self::Vectors => "vectors",
        }
    }
}

/// What the index knows of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentEntry {
    /// Its name.
    pub name: DocumentName,
    /// The version that is visible, or was when it was removed.
    pub version: DocumentVersion,
    /// SHA-256 of the content its passages were made from.
    #[serde(default)]
    pub content_hash: String,
    /// What kind of document it is, as said about the blob or its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How passages were made (extraction, chunking); another recipe means they should be made anew.
    pub recipe: String,
    /// Where its passages are, or since when it is gone.
    #[serde(flatten)]
    pub place: Place,
}

/// Where the passages of a document are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// All of them in one segment.
    Live {
        /// That segment's id.
        segment: String,
        /// How many passages.
        passages: u32,
    },
    /// Nowhere any more.
    Removed {
        /// When it was removed.
        removed: DateTime<Utc>,
    },
}

/// A wish to change what is visible.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Show this version of a document, whose passages are in a new segment.
    Upsert {
        /// The document.
        id: DocumentId,
        /// What is to be known of it.
        entry: DocumentEntry,
        /// Takes the place of whatever is there, because storage holds this version and no other.
        forced: bool,
    },
    /// Show a document no longer.
    Remove {
        /// The document.
        id: DocumentId,
        /// A version that is newer than this one stays.
        unless_newer_than: Option<DocumentVersion>,
    },
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is so now.
    Applied,
    /// It was so already.
    Unchanged,
    /// A later version, or a removal of this very version, came first; nothing was changed.
    Superseded,
}

impl Change {
    /// The document it is about.
    pub fn document(&self) -> &DocumentId {
        match self {
            Self::Upsert { id, .. } | Self::Remove { id, .. } => id,
        }
    }
}

impl Manifest {
    /// The entry of a document that can be found.
    pub fn live(&self, id: &DocumentId) -> Option<&DocumentEntry> {
        let entry = self.documents.get(id).map(|entry| &**entry);
        entry.filter(|entry| matches!(entry.place, Place::Live { .. }))
    }

    /// The segment that holds a document's visible passages.
    pub fn segment_of(&self, id: &DocumentId) -> Option<&str> {
        match &self.documents.get(id)?.place {
            Place::Live { segment, .. } => Some(segment),
            Place::Removed { .. } => None,
        }
    }

    /// How many documents and passages can be found.
    pub fn counts(&self) -> (u64, u64) {
        let live = self.documents.values().filter_map(|entry| match entry.place {
            Place::Live { passages, .. } => Some(u64::from(passages)),
            Place::Removed { .. } => None,
        });
        live.fold((0, 0), |(documents, passages), count| (documents + 1, passages + count))
    }

    /// What would become of a change, without making it.
    pub fn judge(&self, change: &Change) -> Outcome {
        match change {
            Change::Remove { id, unless_newer_than } => match self.live(id) {
                Some(live) if unless_newer_than.as_ref().is_some_and(|seen| seen.is_older_than(&live.version)) => {
                    Outcome::Superseded
                }
                Some(_) => Outcome::Applied,
                None => Outcome::Unchanged,
            },
            Change::Upsert { id, entry, forced } => match self.documents.get(id) {
                Some(_) if *forced => Outcome::Applied,
                Some(current) if entry.version.is_older_than(&current.version) => Outcome::Superseded,
                Some(current) if entry.version == current.version => match current.place {
                    Place::Removed { .. } => Outcome::Superseded,
                    Place::Live { .. } if entry.recipe == current.recipe => Outcome::Unchanged,
                    Place::Live { .. } => Outcome::Applied,
                },
                _ => Outcome::Applied,
            },
        }
    }

    /// Applies changes whose passages, if any, are in `segment`, and says what became of each. When the segment holds
    /// nothing that ends up visible it is not listed. The generation grows if anything changed.
    pub fn apply(&mut self, changes: &[Change], segment: Option<&SegmentEntry>, now: DateTime<Utc>) -> Vec<Outcome> {
        self.forget_removals(now);
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            let is_known = |id, entry: &DocumentEntry| self.documents.get(id).is_some_and(|known| **known == *entry);
            let already_ours = matches!(change, Change::Upsert { id, entry, .. } if is_known(id, entry));
            let judged = if already_ours { Outcome::Applied } else { self.judge(change) };
            // Of what cannot be read, no version may come back that this change leaves behind.
            let hides = judged != Outcome::Superseded && self.hide_unread(change.document());
            let outcome = if hides { Outcome::Applied } else { judged };
            if outcome == Outcome::Applied {
                self.set(change, now);
            }
            outcomes.push(outcome);
        }
        if let Some(segment) = segment.filter(|segment| self.segments.iter().all(|known| known.id != segment.id)) {
            self.segments.push(segment.clone());
        }
        self.drop_unused();
        if outcomes.contains(&Outcome::Applied) {
            self.generation += 1;
        }
        outcomes
    }

    /// Puts `merged` in the place of the segments `old`: documents that are still in those move to it.
    /// Returns false, changing nothing, when none of the old segments is live any more.
    pub fn replace_segments(&mut self, old: &[String], merged: Option<&SegmentEntry>) -> bool {
        if !self.segments.iter().any(|segment| old.contains(&segment.id)) {
            return false;
        }
        if let Some(merged) = merged {
            for entry in self.documents.values_mut() {
                if let Place::Live { segment, passages } = &entry.place
                    && old.contains(segment)
                {
                    let place = Place::Live { segment: merged.id.clone(), passages: *passages };
                    Arc::make_mut(entry).place = place;
                }
            }
            self.segments.push(merged.clone());
        }
        self.drop_unused();
        self.generation += 1;
        true
    }

    /// Takes out the segments that cannot be read: their documents count as never seen. Returns how many those were.
    pub fn forget_unread(&mut self) -> usize {
        let unread = std::mem::take(&mut self.unread);
        self.segments.retain(|segment| !unread.contains_key(&segment.id));
        self.generation += u64::from(!unread.is_empty());
        unread.len()
    }

    /// Notes that segments that cannot be read just now have nothing to show of a document; whether that is news.
    fn hide_unread(&mut self, id: &DocumentId) -> bool {
        let mut is_news = false;
        for dead in self.unread.values_mut() {
            is_news |= dead.insert(id.clone());
        }
        is_news
    }

    fn set(&mut self, change: &Change, now: DateTime<Utc>) {
        match change {
            Change::Upsert { id, entry, .. } => {
                self.documents.insert(id.clone(), Arc::new(entry.clone()));
            }
            Change::Remove { id, .. } => {
                if let Some(entry) = self.documents.get_mut(id) {
                    Arc::make_mut(entry).place = Place::Removed { removed: now };
                }
            }
        }
    }

    /// Forgets removals that no writer of that time can remember.
    fn forget_removals(&mut self, now: DateTime<Utc>) {
        self.documents.retain(|_, entry| match entry.place {
            Place::Live { .. } => true,
            Place::Removed { removed } => now - removed < REMOVAL_MEMORY,
        });
    }

    /// Shows a document as a segment's file describes it. When two segments claim one, the later version is shown, and of
    /// equal ones that of the segment which came later: none of that happens unless a file was unreadable for a while.
    pub(super) fn show(&mut self, id: DocumentId, entry: Arc<DocumentEntry>) {
        let is_shown = self.live(&id).is_some_and(|shown| entry.version.is_older_than(&shown.version));
        if !is_shown {
            self.documents.insert(id, entry);
        }
    }

    /// Lists only segments of which a row is visible, or may be.
    fn drop_unused(&mut self) {
        let used: BTreeSet<&str> = self
            .documents
            .values()
            .filter_map(|entry| match &entry.place {
                Place::Live { segment, .. } => Some(segment.as_str()),
                Place::Removed { .. } => None,
            })
            .collect();
        let unread = &self.unread;
        self.segments.retain(|segment| used.contains(segment.id.as_str()) || unread.contains_key(segment.id.as_str()));
    }
}
