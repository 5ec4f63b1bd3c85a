//! What the fake server says: refusals, silence, or an answer that may stop in the middle, streamed or whole as it is asked for.
//! What enters is a script, what leaves is an HTTP answer.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};

use super::Shared;

/// One answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Words and calls of tools.
    Say(Script),
    /// A status other than success.
    Refuse(Refusal),
    /// No answer at all, until the client goes away.
    Hang,
}

/// An answer, in pieces for those who want them.
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
        Self::Say(script)
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

/// The HTTP answer of a reply to a request.
pub(super) async fn play(reply: Reply, request: &Value, shared: Arc<Shared>) -> Response {
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
        Reply::Say(script) => {
            let (content_type, body) = match request["stream"] == true {
                true => ("text/event-stream", Body::from_stream(streamed(script, shared))),
                false => ("application/json", Body::from_stream(whole(script, shared))),
            };
            let response = Response::builder().status(StatusCode::OK).header("content-type", content_type);
            response.body(body).expect("fixed headers are sound")
        }
    }
}

type Said<T> = Result<T, io::Error>;

/// The answer as events.
fn streamed(script: Script, shared: Arc<Shared>) -> impl Stream<Item = Said<Bytes>> + Send {
    let is_finished = matches!(script.ending, Ending::Finish(_));
    let done = is_finished.then(|| Ok(Bytes::from_static(b"data: [DONE]\n\n")));
    let events = said(script, shared).map(|chunk| chunk.map(|chunk| Bytes::from(format!("data: {chunk}\n\n"))));
    events.chain(stream::iter(done))
}

/// The answer as one, when all of it is said. One that breaks off does so in the middle of the JSON.
fn whole(script: Script, shared: Arc<Shared>) -> impl Stream<Item = Said<Bytes>> + Send {
    let calls = script.calls.iter().enumerate();
    let calls: Vec<Value> = calls.map(|(at, (name, arguments))| call(at, name, arguments)).collect();
    let mut message = json!({"role": "assistant", "content": ""});
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": null});
    let mut answer =
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "fake", "choices": [choice]});
    async_stream::try_stream! {
        for await chunk in said(script, shared) {
            if chunk.is_err() {
                let half = answer.to_string();
                yield Bytes::from(half[..half.len() / 2].to_owned());
            }
            add(&mut answer, chunk?);
        }
        yield Bytes::from(answer.to_string());
    }
}

/// Adds what a chunk tells, but for the calls of the script.
fn add(answer: &mut Value, mut chunk: Value) {
    let choice = chunk.pointer_mut("/choices/0").map(Value::take).unwrap_or_default();
    merge(answer, &chunk, &["id", "object", "created", "model", "choices"]);
    merge(&mut answer["choices"][0], &choice, &["index", "delta"]);
    let content = &mut answer["choices"][0]["message"]["content"];
    let words: String = [content.as_str(), choice["delta"]["content"].as_str()].into_iter().flatten().collect();
    *content = json!(words);
}

/// Puts the members of an object into another, but for some and for those that say nothing.
fn merge(into: &mut Value, object: &Value, but: &[&str]) {
    let members = object.as_object().into_iter().flatten();
    for (name, value) in members.filter(|(name, value)| !but.contains(&name.as_str()) && !value.is_null()) {
        into[name] = value.clone();
    }
}

/// The chunks of an answer, each when the test lets it.
fn said(script: Script, shared: Arc<Shared>) -> impl Stream<Item = Said<Value>> + Send {
    async_stream::try_stream! {
        let mut presence = Presence { shared: shared.clone(), is_over: false };
        for delta in script.deltas {
            pass(script.is_gated, &shared).await;
            yield chunk(json!([{"index": 0, "delta": {"content": delta}, "finish_reason": null}]));
        }
        for part in parts_of(&script.calls) {
            pass(script.is_gated, &shared).await;
            yield chunk(json!([{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": null}]));
        }
        for chunk in script.chunks_before_end {
            yield chunk;
        }
        pass(script.is_gated, &shared).await;
        match script.ending {
            Ending::Finish(reason) => {
                yield chunk(json!([{"index": 0, "delta": {}, "finish_reason": reason}]));
                presence.is_over = true;
                let mut usage = chunk(json!([]));
                usage["usage"] = json!({"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16});
                yield usage;
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

fn call(at: usize, name: &str, arguments: &str) -> Value {
    json!({"id": format!("call_{at}_{name}"), "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// Calls as they are streamed: first their names, then their arguments in two pieces, each call in turn.
fn parts_of(calls: &[(String, String)]) -> Vec<Value> {
    let begun = calls.iter().enumerate().map(|(at, (name, _))| {
        let mut begun = call(at, name, "");
        begun["index"] = json!(at);
        begun
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
