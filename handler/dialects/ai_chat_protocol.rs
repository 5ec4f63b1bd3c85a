//! The Microsoft AI Chat Protocol of 2024-05-29. What enters are the fields of a request, what leaves is a completion, or
//! one line for each event: a first one with the context, then the words, then one with the checked citations.

use serde_json::{Value, json};

use super::fields::{self, Fields, invalid};
use super::{Decoded, Dialect, Echo, RequestLimits, follow_ups, inline, text_of};
use crate::chat::tools::ToolUse;
use crate::chat::{ChatEvent, ChatRequest, Context, Done, Role, filter};
use crate::error::{Error, Result};
use crate::models::Usage;

/// Reads `messages`, the last of them the question. The `context` of a request may hold anything; `filter` in it says where
/// to look, `conversation_id` which conversation it belongs to, `suggest_followup_questions`, there or in `overrides`, whether
/// questions that could come next are wanted, and nothing else in it changes anything.
pub(super) fn decode(mut body: Fields, limits: RequestLimits) -> Result<Decoded> {
    let messages = fields::array(body.take("messages"), "messages", limits)?;
    let context = body.take("context");
    let filter = filter::read(&context["filter"], "context.filter")?;
    let conversation = fields::conversation(&context["conversation_id"], "context.conversation_id")?;
    let wishes = [&context, &context["overrides"]];
    let wants_follow_ups = wishes.iter().any(|wishes| wishes["suggest_followup_questions"] == true);
    let session_state = body.take("sessionState");
    body.finish("`messages`, `context` and `sessionState`")?;
    let Some((last, earlier)) = messages.split_last() else {
        return Err(invalid("`messages` is empty"));
    };
    let history = fields::turns(earlier, "messages")?;
    let at = earlier.len();
    match fields::turn(last, "messages", at)? {
        Some(turn) if turn.role == Role::User => {}
        _ => return Err(invalid(&format!("`messages[{at}]`, the last one, is not from the user"))),
    }
    let question = fields::question(&last["content"], &format!("messages[{at}].content"), limits)?;
    let echo = Echo { dialect: Dialect::AiChatProtocol, session_state, turn: None };
    let request = ChatRequest { history, filter, wants_follow_ups, ..ChatRequest::of(question) };
    Ok(Decoded { request, conversation, echo })
}

/// A complete answer.
pub(super) fn whole(echo: &Echo, events: &[ChatEvent]) -> Value {
    let mut context = json!({ "data_points": { "text": [] }, "thoughts": [] });
    let mut thoughts = Vec::new();
    for event in events {
        match event {
            ChatEvent::Context(found) => {
                context["data_points"] = data_points(found);
                thoughts.push(search_thought(found));
            }
            ChatEvent::FoundMore(found) => context["data_points"] = data_points(found),
            ChatEvent::ToolCall(used) => thoughts.push(tool_thought(used)),
            ChatEvent::Usage(usage) => thoughts.push(usage_thought(*usage)),
            ChatEvent::Done(done) => {
                thoughts.push(answer_thought(done));
                context["citations"] = json!(done.citations);
                context["abstained"] = json!(done.abstained);
            }
            ChatEvent::Text(_) | ChatEvent::Citation(_) | ChatEvent::FollowUps(_) => {}
        }
    }
    name_the_turn(echo, &mut context);
    context["thoughts"] = Value::Array(thoughts);
    context["followup_questions"] = json!(follow_ups(events).unwrap_or_default());
    json!({
        "message": { "role": "assistant", "content": text_of(events) },
        "context": context,
        "sessionState": echo.session_state,
    })
}

/// The line of one event, or `None` for an event that has none of its own.
pub(super) fn line(echo: &Echo, event: &ChatEvent) -> Option<Value> {
    let said = |content: &str| Some(json!({ "delta": { "content": content } }));
    match event {
        ChatEvent::Context(found) => {
            let mut context = json!({
                "data_points": data_points(found),
                "thoughts": [search_thought(found)],
                "followup_questions": [],
            });
            name_the_turn(echo, &mut context);
            let role = json!({ "role": "assistant" });
            Some(json!({ "delta": role, "context": context, "sessionState": echo.session_state }))
        }
        ChatEvent::Text(text) => said(text),
        ChatEvent::Citation(citation) => said(&inline(citation)),
        ChatEvent::FoundMore(found) => Some(json!({ "delta": {}, "context": { "data_points": data_points(found) } })),
        ChatEvent::ToolCall(used) => Some(json!({ "delta": {}, "context": { "thoughts": [tool_thought(used)] } })),
        ChatEvent::Usage(usage) => Some(json!({ "delta": {}, "context": { "thoughts": [usage_thought(*usage)] } })),
        ChatEvent::FollowUps(questions) => Some(json!({ "delta": {}, "context": { "followup_questions": questions } })),
        ChatEvent::Done(done) => Some(json!({
            "delta": {},
            "context": {
                "citations": done.citations,
                "abstained": done.abstained,
                "thoughts": [answer_thought(done)],
            },
            "sessionState": echo.session_state,
        })),
    }
}

/// Says in a context which turn of which conversation this is.
fn name_the_turn(echo: &Echo, context: &mut Value) {
    if let Some((conversation, turn)) = &echo.turn {
        context["conversation_id"] = json!(conversation);
        context["turn"] = json!(turn);
    }
}

/// A failure. The protocol's own client throws whatever `error` holds, and every sample prints it: so it is a sentence.
pub(super) fn error(error: &Error) -> Value {
    json!({ "error": error.message() })
}

fn data_points(found: &Context) -> Value {
    let texts: Vec<String> =
        found.passages.iter().map(|cited| format!("{}: {}", cited.passage.source(), cited.passage.text)).collect();
    json!({ "text": texts })
}

fn search_thought(found: &Context) -> Value {
    json!({
        "title": "Search",
        "description": found.query,
        "props": {
            "passages": found.passages.len(),
            "generation": found.generation,
            "retrieval": found.retrieval,
            "rewritten": found.is_rewritten,
        },
    })
}

fn tool_thought(used: &ToolUse) -> Value {
    json!({
        "title": "Tool",
        "description": used.summary,
        "props": { "name": used.name, "is_error": used.is_error, "proposal": used.proposal },
    })
}

fn usage_thought(usage: Usage) -> Value {
    let total = usage.prompt_tokens.saturating_add(usage.completion_tokens);
    let spent = json!({ "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens, "total_tokens": total });
    json!({ "title": "Tokens", "description": null, "props": { "token_usage": spent } })
}

fn answer_thought(done: &Done) -> Value {
    json!({
        "title": "Answer",
        "description": null,
        "props": {
            "model": done.model,
            "abstained": done.abstained,
            "truncated": done.truncated,
            "citations": done.citations.len(),
            "dropped_citations": done.dropped_citations,
            "cost": done.cost,
        },
    })
}
