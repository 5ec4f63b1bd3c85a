//! The shape with one `message` and a `conversation_history`. What enters are the fields of a request, what leaves is one
//! object that has the same fields for success and failure.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::fields::{self, Fields};
use super::{Decoded, Dialect, Echo, RequestLimits, follow_ups, text_of};
use crate::chat::tools::ToolUse;
use crate::chat::{ChatEvent, ChatRequest, filter};
use crate::error::{Error, Result};

/// Reads `message` and, when they are there, `conversation_id`, `conversation_history`, `filter` and
/// `suggest_followup_questions`.
pub(super) fn decode(mut body: Fields, limits: RequestLimits) -> Result<Decoded> {
    let message = body.take("message");
    let history = match body.take("conversation_history") {
        Value::Null => Vec::new(),
        given => fields::array(given, "conversation_history", limits)?,
    };
    let filter = filter::read(&body.take("filter"), "filter")?;
    let conversation = fields::conversation(&body.take("conversation_id"), "conversation_id")?;
    let wants_follow_ups = fields::flag(&body.take("suggest_followup_questions"), "suggest_followup_questions")?;
    let known = "`message`, `conversation_id`, `conversation_history`, `filter` and `suggest_followup_questions`";
    body.finish(known)?;
    let question = fields::question(&message, "message", limits)?;
    let history = fields::turns(&history, "conversation_history")?;
    let echo = Echo { dialect: Dialect::Simple, session_state: Value::Null, turn: None };
    let request = ChatRequest { history, filter, wants_follow_ups, ..ChatRequest::of(question) };
    Ok(Decoded { request, conversation, echo })
}

/// A complete answer.
pub(super) fn whole(echo: &Echo, events: &[ChatEvent], now: DateTime<Utc>) -> Value {
    let citations = events.iter().find_map(|event| match event {
        ChatEvent::Done(done) => Some(&done.citations),
        _ => None,
    });
    let mut whole = json!({
        "success": true,
        "response": text_of(events),
        "function_calls": function_calls(events),
        "timestamp": timestamp(now),
        "error": null,
        "citations": citations.map_or(&[][..], Vec::as_slice),
    });
    if let Some(questions) = follow_ups(events) {
        whole["followup_questions"] = json!(questions);
    }
    if let Some((conversation, turn)) = &echo.turn {
        whole["conversation_id"] = json!(conversation);
        whole["turn"] = json!(turn);
    }
    whole
}

/// The tools that were used. One with a `proposal` has done nothing yet: the person decides on it.
fn function_calls(events: &[ChatEvent]) -> Vec<&ToolUse> {
    let mut used = Vec::new();
    for event in events {
        if let ChatEvent::ToolCall(tool) = event {
            used.push(tool);
        }
    }
    used
}

/// A failure.
pub(super) fn error(error: &Error, now: DateTime<Utc>) -> Value {
    json!({
        "success": false,
        "response": null,
        "function_calls": [],
        "timestamp": timestamp(now),
        "error": error.message(),
    })
}

fn timestamp(now: DateTime<Utc>) -> String {
    now.to_rfc3339_opts(SecondsFormat::Millis, true)
}
