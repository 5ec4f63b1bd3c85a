//! Which claims there are: those that the service shows, and those that this process wrote and the service may not show
//! yet. The service makes a change findable a moment after it has acknowledged it; the process that made it sees it at
//! once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::AzureSearchIndex;
use super::claim::Claim;
use super::filter;
use super::query::MOST_ROWS;
use super::schema::{CLAIM, KIND};
use crate::document::DocumentId;
use crate::error::{Error, ErrorKind, Result};

/// How long a claim of ours is remembered. The service shows a change after seconds.
const MEMORY: Duration = Duration::from_secs(60);

/// What this process wrote a short while ago, and the newest change it knows of.
#[derive(Debug, Default)]
pub(super) struct Memory {
    claims: HashMap<(String, DocumentId), Vec<(Instant, Claim)>>,
    newest: i64,
    asked: Option<Instant>,
}

impl AzureSearchIndex {
    /// Remembers a claim that was just stored.
    pub(super) fn remember(&self, index: &str, claim: &Claim) {
        let mut memory = self.memory();
        memory.claims.retain(|_, claims| {
            claims.retain(|(at, _)| at.elapsed() < MEMORY);
            !claims.is_empty()
        });
        let key = (index.to_owned(), claim.document.clone());
        memory.claims.entry(key).or_default().push((Instant::now(), claim.clone()));
        memory.newest = memory.newest.max(claim.written);
    }

    /// Forgets claims that were deleted.
    pub(super) fn forget(&self, index: &str, deleted: &[&Claim]) {
        let mut memory = self.memory();
        for claim in deleted {
            if let Some(claims) = memory.claims.get_mut(&(index.to_owned(), claim.document.clone())) {
                claims.retain(|(_, remembered)| remembered.upload != claim.upload);
            }
        }
    }

    /// A moment for a new claim, later than all that was seen: ours by the clock, unless another writer's is ahead.
    pub(super) fn tick(&self, seen: &[Claim]) -> i64 {
        let mut memory = self.memory();
        let latest = seen.iter().map(|claim| claim.written).fold(memory.newest, i64::max);
        memory.newest = self.shared.clock.now().timestamp_micros().max(latest.saturating_add(1));
        memory.newest
    }

    /// All claims about a document.
    pub(super) async fn claims_of(&self, index: &str, document: &DocumentId) -> Result<Vec<Claim>> {
        let mut claims = self.claims_of_many(index, &HashSet::from([document.clone()])).await?;
        Ok(claims.remove(document).unwrap_or_default())
    }

    /// All claims about some documents.
    pub(super) async fn claims_of_many(
        &self,
        index: &str,
        documents: &HashSet<DocumentId>,
    ) -> Result<HashMap<DocumentId, Vec<Claim>>> {
        if documents.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<&str> = documents.iter().map(DocumentId::as_str).collect();
        let conditions = filter::all(&[filter::is(KIND, CLAIM), filter::any_of("document_id", &ids)]);
        let mut claims = self.claims_where(index, &conditions).await?;
        claims.retain(|document, _| documents.contains(document));
        Ok(claims)
    }

    /// All claims about all documents.
    pub(super) async fn all_claims(&self, index: &str) -> Result<HashMap<DocumentId, Vec<Claim>>> {
        self.claims_where(index, &filter::is(KIND, CLAIM)).await
    }

    /// The newest change that is known, in microseconds since 1970. Another instance's may be missed for as long as the
    /// settings allow.
    pub(super) async fn generation(&self, index: &str) -> Result<u64> {
        let (known, asked) = {
            let memory = self.memory();
            (memory.newest, memory.asked)
        };
        if asked.is_some_and(|at| at.elapsed() < self.shared.settings.refresh) {
            return Ok(u64::try_from(known).unwrap_or(0));
        }
        let question =
            json!({"filter": filter::is(KIND, CLAIM), "select": "written", "orderby": "written desc", "top": 1});
        let rows = self.ask(index, &question).await?;
        let written = rows.first().and_then(|row| row["written"].as_i64()).unwrap_or(0);
        let mut memory = self.memory();
        memory.newest = memory.newest.max(written);
        memory.asked = Some(Instant::now());
        Ok(u64::try_from(memory.newest).unwrap_or(0))
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.shared.memory.lock().expect("no holder of this lock panics")
    }

    async fn claims_where(&self, index: &str, conditions: &str) -> Result<HashMap<DocumentId, Vec<Claim>>> {
        // The service's answer comes first: what is written meanwhile is in the memory then.
        let rows = self.rows_by_number(index, conditions, "written", "id,written,claim").await?;
        let mut claims: BTreeMap<String, Claim> = BTreeMap::new();
        for row in &rows {
            let claim = Claim::of_row(row)?;
            claims.insert(claim.key(), claim);
        }
        for ((_, _), remembered) in self.memory().claims.iter().filter(|((of, _), _)| of == index) {
            // What was pending is live by now.
            claims.extend(remembered.iter().map(|(_, claim)| (claim.key(), claim.clone())));
        }
        let mut by_document: HashMap<DocumentId, Vec<Claim>> = HashMap::new();
        for claim in claims.into_values() {
            by_document.entry(claim.document.clone()).or_default().push(claim);
        }
        Ok(by_document)
    }

    /// All rows that meet conditions, page after page. Pages follow a number in the rows and not a count of rows, so
    /// that none is missed or doubled when others write meanwhile.
    pub(super) async fn rows_by_number(
        &self,
        index: &str,
        conditions: &str,
        number: &str,
        select: &str,
    ) -> Result<Vec<Value>> {
        let (mut rows, mut keys, mut from) = (Vec::new(), HashSet::new(), None);
        loop {
            let after = from.map_or_else(String::new, |from: i64| format!(" and {number} ge {from}"));
            let question = json!({
                "filter": format!("{conditions}{after}"),
                "select": select,
                "orderby": format!("{number} asc"),
                "top": MOST_ROWS,
            });
            let page = self.ask(index, &question).await?;
            let is_last = page.len() < MOST_ROWS;
            let last = page.last().and_then(|row| row[number].as_i64());
            rows.extend(page.into_iter().filter(|row| keys.insert(row["id"].as_str().unwrap_or_default().to_owned())));
            if is_last {
                return Ok(rows);
            }
            if last.is_none() || last == from {
                return Err(Error::new(ErrorKind::IndexDamaged, "rows of the search index cannot be told apart"));
            }
            from = last;
        }
    }
}
