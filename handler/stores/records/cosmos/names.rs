//! How partitions and ids are called at the service. Both ways: what was read can be told under the name it was put with.
//!
//! The service refuses `/`, `\`, `?` and `#` in an id, and what it does with other signs depends on the client. So an id is
//! letters and digits as they are, and any other byte as a sign and two hexadecimal digits. The sign is chosen so that
//! written ids have the order of the ids: the embedded store lists in order of bytes, and so does the service.

use crate::error::{Error, ErrorKind, Result};

/// The longest id that the service takes, in bytes.
/// Source: <https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits>
const MAX_ID_BYTES: usize = 1023;

/// The two levels of the partition key. What comes before the first slash is the kind of record, the rest is whose they are:
/// together they are the partition's name again. Without a slash the scope is empty.
pub(super) fn levels(partition: &str) -> (String, String) {
    let end = partition.find('/').unwrap_or(partition.len());
    let (kind, scope) = partition.split_at(end);
    (kind.to_owned(), scope.to_owned())
}

/// The name of a partition by its two levels.
pub(super) fn partition(kind: &str, scope: &str) -> String {
    format!("{kind}{scope}")
}

/// An id as the service has it. `InvalidRequest` when it is empty or too long for the service.
pub(super) fn encode(id: &str) -> Result<String> {
    let encoded = encode_any(id);
    if encoded.is_empty() || encoded.len() > MAX_ID_BYTES {
        let sentence = format!("a record's id must have 1 to {MAX_ID_BYTES} bytes as Cosmos DB writes it");
        return Err(Error::new(ErrorKind::InvalidRequest, sentence));
    }
    Ok(encoded)
}

/// The same without a look at its length, to compare with.
pub(super) fn encode_any(id: &str) -> String {
    let mut encoded = String::with_capacity(id.len());
    for byte in id.bytes() {
        match sign_of(byte) {
            None => encoded.push(char::from(byte)),
            Some(sign) => encoded.push_str(&format!("{sign}{byte:02x}")),
        }
    }
    encoded
}

/// The id behind what the service has; `None` for one that was not made here.
pub(super) fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if first.is_ascii_alphanumeric() {
            bytes.push(*first);
            continue;
        }
        // Any sign will do here: written anew in the end, it shows whether it was the right one.
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    let id = String::from_utf8(bytes).ok()?;
    (encode_any(&id) == encoded).then_some(id)
}

/// The sign before a byte that is not written as it is. It stands between the letters or digits that the byte stands between.
fn sign_of(byte: u8) -> Option<char> {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => None,
        0..b'0' => Some('-'),
        b':'..b'A' => Some('='),
        b'['..b'a' => Some('_'),
        b'{'.. => Some('~'),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_written_id_can_be_read_by_a_person() {
        assert_eq!(encode("last-report").unwrap(), "last-2dreport");
        assert_eq!(encode("a/b c?#\\ü").unwrap(), "a-2fb-20c=3f-23_5c~c3~bc");
        assert_eq!(encode("").unwrap_err().kind(), ErrorKind::InvalidRequest);
        assert_eq!(encode(&"x".repeat(1_023)).unwrap().len(), 1_023);
        assert_eq!(encode(&"/".repeat(342)).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn what_was_not_made_here_is_no_id() {
        for foreign in ["-", "-2", "-zz", "~2f", "-ff", "-2F", "a b", "~ff", "-+2"] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_partition_has_two_levels() {
        assert_eq!(levels("documents"), ("documents".to_owned(), String::new()));
        assert_eq!(levels("embeddings/a/b"), ("embeddings".to_owned(), "/a/b".to_owned()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn written_ids_come_back_and_keep_their_order(one in any::<String>(), other in any::<String>()) {
            let (written, beside) = (encode_any(&one), encode_any(&other));
            prop_assert_eq!(decode(&written), Some(one.clone()));
            prop_assert_eq!(written.cmp(&beside), one.cmp(&other));
            prop_assert!(written.bytes().all(|b| b.is_ascii_alphanumeric() || b"-=_~".contains(&b)));
        }

        #[test]
        fn the_levels_are_the_partition(name in any::<String>()) {
            let (kind, scope) = levels(&name);
            prop_assert_eq!(partition(&kind, &scope), name);
        }
    }
}
