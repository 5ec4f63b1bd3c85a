//! What a person asks for about one document: try it again, delete it. Enters: a row of the ledger. Leaves: the row as it is
//! afterwards. Both may be repeated.

use super::ledger::{LedgerRow, State};
use super::pipeline::Ingest;
use crate::document::{DocumentId, DocumentName};
use crate::error::{Error, ErrorKind, Result};

impl Ingest {
    /// Tries a failed or quarantined document again at once, as if it were new, and returns its row. What goes wrong is in
    /// the row. Doing it again tries once more, or is refused when the first time helped.
    pub async fn retry(&self, row: &LedgerRow) -> Result<LedgerRow> {
        if !matches!(row.state, State::Failed | State::Quarantined) {
            let sentence = "only a failed or quarantined document can be tried again";
            return Err(Error::new(ErrorKind::InvalidRequest, sentence));
        }
        let name = name_of(row)?;
        self.ledger.reset(&row.id, name.as_str()).await?;
        let tried = self.sync(&name).await;
        let row = self.ledger.get(&row.id).await?;
        match (row, tried) {
            (Some(row), _) => Ok(row),
            (None, Err(e)) => Err(e),
            (None, Ok(_)) => Err(Error::new(ErrorKind::Internal, "the document left no row in the ledger")),
        }
    }

    /// Deletes a document from storage and index. It cannot be found any more when this returns.
    pub async fn delete(&self, row: &LedgerRow) -> Result<()> {
        let name = name_of(row)?;
        self.documents.delete(name.as_str()).await?;
        self.sync(&name).await.map(|_| ())
    }
}

/// The name a row is about. A blob whose name no document can have is shown under a changed one, which may be another's.
fn name_of(row: &LedgerRow) -> Result<DocumentName> {
    let name = DocumentName::parse(&row.name).ok().filter(|name| DocumentId::of(name) == row.id);
    let sentence = "the blob has a name that no document can have; rename or delete it in storage";
    name.ok_or_else(|| Error::new(ErrorKind::InvalidName, sentence))
}
