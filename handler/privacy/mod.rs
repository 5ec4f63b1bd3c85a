//! What is kept about a person, given out and erased. What enters is a person; what leaves is all that they asked, were
//! answered, said, proposed and brought, or a count of what is gone. The audit stays: it says who did what, holds no text of
//! anybody, and goes when its own time is over.

mod erase;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

pub use self::erase::Erased;
use crate::access::budget::Budget;
use crate::actions::Actions;
use crate::audit::Audit;
use crate::conversations::{ConversationId, Conversations};
use crate::document::Principal;
use crate::error::Result;
use crate::index::Index;
use crate::ingest::ledger::{LedgerRow, State};
use crate::ingest::pipeline::Ingest;
use crate::stores::records::RecordStore;

/// Records that are read at once.
const PAGE: usize = 100;

/// Where something about people is kept.
pub struct Privacy<'a> {
    /// Questions, answers, and what was said of them.
    pub conversations: &'a Conversations,
    /// What was proposed and done, and reports.
    pub actions: &'a Actions,
    /// Documents with their owners.
    pub ingest: &'a Ingest,
    /// The passages of those.
    pub index: &'a Index,
    /// Who did what.
    pub audit: &'a Audit,
    /// Tokens that were spent.
    pub budget: Option<&'a Arc<Budget>>,
    /// The records of all of these.
    pub records: &'a Arc<dyn RecordStore>,
}

/// One thing that is kept about a person.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// What it is: `conversation`, `feedback`, `action`, `document` or `audit`.
    pub kind: &'static str,
    /// All of it.
    pub content: Value,
}

impl Privacy<'_> {
    /// Gives `each` all that is kept about a person. Documents come as what is known of them; their content is in storage.
    pub async fn export(&self, person: &Principal, mut each: impl FnMut(Item)) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.conversations.list(person, after.as_deref(), PAGE).await?;
            for conversation in page.conversations {
                let (conversation, turns) =
                    self.conversations.get(person, &ConversationId::parse(&conversation.id)?).await?;
                each(Item { kind: "conversation", content: json!({"conversation": conversation, "turns": turns}) });
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        for said in self.conversations.feedback_of(person).await? {
            each(Item { kind: "feedback", content: json!(said) });
        }
        loop {
            let page = self.actions.list(person, after.as_deref(), PAGE).await?;
            page.actions.into_iter().for_each(|action| each(Item { kind: "action", content: json!(action) }));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        for row in self.documents_of(person).await? {
            each(Item { kind: "document", content: json!(row) });
        }
        let is_theirs = |who: &str| who == person.owner();
        self.audit
            .read(None, None, |record| {
                if is_theirs(&record.who) {
                    each(Item { kind: "audit", content: json!(record) });
                }
            })
            .await
    }

    async fn documents_of(&self, person: &Principal) -> Result<Vec<LedgerRow>> {
        let rows = self.ingest.ledger.all().await?;
        let is_theirs = |row: &LedgerRow| row.owner.as_deref() == Some(person.owner()) && row.state != State::Deleted;
        Ok(rows.into_iter().filter(is_theirs).collect())
    }
}
