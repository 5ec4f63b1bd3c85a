//! Searching: words and vector in one request, fused by the service; then the claims of the documents that were hit,
//! and what is not of the version that counts is left out. A principal's marks are in every request.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::AzureSearchIndex;
use super::claim::{Claim, live};
use super::client::Call;
use super::filter;
use super::layout::Shelf;
use super::schema::{KIND, PASSAGE, SEMANTIC, vector_field};
use crate::document::{DocumentId, DocumentName, Passage, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::index::filter::Filter;
use crate::index::rank::{RankSettings, Thinning, Words};
use crate::index::{Found, Hit, Query, QueryTerm};

/// The fields a passage is made of.
pub(super) const PASSAGE_FIELDS: &str = "id,document_id,upload,ordinal,page,place,text,title,headings,name";
/// The fields that words are looked for in.
const SEARCHED_FIELDS: &str = "text,title,headings,name";
/// Words of a question that are sent; the service allows 1,024 clauses.
const MOST_WORDS: usize = 200;
/// Characters of a word that are sent; the service allows about 32 KB.
const MOST_WORD_CHARS: usize = 200;
/// Neighbours that the vector search brings into the fusion at least, as the service advises for reranking.
const LEAST_NEIGHBOURS: usize = 50;
/// Weight of words below which they count nothing.
const LEAST_WEIGHT: f32 = 0.01;
/// Most rows of one answer.
pub(super) const MOST_ROWS: usize = 1_000;
/// How long reranking by meaning may take before results come without it.
const SEMANTIC_WAIT_MS: u32 = 2_000;
/// Passages that weights imagine besides those found: among three passages no term is rare or common yet.
const IMAGINED_PASSAGES: f32 = 50.0;

impl AzureSearchIndex {
    /// The passages that fit best and that `principal` may read. An embedding of a space that the index has no vectors
    /// of, while it has others, is `EmbeddingMismatch`.
    pub async fn search(&self, principal: &Principal, query: &Query, ranking: &RankSettings) -> Result<Found> {
        let terms = self.shared.analyzer.question_terms(&query.text);
        let nothing = |generation| Found { hits: Vec::new(), terms: weights(&terms, 0, &HashMap::new()), generation };
        let is_empty = terms.is_empty() && query.embedding.is_none();
        let (Some(readable), Some(layout)) = (filter::readable(principal), self.layout().await?) else {
            return Ok(nothing(0));
        };
        let shelf = &layout.current;
        if is_empty || query.limit == 0 {
            return Ok(nothing(self.generation(&shelf.name).await?));
        }
        let mut conditions = vec![filter::is(KIND, PASSAGE), readable];
        conditions.extend(filter::on_documents(&query.filter));
        let mut body = self.body(query, !terms.is_empty(), &filter::all(&conditions));
        add_vector(&mut body, shelf, query, ranking)?;
        let (hits, generation) =
            tokio::try_join!(self.living_hits(&shelf.name, body, query), self.generation(&shelf.name))?;
        let terms = self.weigh(&terms, &hits);
        let mut thinning = Thinning::default();
        let hits =
            hits.into_iter().filter(|hit| thinning.takes(&Words::of(&hit.passage.text))).take(query.limit).collect();
        Ok(Found { hits, terms, generation })
    }

    fn body(&self, query: &Query, has_words: bool, conditions: &str) -> Value {
        let mut body = json!({
            "filter": conditions,
            "select": PASSAGE_FIELDS,
            "queryType": "simple",
        });
        if has_words {
            body["search"] = json!(words(&query.text));
            body["searchMode"] = json!("any");
            body["searchFields"] = json!(SEARCHED_FIELDS);
        }
        if self.shared.settings.semantic && has_words {
            body["queryType"] = json!("semantic");
            body["semanticConfiguration"] = json!(SEMANTIC);
            // Late or overloaded, it is left out, and the answer says 206.
            body["semanticErrorHandling"] = json!("partial");
            body["semanticMaxWaitInMilliseconds"] = json!(SEMANTIC_WAIT_MS);
        }
        body
    }

    /// Hits of versions that count, best first. Those of versions that are about to be deleted take places in the
    /// service's answer, so more are asked for than are wanted, and still more when too few are left.
    async fn living_hits(&self, index: &str, mut body: Value, query: &Query) -> Result<Vec<Hit>> {
        let can_find = body.get("search").is_some() || body.get("vectorQueries").is_some();
        if !can_find {
            return Ok(Vec::new());
        }
        let limit = query.limit;
        let mut top = (limit + limit / 2 + 5).min(MOST_ROWS);
        loop {
            body["top"] = json!(top);
            if let Some(vector) = body.get_mut("vectorQueries") {
                vector[0]["k"] = json!(top.max(LEAST_NEIGHBOURS));
            }
            let rows = self.ask(index, &body).await?;
            let documents: HashSet<DocumentId> = rows.iter().filter_map(document_of).collect();
            let claims = self.claims_of_many(index, &documents).await?;
            let hits = self.living(&rows, &claims, &query.filter)?;
            if hits.len() >= limit || rows.len() < top || top == MOST_ROWS {
                return Ok(hits);
            }
            top = (top * 4).min(MOST_ROWS);
        }
    }

    /// The hits that belong to the version of their document that counts, and to documents that the filter admits.
    fn living(&self, rows: &[Value], claims: &HashMap<DocumentId, Vec<Claim>>, filter: &Filter) -> Result<Vec<Hit>> {
        let now = self.shared.clock.now();
        let mut hits = Vec::new();
        for row in rows {
            let claim = document_of(row).and_then(|document| live(claims.get(&document)?));
            let Some(claim) = claim.filter(|claim| row["upload"].as_str() == Some(&claim.upload)) else { continue };
            if filter.admits(&claim.document, &claim.entry(now)) {
                let score = row["@search.rerankerScore"].as_f64().or(row["@search.score"].as_f64()).unwrap_or(0.0);
                hits.push(Hit { passage: Arc::new(passage_of(row)?), score: score as f32, cosine: None });
            }
        }
        // Equal scores come in any order from the service, and in one order from us.
        hits.sort_by(|a, b| {
            let place = |hit: &Hit| (hit.passage.name.clone(), hit.passage.ordinal);
            b.score.total_cmp(&a.score).then_with(|| place(a).cmp(&place(b)))
        });
        Ok(hits)
    }

    /// The rows of one answer. A partial one (206) is taken: reranking was left out of it and nothing else.
    pub(super) async fn ask(&self, index: &str, body: &Value) -> Result<Vec<Value>> {
        let path = format!("indexes('{index}')/docs/search.post.search");
        let answer = self.shared.client.send(&Call::ask(path, body)).await?;
        if answer.status == 404 {
            self.forget_layout();
        }
        let mut answer_body = answer.json(&[200, 206])?;
        if let Some(reason) = answer_body["@search.semanticPartialResponseReason"].as_str() {
            let known =
                ["maxWaitExceeded", "capacityOverloaded", "transient"].into_iter().find(|known| *known == reason);
            tracing::debug!(reason = known.unwrap_or("other"), "results were not ranked again by meaning");
        }
        match answer_body["value"].take() {
            Value::Array(rows) => Ok(rows),
            _ => Err(Error::new(ErrorKind::StoreUnavailable, "the search service sent something that is no result")),
        }
    }

    /// The service tells nothing of how rare a term is, so what was found stands for the whole: a term that is in none
    /// of the hits, although any of the terms was enough to be found, weighs most.
    fn weigh(&self, terms: &[String], hits: &[Hit]) -> Vec<QueryTerm> {
        let mut frequencies: HashMap<String, usize> = HashMap::new();
        for hit in hits {
            let passage = &hit.passage;
            let context = [passage.title.as_str(), passage.name.as_str()].into_iter();
            let texts = context.chain(passage.heading_path.iter().map(String::as_str)).chain([passage.text.as_str()]);
            let words = texts.flat_map(|text| self.shared.analyzer.terms(text)).map(|term| term.term);
            for word in words.collect::<HashSet<String>>() {
                *frequencies.entry(word).or_default() += 1;
            }
        }
        weights(terms, hits.len(), &frequencies)
    }
}

/// Inverse document frequencies, as the other backend has them, over the hits.
fn weights(terms: &[String], num_hits: usize, frequencies: &HashMap<String, usize>) -> Vec<QueryTerm> {
    let total = num_hits as f32 + IMAGINED_PASSAGES;
    let weigh = |term: &String| {
        let frequency = frequencies.get(term).copied().unwrap_or(0) as f32;
        QueryTerm { term: term.clone(), weight: (1.0 + (total - frequency + 0.5) / (frequency + 0.5)).ln() }
    };
    terms.iter().map(weigh).collect()
}

/// The words of a question without what the query language reads as an operator. Never empty where there are terms,
/// which matters, because nothing to look for would mean everything.
fn words(text: &str) -> String {
    let plain = |c: char| match c {
        '+' | '-' | '|' | '"' | '(' | ')' | '*' | '~' | '\\' => ' ',
        // The same sign to the service's analyzers, and no operator.
        '\'' => '\u{2019}',
        c => c,
    };
    let text: String = text.chars().map(plain).collect();
    let words = text.split_whitespace().take(MOST_WORDS);
    let cut: Vec<String> = words.map(|word| word.chars().take(MOST_WORD_CHARS).collect()).collect();
    cut.join(" ")
}

fn document_of(row: &Value) -> Option<DocumentId> {
    DocumentId::parse(row["document_id"].as_str()?)
}

/// Adds the question's vector. Where there are only words it is left out; where all vectors are of other models, that
/// is said.
fn add_vector(body: &mut Value, shelf: &Shelf, query: &Query, ranking: &RankSettings) -> Result<()> {
    let Some(embedding) = query.embedding.as_ref().filter(|_| shelf.has_vectors()) else { return Ok(()) };
    if !shelf.has(&embedding.space) {
        let sentence =
            "the index was made with another embedding model than the question's; it is made anew by maintenance";
        return Err(Error::new(ErrorKind::EmbeddingMismatch, sentence));
    }
    body["vectorQueries"] = json!([{
        "kind": "vector",
        "vector": embedding.values,
        "fields": vector_field(&embedding.space),
        "k": LEAST_NEIGHBOURS,
        // The service weighs vectors against words, and words always count 1.
        "weight": ranking.vectors_weight / ranking.words_weight.max(LEAST_WEIGHT),
    }]);
    body["vectorFilterMode"] = json!("preFilter");
    Ok(())
}

/// The passage of a row.
pub(super) fn passage_of(row: &Value) -> Result<Passage> {
    let read = || {
        let document_id = document_of(row)?;
        let ordinal = u32::try_from(row["ordinal"].as_u64()?).ok()?;
        let headings = row["headings"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Some(Passage {
            id: Passage::id_of(&document_id, ordinal),
            document_id,
            name: DocumentName::parse(row["name"].as_str()?).ok()?,
            title: row["title"].as_str()?.to_owned(),
            ordinal,
            page: row["page"].as_u64().and_then(|page| u32::try_from(page).ok()),
            place: row["place"].as_str().map(str::to_owned),
            heading_path: headings.map(str::to_owned).collect(),
            text: row["text"].as_str()?.to_owned(),
        })
    };
    read().ok_or_else(|| Error::new(ErrorKind::IndexDamaged, "a row of the search index cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_no_operators() {
        assert_eq!(words(r#"-pool +(ocean | "sea view")* \~ it's 3.50"#), "pool ocean sea view it\u{2019}s 3.50");
        assert_eq!(words("有給休暇は\u{0}?"), "有給休暇は\u{0}?");
        assert_eq!(words(&"word ".repeat(5_000)).split(' ').count(), MOST_WORDS);
        assert_eq!(words(&"x".repeat(50_000)).len(), MOST_WORD_CHARS);
    }

    #[test]
    fn a_term_that_no_hit_has_weighs_most() {
        let terms = ["capital".to_owned(), "mongolia".to_owned()];
        let weights = weights(&terms, 6, &HashMap::from([("capital".to_owned(), 6)]));
        assert!(weights[1].weight > 2.0 * weights[0].weight, "{weights:?}");
    }
}
