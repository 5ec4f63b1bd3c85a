//! Where to look, as callers say it. What enters is JSON of a request or the options of a command, what leaves is a `Filter`.
//! A condition that cannot be understood is refused and never passed over: an answer from the wrong documents looks like any
//! other.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde_json::Value;

use crate::document::{DocumentId, DocumentName, MAX_NAME_CHARS};
use crate::error::{Error, ErrorKind, Result};
use crate::index::filter::Filter;

/// Documents that one filter may name.
const MAX_DOCUMENTS: usize = 100;

/// Reads the filter in a field called `name`; none, or `null`, looks everywhere. Every refusal is `InvalidRequest` with a
/// sentence that names the field and repeats nothing of what was sent.
pub fn read(value: &Value, name: &str) -> Result<Filter> {
    let fields = match value {
        Value::Null => return Ok(Filter::default()),
        Value::Object(fields) => fields,
        _ => return Err(invalid(format!("`{name}` is not an object"))),
    };
    let mut filter = Filter::default();
    for (field, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let place = || format!("`{name}.{field}`");
        match field.as_str() {
            "category" => filter.category = Some(words(value, place)?),
            "exclude_category" => filter.exclude_category = Some(words(value, place)?),
            "path_prefix" => filter.path_prefix = Some(words(value, place)?),
            "documents" => filter.documents = documents(value, place)?,
            "modified_from" => filter.modified_from = Some(moment(value, place)?),
            "modified_before" => filter.modified_before = Some(moment(value, place)?),
            _ => {
                let known =
                    "`category`, `exclude_category`, `documents`, `path_prefix`, `modified_from` and `modified_before`";
                return Err(invalid(format!("`{name}` holds a field other than {known}")));
            }
        }
    }
    Ok(filter)
}

/// The documents that somebody may mean with a name or an id. What can be neither is `InvalidName`.
pub fn document(raw: &str) -> Result<Vec<DocumentId>> {
    let of_name = DocumentId::of(&DocumentName::parse(raw)?);
    // Nothing keeps a name from looking like an id, and every id could be a name.
    Ok(DocumentId::parse(raw).into_iter().chain([of_name]).collect())
}

/// A moment as RFC 3339 writes it, `2026-05-01T10:00:00Z`; a day alone, `2026-05-01`, stands for its beginning in UTC.
pub fn time(raw: &str) -> Result<DateTime<Utc>> {
    let day = || raw.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0)).map(|begin| begin.and_utc());
    // Years of other lengths are no RFC 3339, and a search service does not know them.
    let is_written = |time: &DateTime<Utc>| (1..=9_999).contains(&time.year());
    let exact = DateTime::parse_from_rfc3339(raw).ok().map(|exact| exact.with_timezone(&Utc));
    let known = exact.or_else(day).filter(is_written);
    known.ok_or_else(|| invalid("a time is written as 2026-05-01T10:00:00Z or 2026-05-01".to_owned()))
}

fn documents(value: &Value, place: impl Fn() -> String) -> Result<Vec<DocumentId>> {
    let Some(listed) = value.as_array().filter(|listed| (1..=MAX_DOCUMENTS).contains(&listed.len())) else {
        return Err(invalid(format!("{} is not an array of 1 to {MAX_DOCUMENTS} names or ids", place())));
    };
    let mut ids = Vec::with_capacity(listed.len());
    for (at, one) in listed.iter().enumerate() {
        let known = one.as_str().and_then(|raw| document(raw).ok());
        ids.extend(known.ok_or_else(|| invalid(format!("{}, number {at}, is no name or id of a document", place())))?);
    }
    Ok(ids)
}

fn words(value: &Value, place: impl Fn() -> String) -> Result<String> {
    let text = value.as_str().map(str::trim).filter(|text| !text.is_empty() && text.chars().count() <= MAX_NAME_CHARS);
    let text = text.ok_or_else(|| invalid(format!("{} is not a string of 1 to {MAX_NAME_CHARS} characters", place())));
    text.map(str::to_owned)
}

fn moment(value: &Value, place: impl Fn() -> String) -> Result<DateTime<Utc>> {
    let known = value.as_str().and_then(|raw| time(raw).ok());
    known.ok_or_else(|| invalid(format!("{} is not a time like 2026-05-01T10:00:00Z", place())))
}

fn invalid(sentence: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, sentence)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use serde_json::json;

    use super::*;

    fn name(raw: &str) -> DocumentId {
        DocumentId::of(&DocumentName::parse(raw).expect("a name"))
    }

    #[test]
    fn every_condition_is_read() {
        let whole = json!({
            "category": " law ",
            "exclude_category": "tax",
            "documents": ["hr/leave.pdf", name("b.md").as_str()],
            "path_prefix": "hr/",
            "modified_from": "2026-05-01",
            "modified_before": "2026-06-01T02:00:00+02:00",
        });
        let id_as_name = DocumentId::of_raw(name("b.md").as_str());
        let expected = Filter {
            category: Some("law".to_owned()),
            exclude_category: Some("tax".to_owned()),
            documents: vec![name("hr/leave.pdf"), name("b.md"), id_as_name],
            path_prefix: Some("hr/".to_owned()),
            modified_from: Utc.with_ymd_and_hms(2026, 5, 1, 0, 0, 0).single(),
            modified_before: Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).single(),
        };
        assert_eq!(read(&whole, "filter").expect("a filter"), expected);
        for open in [Value::Null, json!({}), json!({"category": null, "documents": null})] {
            assert!(read(&open, "filter").expect("a filter").is_open(), "{open}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_by_its_name() {
        let cases = [
            (json!([]), "`f` is not an object"),
            (json!({"categories": ["secret"]}), "`f` holds a field other than"),
            (json!({"category": 7}), "`f.category` is not a string"),
            (json!({"category": "  "}), "`f.category` is not a string of 1"),
            (json!({"path_prefix": ["secret"]}), "`f.path_prefix` is not a string"),
            (json!({"documents": []}), "`f.documents` is not an array of 1"),
            (json!({"documents": "secret"}), "`f.documents` is not an array"),
            (json!({"documents": ["a", "secret/../b"]}), "`f.documents`, number 1, is no name"),
            (json!({"documents": vec!["a"; 101]}), "`f.documents` is not an array of 1 to 100"),
            (json!({"modified_from": "last secret week"}), "`f.modified_from` is not a time"),
            (json!({"modified_before": 1_777_000_000}), "`f.modified_before` is not a time"),
            (json!({"modified_from": "+12026-01-01"}), "`f.modified_from` is not a time"),
            (json!({"modified_before": "9999-12-31T23:59:59-01:00"}), "`f.modified_before` is not a time"),
            (json!({"modified_before": "2026-02-30"}), "`f.modified_before` is not a time"),
        ];
        for (value, expected) in cases {
            let refused = read(&value, "f").expect_err(expected);
            assert_eq!(refused.kind(), ErrorKind::InvalidRequest, "{value}");
            assert!(refused.message().starts_with(expected), "{value}: {}", refused.message());
            assert!(!refused.message().contains("secret"), "{}", refused.message());
        }
    }
}
