//! Calls of tools out of the parts in which they are streamed. What enters are parts of any number of calls, mixed as the
//! server likes; what leaves are whole calls. How much a model may call at once is bounded here.

use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;
use crate::models::ToolCall;

/// Calls that a model may make at once.
const MOST_CALLS: usize = 16;
/// Bytes of all their words together.
const MOST_BYTES: usize = 64 << 10;

/// A part of a call. Every field may be missing.
#[derive(Deserialize)]
pub(super) struct ToolCallDelta {
    index: Option<usize>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    /// A piece of JSON as text; some servers send the object itself.
    arguments: Option<Value>,
}

/// The calls so far.
#[derive(Default)]
pub(super) struct ToolCalls {
    calls: Vec<(usize, ToolCall)>,
    bytes: usize,
}

impl ToolCalls {
    /// Adds parts. Too many or too long calls are `Wrong`.
    pub(super) fn add(&mut self, deltas: Vec<ToolCallDelta>) -> Result<(), Failure> {
        for delta in deltas {
            self.add_one(delta);
            if self.calls.len() > MOST_CALLS || self.bytes > MOST_BYTES {
                return Err(Failure::Wrong("the model wants more of its tools than it may".to_owned()));
            }
        }
        Ok(())
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The calls, each with an id of its own, for servers that give none.
    pub(super) fn finish(self) -> Vec<ToolCall> {
        let mut calls: Vec<ToolCall> = Vec::with_capacity(self.calls.len());
        for (at, (_, mut call)) in self.calls.into_iter().enumerate() {
            if call.id.is_empty() || calls.iter().any(|other| other.id == call.id) {
                call.id = format!("call_{at}");
            }
            calls.push(call);
        }
        calls
    }

    fn add_one(&mut self, delta: ToolCallDelta) {
        let id = delta.id.unwrap_or_default();
        // Some servers number no calls, and some number all of them 0: then another id is another call.
        let is_named =
            delta.function.as_ref().is_some_and(|function| function.name.as_ref().is_some_and(|n| !n.is_empty()));
        let is_same = |(at, call): &&mut (usize, ToolCall)| {
            let is_its_id = id.is_empty() || call.id.is_empty() || call.id == id;
            is_its_id && delta.index.map_or(!is_named || call.name.is_empty(), |index| index == *at)
        };
        let at = delta.index.unwrap_or(self.calls.len());
        let call = match self.calls.iter_mut().rev().find(is_same) {
            Some((_, call)) => call,
            None => {
                let call = ToolCall { id: String::new(), name: String::new(), arguments: String::new() };
                self.calls.push((at, call));
                let Some((_, call)) = self.calls.last_mut() else { return };
                call
            }
        };
        if call.id.is_empty() {
            call.id = id;
        }
        let before = call.name.len() + call.arguments.len();
        if let Some(function) = delta.function {
            call.name.push_str(&function.name.unwrap_or_default());
            match function.arguments {
                Some(Value::String(piece)) => call.arguments.push_str(&piece),
                Some(Value::Null) | None => {}
                Some(whole) => call.arguments = whole.to_string(),
            }
        }
        self.bytes += (call.name.len() + call.arguments.len()).saturating_sub(before);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn joined(deltas: Value) -> Result<Vec<(String, String, String)>, Failure> {
        let mut calls = ToolCalls::default();
        for delta in deltas.as_array().expect("deltas") {
            calls.add(vec![serde_json::from_value(delta.clone()).expect("a delta")])?;
        }
        Ok(calls.finish().into_iter().map(|call| (call.id, call.name, call.arguments)).collect())
    }

    fn check(deltas: Value, expected: &[(&str, &str, &str)]) {
        let found = joined(deltas).expect("calls");
        let found: Vec<(&str, &str, &str)> = found.iter().map(|(id, name, a)| (&**id, &**name, &**a)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_become_calls_whatever_the_server_is() {
        let part = |index: usize, arguments: &str| json!({"index": index, "function": {"arguments": arguments}});
        let begin = |index: usize, id: &str, name: &str| json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
        let mixed = json!([begin(0, "a", "x"), begin(1, "b", "y"), part(0, "{\"q\":"), part(1, "{}"), part(0, "1}")]);
        check(mixed, &[("a", "x", "{\"q\":1}"), ("b", "y", "{}")]);
        let all_zero = json!([begin(0, "a", "x"), part(0, "{}"), begin(0, "b", "y"), part(0, "{}")]);
        check(all_zero, &[("a", "x", "{}"), ("b", "y", "{}")]);
        let whole = json!({"function": {"name": "x", "arguments": {"q": 1}}});
        check(json!([whole, whole]), &[("call_0", "x", "{\"q\":1}"), ("call_1", "x", "{\"q\":1}")]);
        check(
            json!([{"id": "a"}, {"index": 3, "id": "a", "function": {"name": "y"}}]),
            &[("a", "", ""), ("call_1", "y", "")],
        );
    }

    #[test]
    fn a_model_may_not_want_too_much() {
        let begin = |at: usize| json!({"index": at, "id": at.to_string(), "function": {"name": "x"}});
        assert_eq!(joined((0..16).map(begin).collect()).expect("as many as it may").len(), 16);
        assert!(joined((0..17).map(begin).collect()).is_err());
        let long = json!({"index": 0, "function": {"arguments": "x".repeat(40_000)}});
        assert!(joined(json!([long])).is_ok() && joined(json!([long, long])).is_err());
    }
}
