//! Rows: a batch of actions, each with its own verdict, and the look at one row by its key.

use axum::body::Bytes;
use serde_json::{Map, Value, json};

use super::definition::is_vector;
use super::{Reply, Service, bad, error};

/// Most rows and bytes of a batch.
const BATCH_ROWS: usize = 1_000;
const BATCH_BYTES: usize = 16 << 20;
/// Most bytes of a text that can be filtered or sorted by.
const FILTERABLE_BYTES: usize = 32_766;

/// Applies a batch. What is not as the index defines it refuses the whole; what concerns one row is told of that row.
pub(super) fn apply(service: &mut Service, name: &str, body: &Bytes) -> Reply {
    if body.len() > BATCH_BYTES {
        return (413, Some(error("RequestEntityTooLarge", "the batch is too large")));
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Err(why) = super::definition::only(&body, &["value"]) {
        return bad(why);
    }
    let Some(actions) = body["value"].as_array().filter(|actions| (1..=BATCH_ROWS).contains(&actions.len())) else {
        return bad("a batch has from 1 to 1,000 actions");
    };
    let fields = service.indexes[name].definition["fields"].as_array().cloned().unwrap_or_default();
    let Some(key_field) = fields.iter().find(|field| field["key"] == true).and_then(|field| field["name"].as_str())
    else {
        return bad("there is no key");
    };
    for action in actions {
        if let Err(why) = check(action, &fields, key_field) {
            return bad(why);
        }
    }
    let results: Vec<Value> = actions.iter().map(|action| result(service, name, action, key_field, &fields)).collect();
    let all_done = results.iter().all(|result| result["status"] == true);
    (if all_done { 200 } else { 207 }, Some(json!({ "value": results })))
}

/// The row with a key, without the fields that are not told.
pub(super) fn lookup(service: &Service, name: &str, key: &str) -> Reply {
    let index = &service.indexes[name];
    match index.shown.get(key) {
        Some(row) => (200, Some(Value::Object(retrievable(row, &index.definition)))),
        None => (404, None),
    }
}

/// The fields of a row that are told.
pub(super) fn retrievable(row: &Map<String, Value>, definition: &Value) -> Map<String, Value> {
    let fields = definition["fields"].as_array().into_iter().flatten().filter(|field| field["retrievable"] == true);
    let names = fields.filter_map(|field| field["name"].as_str());
    names.map(|name| (name.to_owned(), row.get(name).cloned().unwrap_or(Value::Null))).collect()
}

fn result(service: &mut Service, name: &str, action: &Value, key_field: &str, fields: &[Value]) -> Value {
    let key = action[key_field].as_str().unwrap_or_default().to_owned();
    let told = |status: u16| {
        let done = status < 300;
        let message = (!done).then_some("a test wants it so");
        json!({"key": key, "status": done, "errorMessage": message, "statusCode": status})
    };
    let is_refused = service
        .refused_text
        .as_ref()
        .is_some_and(|words| action["text"].as_str().is_some_and(|text| text.contains(words)));
    let is_overlong = |field: &Value| {
        let text = action[field["name"].as_str().unwrap_or_default()].as_str();
        (field["filterable"] == true || field["sortable"] == true)
            && text.is_some_and(|text| text.len() > FILTERABLE_BYTES)
    };
    if is_refused || fields.iter().any(is_overlong) {
        return told(400);
    }
    if let Some(status) = service.busy_rows.pop_front() {
        return told(status);
    }
    let is_late = service.is_late;
    let Some(index) = service.indexes.get_mut(name) else { return told(404) };
    let mut row: Map<String, Value> = action.as_object().cloned().unwrap_or_default();
    row.remove("@search.action");
    let known = index.stored.get(&key).cloned();
    let status = match (action["@search.action"].as_str().unwrap_or("upload"), known) {
        ("delete", _) => {
            index.stored.remove(&key);
            200
        }
        ("merge", None) => return told(404),
        ("merge" | "mergeOrUpload", Some(mut known)) => {
            known.extend(row);
            index.stored.insert(key.clone(), known);
            200
        }
        (_, known) => {
            index.stored.insert(key.clone(), row);
            if known.is_some() { 200 } else { 201 }
        }
    };
    if !is_late {
        match index.stored.get(&key).cloned() {
            Some(row) => drop(index.shown.insert(key.clone(), row)),
            None => drop(index.shown.remove(&key)),
        }
    }
    told(status)
}

fn check(action: &Value, fields: &[Value], key_field: &str) -> Result<(), String> {
    let action = action.as_object().ok_or("an action is an object")?;
    let key = action.get(key_field).and_then(Value::as_str).unwrap_or_default();
    let is_key =
        !key.starts_with('_') && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'='));
    if key.is_empty() || key.len() > 1024 || !is_key {
        return Err("a key has letters, digits, dashes, underscores and equal signs".to_owned());
    }
    for (name, value) in action {
        if name == "@search.action" {
            let known = ["upload", "merge", "mergeOrUpload", "delete"];
            if !value.as_str().is_some_and(|value| known.contains(&value)) {
                return Err("there is no such action".to_owned());
            }
            continue;
        }
        let field = fields.iter().find(|field| field["name"] == *name);
        let field = field.ok_or_else(|| format!("the property '{name}' does not exist"))?;
        if !has_type(value, field) {
            return Err(format!("the property '{name}' is of another type"));
        }
    }
    Ok(())
}

fn has_type(value: &Value, field: &Value) -> bool {
    let list = |fits: &dyn Fn(&Value) -> bool| value.as_array().is_some_and(|values| values.iter().all(fits));
    if is_vector(field) {
        let size = value.as_array().map(Vec::len).unwrap_or_default() as u64;
        return value.is_null()
            || (list(&|one| one.is_number()) && (size == 0 || Some(size) == field["dimensions"].as_u64()));
    }
    match field["type"].as_str().unwrap_or_default() {
        "Collection(Edm.String)" => list(&|one| one.is_string()),
        _ if value.is_null() => true,
        "Edm.String" => value.is_string(),
        "Edm.Int32" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        "Edm.Int64" => value.is_i64(),
        "Edm.Double" => value.is_number(),
        "Edm.Boolean" => value.is_boolean(),
        "Edm.DateTimeOffset" => value.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
        _ => false,
    }
}
