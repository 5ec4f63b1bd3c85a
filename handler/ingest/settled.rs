//! What there is to say about a version without work: the index has it, or it is known that it cannot be read. Enters: what
//! storage says. Leaves: the outcome, or nothing when the version has to be read.

use super::history::Happening;
use super::ledger::{LedgerRow, State};
use super::pipeline::{Ingest, Synced, version_of};
use crate::document::{DocumentId, DocumentName};
use crate::error::{ErrorKind, Result};
use crate::index::segments::manifest::{DocumentEntry, Place};
use crate::stores::blobs::BlobMeta;

impl Ingest {
    /// What there is to say without work: the index has this version already, or it is known to be unreadable.
    pub(super) async fn settled(
        &self,
        id: &DocumentId,
        name: &DocumentName,
        found: &BlobMeta,
    ) -> Result<Option<Synced>> {
        let version = version_of(found);
        let row = match self.ledger.get(id).await? {
            Some(row) => row,
            None => return self.adopt(id, name, found).await,
        };
        if row.version.as_ref() != Some(&version) {
            return Ok(None);
        }
        let same_recipe = row.recipe.as_deref() == Some(self.recipe(&self.standing(found)).as_str());
        if row.is_settled() && same_recipe {
            let kind = row.error.as_ref().and_then(|error| ErrorKind::of_code(&error.code));
            return Ok(Some(Synced::Quarantined { code: kind.unwrap_or(ErrorKind::Internal).row().code }));
        }
        let entry = self.index.entry(id).await?;
        let visible = row.state == State::Indexed && same_recipe && entry.is_some_and(|entry| row.agrees_with(&entry));
        Ok(visible.then_some(Synced::Unchanged))
    }

    /// Writes the row of a document that is in the index while the ledger does not know it, as after the loss of a ledger.
    async fn adopt(&self, id: &DocumentId, name: &DocumentName, found: &BlobMeta) -> Result<Option<Synced>> {
        let (entry, standing) = (self.index.entry(id).await?, self.standing(found));
        let recipe = self.recipe(&standing);
        let Some(entry) = entry.filter(|entry| entry.version == version_of(found) && entry.recipe == recipe) else {
            return Ok(None);
        };
        let adopt = |row: &mut LedgerRow| {
            row.state = State::Indexed;
            row.version = Some(entry.version.clone());
            row.recipe = Some(entry.recipe.clone());
            row.content_hash = Some(entry.content_hash.clone());
            row.size_bytes = found.size_bytes;
            row.stands(&standing);
            if let Place::Live { passages, .. } = entry.place {
                row.passages = passages;
            }
            row.note(Happening::Indexed, Some("found in the index"));
        };
        self.ledger.update(id, name.as_str(), adopt).await?;
        Ok(Some(Synced::Unchanged))
    }
}

impl LedgerRow {
    /// Whether the index shows what the row says. Another instance, with a ledger of its own, may have changed it since.
    pub(super) fn agrees_with(&self, entry: &DocumentEntry) -> bool {
        self.content_hash.as_deref() == Some(entry.content_hash.as_str())
            && self.recipe.as_deref() == Some(&entry.recipe)
    }
}
