//! Copies of what cannot be made anew, or only slowly: the index of one generation and all records, the ledger among them.
//! Enters: the stores of both. Leaves: backups that each stand alone, and the stores as a backup has them.
//!
//! A backup is a folder of blobs named by the time it was made and some random digits: `segments/` and `manifest.json` as
//! they are in the index, `records/` with a line of JSON for each record, whatever partition it is in, and, written last,
//! `backup.json`, which names each file with its length and SHA-256. What has no `backup.json` is no backup. Documents are
//! not copied: storage is their home, and has versions and copies of its own. Encryption at rest is storage's as well.

pub mod description;
mod files;
mod kept;
mod records;
mod restore;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tracing::{info, warn};
use uuid::Uuid;

pub use self::kept::{BackupState, Kept};
pub use self::restore::BackupDamage;

use self::description::{BackupFile, Content, DESCRIPTION_NAME, Description, IndexDefinition};
use self::files::Fault;
use crate::clock::Clock;
use crate::crash;
use crate::document::content_hash;
use crate::error::{Error, ErrorKind, Result};
use crate::index::segments::manifest::MANIFEST_NAME;
use crate::index::segments::stored::StoredManifest;
use crate::stores::blobs::{BlobStore, Condition};
use crate::stores::records::RecordStore;

/// How often the index is read again when a merge took a file away that was about to be copied.
const MANIFEST_TRIES: u32 = 5;

/// Where backups are kept, and what they are of.
#[derive(Clone, Debug)]
pub struct Backups {
    /// Where they are kept.
    pub store: Arc<dyn BlobStore>,
    /// The blobs of the index; none when a search service keeps it, and then backups have records alone.
    pub index: Option<Arc<dyn BlobStore>>,
    /// The records: ledger, reports, whatever has a partition.
    pub records: Arc<dyn RecordStore>,
    /// The time.
    pub clock: Clock,
    /// How many complete ones are kept; with 0 all are, and the timer makes none.
    pub keep: usize,
}

/// A file that was just copied or checked, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Its name within the backup.
    pub file: &'a str,
    /// Its length.
    pub size_bytes: u64,
}

/// Is told each step.
pub type Watcher<'a> = &'a (dyn Fn(Step<'_>) + Send + Sync);

/// What the timer did.
#[derive(Clone, Debug, PartialEq)]
pub enum Daily {
    /// Nothing, because the settings keep no backups.
    TurnedOff,
    /// Nothing, because there is one of this day already.
    MadeBefore {
        /// Which.
        id: String,
    },
    /// One was made.
    Made(Box<Description>),
}

impl Backups {
    /// Makes a backup, then throws away those that are too many. It is of one generation of the index, and of the records as
    /// they were a moment later: what the ledger knows beyond the index is put right by maintenance after a restore.
    /// Cut off anywhere it leaves an unfinished one, which a later call throws away. `IndexDamaged` when the index is.
    pub async fn create(&self, watch: Watcher<'_>) -> Result<Description> {
        let made = self.clock.now();
        let id = new_id(made);
        let (manifest, mut files) = self.copy_index(&id, watch).await?;
        for partition in self.records.partitions().await?.iter().filter(|name| records::is_copied(name)) {
            files.extend(self.copy_records(&id, partition, watch).await?);
        }
        crash::point("backup-copied");
        let description = Description {
            id,
            made,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            index: IndexDefinition::of(&manifest),
            files,
        };
        let name = name_in(&description.id, DESCRIPTION_NAME);
        self.store.put(&name, description.to_bytes().into(), Condition::IfAbsent).await?;
        info!(backup = description.id, size_bytes = description.size_bytes(), "made a backup");
        if let Err(e) = self.throw_away_old().await {
            warn!(cause = %e.chain(), "old backups could not be thrown away; the next backup tries again");
        }
        Ok(description)
    }

    /// Makes the backup of this day (UTC), unless there is one: a second call on the same day does nothing.
    pub async fn daily(&self) -> Result<Daily> {
        if self.keep == 0 {
            return Ok(Daily::TurnedOff);
        }
        let today = self.clock.now().date_naive();
        let of_today = |kept: &Kept| kept.description().is_some_and(|found| found.made.date_naive() == today);
        if let Some(kept) = self.list().await?.into_iter().find(of_today) {
            return Ok(Daily::MadeBefore { id: kept.id });
        }
        self.create(&|_| ()).await.map(|description| Daily::Made(Box::new(description)))
    }

    /// Copies one generation: its segments, then its manifest. When a merge takes a file away meanwhile, the generation that
    /// came of it is copied instead; what was copied before and belongs to both is not copied again.
    async fn copy_index(&self, id: &str, watch: Watcher<'_>) -> Result<(StoredManifest, Vec<BackupFile>)> {
        let Some(index) = &self.index else { return Ok((StoredManifest::default(), Vec::new())) };
        let mut copied = BTreeMap::new();
        for _ in 0..MANIFEST_TRIES {
            let Some(stored) = index.get(MANIFEST_NAME, None).await? else {
                return Ok((StoredManifest::default(), Vec::new()));
            };
            let manifest = StoredManifest::from_bytes(&stored.bytes)?;
            if !self.copy_segments(index, &manifest, id, &mut copied, watch).await? {
                continue;
            }
            let (kept, needless): (Vec<_>, Vec<_>) =
                copied.into_values().partition(|file: &BackupFile| names(&manifest, &file.name));
            for file in needless {
                self.store.delete(&name_in(id, &file.name)).await?;
            }
            let sha256 = content_hash(&stored.bytes);
            let size_bytes = stored.bytes.len() as u64;
            let file = BackupFile { name: MANIFEST_NAME.to_owned(), size_bytes, sha256, content: Content::Manifest };
            self.store.put(&name_in(id, &file.name), stored.bytes, Condition::Always).await?;
            watch(Step { file: &file.name, size_bytes });
            return Ok((manifest, kept.into_iter().chain([file]).collect()));
        }
        Err(Error::new(ErrorKind::StoreUnavailable, "the index keeps changing while it is copied"))
    }

    /// Copies what is not in `copied` yet; `false` when a file is no longer there.
    async fn copy_segments(
        &self,
        index: &Arc<dyn BlobStore>,
        manifest: &StoredManifest,
        id: &str,
        copied: &mut BTreeMap<String, BackupFile>,
        watch: Watcher<'_>,
    ) -> Result<bool> {
        for file in manifest.files() {
            if copied.contains_key(&file.name) {
                continue;
            }
            let bytes = match files::read(index, &file.name, file.size_bytes, &file.sha256).await? {
                Ok(bytes) => bytes,
                Err(Fault::Missing) => return Ok(false),
                Err(fault) => return Err(index_damaged(&file.name, &fault)),
            };
            self.store.put(&name_in(id, &file.name), bytes, Condition::Always).await?;
            watch(Step { file: &file.name, size_bytes: file.size_bytes });
            let (name, sha256) = (file.name.clone(), file.sha256.clone());
            let copy = BackupFile { name, size_bytes: file.size_bytes, sha256, content: Content::Segment };
            copied.insert(file.name.clone(), copy);
        }
        Ok(true)
    }
}

fn index_damaged(file: &str, fault: &Fault) -> Error {
    let sentence = format!(
        "the index is damaged and cannot be backed up ({file}: {fault}); `handler index verify --repair` makes it whole"
    );
    Error::new(ErrorKind::IndexDamaged, sentence)
}

fn names(manifest: &StoredManifest, file: &str) -> bool {
    manifest.files().any(|named| named.name == file)
}

/// The id of a backup: in the order of names, backups are in the order of time.
fn new_id(made: DateTime<Utc>) -> String {
    let random = Uuid::new_v4().simple().to_string();
    // The milliseconds, too: of two that are made in one second the later one is the one to keep.
    format!("{}-{:03x}{}", made.format("%Y%m%dT%H%M%SZ"), made.timestamp_subsec_millis(), &random[..5])
}

/// Whether a name is one that [`new_id`] makes. Whatever else is beside backups is left alone.
fn is_id(name: &str) -> bool {
    name.len() == 25
        && name.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            16 => byte == b'-',
            17.. => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            _ => byte.is_ascii_digit(),
        })
}

fn name_in(id: &str, file: &str) -> String {
    format!("{id}/{file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_recognised_and_in_the_order_of_time() {
        let at = |time: &str| new_id(time.parse().unwrap());
        let (early, late) = (at("2026-01-31T23:59:59Z"), at("2026-02-01T00:00:00Z"));
        assert!(early < late && early.starts_with("20260131T235959Z-") && is_id(&early) && is_id(&late));
        for _ in 0..20 {
            assert!(at("2026-01-31T23:59:59.014Z") < at("2026-01-31T23:59:59.300Z"));
        }
        for other in ["", "latest", "20260131T235959Z-0123456G", "20260131T235959Z-012345678", "documents"] {
            assert!(!is_id(other), "{other}");
        }
    }
}
