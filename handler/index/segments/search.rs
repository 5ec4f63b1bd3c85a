//! Search over one generation: by words (BM25 over text and context) and by embeddings, always over the rows a principal may
//! see and no others.

use std::collections::HashMap;

use tantivy::query::{BooleanQuery, BoostQuery, EnableScoring, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, DocId, DocSet, Score, TERMINATED, Term};

use super::best::Best;
use super::passages::read;
use super::rows::RowSet;
use super::snapshot::{SegmentVectors, Snapshot};
use super::vectors::scan::{Searched, nearest};
use crate::document::{DocumentId, Embedding, Passage, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::index::filter::Filter;
use crate::index::rank::{self, RankSettings, Thinning};
use crate::index::{Found, Hit, Query as Wanted, QueryTerm};

/// How much a term found in title, headings or name counts beside one found in the text.
const CONTEXT_BOOST: Score = 0.4;

/// Passages that weights imagine besides the real ones: among three passages no term is rare or common yet.
const IMAGINED_PASSAGES: f32 = 50.0;

/// What a question finds in one generation, with the weights of its terms.
pub fn found(
    snapshot: &Snapshot,
    principal: &Principal,
    query: &Wanted,
    terms: &[String],
    ranking: &RankSettings,
) -> Result<Found> {
    let hits = best(snapshot, principal, query, terms, ranking)?;
    Ok(Found { hits, terms: weights(snapshot, terms)?, generation: snapshot.manifest.generation })
}

/// The passages that fit best: both rankings joined, without those that say what a better one said.
fn best(
    snapshot: &Snapshot,
    principal: &Principal,
    query: &Wanted,
    terms: &[String],
    ranking: &RankSettings,
) -> Result<Vec<Hit>> {
    let rows = searched_rows(snapshot, principal, &query.filter)?;
    let depth = ranking.depth.max(2 * query.limit);
    let mut rankings = vec![(ranking.words_weight, by_words(snapshot, &rows, terms, depth)?)];
    let mut cosines = HashMap::new();
    if let Some(embedding) = &query.embedding {
        let ranked = by_embedding(snapshot, &rows, embedding, ranking.over_sampling, depth)?;
        cosines.extend(ranked.iter().map(|(cosine, row)| (*row, *cosine)));
        rankings.push((ranking.vectors_weight, ranked.into_iter().map(|(_, row)| row).collect()));
    }
    let mut thinning = Thinning::default();
    let mut hits = Vec::with_capacity(query.limit);
    for (score, row) in rank::fuse(&rankings) {
        if hits.len() == query.limit {
            break;
        }
        let read = snapshot.passage(row)?;
        if thinning.takes(&read.words) {
            hits.push(Hit { passage: read.passage, score, cosine: cosines.get(&row).copied() });
        }
    }
    Ok(hits)
}

/// The rows a search looks at: live, admitted by the filter, and to be read by the principal; a set for each segment.
fn searched_rows(snapshot: &Snapshot, principal: &Principal, filter: &Filter) -> Result<Vec<RowSet>> {
    let mut rows = snapshot.visible(principal).map_err(damaged)?;
    if !filter.is_open() {
        let admitted = snapshot.admitted(filter);
        rows.iter_mut().zip(admitted.iter()).for_each(|(rows, admitted)| rows.intersect(admitted));
    }
    Ok(rows)
}

/// The best rows for some terms, best first; ties go to the earlier row, so that the order never wavers.
fn by_words(snapshot: &Snapshot, rows: &[RowSet], terms: &[String], limit: usize) -> Result<Vec<DocAddress>> {
    if terms.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let ranked = rank(snapshot, rows, terms, limit).map_err(damaged)?;
    Ok(ranked.into_rows().into_iter().map(|(_, row)| row).collect())
}

/// The rows whose embeddings are most like one, each with the cosine, best first. When there are embeddings and none of them
/// can be compared with it, that is `EmbeddingMismatch`; segments without comparable ones are passed over, because they are
/// being made anew.
fn by_embedding(
    snapshot: &Snapshot,
    rows: &[RowSet],
    embedding: &Embedding,
    over_sampling: f32,
    limit: usize,
) -> Result<Vec<(f32, DocAddress)>> {
    let of_any_space = snapshot.vectors.iter().flatten().count();
    let comparable = |vectors: &&SegmentVectors| vectors.space == *embedding.space;
    if of_any_space > 0 && !snapshot.vectors.iter().flatten().any(|vectors| comparable(&vectors)) {
        return Err(Error::new(
            ErrorKind::EmbeddingMismatch,
            "the index was made with another embedding model than the question's; it is made anew by maintenance",
        ));
    }
    let searched: Vec<Searched<'_>> = snapshot
        .vectors
        .iter()
        .zip(rows)
        .enumerate()
        .filter_map(|(segment, (vectors, rows))| {
            let vectors = vectors.as_ref().filter(comparable)?;
            Some(Searched { segment: segment_ordinal(segment), vectors: &vectors.vectors, rows })
        })
        .collect();
    Ok(nearest(&searched, &embedding.values, over_sampling, limit))
}

/// The weight of each term: its inverse document frequency, with that of a term nobody uses as the highest.
fn weights(snapshot: &Snapshot, terms: &[String]) -> Result<Vec<QueryTerm>> {
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
    let visible = snapshot.visible(principal).map_err(damaged)?;
    for (ordinal, (reader, visible)) in snapshot.searcher.segment_readers().iter().zip(visible).enumerate() {
        let index = reader.inverted_index(snapshot.fields.document).map_err(damaged)?;
        let postings = index.read_postings(&term, IndexRecordOption::Basic).map_err(|e| damaged(e.into()))?;
        let Some(mut postings) = postings else { continue };
        while postings.doc() != TERMINATED {
            if visible.contains(postings.doc()) {
                let row = DocAddress::new(segment_ordinal(ordinal), postings.doc());
                passages.push(read(&snapshot.searcher, snapshot.fields, row)?);
            }
            postings.advance();
        }
    }
    passages.sort_by_key(|passage| passage.ordinal);
    Ok(passages)
}

fn rank(snapshot: &Snapshot, rows: &[RowSet], terms: &[String], limit: usize) -> tantivy::Result<Best> {
    let weight = query(snapshot, terms).weight(EnableScoring::enabled_from_searcher(&snapshot.searcher))?;
    let mut best = Best::new(limit);
    for (ordinal, (reader, rows)) in snapshot.searcher.segment_readers().iter().zip(rows).enumerate() {
        // The library skips whole blocks that cannot exceed the threshold.
        weight.for_each_pruning(best.threshold(), reader, &mut |row: DocId, score: Score| {
            if rows.contains(row) {
                best.offer(score, DocAddress::new(segment_ordinal(ordinal), row));
            }
            best.threshold()
        })?;
    }
    Ok(best)
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

fn document_frequency(snapshot: &Snapshot, term: &str) -> tantivy::Result<u64> {
    let mut frequency = 0;
    for field in [snapshot.fields.text, snapshot.fields.context] {
        frequency = frequency.max(snapshot.searcher.doc_freq(&Term::from_field_text(field, term))?);
    }
    Ok(frequency)
}

fn segment_ordinal(ordinal: usize) -> u32 {
    u32::try_from(ordinal).unwrap_or(u32::MAX)
}

fn damaged(cause: tantivy::TantivyError) -> Error {
    Error::new(ErrorKind::IndexDamaged, "the index cannot be read").caused_by(cause)
}
