//! Lexical search over one generation: BM25 over text and context, over the rows a principal may see and no others.

use tantivy::query::{BooleanQuery, BoostQuery, EnableScoring, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, DocId, DocSet, Score, TERMINATED, TantivyDocument, Term};

use super::segment;
use super::snapshot::{RowSet, Snapshot};
use crate::document::{DocumentId, Passage, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::index::{Hit, QueryTerm};

/// How much a term found in title, headings or name counts beside one found in the text.
const CONTEXT_BOOST: Score = 0.4;

/// Passages that weights imagine besides the real ones: among three passages no term is rare or common yet.
const IMAGINED_PASSAGES: f32 = 50.0;

/// The best `limit` passages for some terms, best first; ties go to the earlier row, so that the order never wavers.
pub fn best(snapshot: &Snapshot, principal: &Principal, terms: &[String], limit: usize) -> Result<Vec<Hit>> {
    if terms.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    rank(snapshot, principal, terms, limit)
        .map_err(damaged)?
        .into_iter()
        .map(|(score, address)| {
            let passage = stored(snapshot, address)?;
            Ok(Hit { passage, score })
        })
        .collect()
}

/// The weight of each term: its inverse document frequency, with that of a term nobody uses as the highest.
pub fn weights(snapshot: &Snapshot, terms: &[String]) -> Result<Vec<QueryTerm>> {
    let total = snapshot.searcher.num_docs() as f32 + IMAGINED_PASSAGES;
    terms
        .iter()
        .map(|term| {
            let frequency = document_frequency(snapshot, term).map_err(damaged)? as f32;
            let weight = (1.0 + (total - frequency + 0.5) / (frequency + 0.5)).ln();
            Ok(QueryTerm { term: term.clone(), weight })
        })
        .collect()
}

/// Every passage of a document that the principal may read, in order.
pub fn of_document(snapshot: &Snapshot, principal: &Principal, document: &DocumentId) -> Result<Vec<Passage>> {
    let term = Term::from_field_text(snapshot.fields.document, document.as_str());
    let mut passages = Vec::new();
    for (ordinal, reader) in snapshot.searcher.segment_readers().iter().enumerate() {
        let visible = visible_rows(snapshot, ordinal, principal).map_err(damaged)?;
        let index = reader.inverted_index(snapshot.fields.document).map_err(damaged)?;
        let postings = index.read_postings(&term, IndexRecordOption::Basic).map_err(|e| damaged(e.into()))?;
        let Some(mut postings) = postings else { continue };
        while postings.doc() != TERMINATED {
            if visible.contains(postings.doc()) {
                passages.push(stored(snapshot, DocAddress::new(segment_ordinal(ordinal), postings.doc()))?);
            }
            postings.advance();
        }
    }
    passages.sort_by_key(|passage| passage.ordinal);
    Ok(passages)
}

fn rank(
    snapshot: &Snapshot,
    principal: &Principal,
    terms: &[String],
    limit: usize,
) -> tantivy::Result<Vec<(Score, DocAddress)>> {
    let weight = query(snapshot, terms).weight(EnableScoring::enabled_from_searcher(&snapshot.searcher))?;
    let mut best: Vec<(Score, DocAddress)> = Vec::with_capacity(limit + 1);
    for (ordinal, reader) in snapshot.searcher.segment_readers().iter().enumerate() {
        let visible = visible_rows(snapshot, ordinal, principal)?;
        let threshold = threshold(&best, limit);
        weight.for_each_pruning(threshold, reader, &mut |row: DocId, score: Score| {
            if visible.contains(row) {
                let place = best.partition_point(|(other, _)| *other >= score);
                best.insert(place, (score, DocAddress::new(segment_ordinal(ordinal), row)));
                best.truncate(limit);
            }
            self::threshold(&best, limit)
        })?;
    }
    Ok(best)
}

/// The score a row must exceed to be among the best: the library skips whole blocks that cannot.
fn threshold(best: &[(Score, DocAddress)], limit: usize) -> Score {
    if best.len() < limit { Score::MIN } else { best[limit - 1].0 }
}

fn query(snapshot: &Snapshot, terms: &[String]) -> BooleanQuery {
    let clause = |field: Field, term: &str| -> Box<dyn Query> {
        Box::new(TermQuery::new(Term::from_field_text(field, term), IndexRecordOption::WithFreqs))
    };
    let clauses = terms.iter().flat_map(|term| {
        let context = BoostQuery::new(clause(snapshot.fields.context, term), CONTEXT_BOOST);
        [(Occur::Should, clause(snapshot.fields.text, term)), (Occur::Should, Box::new(context) as Box<dyn Query>)]
    });
    BooleanQuery::new(clauses.collect())
}

/// The live rows of a segment that carry one of the principal's marks. No mark, no row.
fn visible_rows(snapshot: &Snapshot, ordinal: usize, principal: &Principal) -> tantivy::Result<RowSet> {
    let reader = snapshot.searcher.segment_reader(segment_ordinal(ordinal));
    let mut visible = RowSet::none(reader.max_doc());
    let index = reader.inverted_index(snapshot.fields.readers)?;
    for mark in principal.readers() {
        let term = Term::from_field_text(snapshot.fields.readers, mark);
        let Some(mut postings) = index.read_postings(&term, IndexRecordOption::Basic)? else { continue };
        while postings.doc() != TERMINATED {
            visible.insert(postings.doc());
            postings.advance();
        }
    }
    visible.intersect(&snapshot.live[ordinal]);
    Ok(visible)
}

fn document_frequency(snapshot: &Snapshot, term: &str) -> tantivy::Result<u64> {
    let mut frequency = 0;
    for field in [snapshot.fields.text, snapshot.fields.context] {
        frequency = frequency.max(snapshot.searcher.doc_freq(&Term::from_field_text(field, term))?);
    }
    Ok(frequency)
}

fn stored(snapshot: &Snapshot, address: DocAddress) -> Result<Passage> {
    let document: TantivyDocument = snapshot.searcher.doc(address).map_err(damaged)?;
    segment::to_row(&document, snapshot.fields).map(|row| row.passage)
}

fn segment_ordinal(ordinal: usize) -> u32 {
    u32::try_from(ordinal).unwrap_or(u32::MAX)
}

fn damaged(cause: tantivy::TantivyError) -> Error {
    Error::new(ErrorKind::IndexDamaged, "the index cannot be read").caused_by(cause)
}
