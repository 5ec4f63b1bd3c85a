//! Changing what can be found. A version goes up in this order, which makes every stop harmless: a pending claim, which
//! names the upload for maintenance; the passages; the claim made live, which is the one step that shows the new
//! version and hides the old one; and only then the old passages and their claims are deleted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::AzureSearchIndex;
use super::claim::{Claim, State, judge, live};
use super::filter::mark;
use super::layout::Shelf;
use super::schema::{PASSAGE, vector_field};
use super::upload::Action;
use crate::crash;
use crate::document::{DocumentId, DocumentVersion};
use crate::error::Result;
use crate::index::segments::manifest::{Change, DocumentEntry, Outcome, Place};
use crate::index::segments::segment::Row;
use crate::index::segments::writer::Upsert;

/// A passage as the service keeps it.
#[derive(Serialize)]
struct PassageRow<'a> {
    id: &'a str,
    kind: &'static str,
    document_id: &'a str,
    upload: &'a str,
    written: i64,
    readers: Vec<String>,
    folders: Vec<String>,
    modified: DateTime<Utc>,
    category: Option<&'a str>,
    etag: &'a str,
    content_hash: &'a str,
    recipe: &'a str,
    ordinal: u32,
    page: Option<u32>,
    place: Option<&'a str>,
    text: &'a str,
    title: &'a str,
    headings: &'a [String],
    name: &'a str,
    /// By the field of its space; numbers are written as short as they can be.
    #[serde(flatten)]
    vector: BTreeMap<String, &'a [f32]>,
}

impl AzureSearchIndex {
    /// Makes a version of a document visible in place of the one that was.
    pub async fn upsert(&self, upsert: Upsert) -> Result<Outcome> {
        let document = DocumentId::of(&upsert.name);
        let _one_at_a_time = self.lock_of(&document).lock().await;
        let space = upsert.rows.iter().find_map(|row| Some(&row.embedding.as_ref()?.space));
        let mut outcome = Outcome::Unchanged;
        // The one that is to stay comes last, and its outcome counts.
        for shelf in self.writable(space.map(AsRef::as_ref)).await? {
            outcome = self.upsert_into(&shelf, &document, &upsert).await?;
        }
        Ok(outcome)
    }

    /// Makes a document invisible, unless a version is visible that is newer than the one given.
    pub async fn remove(&self, document: &DocumentId, unless_newer_than: Option<DocumentVersion>) -> Result<Outcome> {
        let _one_at_a_time = self.lock_of(document).lock().await;
        let Some(layout) = self.layout().await? else { return Ok(Outcome::Unchanged) };
        let mut outcome = Outcome::Unchanged;
        for shelf in std::iter::once(&layout.current).chain(&layout.building) {
            let change = Change::Remove { id: document.clone(), unless_newer_than: unless_newer_than.clone() };
            let here = self.remove_from(shelf, document, &change).await?;
            outcome = if outcome == Outcome::Unchanged { here } else { outcome };
        }
        Ok(outcome)
    }

    async fn upsert_into(&self, shelf: &Shelf, document: &DocumentId, upsert: &Upsert) -> Result<Outcome> {
        let known = self.claims_of(&shelf.name, document).await?;
        let passages = u32::try_from(upsert.rows.len()).unwrap_or(u32::MAX);
        let entry = DocumentEntry {
            name: upsert.name.clone(),
            version: upsert.version.clone(),
            content_hash: upsert.content_hash.clone(),
            category: upsert.category.clone(),
            recipe: upsert.recipe.clone(),
            place: Place::Live { segment: String::new(), passages },
        };
        let change = Change::Upsert { id: document.clone(), entry, forced: upsert.forced };
        let (outcome, epoch) = judge(&known, &change, self.shared.clock.now());
        if outcome != Outcome::Applied {
            return Ok(outcome);
        }
        let mut claim = Claim {
            document: document.clone(),
            upload: Uuid::new_v4().simple().to_string(),
            state: State::Pending,
            epoch,
            written: self.tick(&known),
            name: upsert.name.clone(),
            version: upsert.version.clone(),
            content_hash: upsert.content_hash.clone(),
            category: upsert.category.clone(),
            recipe: upsert.recipe.clone(),
            passages,
        };
        self.apply(&shelf.name, vec![Action::upload(claim.key(), &claim.row())?]).await?;
        let rows = upsert.rows.iter().zip(0..).map(|(row, position)| passage_action(shelf, &claim, row, position));
        self.apply(&shelf.name, rows.collect::<Result<_>>()?).await?;
        crash::point("segment-stored");
        claim.state = State::Live;
        self.put_claim(&shelf.name, &claim).await?;
        crash::point("swapped");
        self.delete_claims(&shelf.name, known.iter().filter(|other| other.state == State::Live)).await?;
        Ok(Outcome::Applied)
    }

    async fn remove_from(&self, shelf: &Shelf, document: &DocumentId, change: &Change) -> Result<Outcome> {
        let known = self.claims_of(&shelf.name, document).await?;
        let (outcome, epoch) = judge(&known, change, self.shared.clock.now());
        let Some(current) = live(&known).filter(|_| outcome == Outcome::Applied) else { return Ok(outcome) };
        let removal = Claim {
            upload: Uuid::new_v4().simple().to_string(),
            state: State::Removed,
            epoch,
            written: self.tick(&known),
            ..current.clone()
        };
        self.put_claim(&shelf.name, &removal).await?;
        self.delete_claims(&shelf.name, known.iter().filter(|other| other.state == State::Live)).await?;
        Ok(Outcome::Applied)
    }

    /// Stores a claim that counts, and remembers it until the service shows it.
    async fn put_claim(&self, index: &str, claim: &Claim) -> Result<()> {
        self.apply(index, vec![Action::upload(claim.key(), &claim.row())?]).await?;
        self.remember(index, claim);
        Ok(())
    }

    /// Deletes claims that no longer count, with their passages first, so that nothing is left that no claim names.
    pub(super) async fn delete_claims(&self, index: &str, claims: impl Iterator<Item = &Claim>) -> Result<usize> {
        let claims: Vec<&Claim> = claims.collect();
        let passages: Vec<Action> =
            claims.iter().flat_map(|claim| claim.passage_keys().map(Action::delete).collect::<Vec<_>>()).collect();
        let rows: Vec<Action> = claims.iter().map(|claim| Action::delete(claim.key())).collect();
        let count = passages.len() + rows.len();
        self.apply(index, passages).await?;
        self.apply(index, rows).await?;
        self.forget(index, &claims);
        Ok(count)
    }
}

fn passage_action(shelf: &Shelf, claim: &Claim, row: &Row, position: u32) -> Result<Action> {
    let (passage, key) = (&row.passage, claim.passage_key(position));
    let embedding = row.embedding.as_ref().filter(|embedding| shelf.has(&embedding.space));
    let vector = embedding.map(|embedding| (vector_field(&embedding.space), embedding.values.as_slice()));
    let folders = passage.name.as_str().match_indices('/').map(|(at, _)| passage.name.as_str()[..=at].to_owned());
    let stored = PassageRow {
        id: &key,
        kind: PASSAGE,
        document_id: passage.document_id.as_str(),
        upload: &claim.upload,
        written: claim.written,
        readers: row.readers.iter().map(|reader| mark(reader)).collect(),
        folders: folders.collect(),
        modified: claim.version.modified,
        category: claim.category.as_deref(),
        etag: &claim.version.etag,
        content_hash: &claim.content_hash,
        recipe: &claim.recipe,
        ordinal: passage.ordinal,
        page: passage.page,
        place: passage.place.as_deref(),
        text: &passage.text,
        title: &passage.title,
        headings: &passage.heading_path,
        name: passage.name.as_str(),
        vector: vector.into_iter().collect(),
    };
    Action::upload(key.clone(), &stored)
}
