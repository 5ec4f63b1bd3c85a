//! Calls that answer questions, in every shape that clients know.

use serde_json::{Value, json};

use super::{Call, any_object, call, text};
use crate::error::ErrorKind as E;
use crate::functions::search::{SearchAnswer, SearchRequest};

const REFUSED: &[E] = &[
    E::MalformedJson,
    E::InvalidRequest,
    E::UnsupportedMediaType,
    E::BodyTooLarge,
    E::InvalidName,
    E::ConversationBusy,
    E::KeyInUse,
    E::KeyReused,
    E::QuotaExceeded,
    E::ContentFiltered,
    E::ModelBusy,
    E::ModelFailed,
    E::DeadlineExceeded,
    E::StoreUnavailable,
];

pub(super) fn calls() -> Vec<Call> {
    vec![
        whole("/api/chat", "Ask a question and get the whole answer"),
        streamed("/api/chat/stream", "Ask a question and get the answer a line at a time, while it is made"),
        whole("/chat", "The same as /api/chat, where frontends of Azure-Samples look for it"),
        streamed("/chat/stream", "The same as /api/chat/stream, where they look for it"),
        call("Chat", "POST", "/v1/chat/completions", "Ask as clients of OpenAI's interface do")
            .takes_as(
                "application/json",
                openai_request(),
                json!({ "model": "knowledge-worker", "messages": [{ "role": "user", "content": "When does the ferry leave?" }] }),
            )
            .gives_as(200, "application/json", any_object("A chat completion, with `citations`."), "The answer.")
            .gives_as(200, "text/event-stream", json!({}), "The answer, chunk by chunk.")
            .gives_as(404, "application/json", openai_error(), "There is no such model.")
            .refuses_as(openai_error()),
        call("Chat", "GET", "/v1/models", "The one model that these clients may ask for").gives_as(
            200,
            "application/json",
            any_object("A list with one model."),
            "The list.",
        ),
        call("Chat", "GET", "/v1/models/{id}", "The same model by its name")
            .gives_as(200, "application/json", any_object("The model."), "It is the one.")
            .gives_as(404, "application/json", openai_error(), "There is no other."),
        call("Chat", "POST", "/mcp", "The Model Context Protocol, without sessions")
            .takes_as(
                "application/json",
                any_object("A message of JSON-RPC 2.0."),
                json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
            )
            .gives_as(200, "application/json", any_object("What JSON-RPC answers."), "The answer, or an error of JSON-RPC.")
            .gives_as(400, "application/json", any_object("An error of JSON-RPC."), "Not understood.")
            .gives_as(404, "application/json", any_object("An error of JSON-RPC."), "There is no such method.")
            .gives_nothing(202, "A notification was taken.")
            .fails(&[E::ForeignOrigin, E::UnsupportedMediaType, E::BodyTooLarge]),
        call("Chat", "POST", "/api/search", "Find the passages that fit a query, without an answer")
            .takes::<SearchRequest>(json!({ "query": "ferry", "top_results": 3, "filter": { "path_prefix": "fer" } }))
            .gives::<SearchAnswer>(200, "The passages, best first.")
            .fails(&[E::MalformedJson, E::InvalidRequest, E::UnsupportedMediaType, E::BodyTooLarge, E::DeadlineExceeded]),
        call("Chat", "GET", "/config", "What frontends of Azure-Samples show").gives_as(
            200,
            "application/json",
            any_object("Switches by name."),
            "The switches.",
        ),
        call("Chat", "GET", "/auth_setup", "Whether such a frontend signs its people in").gives_as(
            200,
            "application/json",
            any_object("Settings of its sign-in."),
            "The settings.",
        ),
    ]
}

fn whole(path: &'static str, summary: &'static str) -> Call {
    asked(path, summary).gives_as(
        200,
        "application/json",
        json!({ "anyOf": [simple_answer(), answer()] }),
        "The answer.",
    )
}

fn streamed(path: &'static str, summary: &'static str) -> Call {
    let lines = json!({ "type": "string", "description": "An object of JSON on each line." });
    asked(path, summary).gives_as(200, "application/jsonl", lines.clone(), "The answer, line by line.").gives_as(
        200,
        "application/json-lines",
        lines,
        "The answer, line by line.",
    )
}

fn asked(path: &'static str, summary: &'static str) -> Call {
    call("Chat", "POST", path, summary)
        .header("Idempotency-Key", text(), "Makes repeated requests one.")
        .header("X-Chat-Dialect", json!({ "type": "string" }), "`azure-samples` or `azure-samples-before-2026-04`.")
        .takes_as(
            "application/json",
            json!({ "anyOf": [simple_request(), request()] }),
            json!({ "message": "When does the ferry leave?" }),
        )
        .fails(REFUSED)
}

fn message() -> Value {
    json!({
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": { "type": "string", "enum": ["user", "assistant", "system"] },
            "content": { "type": "string" },
        },
    })
}

fn simple_request() -> Value {
    json!({
        "type": "object",
        "title": "A message",
        "required": ["message"],
        "additionalProperties": false,
        "properties": {
            "message": { "type": "string", "minLength": 1 },
            "conversation_id": { "type": ["string", "null"], "pattern": "^[A-Za-z0-9-]{1,64}$" },
            "conversation_history": { "type": ["array", "null"], "items": message() },
            "filter": filter(),
            "suggest_followup_questions": { "type": ["boolean", "null"] },
        },
    })
}

fn request() -> Value {
    json!({
        "type": "object",
        "title": "The Microsoft AI Chat Protocol",
        "required": ["messages"],
        "properties": {
            "messages": { "type": "array", "minItems": 1, "items": message() },
            "context": {
                "type": "object",
                "properties": {
                    "filter": filter(),
                    "conversation_id": { "type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$" },
                    "suggest_followup_questions": { "type": "boolean" },
                },
            },
            "sessionState": {},
        },
    })
}

fn simple_answer() -> Value {
    json!({
        "type": "object",
        "required": ["success", "response", "timestamp"],
        "properties": {
            "success": { "type": "boolean" },
            "response": { "type": ["string", "null"] },
            "citations": { "type": "array", "items": { "type": "object" } },
            "function_calls": {
                "type": "array",
                "description": "Tools that were used. One with a `proposal` has done nothing: confirm it at /api/actions.",
                "items": { "$ref": "#/components/schemas/ToolUse" },
            },
            "followup_questions": { "type": "array", "items": { "type": "string" } },
            "conversation_id": { "type": "string" },
            "turn": { "type": "integer" },
            "timestamp": { "type": "string", "format": "date-time" },
        },
    })
}

fn answer() -> Value {
    json!({ "type": "object", "required": ["context"], "properties": { "context": { "type": "object" } } })
}

fn filter() -> Value {
    json!({
        "type": ["object", "null"],
        "description": "Where to look; all that is given has to hold.",
        "additionalProperties": false,
        "properties": {
            "category": { "type": ["string", "null"] },
            "exclude_category": { "type": ["string", "null"] },
            "path_prefix": { "type": ["string", "null"] },
            "documents": { "type": ["array", "null"], "minItems": 1, "maxItems": 100, "items": { "type": "string" } },
            "modified_from": { "type": ["string", "null"] },
            "modified_before": { "type": ["string", "null"] },
        },
    })
}

fn openai_request() -> Value {
    json!({
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": { "type": "string" },
            "messages": { "type": "array", "minItems": 1, "items": { "type": "object" } },
            "stream": { "type": ["boolean", "null"] },
        },
    })
}

fn openai_error() -> Value {
    json!({ "type": "object", "required": ["error"], "properties": { "error": { "type": "object" } } })
}
