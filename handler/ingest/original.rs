//! A document as it was put into storage, for whoever may read it, and single pages of it as pictures.

use super::formats::pdf::page::{DrawnPage, PageWanted};
use super::ledger::LedgerRow;
use super::pipeline::Ingest;
use crate::document::{DocumentName, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::blobs::Blob;

impl Ingest {
    /// What storage has under the name of a row. It may be newer than the row, so its own marks are looked at too: what the
    /// principal may not read any more is as absent as what was deleted.
    pub async fn original(&self, row: &LedgerRow, principal: &Principal) -> Result<Blob> {
        let absent = || Error::new(ErrorKind::NotFound, "there is no such document");
        let name = DocumentName::parse(&row.name).map_err(|_| absent())?;
        let head = self.documents.head(name.as_str()).await?.ok_or_else(absent)?;
        if head.size_bytes > self.settings.max_document_bytes {
            return Err(Error::new(ErrorKind::DocumentTooLarge, "the document is larger than this server takes"));
        }
        let blob = self.documents.get(name.as_str(), None).await?.ok_or_else(absent)?;
        let standing = self.standing(&blob.meta);
        if principal.may_read(&standing.readers) { Ok(blob) } else { Err(absent()) }
    }

    /// A page of a document that has pages to draw, which are PDFs.
    pub async fn draw_page(&self, row: &LedgerRow, principal: &Principal, wanted: PageWanted) -> Result<DrawnPage> {
        let blob = self.original(row, principal).await?;
        let start = &blob.bytes[..blob.bytes.len().min(1024)];
        if !start.windows(5).any(|five| five == b"%PDF-") {
            let sentence = "only the pages of a PDF can be drawn; its passages are at `/passages/`";
            return Err(Error::new(ErrorKind::DocumentUnsupported, sentence));
        }
        self.extractor.draw(&DocumentName::parse(&row.name)?, blob.bytes, wanted).await
    }
}
