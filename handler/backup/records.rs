//! Records as lines of JSON, and back: `{"id": …, "body": …}`, with `expires` for those that do not stay. Knows nothing of
//! what is in them, so that any partition can be copied.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::description::{BackupFile, Content, Description};
use super::{Backups, Step, Watcher, files, name_in};
use crate::document::content_hash;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::Condition;
use crate::stores::records::{Precondition, Record};

/// A file of records ends after this many bytes, so that neither making nor reading one takes much memory.
const FILE_BYTES: usize = 8 << 20;
/// Records that are read at once.
const PAGE: usize = 500;
/// Partitions of what is over when it is put back: of actions, one that was done since could be done a second time; of repeated
/// requests, one that was answered since would be answered otherwise; of spent tokens, those that were spent since would be
/// free again. They are not copied, and not put back from backups that still have them.
const NOT_COPIED: [&str; 3] = ["actions/", "once/", "budget/"];
/// The audit is only ever added to, by a restore, too.
const NEVER_DELETED: &str = "audit/";
/// What is not written as it is in the name of a file.
const UNFIT_FOR_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// A record as a line.
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    body: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<DateTime<Utc>>,
}

impl Backups {
    /// Copies all records of a partition.
    pub(super) async fn copy_records(&self, id: &str, partition: &str, watch: Watcher<'_>) -> Result<Vec<BackupFile>> {
        let (mut files, mut after) = (Vec::new(), None);
        let (mut lines, mut count) = (Vec::new(), 0);
        loop {
            let page = self.records.list(partition, after.as_deref(), PAGE).await?;
            for record in page.records {
                write_line(record, &mut lines)?;
                count += 1;
            }
            after = page.next;
            if lines.len() >= FILE_BYTES || (after.is_none() && count > 0) {
                let content = Content::Records { partition: partition.to_owned(), records: count };
                let name =
                    format!("records/{}-{:04}.jsonl", utf8_percent_encode(partition, UNFIT_FOR_NAMES), files.len());
                let (size_bytes, sha256) = (lines.len() as u64, content_hash(&lines));
                self.store.put(&name_in(id, &name), std::mem::take(&mut lines).into(), Condition::Always).await?;
                watch(Step { file: &name, size_bytes });
                files.push(BackupFile { name, size_bytes, sha256, content });
                count = 0;
            }
            if after.is_none() {
                return Ok(files);
            }
        }
    }

    /// Puts back the records of all partitions that a backup has. Records of these partitions that the backup does not have
    /// are deleted when `only` these are to be there.
    pub(super) async fn restore_records(
        &self,
        description: &Description,
        only: bool,
        watch: Watcher<'_>,
    ) -> Result<()> {
        let mut ids: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for file in &description.files {
            let Content::Records { partition, .. } = &file.content else { continue };
            if !is_copied(partition) {
                continue;
            }
            let name = name_in(&description.id, &file.name);
            let read = files::read(&self.store, &name, file.size_bytes, &file.sha256).await?;
            let bytes = read.map_err(|fault| damaged(&file.name, &fault.to_string()))?;
            let restored = ids.entry(partition).or_default();
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let unreadable = |e| damaged(&file.name, "a record cannot be read").caused_by(e);
                let line: Line = serde_json::from_slice(line).map_err(unreadable)?;
                self.put_back(partition, &line).await?;
                restored.insert(line.id);
            }
            watch(Step { file: &file.name, size_bytes: file.size_bytes });
        }
        if only {
            for (partition, restored) in ids.into_iter().filter(|(name, _)| !name.starts_with(NEVER_DELETED)) {
                self.delete_others(partition, &restored).await?;
            }
        }
        Ok(())
    }

    async fn put_back(&self, partition: &str, line: &Line) -> Result<()> {
        let ttl = match line.expires {
            None => None,
            Some(expires) => match (expires - self.clock.now()).to_std() {
                Ok(ttl) if !ttl.is_zero() => Some(ttl),
                // It would be gone by now.
                _ => return Ok(()),
            },
        };
        self.records.put(partition, &line.id, &line.body, Precondition::Always, ttl).await.map(|_| ())
    }

    async fn delete_others(&self, partition: &str, kept: &BTreeSet<String>) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.records.list(partition, after.as_deref(), PAGE).await?;
            for record in page.records.iter().filter(|record| !kept.contains(&record.id)) {
                self.records.delete(partition, &record.id).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Whether a backup has the records of a partition.
pub(super) fn is_copied(partition: &str) -> bool {
    !NOT_COPIED.iter().any(|left_out| partition.starts_with(left_out))
}

fn write_line(record: Record, lines: &mut Vec<u8>) -> Result<()> {
    let line = Line { id: record.id, body: record.body, expires: record.expires };
    serde_json::to_writer(&mut *lines, &line)
        .map_err(|e| Error::new(ErrorKind::Internal, "a record cannot be written").caused_by(e))?;
    lines.push(b'\n');
    Ok(())
}

fn damaged(file: &str, reason: &str) -> Error {
    Error::new(ErrorKind::BackupDamaged, format!("the backup is damaged ({file}: {reason})"))
}
