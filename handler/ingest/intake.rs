//! The way in for documents that callers bring: names and categories are checked, the owner's quota is kept, the bytes go
//! into storage. From there a document goes the same way as one dropped into storage by hand.

use bytes::Bytes;

use super::ledger::{LedgerRow, State};
use super::pipeline::Ingest;
use super::reconcile::is_hidden;
use crate::document::{DocumentId, DocumentName};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::Condition;

/// Longest category, in characters.
const MAX_CATEGORY_CHARS: usize = 100;

/// A document that a caller brings.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What it will be called.
    pub name: DocumentName,
    /// Its content.
    pub bytes: Bytes,
    /// Who brings it.
    pub owner: String,
    /// What to sort it under.
    pub category: Option<String>,
}

impl Ingest {
    /// Puts a document into storage and says so in the ledger. Doing it again replaces the document by itself.
    pub async fn accept(&self, submission: Submission) -> Result<LedgerRow> {
        let Submission { name, bytes, owner, category } = submission;
        let id = DocumentId::of(&name);
        let replaces = self.ledger.get(&id).await?.is_some_and(|row| row.state != State::Deleted);
        let most = self.settings.max_documents_per_owner;
        if !replaces && self.ledger.count_of(&owner).await? >= most {
            let sentence =
                format!("{most} documents were uploaded already; delete some, or raise MAX_DOCUMENTS_PER_USER");
            return Err(Error::new(ErrorKind::QuotaExceeded, sentence));
        }
        let size_bytes = bytes.len() as u64;
        self.documents.put(name.as_str(), bytes, Condition::Always).await?;
        self.ledger.queue(&id, name.as_str(), &owner, category.as_deref(), size_bytes).await
    }

    /// Sorts a document that is in storage under a category.
    pub async fn categorize(&self, row: &LedgerRow, category: &str) -> Result<LedgerRow> {
        self.ledger.update(&row.id, &row.name, |row| row.category = Some(category.to_owned())).await
    }
}

/// The name of a file that somebody sends. Some clients send a whole path of their machine; its last part is the name.
pub fn file_name(raw: &str) -> Result<DocumentName> {
    let name = DocumentName::parse(raw.rsplit(['/', '\\']).next().unwrap_or(raw))?;
    if is_hidden(name.as_str()) {
        return Err(Error::new(ErrorKind::InvalidName, "a name that starts with `.` or `~$` is taken for no document"));
    }
    Ok(name)
}

/// A category from outside; none when it is blank.
pub fn category(raw: &str) -> Result<Option<String>> {
    let category = raw.trim();
    if category.chars().count() > MAX_CATEGORY_CHARS || category.chars().any(char::is_control) {
        let sentence =
            format!("a category has at most {MAX_CATEGORY_CHARS} characters, none of them a control character");
        return Err(Error::new(ErrorKind::InvalidRequest, sentence));
    }
    Ok((!category.is_empty()).then(|| category.to_owned()))
}
