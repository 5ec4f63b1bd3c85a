//! Answers in OpenAI's shape, whole or in chunks. What enters are the events of an answer; what leaves is JSON, with each
//! citation in the text where it belongs and all of them, checked, once more under `citations`, which ordinary clients
//! pass over.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::Stream;
use serde_json::{Value, json};

use super::super::{inline, text_of};
use super::{MODEL, Refusal, body_of};
use crate::chat::{ChatEvent, Done};
use crate::error::Result;
use crate::models::Usage;

/// What all chunks of one answer, or the whole of it, have in common.
struct Head {
    id: String,
    created: i64,
}

impl Head {
    /// `request_id` makes the id, so that the log of an answer is found from what a client keeps of it.
    fn new(request_id: &str, now: DateTime<Utc>) -> Self {
        let id: String = request_id.chars().filter(char::is_ascii_alphanumeric).collect();
        Self { id: format!("chatcmpl-{id}"), created: now.timestamp() }
    }

    fn object(&self, kind: &str, choices: Value) -> Value {
        json!({ "id": self.id, "object": kind, "created": self.created, "model": MODEL, "choices": choices })
    }
}

/// A complete answer.
pub fn whole(events: &[ChatEvent], request_id: &str, now: DateTime<Utc>) -> Value {
    let done = events.iter().find_map(|event| match event {
        ChatEvent::Done(done) => Some(done),
        _ => None,
    });
    let spent = events.iter().fold(Usage::default(), add);
    let message = json!({ "role": "assistant", "content": text_of(events), "refusal": null });
    let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(done) });
    let mut whole = Head::new(request_id, now).object("chat.completion", json!([choice]));
    whole["usage"] = usage(spent);
    add_provenance(&mut whole, done);
    whole
}

/// An answer as server-sent events, each sent as soon as it is there. A failure becomes an event that clients throw, and
/// nothing follows it; after an answer comes `[DONE]`.
pub fn chunks<S: Stream<Item = Result<ChatEvent>> + Send>(
    is_usage_wanted: bool,
    events: S,
    request_id: &str,
    now: DateTime<Utc>,
) -> impl Stream<Item = Bytes> + Send + use<S> {
    let head = Head::new(request_id, now);
    async_stream::stream! {
        let mut spent = Usage::default();
        for await event in events {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    yield sent(&body_of(&Refusal::from(error)));
                    return;
                }
            };
            spent = add(spent, &event);
            if let Some(mut chunk) = chunk(&head, &event) {
                if is_usage_wanted {
                    chunk["usage"] = Value::Null;
                }
                yield sent(&chunk);
            }
        }
        if is_usage_wanted {
            let mut last = head.object("chat.completion.chunk", json!([]));
            last["usage"] = usage(spent);
            yield sent(&last);
        }
        yield Bytes::from_static(b"data: [DONE]\n\n");
    }
}

/// The chunk of one event, or `None` for an event that has none of its own.
fn chunk(head: &Head, event: &ChatEvent) -> Option<Value> {
    let choice = |delta: Value, finish_reason: Value| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason });
        Some(head.object("chat.completion.chunk", json!([choice])))
    };
    match event {
        ChatEvent::Context(_) => choice(json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null),
        ChatEvent::Text(text) => choice(json!({ "content": text }), Value::Null),
        ChatEvent::Citation(citation) => choice(json!({ "content": inline(citation) }), Value::Null),
        ChatEvent::Done(done) => choice(json!({}), finish_reason(Some(done))).map(|mut last| {
            add_provenance(&mut last, Some(done));
            last
        }),
        _ => None,
    }
}

fn add_provenance(to: &mut Value, done: Option<&Done>) {
    to["citations"] = json!(done.map_or(&[][..], |done| &done.citations));
    to["abstained"] = json!(done.is_some_and(|done| done.abstained));
}

fn finish_reason(done: Option<&Done>) -> Value {
    json!(if done.is_some_and(|done| done.truncated) { "length" } else { "stop" })
}

fn add(spent: Usage, event: &ChatEvent) -> Usage {
    match event {
        ChatEvent::Usage(more) => Usage {
            prompt_tokens: spent.prompt_tokens.saturating_add(more.prompt_tokens),
            completion_tokens: spent.completion_tokens.saturating_add(more.completion_tokens),
        },
        _ => spent,
    }
}

/// The tokens; none were spent on an answer that no model wrote, or that was kept from a moment ago.
fn usage(spent: Usage) -> Value {
    json!({
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": spent.prompt_tokens.saturating_add(spent.completion_tokens),
    })
}

/// One server-sent event. JSON has no line breaks of its own, so it is one line.
fn sent(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}
