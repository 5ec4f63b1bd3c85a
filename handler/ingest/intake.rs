//! The way in for documents that callers bring: names and categories are checked, the owner's quota is kept, the bytes go
//! into storage. From there a document goes the same way as one dropped into storage by hand.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::ledger::{LedgerRow, State};
use super::pipeline::Ingest;
use super::reconcile::is_hidden;
use super::rights::{self, Sharing};
use crate::document::{DocumentId, DocumentName, Principal, Role};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::{Condition, PutOptions};

/// Writes of one document, each after somebody else was faster.
const MAX_TRIES: u32 = 5;
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
    pub by: Principal,
    /// What to sort it under.
    pub category: Option<String>,
}

impl Ingest {
    /// Puts a document into storage and says so in the ledger. Doing it again replaces the document by itself.
    pub async fn accept(&self, submission: Submission) -> Result<LedgerRow> {
        self.accept_for(submission, None).await
    }

    /// The same for readers whom the caller names. They count where the document is new or the caller's own.
    pub async fn accept_for(&self, submission: Submission, sharing: Option<&Sharing>) -> Result<LedgerRow> {
        let Submission { name, bytes, by, category } = submission;
        let id = DocumentId::of(&name);
        let replaces = self.ledger.get(&id).await?.is_some_and(|row| row.state != State::Deleted);
        let most = self.settings.max_documents_per_owner;
        if !replaces && self.ledger.count_of(by.owner()).await? >= most {
            let sentence =
                format!("{most} documents were uploaded already; delete some, or raise MAX_DOCUMENTS_PER_USER");
            return Err(Error::new(ErrorKind::QuotaExceeded, sentence));
        }
        let size_bytes = bytes.len() as u64;
        let mut tries = 1;
        let standing = loop {
            let (condition, mut metadata) = self.kept_rights(&name, &by).await?;
            let is_theirs = by.owns(metadata.get(rights::OWNER).map(String::as_str));
            metadata.extend(sharing.filter(|_| is_theirs).into_iter().flat_map(Sharing::metadata));
            metadata.extend(category.iter().map(|category| (rights::CATEGORY.to_owned(), category.clone())));
            let standing = self.settings.rights.standing(name.as_str(), &metadata);
            let written =
                self.documents.put_with(name.as_str(), bytes.clone(), PutOptions { condition, metadata }).await;
            match written {
                Ok(_) => break standing,
                // Somebody was faster with this name, so its rights are other ones.
                Err(e) if e.kind() == ErrorKind::PreconditionFailed && tries < MAX_TRIES => tries += 1,
                Err(e) => return Err(e),
            }
        };
        self.ledger.queue(&id, name.as_str(), &standing, size_bytes).await
    }

    /// What storage is to say of a new version's owner and readers, as long as the old one is as it is now. A new version must
    /// not widen who reads. Whoever may not read the old one may not replace it either, and what somebody else brought is for
    /// operators to replace, who do not take it over.
    async fn kept_rights(&self, name: &DocumentName, by: &Principal) -> Result<(Condition, BTreeMap<String, String>)> {
        let own = || (rights::OWNER.to_owned(), by.owner().to_owned());
        let Some(found) = self.documents.head(name.as_str()).await? else {
            return Ok((Condition::IfAbsent, BTreeMap::from([own()])));
        };
        if !by.may_read(&self.standing(&found).readers) {
            return Err(Error::new(ErrorKind::InvalidName, "this name cannot be used; choose another one"));
        }
        let said = rights::said(&found);
        if by.role() < Role::Operator && !by.owns(said.get(rights::OWNER).map(String::as_str)) {
            let sentence =
                "somebody else brought the document of this name; choose another name, or let an operator replace it";
            return Err(Error::new(ErrorKind::InsufficientScope, sentence));
        }
        // A write takes the tags away, so what they say of rights goes into the metadata.
        let is_right = |name: &str| matches!(name, rights::OWNER | rights::ALLOWED_USERS | rights::ALLOWED_GROUPS);
        let mut metadata: BTreeMap<_, _> = said.into_iter().filter(|(name, _)| is_right(name)).collect();
        if metadata.get(rights::OWNER).is_none_or(|owner| owner.is_empty() || owner == Principal::ANONYMOUS) {
            metadata.extend([own()]);
        }
        Ok((Condition::IfMatch(found.etag), metadata))
    }

    /// Sorts a document that is in storage under a category.
    pub async fn categorize(&self, row: &LedgerRow, category: &str) -> Result<LedgerRow> {
        if let Some(blob) = self.documents.get(&row.name, None).await? {
            let mut metadata = rights::said(&blob.meta);
            metadata.insert(rights::CATEGORY.to_owned(), category.to_owned());
            let options = PutOptions { condition: Condition::IfMatch(blob.meta.etag), metadata };
            self.documents.put_with(&row.name, blob.bytes, options).await?;
        }
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
