//! Every passage of the index, whoever may read it: for the operator, who holds the store's keys and could read its files
//! anyway. This is the one exception to the rule that passages are read for a principal. It is called by the command line
//! alone and is behind no address of HTTP; a test reads the sources and keeps it so.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tantivy::{DocAddress, TantivyDocument};

use super::snapshot::Snapshot;
use super::{SegmentIndex, blocking, segment};
use crate::document::DocumentId;
use crate::error::{Error, ErrorKind, Result};

/// A passage as a line of an export.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportedPassage {
    /// `<document>-<ordinal>`.
    pub id: String,
    /// The id of its document.
    pub document: DocumentId,
    /// The document's name.
    pub name: String,
    /// The document's own title, else its file name.
    pub title: String,
    /// Position within the document, from 0.
    pub ordinal: u32,
    /// Page, counted from 1; left out for formats without pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Where in the document, for formats whose places are no pages: `sheet=Prices!A2:D40`; else left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// The text itself.
    pub text: String,
    /// Marks of those who may read it: `everyone`, `user:<tenant>/<id>`, `group:<tenant>/<id>`; none means nobody.
    pub readers: Vec<String>,
    /// The version of the document that it was made from.
    pub version: ExportedVersion,
    /// SHA-256 of the content that it was made from, hexadecimal.
    pub content_hash: String,
    /// What people sort the document under; left out when nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Its embedding, when it has one and it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<ExportedEmbedding>,
}

/// A version of a document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportedVersion {
    /// When storage says that it last changed.
    pub modified: DateTime<Utc>,
    /// Storage's ETag.
    pub etag: String,
}

/// An embedding as the index keeps it: one unit long, and rounded to 16 bits a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportedEmbedding {
    /// The model that made it.
    pub model: String,
    /// The numbers.
    pub values: Vec<f32>,
}

/// What an export held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The generation that was read; one from the first line to the last.
    pub generation: u64,
    /// Passages that were given out.
    pub passages: u64,
    /// Segments that cannot be read and whose passages are missing.
    pub damaged_segments: usize,
}

impl SegmentIndex {
    /// Gives every passage that can be found to `each`, one at a time, regardless of its readers; with embeddings when
    /// asked for. Holds one passage in memory, and one generation open. An error of `each` ends it.
    pub async fn export_all_passages(
        &self,
        with_embeddings: bool,
        mut each: impl FnMut(&ExportedPassage) -> Result<()> + Send + 'static,
    ) -> Result<Exported> {
        let snapshot = self.looked_over().await?;
        blocking(move || {
            let mut passages = 0;
            for (ordinal, reader) in snapshot.searcher.segment_readers().iter().enumerate() {
                for row in (0..reader.max_doc()).filter(|row| snapshot.live[ordinal].contains(*row)) {
                    if let Some(passage) = exported(&snapshot, ordinal, row, with_embeddings)? {
                        each(&passage)?;
                        passages += 1;
                    }
                }
            }
            let damaged_segments = snapshot.manifest.segments.len() - snapshot.vectors.len();
            Ok(Exported { generation: snapshot.manifest.generation, passages, damaged_segments })
        })
        .await
    }
}

fn exported(snapshot: &Snapshot, segment: usize, row: u32, with_embedding: bool) -> Result<Option<ExportedPassage>> {
    let damaged = |e| Error::new(ErrorKind::IndexDamaged, "a segment cannot be read").caused_by(e);
    let address = DocAddress::new(u32::try_from(segment).unwrap_or(u32::MAX), row);
    let stored: TantivyDocument = snapshot.searcher.doc(address).map_err(damaged)?;
    let segment::Row { passage, readers, .. } = segment::to_row(&stored, snapshot.fields)?;
    // A live row has an entry.
    let Some(entry) = snapshot.manifest.live(&passage.document_id) else { return Ok(None) };
    let vectors = snapshot.vectors[segment].as_ref().filter(|_| with_embedding);
    let embedding = vectors.and_then(|of_segment| {
        let values = of_segment.vectors.embedding(row as usize)?;
        Some(ExportedEmbedding { model: of_segment.space.model.clone(), values })
    });
    let version = ExportedVersion { modified: entry.version.modified, etag: entry.version.etag.clone() };
    Ok(Some(ExportedPassage {
        id: passage.id,
        document: passage.document_id,
        name: passage.name.to_string(),
        title: passage.title,
        ordinal: passage.ordinal,
        page: passage.page,
        place: passage.place,
        heading_path: passage.heading_path,
        text: passage.text,
        readers,
        version,
        content_hash: entry.content_hash.clone(),
        category: entry.category.clone(),
        embedding,
    }))
}
