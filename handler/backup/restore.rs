//! The way back: a backup is checked whole, then the stores get what it has. The order makes a stop harmless: segments lie
//! unnamed until the manifest names them all at once, and the ledger follows, which maintenance could write anew.

use std::sync::Arc;

use serde::Serialize;

use super::description::{BackupFile, Content, Description};
use super::{Backups, Step, Watcher, files, name_in};
use crate::crash;
use crate::error::{Error, ErrorKind, Result};
use crate::index::segments::manifest::MANIFEST_NAME;
use crate::index::segments::stored::StoredManifest;
use crate::stores::blobs::{BlobStore, Condition};

/// The partition of reports: an instance that has just started may have written one already.
const REPORTS: &str = "maintenance";

/// A file of a backup that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupDamage {
    /// Its name within the backup.
    pub file: String,
    /// What is wrong with it, as a sentence.
    pub reason: String,
}

impl Backups {
    /// Reads every file of a backup and compares it with its checksum; what is damaged, nothing when all is well.
    pub async fn verify(&self, description: &Description, watch: Watcher<'_>) -> Result<Vec<BackupDamage>> {
        let mut damage = Vec::new();
        let mut manifest = None;
        for file in &description.files {
            match self.read(description, file).await? {
                Ok(bytes) if file.content == Content::Manifest => match StoredManifest::from_bytes(&bytes) {
                    Ok(read) => manifest = Some(read),
                    Err(e) => damage.push(BackupDamage { file: file.name.clone(), reason: e.message().to_owned() }),
                },
                Ok(_) => {}
                Err(reason) => damage.push(BackupDamage { file: file.name.clone(), reason }),
            }
            watch(Step { file: &file.name, size_bytes: file.size_bytes });
        }
        // One generation, and all of it.
        let manifest = manifest.unwrap_or_default();
        let here = |name: &str| description.files.iter().any(|file| file.name == name);
        let absent = manifest.files().filter(|file| !here(&file.name)).map(|file| BackupDamage {
            file: file.name.clone(),
            reason: "the manifest names it, and the backup does not have it".to_owned(),
        });
        damage.extend(absent);
        Ok(damage)
    }

    /// Makes index and records what they were when the backup was made. The backup is checked first: a damaged one is
    /// refused (`BackupDamaged`) and changes nothing. So is a place that holds documents or records already
    /// (`PreconditionFailed`), unless `force`; then records of the backup's partitions that came later are deleted, and
    /// segments that came later are collected by maintenance. Nobody else should write meanwhile. Doing it again, forced,
    /// comes to the same end.
    pub async fn restore(&self, description: &Description, force: bool, watch: Watcher<'_>) -> Result<()> {
        let id = &description.id;
        if let [first, others @ ..] = self.verify(description, watch).await?.as_slice() {
            let more = if others.is_empty() { String::new() } else { format!(", and {} others", others.len()) };
            let sentence = format!(
                "the backup {id} is damaged ({}: {}{more}); nothing was changed; `handler backup --list` shows the others",
                first.file, first.reason
            );
            return Err(Error::new(ErrorKind::BackupDamaged, sentence));
        }
        if !force {
            self.refuse_records().await?;
        }
        match &self.index {
            Some(index) => self.restore_index(index, description, force, watch).await?,
            None if description.files.iter().all(|file| matches!(file.content, Content::Records { .. })) => {}
            None => {
                let sentence = "the backup has an index in files, and here a search service keeps the index; \
                                restore it without AZURE_SEARCH_ENDPOINT, or make the index anew with `handler maintain`";
                return Err(Error::new(ErrorKind::InvalidRequest, sentence));
            }
        }
        crash::point("restore-swapped");
        self.restore_records(description, force, watch).await
    }

    /// Segments first, then one write that makes the index what it was.
    async fn restore_index(
        &self,
        index: &Arc<dyn BlobStore>,
        description: &Description,
        force: bool,
        watch: Watcher<'_>,
    ) -> Result<()> {
        let present = index.get(MANIFEST_NAME, None).await?;
        if !force {
            match present.as_ref().map(|blob| StoredManifest::from_bytes(&blob.bytes)) {
                None => {}
                Some(Ok(found)) if found.segments.is_empty() => {}
                Some(Ok(found)) => return Err(occupied(&format!("an index of {} segments", found.segments.len()))),
                Some(Err(_)) => return Err(occupied("an index that cannot be read")),
            }
        }
        for file in description.files.iter().filter(|file| file.content == Content::Segment) {
            let bytes = self.read(description, file).await?.map_err(|reason| changed(&description.id, &reason))?;
            index.put(&file.name, bytes, Condition::Always).await?;
            watch(Step { file: &file.name, size_bytes: file.size_bytes });
        }
        crash::point("restore-copied");
        let stored = description.files.iter().find(|file| file.content == Content::Manifest);
        let bytes = match stored {
            Some(file) => self.read(description, file).await?.map_err(|reason| changed(&description.id, &reason))?,
            // A backup without an index leaves the one that is there.
            None => return Ok(()),
        };
        let condition = present.map_or(Condition::IfAbsent, |blob| Condition::IfMatch(blob.meta.etag));
        match index.put(MANIFEST_NAME, bytes, condition).await {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == ErrorKind::PreconditionFailed => {
                let sentence =
                    "somebody wrote to the index meanwhile; stop the app, and restore once more with --force";
                Err(Error::new(ErrorKind::PreconditionFailed, sentence).caused_by(e))
            }
            Err(e) => Err(e),
        }
    }

    async fn refuse_records(&self) -> Result<()> {
        let partitions = self.records.partitions().await?;
        let Some(first) = partitions.iter().find(|partition| *partition != REPORTS) else { return Ok(()) };
        let count = self.records.count(first).await?;
        Err(occupied(&format!("{count} records in `{first}`")))
    }

    async fn read(&self, description: &Description, file: &BackupFile) -> Result<Result<bytes::Bytes, String>> {
        let store: &Arc<dyn BlobStore> = &self.store;
        let name = name_in(&description.id, &file.name);
        let read = files::read(store, &name, file.size_bytes, &file.sha256).await?;
        Ok(read.map_err(|fault| fault.to_string()))
    }
}

fn occupied(by: &str) -> Error {
    let sentence = format!("there is {by} already, so nothing was changed; --force replaces it");
    Error::new(ErrorKind::PreconditionFailed, sentence)
}

fn changed(id: &str, reason: &str) -> Error {
    let sentence = format!("the backup {id} changed while it was read ({reason}); restore once more with --force");
    Error::new(ErrorKind::BackupDamaged, sentence)
}
