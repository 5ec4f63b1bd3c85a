//! The JSON that the host posts for every trigger but HTTP: a delivery enters, `{"Data":{..},"Metadata":{..}}` leaves.
//!
//! Fact 2: strings are encoded twice, numbers come as strings. Fact 3: no key of Metadata ends in "trigger", and a JSON
//! message spills its properties into Metadata. Fact 4: a blob comes whole, as base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::clock;
use super::storage::blobs::BlobProperties;
use super::storage::queues::QueueMessage;

/// A queue message; `text` is the decoded one.
pub fn queue(function: &str, binding: &str, message: &QueueMessage, text: &str, now: DateTime<Utc>) -> Value {
    let mut metadata = Map::new();
    metadata.insert("DequeueCount".into(), number(message.dequeue_count));
    metadata.insert("ExpirationTime".into(), clock::offset_text(message.expiration_time).into());
    // A message made up by the admin surface has no id and no receipt; null values are dropped.
    if !message.id.is_empty() {
        metadata.insert("Id".into(), string(&message.id));
        metadata.insert("PopReceipt".into(), string(&message.pop_receipt));
    }
    metadata.insert("InsertionTime".into(), clock::offset_text(message.insertion_time).into());
    metadata.insert("NextVisibleTime".into(), clock::offset_text(message.next_visible_time).into());
    metadata.insert("sys".into(), sys(function, now));
    spill(text, &mut metadata);
    finish(binding, string(text), metadata)
}

/// A blob with its whole content.
pub fn blob(
    function: &str,
    binding: &str,
    captures: &[(String, String)],
    properties: &BlobProperties,
    content: &[u8],
    now: DateTime<Utc>,
) -> Value {
    let own: Map<String, Value> = properties.metadata().into_iter().map(|(key, value)| (key, value.into())).collect();
    let mut metadata = Map::new();
    metadata.insert("Uri".into(), string(&properties.uri));
    metadata.insert("Properties".into(), blob_properties(properties, &own));
    metadata.insert("Metadata".into(), Value::Object(own));
    for (name, value) in captures {
        set(&mut metadata, name, string(value));
    }
    metadata.insert("sys".into(), sys(function, now));
    finish(binding, STANDARD.encode(content).into(), metadata)
}

/// A timer's turn. `status` is last, next and last-updated, or None without a monitor.
pub fn timer(function: &str, binding: &str, status: Option<[DateTime<Utc>; 3]>, now: DateTime<Utc>) -> Value {
    let status = status.map(|moments| moments.map(clock::precise_text));
    let status = status.map(|[last, next, updated]| json!({ "Last": last, "Next": next, "LastUpdated": updated }));
    let info = json!({ "Schedule": { "AdjustForDST": true }, "ScheduleStatus": status, "IsPastDue": false });
    finish(binding, info, Map::from_iter([("sys".to_string(), sys(function, now))]))
}

fn finish(binding: &str, data: Value, mut metadata: Map<String, Value>) -> Value {
    metadata.retain(|key, value| !key.to_ascii_lowercase().ends_with("trigger") && !value.is_null());
    json!({ "Data": { binding: data }, "Metadata": metadata })
}

/// A .NET string: a JSON string that holds a JSON string.
fn string(text: &str) -> Value {
    Value::String(Value::from(text).to_string())
}

/// A .NET number: JSON text in a string.
fn number(value: u32) -> Value {
    Value::String(value.to_string())
}

fn sys(function: &str, now: DateTime<Utc>) -> Value {
    json!({ "MethodName": function, "UtcNow": clock::precise_text(now), "RandGuid": Uuid::new_v4().to_string() })
}

/// The host keeps Metadata without regard to case: a spilled `id` takes the place of `Id`.
fn set(metadata: &mut Map<String, Value>, key: &str, value: Value) {
    let known = metadata.keys().find(|known| known.eq_ignore_ascii_case(key)).cloned();
    metadata.insert(known.unwrap_or_else(|| key.to_string()), value);
}

/// Copies the top-level properties of a JSON object, but for arrays and nulls, over the built-in metadata.
fn spill(text: &str, metadata: &mut Map<String, Value>) {
    let Ok(Value::Object(object)) = serde_json::from_str(text) else { return };
    for (key, value) in object {
        match value {
            Value::Array(_) | Value::Null => {}
            Value::Object(_) => set(metadata, &key, value),
            Value::String(plain) => set(metadata, &key, string(&spilled_text(plain))),
            Value::Bool(flag) => set(metadata, &key, string(if flag { "True" } else { "False" })),
            Value::Number(number) => set(metadata, &key, string(&number.to_string())),
        }
    }
}

/// The host's JSON reader takes what looks like an ISO date for one and writes it back in its invariant form, so an
/// event's time arrives in Metadata without its fraction. The text in Data is untouched.
fn spilled_text(plain: String) -> String {
    match DateTime::parse_from_rfc3339(&plain) {
        Ok(moment) if plain.contains('T') => moment.to_utc().format("%m/%d/%Y %H:%M:%S").to_string(),
        _ => plain,
    }
}

/// The form of the members is derived from the SDK's class, never seen: nothing should depend on it.
fn blob_properties(properties: &BlobProperties, own: &Map<String, Value>) -> Value {
    let moment = |name: &str| {
        let text = properties.header(name)?;
        Some(clock::offset_text(DateTime::parse_from_rfc2822(text).ok()?.to_utc()))
    };
    json!({
        "LastModified": moment("last-modified"),
        "CreatedOn": moment("x-ms-creation-time"),
        "Metadata": own,
        "BlobType": 0,
        "LeaseDuration": 0,
        "LeaseState": 0,
        "LeaseStatus": 1,
        "ContentLength": properties.header("content-length").and_then(|length| length.parse::<u64>().ok()),
        "ContentType": properties.header("content-type"),
        "ETag": {},
        "ContentHash": properties.header("content-md5"),
        "ContentEncoding": properties.header("content-encoding"),
        "ContentDisposition": properties.header("content-disposition"),
        "ContentLanguage": properties.header("content-language"),
        "CacheControl": properties.header("cache-control"),
        "AcceptRanges": properties.header("accept-ranges"),
        "IsServerEncrypted": true,
        "AccessTier": properties.header("x-ms-access-tier"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> QueueMessage {
        let moment = DateTime::from_timestamp(1_767_866_400, 123_456_789).expect("a moment");
        QueueMessage {
            id: "8c1e".into(),
            pop_receipt: "AgAA".into(),
            dequeue_count: 1,
            insertion_time: moment,
            expiration_time: moment,
            next_visible_time: moment,
            text: String::new(),
        }
    }

    #[test]
    fn a_plain_message_is_encoded_twice() {
        let envelope = queue("q1", "msg", &message(), "hello", clock::now());
        assert_eq!(envelope["Data"]["msg"], "\"hello\"");
        let metadata = &envelope["Metadata"];
        assert_eq!(metadata["DequeueCount"], "1");
        assert_eq!(metadata["Id"], "\"8c1e\"");
        assert_eq!(metadata["InsertionTime"], "2026-01-08T10:00:00+00:00");
        assert_eq!(metadata["sys"]["MethodName"], "q1");
        assert!(metadata.as_object().expect("an object").keys().all(|key| !key.to_lowercase().ends_with("trigger")));
    }

    #[test]
    fn a_json_message_spills_into_metadata() {
        let text = r#"{"id":7,"list":[1],"none":null,"deep":{"a":1},"flag":true,"myTrigger":"x","eventTime":"2026-11-22T10:00:00.1234567Z"}"#;
        let envelope = queue("q1", "msg", &message(), text, clock::now());
        let data = envelope["Data"]["msg"].as_str().expect("a string");
        assert_eq!(serde_json::from_str::<String>(data).expect("a string inside"), text);
        let metadata = envelope["Metadata"].as_object().expect("an object");
        assert_eq!(metadata["Id"], "\"7\"");
        assert_eq!(metadata["deep"], json!({"a": 1}));
        assert_eq!(metadata["flag"], "\"True\"");
        assert_eq!(metadata["eventTime"], "\"11/22/2026 10:00:00\"");
        assert!(
            !metadata.contains_key("list") && !metadata.contains_key("none") && !metadata.contains_key("myTrigger")
        );
    }

    #[test]
    fn a_blob_is_base64_once_and_its_path_twice_encoded() {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("content-length", "3".parse().expect("a value"));
        headers.insert("x-ms-meta-k", "v".parse().expect("a value"));
        let properties = BlobProperties { uri: "http://127.0.0.1/devstoreaccount1/in/a.png".into(), headers };
        let captures = [("name".to_string(), "a.png".to_string()), ("blobTrigger".to_string(), "x".to_string())];
        let envelope = blob("ingest", "blob", &captures, &properties, b"abc", clock::now());
        assert_eq!(envelope["Data"]["blob"], "YWJj");
        assert_eq!(envelope["Metadata"]["name"], "\"a.png\"");
        assert_eq!(envelope["Metadata"]["Uri"], "\"http://127.0.0.1/devstoreaccount1/in/a.png\"");
        assert_eq!(envelope["Metadata"]["Metadata"], json!({"k": "v"}));
        assert_eq!(envelope["Metadata"]["Properties"]["ContentLength"], 3);
        assert_eq!(envelope["Metadata"].get("blobTrigger"), None);
    }

    #[test]
    fn a_timer_without_monitor_has_a_null_status() {
        let envelope = timer("reindex", "timer", None, clock::now());
        assert_eq!(envelope["Data"]["timer"]["ScheduleStatus"], Value::Null);
        assert_eq!(envelope["Data"]["timer"]["IsPastDue"], false);
    }
}
