//! What the fake server says: refusals, silence, or a stream of chunks that may stop in the middle. What enters is a
//! script, what leaves is an HTTP answer.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::Shared;

/// One answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A stream of deltas.
    Stream(Script),
    /// A status other than success.
    Refuse(Refusal),
    /// No answer at all, until the client goes away.
    Hang,
}

/// A streamed answer.
#[derive(Clone, Debug)]
pub struct Script {
    deltas: Vec<String>,
    calls: Vec<(String, String)>,
    chunks_before_end: Vec<Value>,
    is_gated: bool,
    ending: Ending,
}

/// How a stream ends.
#[derive(Clone, Debug)]
pub enum Ending {
    /// With this `finish_reason`, the usage when it was asked for, and `[DONE]`.
    Finish(&'static str),
    /// The connection breaks.
    Cut,
    /// The body ends without a `finish_reason`, as if it were complete.
    Stop,
    /// Nothing more comes, and the connection stays.
    Hang,
}

/// An answer with an error status.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Script {
    /// An answer in these pieces, that finishes as it should.
    pub fn new(deltas: &[&str]) -> Self {
        let deltas = deltas.iter().map(|delta| (*delta).to_owned()).collect();
        Self {
            deltas,
            calls: Vec::new(),
            chunks_before_end: Vec::new(),
            is_gated: false,
            ending: Ending::Finish("stop"),
        }
    }

    /// Calls these tools after its words, given with their arguments; the parts of the calls come mixed.
    pub fn calling(mut self, calls: &[(&str, &str)]) -> Self {
        self.calls = calls.iter().map(|(name, arguments)| ((*name).to_owned(), (*arguments).to_owned())).collect();
        if matches!(self.ending, Ending::Finish("stop")) {
            self.ending = Ending::Finish("tool_calls");
        }
        self
    }

    /// Sends each delta, and the ending, only when the test releases it.
    pub fn gated(mut self) -> Self {
        self.is_gated = true;
        self
    }

    /// Ends in another way.
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Sends a chunk as it is, after the deltas.
    pub fn then_chunk(mut self, chunk: Value) -> Self {
        self.chunks_before_end.push(chunk);
        self
    }
}

impl Refusal {
    /// A status with a JSON body.
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// Too many requests, with one header that says when to come back.
    pub fn busy(header: &'static str, value: &str) -> Self {
        Self::new(429, json!({"error": {"code": "rate_limit_exceeded", "message": "slow down"}})).header(header, value)
    }

    /// What Azure OpenAI says when its content filter refuses a prompt.
    pub fn content_filter() -> Self {
        let inner = json!({"code": "ResponsibleAIPolicyViolation"});
        Self::new(
            400,
            json!({"error": {"code": "content_filter", "message": "the response was filtered", "status": 400, "innererror": inner}}),
        )
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl From<Script> for Reply {
    fn from(script: Script) -> Self {
        Self::Stream(script)
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

/// Tells the test when it is dropped before the answer is over.
struct Presence {
    shared: Arc<Shared>,
    is_over: bool,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.departures.fetch_add(1, Ordering::SeqCst);
            self.shared.gone.notify_one();
        }
    }
}

/// The HTTP answer of a reply.
pub(super) async fn play(reply: Reply, shared: Arc<Shared>) -> Response {
    match reply {
        Reply::Refuse(refusal) => {
            let mut response = Response::builder().status(refusal.status).header("content-type", "application/json");
            for (name, value) in refusal.headers {
                response = response.header(name, value);
            }
            response.body(Body::from(refusal.body.to_string())).expect("a test's headers are sound")
        }
        Reply::Hang => {
            let _presence = Presence { shared, is_over: false };
            std::future::pending().await
        }
        Reply::Stream(script) => {
            let body = Body::from_stream(stream(script, shared));
            Response::builder()
                .status(StatusCode::OK)
                .header("content-type", "text/event-stream")
                .body(body)
                .expect("fixed headers are sound")
        }
    }
}

fn stream(script: Script, shared: Arc<Shared>) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send {
    async_stream::try_stream! {
        let mut presence = Presence { shared: shared.clone(), is_over: false };
        for delta in script.deltas {
            pass(script.is_gated, &shared).await;
            yield event(&chunk(json!([{"index": 0, "delta": {"content": delta}, "finish_reason": null}])));
        }
        for part in parts_of(&script.calls) {
            pass(script.is_gated, &shared).await;
            yield event(&chunk(json!([{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": null}])));
        }
        for chunk in script.chunks_before_end {
            yield event(&chunk);
        }
        pass(script.is_gated, &shared).await;
        match script.ending {
            Ending::Finish(reason) => {
                yield event(&chunk(json!([{"index": 0, "delta": {}, "finish_reason": reason}])));
                let mut usage = chunk(json!([]));
                usage["usage"] = json!({"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16});
                yield event(&usage);
                presence.is_over = true;
                yield Bytes::from_static(b"data: [DONE]\n\n");
            }
            Ending::Stop => presence.is_over = true,
            Ending::Cut => {
                presence.is_over = true;
                Err(io::Error::other("cut"))?;
            }
            Ending::Hang => never().await,
        }
    }
}

/// Calls as they are streamed: first their names, then their arguments in two pieces, each call in turn.
fn parts_of(calls: &[(String, String)]) -> Vec<Value> {
    let begun = calls.iter().enumerate().map(|(at, (name, _))| {
        json!({"index": at, "id": format!("call_{at}_{name}"), "type": "function", "function": {"name": name, "arguments": ""}})
    });
    let pieces = [0, 1].into_iter().flat_map(|half| {
        calls.iter().enumerate().map(move |(at, (_, arguments))| {
            let middle = arguments.char_indices().nth(arguments.chars().count() / 2).map_or(0, |(at, _)| at);
            let piece = if half == 0 { &arguments[..middle] } else { &arguments[middle..] };
            json!({"index": at, "function": {"arguments": piece}})
        })
    });
    begun.chain(pieces).collect()
}

/// Why the real service would refuse these messages, if it would: every call is answered by one message of a tool under its
/// id, before anything else is said, and a tool answers nothing that was not called.
pub(super) fn wrong_order(body: &Value) -> Option<Refusal> {
    let refused = |sentence: &str| {
        let error = json!({"message": sentence, "type": "invalid_request_error", "param": "messages", "code": null});
        Some(Refusal::new(400, json!({ "error": error })))
    };
    let mut open: Vec<&str> = Vec::new();
    for message in body["messages"].as_array()? {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(at) = open.iter().position(|call| *call == id) else {
                return refused(
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
                );
            };
            open.remove(at);
            continue;
        }
        if !open.is_empty() {
            return refused("an assistant message with 'tool_calls' must be followed by tool messages for each id");
        }
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        open = calls.clone().filter_map(|call| call["id"].as_str()).collect();
        if calls
            .clone()
            .any(|call| serde_json::from_str::<Value>(call["function"]["arguments"].as_str().unwrap_or("")).is_err())
        {
            return refused("the arguments of a call are no JSON");
        }
    }
    if open.is_empty() { None } else { refused("a call was not answered") }
}

/// Waits at the gate, where there is one.
async fn pass(is_gated: bool, shared: &Shared) {
    if is_gated {
        shared.gate.acquire().await.expect("the gate is never closed").forget();
    }
}

async fn never() {
    let _: Infallible = std::future::pending().await;
}

fn chunk(choices: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": choices})
}

fn event(chunk: &Value) -> Bytes {
    Bytes::from(format!("data: {chunk}\n\n"))
}
