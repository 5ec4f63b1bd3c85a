//! Search: words by BM25, vectors by their cosine, both fused by reciprocal ranks (k = 60), and the answer in the
//! service's form. Its analyzer imitates the one that is defined for real: lower case, no accents, pairs in scripts
//! without spaces, no stop words, no plural s.

use std::collections::HashMap;

use axum::body::Bytes;
use serde_json::{Map, Value, json};

use super::definition::{is_vector, only};
use super::{Reply, Service, bad, documents, filter};

const OF_SEARCH: &[&str] = &[
    "count",
    "facets",
    "filter",
    "highlight",
    "highlightPostTag",
    "highlightPreTag",
    "minimumCoverage",
    "orderby",
    "queryType",
    "scoringStatistics",
    "sessionId",
    "scoringParameters",
    "scoringProfile",
    "debug",
    "search",
    "searchFields",
    "searchMode",
    "select",
    "skip",
    "top",
    "semanticConfiguration",
    "semanticErrorHandling",
    "semanticMaxWaitInMilliseconds",
    "semanticQuery",
    "answers",
    "captions",
    "vectorQueries",
    "vectorFilterMode",
];
const STOP_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "if", "in", "is", "it", "of", "on", "or", "that", "the",
    "this", "to", "was", "will", "with",
];
/// The constant of reciprocal rank fusion.
const FUSION: f64 = 60.0;
/// Most results of one answer.
const MOST_RESULTS: usize = 1_000;

/// A ranking: keys of rows with their scores, best first.
type Ranking = Vec<(String, f64)>;

/// Answers a search.
pub(super) fn search(service: &Service, name: &str, body: &Bytes) -> Reply {
    let question: Value = serde_json::from_slice(body).unwrap_or_default();
    match answer(service, name, &question) {
        Ok(reply) => reply,
        Err(why) => bad(why),
    }
}

fn answer(service: &Service, name: &str, question: &Value) -> Result<Reply, String> {
    only(question, OF_SEARCH)?;
    let index = &service.indexes[name];
    let definition = &index.definition;
    let conditions = match question["filter"].as_str() {
        Some(text) => filter::parse(text, definition)?,
        None => Vec::new(),
    };
    let allowed: Vec<(&String, &Map<String, Value>)> =
        index.shown.iter().filter(|(_, row)| conditions.iter().all(|condition| condition.holds(row))).collect();
    let mut rankings = Vec::new();
    let text = question["search"].as_str().map(str::trim).filter(|text| !text.is_empty() && *text != "*");
    if let Some(text) = text {
        rankings.push(by_words(text, &searched(question, definition)?, &allowed, question)?);
    }
    for vector in question["vectorQueries"].as_array().into_iter().flatten() {
        rankings.push(by_vector(vector, definition, &allowed)?);
    }
    let mut ranked: Ranking = match rankings.len() {
        0 => allowed.iter().map(|(key, _)| ((*key).clone(), 1.0)).collect(),
        1 => rankings.remove(0),
        _ => fuse(&rankings),
    };
    sort(&mut ranked, question, definition, &index.shown)?;
    let semantic = semantic(question, definition)?;
    let is_partial = semantic && service.is_reranker_slow;
    let count = ranked.len();
    let (skip, top) = (number(question, "skip", 0)?, number(question, "top", 50)?.min(MOST_RESULTS));
    let select = selected(question, definition)?;
    let results = ranked.into_iter().skip(skip).take(top).map(|(key, score)| {
        let mut row = documents::retrievable(&index.shown[&key], definition);
        row.retain(|name, _| select.as_ref().is_none_or(|select| select.contains(name)));
        row.insert("@search.score".to_owned(), json!(score));
        if semantic && !is_partial {
            row.insert("@search.rerankerScore".to_owned(), json!(1.0 + score / (1.0 + score)));
        }
        Value::Object(row)
    });
    let mut body = json!({"value": results.collect::<Vec<_>>()});
    if question["count"] == true {
        body["@odata.count"] = json!(count);
    }
    if is_partial {
        body["@search.semanticPartialResponseReason"] = json!("maxWaitExceeded");
        body["@search.semanticPartialResponseType"] = json!("baseResults");
    }
    Ok((if is_partial { 206 } else { 200 }, Some(body)))
}

fn number(question: &Value, name: &str, default: usize) -> Result<usize, String> {
    match &question[name] {
        Value::Null => Ok(default),
        value => value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| format!("'{name}' is no number")),
    }
}

fn list(question: &Value, name: &str) -> Option<Vec<String>> {
    let names = question[name].as_str()?.split(',').map(|name| name.trim().to_owned());
    Some(names.collect::<Vec<_>>()).filter(|names| names.as_slice() != ["*"])
}

fn field<'a>(definition: &'a Value, name: &str) -> Result<&'a Value, String> {
    let known = definition["fields"].as_array().into_iter().flatten().find(|field| field["name"] == name);
    known.ok_or_else(|| format!("there is no field '{name}'"))
}

fn selected(question: &Value, definition: &Value) -> Result<Option<Vec<String>>, String> {
    let select = list(question, "select");
    for name in select.iter().flatten() {
        if field(definition, name)?["retrievable"] != true {
            return Err(format!("the field '{name}' is not retrievable"));
        }
    }
    Ok(select)
}

fn searched(question: &Value, definition: &Value) -> Result<Vec<String>, String> {
    let is_searched = |field: &Value| field["searchable"] == true && !is_vector(field);
    if let Some(names) = list(question, "searchFields") {
        for name in &names {
            if !is_searched(field(definition, name)?) {
                return Err(format!("the field '{name}' is not searchable"));
            }
        }
        return Ok(names);
    }
    let fields = definition["fields"].as_array().into_iter().flatten().filter(|field| is_searched(field));
    Ok(fields.filter_map(|field| field["name"].as_str().map(str::to_owned)).collect())
}

fn semantic(question: &Value, definition: &Value) -> Result<bool, String> {
    match question["queryType"].as_str().unwrap_or("simple") {
        "simple" => Ok(false),
        "semantic" => {
            let name = &question["semanticConfiguration"];
            let mut configurations = definition["semantic"]["configurations"].as_array().into_iter().flatten();
            let is_there = configurations.any(|configuration| configuration["name"] == *name);
            if is_there { Ok(true) } else { Err("there is no such semantic configuration".to_owned()) }
        }
        _ => Err("nobody here sends this type of query".to_owned()),
    }
}

/// Orders by a field when that is asked for, else by score; equal scores in the reverse order of keys, so that nobody
/// comes to rely on a kind order.
fn sort(ranked: &mut Ranking, question: &Value, definition: &Value, rows: &super::Rows) -> Result<(), String> {
    let Some(order) = question["orderby"].as_str() else {
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
        return Ok(());
    };
    let (name, direction) = order.split_once(' ').unwrap_or((order, "asc"));
    if field(definition, name)?["sortable"] != true {
        return Err(format!("the field '{name}' is not sortable"));
    }
    let value = |key: &String| rows[key].get(name).and_then(Value::as_f64).unwrap_or(f64::MIN);
    ranked.sort_by(|a, b| value(&a.0).total_cmp(&value(&b.0)));
    match direction {
        "asc" => {}
        "desc" => ranked.reverse(),
        _ => return Err("the order is not understood".to_owned()),
    }
    Ok(())
}

/// BM25 over the joined fields. Signs that the query language reads as operators are refused: nobody here means them.
fn by_words(
    text: &str,
    fields: &[String],
    allowed: &[(&String, &Map<String, Value>)],
    question: &Value,
) -> Result<Ranking, String> {
    if text.contains(['+', '|', '"', '(', ')', '\'', '\\', '*']) || text.split_whitespace().any(|w| w.starts_with('-'))
    {
        return Err("the question has operators in it".to_owned());
    }
    if text.len() > 100_000 || text.split_whitespace().count() > 1_024 {
        return Err("the question is too long".to_owned());
    }
    let all = match question["searchMode"].as_str() {
        None | Some("any") => false,
        Some("all") => true,
        Some(_) => return Err("the search mode is not understood".to_owned()),
    };
    let asked = terms(text);
    let texts: Vec<HashMap<String, f64>> = allowed.iter().map(|(_, row)| frequencies(row, fields)).collect();
    let lengths: Vec<f64> = texts.iter().map(|terms| terms.values().sum()).collect();
    let mean = lengths.iter().sum::<f64>() / (lengths.len().max(1) as f64);
    let rarity = |term: &String| {
        let having = texts.iter().filter(|terms| terms.contains_key(term)).count() as f64;
        (1.0 + (texts.len() as f64 - having + 0.5) / (having + 0.5)).ln()
    };
    let weights: Vec<(&String, f64)> = asked.iter().map(|term| (term, rarity(term))).collect();
    let mut ranking = Vec::new();
    for (((key, _), terms), length) in allowed.iter().zip(&texts).zip(&lengths) {
        let found = weights.iter().filter_map(|(term, weight)| Some((terms.get(*term)?, weight)));
        let scores: Vec<f64> =
            found.map(|(count, weight)| weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / mean))).collect();
        if !scores.is_empty() && (!all || scores.len() == asked.len()) {
            ranking.push(((*key).clone(), scores.iter().sum::<f64>()));
        }
    }
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
    Ok(ranking)
}

fn frequencies(row: &Map<String, Value>, fields: &[String]) -> HashMap<String, f64> {
    let mut frequencies = HashMap::new();
    for value in fields.iter().filter_map(|name| row.get(name)) {
        let texts = value.as_str().into_iter().chain(value.as_array().into_iter().flatten().filter_map(Value::as_str));
        for term in texts.flat_map(terms) {
            *frequencies.entry(term).or_default() += 1.0;
        }
    }
    frequencies
}

fn terms(text: &str) -> Vec<String> {
    let fold = |c: char| match c {
        'ä' | 'á' | 'à' | 'â' => 'a',
        'ö' | 'ó' | 'ô' => 'o',
        'ü' | 'ú' | 'û' => 'u',
        'é' | 'è' | 'ê' => 'e',
        c => c,
    };
    let text: String = text.to_lowercase().chars().map(fold).collect();
    let mut terms = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '.').map(|word| word.trim_matches('.')) {
        let characters: Vec<char> = word.chars().collect();
        if characters.iter().any(|c| ('\u{3040}'..='\u{d7af}').contains(c)) {
            terms.extend(characters.windows(2).map(|pair| pair.iter().collect::<String>()));
        } else if !word.is_empty() && !STOP_WORDS.contains(&word) {
            terms.push(word.strip_suffix('s').filter(|stem| stem.len() > 3).unwrap_or(word).to_owned());
        }
    }
    terms
}

fn by_vector(query: &Value, definition: &Value, allowed: &[(&String, &Map<String, Value>)]) -> Result<Ranking, String> {
    only(query, &["kind", "vector", "fields", "k", "exhaustive", "oversampling", "weight"])?;
    let (name, wanted) = (query["fields"].as_str().unwrap_or_default(), numbers(&query["vector"]));
    let field = field(definition, name)?;
    if query["kind"] != "vector" || !is_vector(field) || Some(wanted.len() as u64) != field["dimensions"].as_u64() {
        return Err("the vector does not fit the field".to_owned());
    }
    let mut ranking: Ranking = Vec::new();
    for (key, row) in allowed {
        if let Some(vector) = row.get(name).map(numbers).filter(|vector| vector.len() == wanted.len()) {
            // As the service has it for cosine: 1 / (1 + distance).
            ranking.push(((*key).clone(), 1.0 / (2.0 - cosine(&wanted, &vector))));
        }
    }
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
    ranking.truncate(number(query, "k", 50)?);
    Ok(ranking)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let length = |vector: &[f64]| vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / (length(a) * length(b)).max(f64::MIN_POSITIVE)
}

fn fuse(rankings: &[Ranking]) -> Ranking {
    let mut scores: HashMap<&String, f64> = HashMap::new();
    for ranking in rankings {
        for ((key, _), place) in ranking.iter().zip(1..) {
            *scores.entry(key).or_default() += 1.0 / (FUSION + f64::from(place));
        }
    }
    scores.into_iter().map(|(key, score)| (key.clone(), score)).collect()
}
