//! The fields of a request body, read with care. What enters is a body, what leaves are its top-level fields, each once,
//! and checked messages. Every refusal is a sentence that names the field and repeats nothing of what was sent.

use serde_json::{Map, Value};

use super::RequestLimits;
use crate::chat::question::Question;
use crate::chat::{Role, Turn};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Unfit};

/// The top-level fields of a body.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body: an object in which no field is given twice, here or further down.
    pub(super) fn read(body: &[u8]) -> Result<Self> {
        match json::read(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) | Err(Unfit::Repeated) => Err(invalid("the body is not an object with each field once")),
            Err(Unfit::Malformed(e)) => Err(Error::new(
                ErrorKind::MalformedJson,
                format!("the body is not valid JSON (line {}, column {})", e.line(), e.column()),
            )),
        }
    }

    /// Whether a field is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Takes a field out; `null` stands in for one that is not there.
    pub(super) fn take(&mut self, name: &str) -> Value {
        self.0.remove(name).unwrap_or_default()
    }

    /// Refuses what has not been taken: a field without effect would promise something.
    pub(super) fn finish(self, known: &str) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(invalid(&format!("the body holds a field other than {known}"))) }
    }
}

/// The id of a conversation, if one is given.
pub(super) fn conversation(given: &Value, field: &str) -> Result<Option<String>> {
    match given {
        Value::Null => Ok(None),
        Value::String(id) => Ok(Some(id.clone())),
        _ => Err(invalid(&format!("`{field}` is not a string"))),
    }
}

/// A wish that is `true`, or not there.
pub(super) fn flag(given: &Value, field: &str) -> Result<bool> {
    match given {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        _ => Err(invalid(&format!("`{field}` is neither true nor false"))),
    }
}

/// A refusal that can be mended by sending something else.
pub(super) fn invalid(sentence: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, sentence)
}

/// A question out of a field called `name`.
pub(super) fn question(value: &Value, name: &str, limits: RequestLimits) -> Result<Question> {
    let raw = value.as_str().ok_or_else(|| invalid(&format!("`{name}` is not a string")))?;
    Question::parse(raw, limits.question_chars).map_err(|e| invalid(&format!("`{name}`: {}", e.message())))
}

/// The messages of a field called `name`.
pub(super) fn array(value: Value, name: &str, limits: RequestLimits) -> Result<Vec<Value>> {
    let Value::Array(messages) = value else {
        return Err(invalid(&format!("`{name}` is not an array")));
    };
    if messages.len() > limits.messages {
        return Err(invalid(&format!("`{name}` holds more than {} messages", limits.messages)));
    }
    Ok(messages)
}

/// One message of an array called `name`. `None` for a role that callers do not have: instructions from outside are
/// accepted, because clients send them, and never followed.
pub(super) fn turn(message: &Value, name: &str, at: usize) -> Result<Option<Turn>> {
    if !message.is_object() {
        return Err(invalid(&format!("`{name}[{at}]` is not an object")));
    }
    let text =
        message["content"].as_str().ok_or_else(|| invalid(&format!("`{name}[{at}].content` is not a string")))?;
    let role = match message["role"].as_str() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => return Ok(None),
        _ => return Err(invalid(&format!("`{name}[{at}].role` is not one of user, assistant, system"))),
    };
    Ok(Some(Turn { role, text: text.to_owned() }))
}

/// The turns of all messages that have one.
pub(super) fn turns(messages: &[Value], name: &str) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        turns.extend(turn(message, name, at)?.filter(|turn| !turn.text.trim().is_empty()));
    }
    Ok(turns)
}
