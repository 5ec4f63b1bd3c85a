//! Which backups there are, which of them somebody means, and which are thrown away.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::description::{DESCRIPTION_NAME, Description};
use super::{Backups, is_id, name_in};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::list_all;

/// An unfinished backup to which nothing was added for this long belongs to nobody any more.
const UNFINISHED_GRACE: TimeDelta = TimeDelta::hours(1);

/// A backup that lies in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Bytes of its files that are there.
    pub size_bytes: u64,
    /// When the youngest of them was written.
    pub changed: DateTime<Utc>,
    /// What can be done with it.
    pub state: BackupState,
}

/// What can be done with a backup.
#[derive(Clone, Debug, PartialEq)]
pub enum BackupState {
    /// It was finished. Whether its files are what they were is seen when they are read.
    Complete(Box<Description>),
    /// Somebody is at it, or was cut off.
    Unfinished,
    /// It was finished, and what describes it cannot be read.
    Damaged {
        /// Why not, as a sentence.
        reason: String,
    },
}

impl Kept {
    /// What it is of; none for one that cannot be used.
    pub fn description(&self) -> Option<&Description> {
        match &self.state {
            BackupState::Complete(description) => Some(description),
            BackupState::Unfinished | BackupState::Damaged { .. } => None,
        }
    }
}

impl Backups {
    /// Every backup, the latest first. Whatever else is in the store is passed over.
    pub async fn list(&self) -> Result<Vec<Kept>> {
        let mut found: BTreeMap<String, (u64, DateTime<Utc>, bool)> = BTreeMap::new();
        for blob in list_all(&self.store, "").await? {
            let Some((id, file)) = blob.name.split_once('/').filter(|(id, _)| is_id(id)) else { continue };
            let (size_bytes, changed, described) = found.entry(id.to_owned()).or_default();
            *size_bytes += blob.size_bytes;
            *changed = (*changed).max(blob.modified);
            *described |= file == DESCRIPTION_NAME;
        }
        let mut kept = Vec::with_capacity(found.len());
        for (id, (size_bytes, changed, described)) in found.into_iter().rev() {
            let state = if described { self.state(&id).await? } else { BackupState::Unfinished };
            kept.push(Kept { id, size_bytes, changed, state });
        }
        Ok(kept)
    }

    async fn state(&self, id: &str) -> Result<BackupState> {
        let Some(blob) = self.store.get(&name_in(id, DESCRIPTION_NAME), None).await? else {
            return Ok(BackupState::Unfinished);
        };
        Ok(match Description::from_bytes(&blob.bytes) {
            Ok(description) => BackupState::Complete(Box::new(description)),
            Err(e) => BackupState::Damaged { reason: e.message().to_owned() },
        })
    }

    /// The backup that somebody names, by its id or as `latest`.
    pub async fn find(&self, named: &str) -> Result<Description> {
        let absent = |sentence: String| Error::new(ErrorKind::NotFound, sentence);
        if named == "latest" {
            let latest = self.list().await?.into_iter().find_map(|kept| match kept.state {
                BackupState::Complete(description) => Some(*description),
                BackupState::Unfinished | BackupState::Damaged { .. } => None,
            });
            return latest.ok_or_else(|| absent("there is no complete backup; `handler backup` makes one".to_owned()));
        }
        let unknown = || absent(format!("there is no backup `{named}`; `handler backup --list` lists them"));
        if !is_id(named) {
            return Err(unknown());
        }
        match self.state(named).await? {
            BackupState::Complete(description) if description.id == named => Ok(*description),
            BackupState::Complete(_) => Err(refused(named, "its description is of another one")),
            BackupState::Damaged { reason } => Err(refused(named, &reason)),
            BackupState::Unfinished => Err(unknown()),
        }
    }

    /// Throws away complete backups that are too many, damaged ones that are older than all that are kept, and unfinished
    /// ones that nobody goes on with. How many that were.
    pub(super) async fn throw_away_old(&self) -> Result<usize> {
        let all = self.list().await?;
        let complete: Vec<&str> =
            all.iter().filter(|kept| kept.description().is_some()).map(|kept| &*kept.id).collect();
        let oldest_kept = self.keep.checked_sub(1).and_then(|last| complete.get(last)).copied();
        let is_too_old = |id: &str| oldest_kept.is_some_and(|oldest| id < oldest);
        let now = self.clock.now();
        let old = all.iter().filter(|kept| match kept.state {
            BackupState::Complete(_) | BackupState::Damaged { .. } => is_too_old(&kept.id),
            BackupState::Unfinished => now - kept.changed > UNFINISHED_GRACE,
        });
        let mut thrown_away = 0;
        for kept in old {
            self.throw_away(&kept.id).await?;
            thrown_away += 1;
        }
        Ok(thrown_away)
    }

    async fn throw_away(&self, id: &str) -> Result<()> {
        // First what makes it a backup, so that half of one is never taken for a whole one.
        self.store.delete(&name_in(id, DESCRIPTION_NAME)).await?;
        for blob in list_all(&self.store, &name_in(id, "")).await? {
            self.store.delete(&blob.name).await?;
        }
        Ok(())
    }
}

fn refused(id: &str, reason: &str) -> Error {
    let sentence = format!("the backup {id} cannot be used: {reason}; `handler backup --list` shows the others");
    Error::new(ErrorKind::BackupDamaged, sentence)
}
