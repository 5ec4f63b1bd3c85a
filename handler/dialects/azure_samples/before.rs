//! The shape until April 2026, which most forks and the ports to other languages still speak: messages and deltas.

use serde_json::{Value, json};

use super::super::{Echo, text_of};
use super::{Gathered, inline};
use crate::chat::ChatEvent;

/// A complete answer.
pub fn whole(echo: &Echo, events: &[ChatEvent]) -> Value {
    let message = json!({ "role": "assistant", "content": text_of(events), "function_call": null, "tool_calls": null });
    json!({ "message": message, "context": context(&Gathered::of(events)), "session_state": echo.session_state })
}

/// The lines of one event: the context first, then the words, last the questions that could come next.
pub fn lines(echo: &Echo) -> impl FnMut(&ChatEvent) -> Option<Value> + Send {
    let session_state = echo.session_state.clone();
    let mut gathered = Gathered::default();
    move |event| {
        gathered.add(event);
        let said = |content: &str| Some(json!({ "delta": { "content": content, "role": "assistant" } }));
        match event {
            ChatEvent::Context(_) | ChatEvent::FoundMore(_) => {
                let delta = json!({ "role": "assistant" });
                Some(json!({ "delta": delta, "context": context(&gathered), "session_state": session_state }))
            }
            ChatEvent::Text(text) => said(text),
            ChatEvent::Citation(citation) => said(&inline(citation)),
            ChatEvent::FollowUps(questions) => {
                let delta = json!({ "role": "assistant" });
                Some(json!({ "delta": delta, "context": { "followup_questions": questions } }))
            }
            ChatEvent::ToolCall(_) | ChatEvent::Usage(_) | ChatEvent::Done(_) => None,
        }
    }
}

fn context(gathered: &Gathered) -> Value {
    let points = json!({ "text": gathered.texts() });
    json!({ "data_points": points, "thoughts": gathered.thoughts(), "followup_questions": gathered.follow_ups })
}
