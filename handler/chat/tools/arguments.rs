//! The arguments of a call, read with care. What enters is an object that a model or another program has made, what leaves are
//! values of the right kind, or a sentence that says what is wrong.

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Result};

/// The arguments of a call.
#[derive(Clone, Copy)]
pub struct Arguments<'a>(pub &'a Map<String, Value>);

impl<'a> Arguments<'a> {
    /// A text that has to be there.
    pub fn text(self, name: &str) -> Result<&'a str> {
        let text = self.0.get(name).and_then(Value::as_str);
        text.ok_or_else(|| invalid(format!("`{name}` must be a string")))
    }

    /// A text that may be there. An empty one is none: models fill in what they do not need.
    pub fn optional_text(self, name: &str) -> Result<Option<&'a str>> {
        match self.value(name) {
            Value::Null => Ok(None),
            _ => self.text(name).map(|text| Some(text.trim()).filter(|text| !text.is_empty())),
        }
    }

    /// Any value; null when it is not there.
    pub fn value(self, name: &str) -> &'a Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// A number from 1 to `most`.
    pub fn count(self, name: &str, most: usize, default: usize) -> Result<usize> {
        let given = match self.value(name) {
            Value::Null => return Ok(default),
            // 5.0 is an integer for JSON Schema, and some models write it so.
            given => given.as_f64().filter(|given| given.fract() == 0.0 && (1.0..=most as f64).contains(given)),
        };
        given.map(|given| given as usize).ok_or_else(|| invalid(format!("`{name}` must be from 1 to {most}")))
    }

    /// Refuses arguments that are not in a schema: one without effect would promise something.
    pub fn check_names(self, schema: &Value) -> Result<()> {
        match self.0.keys().any(|name| schema["properties"].get(name).is_none()) {
            true => Err(invalid("the tool takes no argument of that name".to_owned())),
            false => Ok(()),
        }
    }
}

/// A refusal that can be mended by another call.
pub fn invalid(sentence: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, sentence)
}

/// The schema of an object with these properties.
pub fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}
