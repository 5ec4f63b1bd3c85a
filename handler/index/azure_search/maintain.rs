//! Keeping the index tidy: what lost against a later version, what a crash left behind and what nobody has to remember
//! any more is deleted; an index that is built takes the place of the one that answered so far.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::AzureSearchIndex;
use super::claim::{Claim, winner};
use super::client::{Call, Condition};
use super::layout::Layout;
use super::query::{PASSAGE_FIELDS, passage_of};
use super::schema::{KIND, PASSAGE};
use super::{Exported, filter};
use crate::error::Result;
use crate::index::segments::maintain::Tidied;
use crate::index::segments::manifest::REMOVAL_MEMORY;

impl AzureSearchIndex {
    /// Deletes and swaps. Doing it again at once does nothing more; stopping it anywhere does no harm, and after
    /// `until` nothing more is begun. What is younger than `grace` is left alone: its writer may be about to finish.
    /// Deleted rows are reported as collected files.
    pub async fn tidy(&self, grace: Duration, until: Instant) -> Result<Tidied> {
        // Looked at anew: another instance may have swapped.
        let Some(layout) = self.look().await? else { return Ok(Tidied::default()) };
        let mut collected = 0;
        for name in &layout.retired {
            self.shared.client.send(&Call::delete(format!("indexes('{name}')"))).await?;
            tracing::info!(index = name, "deleted a search index that was replaced");
        }
        for shelf in std::iter::once(&layout.current).chain(&layout.building) {
            collected += self.collect(&shelf.name, grace, until).await?;
        }
        if Instant::now() < until {
            self.swap_when_built(&layout).await?;
        }
        Ok(Tidied { merged_segments: 0, collected_files: collected })
    }

    /// Deletes claims that no longer count, with their passages, and removals that nobody has to remember.
    async fn collect(&self, index: &str, grace: Duration, until: Instant) -> Result<usize> {
        let now = self.shared.clock.now();
        let youngest = now - TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
        let mut collected = 0;
        for claims in self.all_claims(index).await?.values() {
            if Instant::now() >= until {
                break;
            }
            let winner = winner(claims);
            let lost = |claim: &&Claim| Some(*claim) != winner && !claim.is_removal() && moment(claim) < youngest;
            collected += self.delete_claims(index, claims.iter().filter(lost)).await?;
            // Removals go in a later run than what they hide, so that it cannot show for a moment in between.
            let hides_nothing = claims.iter().all(|claim| claim.is_removal() || Some(claim) == winner);
            let forgotten =
                |claim: &&Claim| hides_nothing && claim.is_removal() && moment(claim) < now - REMOVAL_MEMORY;
            collected += self.delete_claims(index, claims.iter().filter(forgotten)).await?;
        }
        Ok(collected)
    }

    async fn swap_when_built(&self, layout: &Layout) -> Result<()> {
        let Some(building) = &layout.building else { return Ok(()) };
        if !self.is_built(layout, &building.name).await? {
            return Ok(());
        }
        let condition = layout.alias_etag.clone().map_or(Condition::Always, Condition::IfMatch);
        if self.point_alias(&building.name, condition).await? {
            tracing::info!(index = building.name, "the rebuilt search index answers from now on");
        }
        self.forget_layout();
        Ok(())
    }

    /// Every passage that counts, with its readers' marks left out, as lines of JSON; written to `write` page by page.
    pub async fn export(&self, mut write: impl FnMut(Bytes) -> Result<()>) -> Result<Exported> {
        let Some(layout) = self.layout().await? else { return Ok(Exported::default()) };
        let index = &layout.current.name;
        let mut exported = Exported::default();
        for claims in self.all_claims(index).await?.into_values() {
            let Some(claim) = super::claim::live(&claims) else { continue };
            let of_upload = filter::all(&[filter::is(KIND, PASSAGE), filter::is("upload", &claim.upload)]);
            let rows = self.rows_by_number(index, &of_upload, "ordinal", PASSAGE_FIELDS).await?;
            let mut lines = Vec::new();
            for row in &rows {
                let passage = passage_of(row)?;
                lines.extend(serde_json::to_vec(&passage).expect("a passage is always JSON"));
                lines.push(b'\n');
            }
            write(lines.into())?;
            exported.documents += 1;
            exported.passages += rows.len() as u64;
        }
        Ok(exported)
    }
}

fn moment(claim: &Claim) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(claim.written).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
