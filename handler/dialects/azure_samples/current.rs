//! The shape since April 2026: an output text, and streams of typed lines.

use serde_json::{Value, json};

use super::super::{Echo, text_of};
use super::{Gathered, inline};
use crate::chat::ChatEvent;

/// A complete answer.
pub fn whole(echo: &Echo, events: &[ChatEvent]) -> Value {
    let context = context(&Gathered::of(events));
    json!({ "output_text": text_of(events), "context": context, "session_state": echo.session_state })
}

/// The lines of one event: the context first, then the words, then the context again with what it took and the questions that
/// could come next.
pub fn lines(echo: &Echo) -> impl FnMut(&ChatEvent) -> Option<Value> + Send {
    let session_state = echo.session_state.clone();
    let mut gathered = Gathered::default();
    move |event| {
        gathered.add(event);
        let said = |text: &str| Some(json!({ "type": "response.output_text.delta", "delta": text }));
        match event {
            ChatEvent::Context(_) | ChatEvent::FoundMore(_) | ChatEvent::Done(_) => Some(json!({
                "type": "response.context", "context": context(&gathered), "session_state": session_state,
            })),
            ChatEvent::Text(text) => said(text),
            ChatEvent::Citation(citation) => said(&inline(citation)),
            ChatEvent::ToolCall(_) | ChatEvent::Usage(_) | ChatEvent::FollowUps(_) => None,
        }
    }
}

fn context(gathered: &Gathered) -> Value {
    let mut citations: Vec<String> = Vec::new();
    for (source, _) in gathered.passages() {
        if !citations.contains(&source) {
            citations.push(source);
        }
    }
    let points = json!({
        "text": gathered.texts(), "images": [], "citations": citations, "external_results_metadata": [],
    });
    json!({ "data_points": points, "followup_questions": gathered.follow_ups, "thoughts": gathered.thoughts() })
}
