//! Conditions in the language of the service (OData). Everything that comes from outside passes through here: a text
//! becomes a quoted literal, and marks of readers are written in an alphabet that has neither quotes nor delimiters.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::document::{DocumentId, Principal};
use crate::index::filter::Filter;

/// Parts the values of a list. No id and no encoded mark has it.
const DELIMITER: char = '|';

/// Characters of a mark that stay as they are: those of ids, tenants and the words before them.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b':').remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'@');

/// A mark as it is stored and asked for. Two marks never become one, and marks of ids stay readable.
pub fn mark(raw: &str) -> String {
    utf8_percent_encode(raw, PLAIN).to_string()
}

/// The condition that a principal may read a row; none for one without a mark, who may read nothing and must not ask.
pub fn readable(principal: &Principal) -> Option<String> {
    let marks: Vec<String> = principal.readers().iter().filter(|mark| !mark.is_empty()).map(|raw| mark(raw)).collect();
    (!marks.is_empty()).then(|| format!("readers/any(r: {})", any_of("r", &marks)))
}

/// That a field has one of some values, which hold no delimiter.
pub fn any_of<T: AsRef<str>>(field: &str, values: &[T]) -> String {
    let list: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
    format!("search.in({field}, {}, '{DELIMITER}')", literal(&list.join(&DELIMITER.to_string())))
}

/// That a field has a value.
pub fn is(field: &str, value: &str) -> String {
    format!("{field} eq {}", literal(value))
}

/// As much of a filter on documents as the service can judge. Texts are the same or not for it, so of a path only the
/// folder counts here; the claims of what was found are judged by the whole filter.
pub fn on_documents(filter: &Filter) -> Vec<String> {
    let mut conditions = Vec::new();
    if !filter.documents.is_empty() {
        let ids: Vec<&str> = filter.documents.iter().map(DocumentId::as_str).collect();
        conditions.push(any_of("document_id", &ids));
    }
    if let Some(at) = filter.path_prefix.as_ref().and_then(|prefix| prefix.rfind('/')) {
        let folder = filter.path_prefix.as_ref().map_or("", |prefix| &prefix[..=at]);
        conditions.push(format!("folders/any(f: {})", is("f", folder)));
    }
    conditions.extend(filter.category.as_ref().map(|category| is("category", category)));
    // A field without a value is not equal to any.
    let other = |category: &String| format!("category ne {}", literal(category));
    conditions.extend(filter.exclude_category.as_ref().map(other));
    let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    // The service keeps milliseconds: what is cut off the bound may let more in, never less.
    conditions.extend(filter.modified_from.map(|from| format!("modified ge {}", time(from))));
    let next = chrono::TimeDelta::milliseconds(1);
    conditions.extend(filter.modified_before.map(|before| format!("modified lt {}", time(before + next))));
    conditions
}

/// That all of some conditions hold.
pub fn all(conditions: &[String]) -> String {
    conditions.join(" and ")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_cannot_leave_its_list() {
        let principal = Principal::user("home", "o'Hara|everyone') or true", ["a|b"]).expect("a user");
        let expected = "readers/any(r: search.in(r, 'everyone|user:home/o%27Hara%7Ceveryone%27%29%20or%20true|group:home/a%7Cb', '|'))";
        assert_eq!(readable(&principal).as_deref(), Some(expected));
        assert_eq!(mark("user:home/8f14e45f-ea-4167"), "user:home/8f14e45f-ea-4167");
        assert_ne!(mark("a%7Cb"), mark("a|b"));
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(is("name", "it's"), "name eq 'it''s'");
        assert_eq!(any_of("id", &["a", "b"]), "search.in(id, 'a|b', '|')");
    }
}
