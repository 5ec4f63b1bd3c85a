//! Indexes and aliases: which address means what, and what may be done to a resource under which condition.

use axum::http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::definition;
use super::{Alias, Asked, Index, Reply, Rows, Service, bad, documents, error, ranking};

/// Answers a request to a path such as `/indexes('a')/docs/search.index`.
pub(super) fn route(service: &mut Service, path: &str, asked: &Asked<'_>) -> Reply {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let method = asked.method.clone();
    match (method, segments.as_slice()) {
        (Method::GET, ["indexes"]) => list(service, asked),
        (Method::POST, ["indexes"]) => create(service, asked),
        (Method::GET, ["aliases"]) => (
            200,
            Some(json!({"value": service.aliases.iter().map(|(name, alias)| shown(name, alias)).collect::<Vec<_>>()})),
        ),
        (method, [one]) => match (key_of(one, "indexes"), key_of(one, "aliases")) {
            (Some(name), _) => index(service, &method, name, asked),
            (_, Some(name)) => alias(service, &method, name, asked),
            _ => (404, None),
        },
        (method, [one, rest @ ..]) => match key_of(one, "indexes").and_then(|name| service.resolve(name)) {
            Some(name) => inside(service, &method, &name, rest, asked),
            None => (404, Some(error("IndexNotFound", "there is no index of this name"))),
        },
        _ => (404, None),
    }
}

fn inside(service: &mut Service, method: &Method, name: &str, rest: &[&str], asked: &Asked<'_>) -> Reply {
    match (method, rest) {
        (&Method::GET, ["search.stats"]) => {
            let rows = &service.indexes[name].shown;
            let size: usize = rows.values().map(|row| serde_json::to_string(row).map_or(0, |text| text.len())).sum();
            (200, Some(json!({"documentCount": rows.len(), "storageSize": size, "vectorIndexSize": 0})))
        }
        (&Method::GET, ["docs", "$count"]) => (200, Some(json!(service.indexes[name].shown.len()))),
        (&Method::POST, ["docs", "search.index"]) => documents::apply(service, name, asked.body),
        (&Method::POST, ["docs", "search.post.search"]) => ranking::search(service, name, asked.body),
        (&Method::GET, ["docs", ..]) => {
            let document = rest.join("/");
            match key_of(&document, "docs") {
                Some(key) => documents::lookup(service, name, key),
                None => (404, None),
            }
        }
        (&Method::GET, [document]) if key_of(document, "docs").is_some() => {
            documents::lookup(service, name, key_of(document, "docs").unwrap_or_default())
        }
        _ => (404, None),
    }
}

/// The key in `indexes('key')`.
fn key_of<'a>(segment: &'a str, collection: &str) -> Option<&'a str> {
    segment.strip_prefix(collection)?.strip_prefix("('")?.strip_suffix("')")
}

impl Service {
    /// The index that a name or an alias means.
    fn resolve(&self, name: &str) -> Option<String> {
        let index = self.aliases.get(name).map_or(name, |alias| alias.index.as_str());
        self.indexes.contains_key(index).then(|| index.to_owned())
    }

    fn next_etag(&mut self) -> String {
        self.changes += 1;
        format!("\"0x{:016X}\"", self.changes)
    }
}

fn list(service: &Service, asked: &Asked<'_>) -> Reply {
    let only_names = match asked.query.get("$select").map(String::as_str) {
        None | Some("*") => false,
        Some("name") => true,
        Some(_) => return bad("only names are selected here"),
    };
    let show = |(name, index): (&String, &Index)| if only_names { json!({"name": name}) } else { represented(index) };
    (200, Some(json!({"value": service.indexes.iter().map(show).collect::<Vec<_>>()})))
}

fn represented(index: &Index) -> Value {
    let mut shown = index.definition.clone();
    shown["@odata.context"] = json!("http://localhost/$metadata#indexes/$entity");
    shown["@odata.etag"] = json!(index.etag);
    shown
}

fn create(service: &mut Service, asked: &Asked<'_>) -> Reply {
    let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    if service.indexes.contains_key(&name) {
        return (409, Some(error("ResourceNameAlreadyInUse", "there is an index of this name")));
    }
    put_index(service, &name, body)
}

fn index(service: &mut Service, method: &Method, name: &str, asked: &Asked<'_>) -> Reply {
    match *method {
        Method::GET => match service.resolve(name) {
            Some(name) => (200, Some(represented(&service.indexes[&name]))),
            None => (404, Some(error("IndexNotFound", "there is no index of this name"))),
        },
        Method::PUT => {
            let name = service.resolve(name).unwrap_or_else(|| name.to_owned());
            let etag = service.indexes.get(&name).map(|index| index.etag.clone());
            match condition(asked.headers, etag.as_deref()) {
                true => put_index(service, &name, serde_json::from_slice(asked.body).unwrap_or_default()),
                false => (412, Some(error("PreconditionFailed", "the index is another"))),
            }
        }
        // Not by an alias.
        Method::DELETE => (if service.indexes.remove(name).is_some() { 204 } else { 404 }, None),
        _ => (405, None),
    }
}

fn put_index(service: &mut Service, name: &str, body: Value) -> Reply {
    if body["name"] != name || service.aliases.contains_key(name) {
        return bad("the name of an index is its own and that of no alias");
    }
    let known = service.indexes.get(name).map(|index| &index.definition);
    let definition = match definition::accept(body, known) {
        Ok(definition) => definition,
        Err(why) => return bad(why),
    };
    let etag = service.next_etag();
    let is_new = !service.indexes.contains_key(name);
    let index = service.indexes.entry(name.to_owned()).or_insert_with(|| Index {
        definition: Value::Null,
        etag: String::new(),
        stored: Rows::new(),
        shown: Rows::new(),
    });
    (index.definition, index.etag) = (definition, etag);
    (if is_new { 201 } else { 200 }, Some(represented(index)))
}

fn alias(service: &mut Service, method: &Method, name: &str, asked: &Asked<'_>) -> Reply {
    let known = service.aliases.get(name);
    match *method {
        Method::GET => match known {
            Some(alias) => (200, Some(shown(name, alias))),
            None => (404, Some(error("ResourceNotFound", "there is no alias of this name"))),
        },
        Method::PUT => {
            let (is_new, etag) = (known.is_none(), known.map(|alias| alias.etag.clone()));
            if !condition(asked.headers, etag.as_deref()) {
                return (412, Some(error("PreconditionFailed", "the alias is another")));
            }
            let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
            let only_known = body.as_object().is_some_and(|body| {
                body.keys().all(|name| matches!(name.as_str(), "name" | "indexes" | "@odata.etag"))
            });
            let target = match body["indexes"].as_array().map(Vec::as_slice) {
                Some([one]) => one.as_str().unwrap_or_default().to_owned(),
                _ => return bad("an alias names one index"),
            };
            if !only_known || body["name"] != name || service.indexes.contains_key(name) {
                return bad("the alias is not well formed, or its name is that of an index");
            }
            if !service.indexes.contains_key(&target) {
                return bad("there is no such index");
            }
            let alias = Alias { index: target, etag: service.next_etag() };
            let reply = (if is_new { 201 } else { 200 }, Some(shown(name, &alias)));
            service.aliases.insert(name.to_owned(), alias);
            reply
        }
        Method::DELETE => (if service.aliases.remove(name).is_some() { 204 } else { 404 }, None),
        _ => (405, None),
    }
}

fn shown(name: &str, alias: &Alias) -> Value {
    json!({"@odata.etag": alias.etag, "name": name, "indexes": [alias.index]})
}

/// Whether `If-Match` and `If-None-Match` allow a change of what has this ETag.
fn condition(headers: &HeaderMap, etag: Option<&str>) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let matches = header("if-match").is_none_or(|wanted| etag.is_some_and(|etag| wanted == "*" || wanted == etag));
    let none_matches =
        header("if-none-match").is_none_or(|known| etag.is_none_or(|etag| known != "*" && known != etag));
    matches && none_matches
}
