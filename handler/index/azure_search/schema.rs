//! The definition of the index: which fields its rows have, and whether a definition that is there can become the one
//! that is wanted without a rebuild. Passages and claims are rows of one index, told apart by `kind`.
//!
//! Vectors of different models never meet: each embedding space has a field of its own, named after it. So a new model
//! is a new field, which the service adds in place; rows without it are simply not found by it.

use serde_json::{Map, Value, json};

use crate::document::{EmbeddingSpace, content_hash};

/// Raised when rows are made otherwise, so that documents made by earlier code are made anew.
pub const SCHEMA_VERSION: u32 = 1;
/// The field that tells what a row is.
pub const KIND: &str = "kind";
/// A row that is a passage.
pub const PASSAGE: &str = "passage";
/// A row that is a claim.
pub const CLAIM: &str = "claim";
/// The semantic configuration, and the profile of vectors.
pub const SEMANTIC: &str = "passages";
/// How the names of fields of vectors begin.
pub const VECTOR_PREFIX: &str = "vector_";
const VECTOR_PROFILE: &str = "by-meaning";
const VECTOR_ALGORITHM: &str = "hnsw-cosine";

/// Languages that the service has both a stemmer and a list of stop words for, by the names that it and
/// `INDEX_LANGUAGE` use.
const LANGUAGES: &[&str] = &[
    "arabic",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hungarian",
    "italian",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "spanish",
    "swedish",
    "turkish",
];

/// What the definition depends on.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The language whose word endings are cut off, if any.
    pub language: Option<&'static str>,
    /// Whether results may be ranked again by meaning.
    pub semantic: bool,
}

impl Wanted {
    /// What a language, named as in `INDEX_LANGUAGE`, asks for. One that the service does not know is taken as it is
    /// written.
    pub fn new(language: &str, semantic: bool) -> Self {
        Self { language: LANGUAGES.iter().copied().find(|known| *known == language), semantic }
    }

    /// The name of the analyzer. An analyzer cannot be changed, so another one has another name.
    fn analyzer(&self) -> String {
        format!("words-{}-{SCHEMA_VERSION}", self.language.unwrap_or("none"))
    }
}

/// What has to be done to a definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Fit {
    /// Nothing.
    Fits,
    /// It can become this one in place.
    Grows(Value),
    /// Another index is needed.
    Rebuild,
}

/// The field of the vectors of a space.
pub fn vector_field(space: &EmbeddingSpace) -> String {
    let name = format!("{}\n{}", space.model, space.dimensions);
    format!("{VECTOR_PREFIX}{}", &content_hash(name.as_bytes())[..12])
}

/// A new definition.
pub fn definition(name: &str, wanted: &Wanted, spaces: &[EmbeddingSpace]) -> Value {
    let mut definition = json!({ "name": name, "fields": fields(wanted, spaces) });
    add_analyzer(&mut definition, wanted);
    add_configurations(&mut definition, wanted, !spaces.is_empty());
    definition
}

/// Whether a definition can hold what is wanted.
pub fn fit(existing: &Value, wanted: &Wanted, spaces: &[EmbeddingSpace]) -> Fit {
    let mut grown = existing.clone();
    if let Some(definition) = grown.as_object_mut() {
        definition.retain(|name, _| name != "@odata.context");
    }
    let Some(known) = grown["fields"].as_array_mut() else { return Fit::Rebuild };
    let mut grows = false;
    for field in fields(wanted, spaces) {
        match known.iter().find(|other| other["name"] == field["name"]) {
            Some(other) if is_same(other, &field) => {}
            Some(_) => return Fit::Rebuild,
            None => {
                known.push(field);
                grows = true;
            }
        }
    }
    let lacks_semantic = wanted.semantic && !has_semantic(existing);
    if !grows && !lacks_semantic {
        return Fit::Fits;
    }
    add_configurations(&mut grown, wanted, !spaces.is_empty());
    Fit::Grows(grown)
}

fn has_semantic(definition: &Value) -> bool {
    let configurations = definition["semantic"]["configurations"].as_array();
    configurations.is_some_and(|all| all.iter().any(|configuration| configuration["name"] == SEMANTIC))
}

/// Whether a field is as it is wanted, in all that cannot be changed later.
fn is_same(existing: &Value, wanted: &Value) -> bool {
    let fixed = ["type", "key", "searchable", "filterable", "sortable", "analyzer", "dimensions"];
    fixed.into_iter().all(|attribute| match &wanted[attribute] {
        Value::Null => true,
        wanted => existing[attribute] == *wanted,
    })
}

fn fields(wanted: &Wanted, spaces: &[EmbeddingSpace]) -> Vec<Value> {
    let exact = |name: &str, kind: &str| field(name, kind, &["filterable", "retrievable"]);
    let kept = |name: &str, kind: &str| field(name, kind, &["retrievable"]);
    let words = |name: &str, kind: &str| {
        let mut field = field(name, kind, &["searchable", "retrievable"]);
        field["analyzer"] = json!(wanted.analyzer());
        field
    };
    let mut key = exact("id", "Edm.String");
    key["key"] = json!(true);
    let mut fields = vec![
        key,
        exact(KIND, "Edm.String"),
        exact("document_id", "Edm.String"),
        exact("upload", "Edm.String"),
        exact("state", "Edm.String"),
        field("written", "Edm.Int64", &["filterable", "sortable", "retrievable"]),
        kept("claim", "Edm.String"),
        // Marks are asked about and never told.
        field("readers", "Collection(Edm.String)", &["filterable"]),
        // For filters on documents: the folders a name is in, its version's time, its category.
        exact("folders", "Collection(Edm.String)"),
        exact("modified", "Edm.DateTimeOffset"),
        exact("category", "Edm.String"),
        kept("etag", "Edm.String"),
        kept("content_hash", "Edm.String"),
        kept("recipe", "Edm.String"),
        field("ordinal", "Edm.Int32", &["filterable", "sortable", "retrievable"]),
        kept("page", "Edm.Int32"),
        kept("place", "Edm.String"),
        words("text", "Edm.String"),
        words("title", "Edm.String"),
        words("headings", "Collection(Edm.String)"),
        words("name", "Edm.String"),
    ];
    fields.extend(spaces.iter().map(|space| {
        let mut field = field(&vector_field(space), "Collection(Edm.Single)", &["searchable"]);
        field["dimensions"] = json!(space.dimensions);
        field["vectorSearchProfile"] = json!(VECTOR_PROFILE);
        field["stored"] = json!(false);
        field
    }));
    fields
}

/// A field with every attribute said, because the service's defaults differ by type.
fn field(name: &str, kind: &str, on: &[&str]) -> Value {
    let mut field = Map::from_iter([("name".to_owned(), json!(name)), ("type".to_owned(), json!(kind))]);
    for attribute in ["key", "searchable", "filterable", "sortable", "facetable", "retrievable"] {
        field.insert(attribute.to_owned(), json!(on.contains(&attribute)));
    }
    Value::Object(field)
}

/// The steps from text to terms, as our own analyzer has them: words of Unicode, lower case, no accents, pairs of
/// characters in scripts without spaces, then stop words and endings of the language.
fn add_analyzer(definition: &mut Value, wanted: &Wanted) {
    let mut steps = vec!["cjk_width", "lowercase", "asciifolding", "cjk_bigram"];
    if let Some(language) = wanted.language {
        steps.extend(["stop-words", "endings"]);
        let (stop_words, endings) = ("StopwordsTokenFilter", "StemmerTokenFilter");
        let kind = |name: &str| format!("#Microsoft.Azure.Search.{name}");
        definition["tokenFilters"] = json!([
            {"@odata.type": kind(stop_words), "name": "stop-words", "stopwordsList": language},
            {"@odata.type": kind(endings), "name": "endings", "language": language},
        ]);
    }
    definition["analyzers"] = json!([{
        "@odata.type": "#Microsoft.Azure.Search.CustomAnalyzer",
        "name": wanted.analyzer(),
        "tokenizer": "standard_v2",
        "tokenFilters": steps,
    }]);
}

/// Adds what fields refer to and what ranks results again. What others have added to the definition stays.
fn add_configurations(definition: &mut Value, wanted: &Wanted, vectors: bool) {
    if vectors {
        let parameters = json!({"metric": "cosine", "m": 4, "efConstruction": 400, "efSearch": 500});
        let algorithm = json!({"name": VECTOR_ALGORITHM, "kind": "hnsw", "hnswParameters": parameters});
        add_named(definition, "vectorSearch", "algorithms", algorithm);
        add_named(
            definition,
            "vectorSearch",
            "profiles",
            json!({"name": VECTOR_PROFILE, "algorithm": VECTOR_ALGORITHM}),
        );
    }
    if wanted.semantic {
        let fields = json!({
            "titleField": {"fieldName": "title"},
            "prioritizedContentFields": [{"fieldName": "text"}],
            "prioritizedKeywordsFields": [{"fieldName": "headings"}, {"fieldName": "name"}],
        });
        let configuration = json!({"name": SEMANTIC, "prioritizedFields": fields});
        add_named(definition, "semantic", "configurations", configuration);
    }
}

/// Puts a part into a list of the definition, unless one of its name is there.
fn add_named(definition: &mut Value, section: &str, list: &str, part: Value) {
    if !definition[section].is_object() {
        definition[section] = json!({});
    }
    let list = &mut definition[section][list];
    match list.as_array_mut() {
        Some(parts) if parts.iter().any(|other| other["name"] == part["name"]) => {}
        Some(parts) => parts.push(part),
        None => *list = json!([part]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(model: &str, dimensions: u32) -> EmbeddingSpace {
        EmbeddingSpace { model: model.to_owned(), dimensions }
    }

    #[test]
    fn what_is_only_more_grows_in_place_and_another_analyzer_does_not() {
        let plain = Wanted::new("english", false);
        let existing = definition("a-v1", &plain, &[space("small", 3)]);
        assert_eq!(fit(&existing, &plain, &[]), Fit::Fits);
        assert_eq!(fit(&existing, &plain, &[space("small", 3)]), Fit::Fits);
        let Fit::Grows(grown) = fit(&existing, &plain, &[space("large", 5)]) else {
            panic!("a field is added in place")
        };
        assert_eq!(fit(&grown, &plain, &[space("large", 5), space("small", 3)]), Fit::Fits);
        assert!(matches!(fit(&existing, &Wanted::new("english", true), &[]), Fit::Grows(_)));
        assert_eq!(fit(&existing, &Wanted::new("german", false), &[]), Fit::Rebuild);
    }

    #[test]
    fn spaces_have_fields_of_their_own() {
        let fields = [space("small", 3), space("small", 4), space("large", 3)].map(|space| vector_field(&space));
        assert_eq!(std::collections::BTreeSet::from(fields).len(), 3);
    }
}
