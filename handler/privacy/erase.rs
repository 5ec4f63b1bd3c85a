//! Erasing. It may be stopped anywhere and run again: what is gone is gone, and the rest is found again.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::Privacy;
use crate::audit::Event;
use crate::document::{Principal, content_hash};
use crate::error::Result;

/// How long the index may be rewritten for it; the next call goes on.
const REWRITING: Duration = Duration::from_secs(3_600);

/// What is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Records of conversations, their turns, and answers kept under an `Idempotency-Key`.
    pub conversation_records: usize,
    /// What was said of answers.
    pub feedback: usize,
    /// Actions, and reports.
    pub actions: usize,
    /// Documents that the person had brought.
    pub documents: usize,
    /// Segments of the index that were written anew without them.
    pub segments: usize,
}

impl Privacy<'_> {
    /// Erases what is kept about a person, their documents too unless `keep_documents`. Other files of the index may hold
    /// words of deleted documents for as long as `grace` says, which is what their readers need.
    pub async fn erase(&self, person: &Principal, keep_documents: bool, grace: Duration) -> Result<Erased> {
        let mut erased = Erased {
            conversation_records: self.conversations.erase(person).await?,
            feedback: self.conversations.erase_feedback(person).await?,
            actions: self.actions.erase(person).await?,
            ..Erased::default()
        };
        if let Some(budget) = self.budget {
            budget.erase(person).await?;
        }
        if !keep_documents {
            for row in self.documents_of(person).await? {
                self.ingest.delete(&row).await?;
                self.ingest.ledger.disown(&row).await?;
                erased.documents += 1;
            }
            // Deleted passages cannot be found, but their words are in the files until these are written anew.
            erased.segments = self.index.purge(grace, Instant::now() + REWRITING).await?.merged_segments;
        }
        self.records.settle().await?;
        let subject = &content_hash(person.owner().as_bytes())[..16];
        let event = Event { what: "person.erased", subject, outcome: "ok", about: json!(erased) };
        self.audit.append(&Principal::operator(), event).await?;
        Ok(erased)
    }
}
