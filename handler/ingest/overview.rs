//! The ledger seen from above: rows picked by state and category, a page at a time, and the sums of all of them. Reads rows
//! and changes none.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ledger::{Ledger, LedgerPage, LedgerRow, State, is_zero};
use crate::error::Result;

/// Rows read from the store at once while a page is filled or sums are made.
const READ_AT_ONCE: usize = 500;

/// Which rows are wanted; what is left out does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFilter {
    /// Only rows in this state.
    pub state: Option<State>,
    /// Only rows of this category.
    pub category: Option<String>,
}

impl LedgerFilter {
    /// Whether a row is wanted.
    pub fn takes(&self, row: &LedgerRow) -> bool {
        self.state.is_none_or(|state| row.state == state)
            && self.category.as_ref().is_none_or(|category| row.category.as_ref() == Some(category))
    }
}

/// The ledger in numbers. Documents that are gone count under their state and nowhere else.
#[derive(utoipa::ToSchema)]
#[schema(as = DocumentStats)]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LedgerStats {
    /// Documents that are in storage.
    pub documents: u64,
    /// Rows in each state.
    pub by_state: BTreeMap<State, u64>,
    /// Documents of each category.
    pub by_category: BTreeMap<String, u64>,
    /// Documents of no category.
    pub without_category: u64,
    /// Bytes of all documents.
    pub size_bytes: u64,
    /// Pages of those that have pages.
    pub pages: u64,
    /// Passages that can be found.
    pub passages: u64,
    /// Estimated tokens of those passages.
    pub tokens: u64,
    /// Tokens that the embedding model has counted for them.
    #[serde(skip_serializing_if = "is_zero")]
    pub embedding_tokens: u64,
    /// What they cost; none while no price was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_cost: Option<f64>,
}

impl LedgerStats {
    fn add(&mut self, row: LedgerRow) {
        *self.by_state.entry(row.state).or_default() += 1;
        if row.state == State::Deleted {
            return;
        }
        self.documents += 1;
        match row.category {
            Some(category) => *self.by_category.entry(category).or_default() += 1,
            None => self.without_category += 1,
        }
        self.size_bytes += row.size_bytes;
        self.pages += u64::from(row.pages.unwrap_or(0));
        self.passages += u64::from(row.passages);
        self.tokens += row.tokens;
        self.embedding_tokens += row.embedding_tokens;
        if let Some(cost) = row.embedding_cost {
            self.embedding_cost = Some(self.embedding_cost.unwrap_or(0.0) + cost);
        }
    }
}

impl Ledger {
    /// The rows after `after` that are wanted, at most `limit`. Rows that are not wanted do not shorten the page, and there
    /// is a next page exactly when there is another wanted row.
    pub async fn select(
        &self,
        after: Option<&str>,
        limit: usize,
        wanted: impl Fn(&LedgerRow) -> bool,
    ) -> Result<LedgerPage> {
        let mut documents: Vec<LedgerRow> = Vec::new();
        let mut after = after.map(str::to_owned);
        loop {
            let page = self.list(after.as_deref(), READ_AT_ONCE).await?;
            documents.extend(page.documents.into_iter().filter(&wanted));
            after = page.next;
            if documents.len() > limit || after.is_none() {
                break;
            }
        }
        let more = documents.len() > limit;
        documents.truncate(limit);
        let next = documents.last().filter(|_| more).map(|row| row.id.as_str().to_owned());
        Ok(LedgerPage { documents, next })
    }

    /// The sums of the rows that are wanted.
    pub async fn stats(&self, wanted: impl Fn(&LedgerRow) -> bool) -> Result<LedgerStats> {
        let rows = self.all().await?.into_iter().filter(wanted);
        let mut stats = LedgerStats::default();
        rows.for_each(|row| stats.add(row));
        Ok(stats)
    }
}
