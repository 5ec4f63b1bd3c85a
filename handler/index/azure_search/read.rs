//! What is known of documents: their passages, their entries, and the index in numbers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::AzureSearchIndex;
use super::claim::{Claim, State, live};
use super::client::Call;
use super::filter;
use super::layout::Layout;
use super::query::{PASSAGE_FIELDS, passage_of};
use super::schema::{CLAIM, KIND, PASSAGE};
use crate::document::{DocumentId, Passage, Principal};
use crate::error::Result;
use crate::index::IndexStatus;
use crate::index::segments::manifest::DocumentEntry;

/// Added to the recipe of a document that a rebuild has not come to yet, so that the timer makes it anew.
const NOT_REBUILT: &str = "/not rebuilt yet";

impl AzureSearchIndex {
    /// All passages of a document that `principal` may read, in order.
    pub async fn passages(&self, principal: &Principal, document: &DocumentId) -> Result<Vec<Passage>> {
        let (Some(readable), Some(layout)) = (filter::readable(principal), self.layout().await?) else {
            return Ok(Vec::new());
        };
        let index = &layout.current.name;
        let claims = self.claims_of(index, document).await?;
        let Some(claim) = live(&claims) else { return Ok(Vec::new()) };
        let of_version = [filter::is("document_id", document.as_str()), filter::is("upload", &claim.upload)];
        let [document, upload] = of_version;
        let conditions = filter::all(&[filter::is(KIND, PASSAGE), document, upload, readable]);
        let rows = self.rows_by_number(index, &conditions, "ordinal", PASSAGE_FIELDS).await?;
        rows.iter().map(passage_of).collect()
    }

    /// What is known of a document that can be found.
    pub async fn entry(&self, document: &DocumentId) -> Result<Option<DocumentEntry>> {
        let Some(layout) = self.layout().await? else { return Ok(None) };
        let current = self.claims_of(&layout.current.name, document).await?;
        let built = match &layout.building {
            Some(building) => Some(self.claims_of(&building.name, document).await?),
            None => None,
        };
        Ok(self.entry_of(live(&current), built.as_deref().map(live)))
    }

    /// Every document that can be found.
    pub async fn entries(&self) -> Result<Vec<(DocumentId, DocumentEntry)>> {
        let Some(Layout { current, building, .. }) = self.layout().await? else { return Ok(Vec::new()) };
        let claims = self.all_claims(&current.name).await?;
        let built = match &building {
            Some(building) => Some(self.all_claims(&building.name).await?),
            None => None,
        };
        let ids = claims.keys().chain(built.iter().flat_map(|built| built.keys()));
        let ids: std::collections::BTreeSet<&DocumentId> = ids.collect();
        let entries = ids.into_iter().filter_map(|id| {
            let here = claims.get(id).and_then(|claims| live(claims));
            let there = built.as_ref().map(|built| built.get(id).and_then(|claims| live(claims)));
            Some((id.clone(), self.entry_of(here, there)?))
        });
        let entries: BTreeMap<DocumentId, DocumentEntry> = entries.collect();
        Ok(entries.into_iter().collect())
    }

    /// The entry of a document with these claims. While an index is being built (`Some` for it), that one tells what is
    /// left to do: a document that is not in it, or not in this version, is reported as made by another recipe.
    fn entry_of(&self, current: Option<&Claim>, built: Option<Option<&Claim>>) -> Option<DocumentEntry> {
        let now = self.shared.clock.now();
        let current = current.map(|claim| claim.entry(now));
        let Some(built) = built else { return current };
        match (current, built.map(|claim| claim.entry(now))) {
            (Some(current), Some(built)) if built.version == current.version => Some(built),
            (Some(current), _) => Some(DocumentEntry { recipe: format!("{}{NOT_REBUILT}", current.recipe), ..current }),
            (None, built) => built,
        }
    }

    /// The index in numbers. Rows that are about to be deleted are counted, and new ones a moment late.
    pub async fn status(&self) -> Result<IndexStatus> {
        let Some(layout) = self.layout().await? else {
            return Ok(IndexStatus::default());
        };
        let index = &layout.current.name;
        let live = filter::all(&[filter::is(KIND, CLAIM), filter::is("state", "live")]);
        let (documents, passages, statistics, generation) = tokio::try_join!(
            self.count(index, live),
            self.count(index, filter::is(KIND, PASSAGE)),
            self.statistics(index),
            self.generation(index),
        )?;
        let size_bytes = statistics["storageSize"].as_u64().unwrap_or(0);
        let segments = 1 + usize::from(layout.building.is_some());
        Ok(IndexStatus { generation, documents, passages, segments, damaged_segments: 0, size_bytes })
    }

    async fn count(&self, index: &str, conditions: String) -> Result<u64> {
        let question = json!({"filter": conditions, "count": true, "top": 0});
        let call = Call::ask(format!("indexes('{index}')/docs/search.post.search"), &question);
        let answer = self.shared.client.send(&call).await?;
        if answer.status == 404 {
            self.forget_layout();
        }
        Ok(answer.json(&[200, 206])?["@odata.count"].as_u64().unwrap_or(0))
    }

    async fn statistics(&self, index: &str) -> Result<Value> {
        self.shared.client.send(&Call::get(format!("indexes('{index}')/search.stats"))).await?.json(&[200])
    }

    /// Whether every document of the current index is in the one that is being built, in the same version.
    pub(super) async fn is_built(&self, layout: &Layout, building: &str) -> Result<bool> {
        let (current, built) = tokio::try_join!(self.all_claims(&layout.current.name), self.all_claims(building))?;
        let is_there = |(id, claims): (&DocumentId, &Vec<Claim>)| match live(claims) {
            None => true,
            Some(claim) => built.get(id).and_then(|built| live(built)).is_some_and(|b| b.version == claim.version),
        };
        Ok(current.iter().all(is_there))
    }
}

impl Claim {
    /// Whether it is one that says a document is gone.
    pub(super) fn is_removal(&self) -> bool {
        self.state == State::Removed
    }
}
