//! JSON from outside, read with care. What enters are bytes, what leaves is a value in which no member of any object is given
//! twice: programs differ in which of two they take, and what one has checked another may not see.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why bytes are not taken.
#[derive(Debug)]
pub enum Unfit {
    /// They are not JSON; the place is in the error.
    Malformed(serde_json::Error),
    /// They are, and an object in them has a member twice.
    Repeated,
}

/// Reads a value.
pub fn read(bytes: &[u8]) -> Result<Value, Unfit> {
    match serde_json::from_slice::<Once>(bytes) {
        Ok(Once(value)) => Ok(value),
        // It stopped at the second of two members, so what follows has not been read yet.
        Err(e) if e.is_data() => {
            Err(serde_json::from_slice::<Value>(bytes).map_or_else(Unfit::Malformed, |_| Unfit::Repeated))
        }
        Err(e) => Err(Unfit::Malformed(e)),
    }
}

/// A value with each member once.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading).map(Once)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Once(value))) = members.next_entry::<String, Once>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_one_that_everybody_reads() {
        let text = r#" {"a": [1, -2, 3.5, null, true, "x\u0061", {}], "b": {"a": 18446744073709551615}} "#;
        let read = read(text.as_bytes()).expect("it is JSON");
        assert_eq!(read, serde_json::from_str::<Value>(text).expect("it is JSON"));
    }

    #[test]
    fn a_member_given_twice_is_found_at_any_depth() {
        let twice = [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#, r#"{"a":{"":0,"":0}}"#];
        assert!(twice.iter().all(|text| matches!(read(text.as_bytes()), Err(Unfit::Repeated))));
        let malformed = ["", r#"{"a":1,"a":1"#, r#"{"a":1,"a":1]"#, "[1,]", "{\"a\":1,\"a\":\"\x01\"}", "1e400"];
        assert!(malformed.iter().all(|text| matches!(read(text.as_bytes()), Err(Unfit::Malformed(_)))));
    }
}
