//! Definitions of indexes: what a definition may say, what it says when it says nothing, and which changes the service
//! makes in place.

use serde_json::{Value, json};

const OF_INDEX: &[&str] = &[
    "name",
    "description",
    "fields",
    "scoringProfiles",
    "defaultScoringProfile",
    "corsOptions",
    "suggesters",
    "analyzers",
    "tokenizers",
    "tokenFilters",
    "charFilters",
    "normalizers",
    "encryptionKey",
    "similarity",
    "semantic",
    "vectorSearch",
    // The official client sends back what it was told.
    // The official client sends back what it was told.
    "@odata.etag",
    "@odata.context",
];
const OF_FIELD: &[&str] = &[
    "name",
    "type",
    "key",
    "retrievable",
    "stored",
    "searchable",
    "filterable",
    "sortable",
    "facetable",
    "analyzer",
    "searchAnalyzer",
    "indexAnalyzer",
    "normalizer",
    "dimensions",
    "vectorSearchProfile",
    "vectorEncoding",
    "synonymMaps",
    "fields",
];
/// Attributes that no update can change.
const FIXED: &[&str] = &[
    "type",
    "key",
    "searchable",
    "filterable",
    "sortable",
    "facetable",
    "analyzer",
    "dimensions",
    "vectorSearchProfile",
    "stored",
];
const TOKEN_FILTERS: &[&str] = &["asciifolding", "cjk_bigram", "cjk_width", "lowercase", "stopwords", "stemmer"];

/// Completes a definition, or says what is wrong with it, alone or as a change of the one there is.
pub(super) fn accept(mut definition: Value, known: Option<&Value>) -> Result<Value, String> {
    only(&definition, OF_INDEX)?;
    let name = definition["name"].as_str().ok_or("an index has a name")?;
    let is_name = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    if !is_name || !(2..=128).contains(&name.len()) {
        return Err("the name of an index has small letters, digits and dashes".to_owned());
    }
    let analyzers = analyzers(&definition)?;
    let profiles = profiles(&definition)?;
    let fields = definition["fields"].as_array_mut().ok_or("an index has fields")?;
    for field in fields.iter_mut() {
        complete(field)?;
        check(field, &analyzers, &profiles)?;
    }
    if fields.iter().filter(|field| field["key"] == true).count() != 1 {
        return Err("an index has one key".to_owned());
    }
    let fields = fields.clone();
    check_semantic(&definition, &fields)?;
    for old in known.and_then(|known| known["fields"].as_array()).into_iter().flatten() {
        let Some(new) = fields.iter().find(|field| field["name"] == old["name"]) else {
            return Err(format!("field {} cannot be taken away", old["name"]));
        };
        if FIXED.iter().any(|attribute| new[attribute] != old[attribute]) {
            return Err(format!("field {} cannot be changed", old["name"]));
        }
    }
    if let Some(definition) = definition.as_object_mut() {
        definition.retain(|name, _| !name.starts_with("@odata."));
    }
    Ok(definition)
}

/// That an object has these properties and no other. A null is as good as nothing.
pub(super) fn only(object: &Value, known: &[&str]) -> Result<(), String> {
    let object = object.as_object().ok_or("the body is no object")?;
    match object.iter().find(|(name, value)| !value.is_null() && !known.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("the property '{name}' does not exist")),
        None => Ok(()),
    }
}

/// Whether a field is a vector.
pub(super) fn is_vector(field: &Value) -> bool {
    field["type"] == "Collection(Edm.Single)"
}

fn complete(field: &mut Value) -> Result<(), String> {
    only(field, OF_FIELD)?;
    let kind = field["type"].as_str().unwrap_or_default().to_owned();
    let is_text = matches!(kind.as_str(), "Edm.String" | "Collection(Edm.String)");
    let (is_vector, is_list) = (is_vector(field), kind.starts_with("Collection"));
    let defaults = [
        ("key", false),
        ("retrievable", true),
        ("stored", true),
        ("searchable", is_text || is_vector),
        ("filterable", !is_vector),
        ("sortable", !is_list),
        ("facetable", !is_vector),
    ];
    for (attribute, default) in defaults {
        if field[attribute].is_null() {
            field[attribute] = json!(default);
        }
    }
    Ok(())
}

fn check(field: &Value, analyzers: &[String], profiles: &[String]) -> Result<(), String> {
    let name = field["name"].as_str().unwrap_or_default();
    let kinds = [
        "Edm.String",
        "Edm.Int32",
        "Edm.Int64",
        "Edm.Double",
        "Edm.Boolean",
        "Edm.DateTimeOffset",
        "Collection(Edm.String)",
        "Collection(Edm.Single)",
    ];
    let is = |attribute: &str| field[attribute] == true;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.len() <= 128;
    let is_text = field["type"] == "Edm.String" || field["type"] == "Collection(Edm.String)";
    let says = |complaint: &str| Err(format!("field '{name}': {complaint}"));
    if !is_name || !kinds.contains(&field["type"].as_str().unwrap_or_default()) {
        return says("it has no name or type that there is");
    }
    if is("key") && field["type"] != "Edm.String" {
        return says("a key is a text");
    }
    if is("sortable") && field["type"].as_str().is_some_and(|kind| kind.starts_with("Collection")) {
        return says("a collection cannot be sorted by");
    }
    if is("searchable") && !is_text && !is_vector(field) {
        return says("only texts and vectors can be searched");
    }
    match field["analyzer"].as_str() {
        Some(_) if !is_text || !is("searchable") => return says("an analyzer is for texts that are searched"),
        Some(analyzer) if !analyzers.iter().any(|known| known == analyzer) => return says("there is no such analyzer"),
        _ => {}
    }
    if !is_vector(field) {
        let is_plain = field["dimensions"].is_null() && field["vectorSearchProfile"].is_null();
        return if is_plain { Ok(()) } else { says("it is no vector") };
    }
    let dimensions = field["dimensions"].as_u64().unwrap_or(0);
    let profile = field["vectorSearchProfile"].as_str().unwrap_or_default();
    if !(2..=4096).contains(&dimensions) || !profiles.iter().any(|known| known == profile) {
        return says("a vector has from 2 to 4,096 dimensions and a profile");
    }
    if is("filterable") || is("sortable") || is("facetable") || !is("searchable") {
        return says("a vector is searched and nothing else");
    }
    if !is("stored") && is("retrievable") {
        return says("what is not stored cannot be retrieved");
    }
    Ok(())
}

/// The names of the analyzers, built in or defined here.
fn analyzers(definition: &Value) -> Result<Vec<String>, String> {
    let mut filters: Vec<&str> = TOKEN_FILTERS.to_vec();
    for filter in definition["tokenFilters"].as_array().into_iter().flatten() {
        let properties: &[&str] = match filter["@odata.type"].as_str() {
            Some("#Microsoft.Azure.Search.StopwordsTokenFilter") => {
                &["@odata.type", "name", "stopwords", "stopwordsList", "ignoreCase", "removeTrailing"]
            }
            Some("#Microsoft.Azure.Search.StemmerTokenFilter") => &["@odata.type", "name", "language"],
            _ => return Err("a token filter is of a kind nobody here uses".to_owned()),
        };
        only(filter, properties)?;
        filters.push(filter["name"].as_str().ok_or("a token filter has a name")?);
    }
    let mut names = vec!["standard.lucene".to_owned(), "en.lucene".to_owned(), "keyword".to_owned()];
    for analyzer in definition["analyzers"].as_array().into_iter().flatten() {
        only(analyzer, &["@odata.type", "name", "tokenizer", "tokenFilters", "charFilters"])?;
        let is_custom = analyzer["@odata.type"] == "#Microsoft.Azure.Search.CustomAnalyzer";
        if !is_custom || analyzer["tokenizer"] != "standard_v2" {
            return Err("an analyzer is of a kind nobody here uses".to_owned());
        }
        let mut steps = analyzer["tokenFilters"].as_array().into_iter().flatten();
        if !steps.all(|step| step.as_str().is_some_and(|step| filters.contains(&step))) {
            return Err("an analyzer uses a token filter that there is not".to_owned());
        }
        names.push(analyzer["name"].as_str().ok_or("an analyzer has a name")?.to_owned());
    }
    Ok(names)
}

/// The names of the profiles of vectors.
fn profiles(definition: &Value) -> Result<Vec<String>, String> {
    let vectors = &definition["vectorSearch"];
    if vectors.is_null() {
        return Ok(Vec::new());
    }
    only(vectors, &["profiles", "algorithms", "vectorizers", "compressions"])?;
    let mut algorithms = Vec::new();
    for algorithm in vectors["algorithms"].as_array().into_iter().flatten() {
        only(algorithm, &["name", "kind", "hnswParameters", "exhaustiveKnnParameters"])?;
        if !algorithm["hnswParameters"].is_null() {
            only(&algorithm["hnswParameters"], &["m", "efConstruction", "efSearch", "metric"])?;
        }
        algorithms.push(algorithm["name"].as_str().ok_or("an algorithm has a name")?);
    }
    let mut names = Vec::new();
    for profile in vectors["profiles"].as_array().into_iter().flatten() {
        only(profile, &["name", "algorithm", "vectorizer", "compression"])?;
        if !algorithms.contains(&profile["algorithm"].as_str().unwrap_or_default()) {
            return Err("a profile uses an algorithm that there is not".to_owned());
        }
        names.push(profile["name"].as_str().ok_or("a profile has a name")?.to_owned());
    }
    Ok(names)
}

fn check_semantic(definition: &Value, fields: &[Value]) -> Result<(), String> {
    if definition["semantic"].is_null() {
        return Ok(());
    }
    only(&definition["semantic"], &["defaultConfiguration", "configurations"])?;
    for configuration in definition["semantic"]["configurations"].as_array().into_iter().flatten() {
        only(configuration, &["name", "prioritizedFields", "rankingOrder"])?;
        let parts = &configuration["prioritizedFields"];
        only(parts, &["titleField", "prioritizedContentFields", "prioritizedKeywordsFields"])?;
        let listed = ["prioritizedContentFields", "prioritizedKeywordsFields"];
        let lists = listed.into_iter().flat_map(|list| parts[list].as_array().into_iter().flatten());
        for named in lists.chain(std::iter::once(&parts["titleField"]).filter(|title| !title.is_null())) {
            only(named, &["fieldName"])?;
            let is_there = |field: &Value| field["name"] == named["fieldName"] && field["searchable"] == true;
            if !fields.iter().any(is_there) {
                return Err("a semantic configuration names a field that is not searched".to_owned());
            }
        }
    }
    Ok(())
}
