//! The wire formats of chat. What enters are the bytes of a request, what leaves is one `ChatRequest`; and back, one stream
//! of `ChatEvent`s becomes lines or one value of JSON. A dialect changes shapes and nothing else: the flow is the same for all.

mod ai_chat_protocol;
mod azure_samples;
mod fields;
pub mod heartbeat;
pub mod openai;
mod simple;

use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt};
use serde_json::Value;

use self::fields::Fields;
use crate::chat::{ChatEvent, ChatRequest, Citation};
use crate::error::{Error, ErrorKind, Result};

/// The content type of a whole answer.
pub const JSON: &str = "application/json";

/// The content type of a streamed answer: one JSON object a line.
const JSON_LINES: &str = "application/jsonl";

/// The same by the name that the frontends of Azure-Samples give it.
const AZURE_SAMPLES_LINES: &str = "application/json-lines";

/// The content type of an answer in server-sent events.
pub const EVENTS: &str = "text/event-stream";

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The Microsoft AI Chat Protocol of 2024-05-29: `{"messages": […], "context": …, "sessionState": …}`.
    AiChatProtocol,
    /// `{"message": …, "conversation_history": […]}`, answered with `{"success": …, "response": …}`. It has no streamed
    /// form of its own; asked to stream, it sends its one object as one line.
    Simple,
    /// That of azure-search-openai-demo since April 2026: `{"messages": […], "context": {"overrides": …}, "session_state":
    /// …}`, answered with an `output_text`.
    AzureSamples,
    /// The same until then, answered with a `message`.
    AzureSamplesBefore,
}

impl Dialect {
    /// The dialect by its name in a header. Only what cannot be told from a body has one.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "azure-samples" => Some(Self::AzureSamples),
            "azure-samples-before-2026-04" => Some(Self::AzureSamplesBefore),
            _ => None,
        }
    }

    /// The same dialect, or the one of its kind that somebody has named.
    pub fn or_its_relative(self, named: Option<Self>) -> Self {
        match (self, named) {
            (Self::AzureSamples | Self::AzureSamplesBefore, Some(named)) => named,
            _ => self,
        }
    }

    /// The content type of a streamed answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::AiChatProtocol | Self::Simple => JSON_LINES,
            Self::AzureSamples | Self::AzureSamplesBefore => AZURE_SAMPLES_LINES,
        }
    }

    /// A sign of life in a streamed answer: a line that adds nothing, or before the one line there is, white space.
    pub fn heartbeat(self) -> Bytes {
        Bytes::from_static(match self {
            Self::AiChatProtocol | Self::AzureSamplesBefore => b"{\"delta\":{}}\n",
            Self::AzureSamples => b"{\"type\":\"response.output_text.delta\",\"delta\":\"\"}\n",
            Self::Simple => b" ",
        })
    }

    /// The dialect that a body seems to be in, for errors about a body that cannot be decoded.
    pub fn of_body(body: &[u8]) -> Self {
        match Fields::read(body) {
            Ok(fields) if fields.has("message") && !fields.has("messages") => Self::Simple,
            _ => Self::AiChatProtocol,
        }
    }
}

/// How large a request may be, in the units that matter to chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The most characters of a question.
    pub question_chars: usize,
    /// The most messages, the question included.
    pub messages: usize,
}

/// A request understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// What is asked.
    pub request: ChatRequest,
    /// The conversation that it belongs to, as the caller calls it. Its history then comes from there.
    pub conversation: Option<String>,
    /// What the answer needs to know of the request.
    pub echo: Echo,
}

/// What an answer takes over from its request.
#[derive(Clone, PartialEq)]
pub struct Echo {
    /// The format to answer in.
    pub dialect: Dialect,
    /// A value of the client's own that goes back unchanged.
    pub session_state: Value,
    /// The conversation, and the number of this turn in it.
    pub turn: Option<(String, u32)>,
}

impl fmt::Debug for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Echo").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

/// Reads a request in any dialect. Something that is not JSON is `MalformedJson`; something that is not a question is
/// `InvalidRequest`, with a sentence that names the field and repeats nothing of what was sent.
pub fn decode(body: &[u8], limits: RequestLimits) -> Result<Decoded> {
    let fields = Fields::read(body)?;
    match (fields.has("messages"), fields.has("message")) {
        (true, false) if azure_samples::is_body(&fields) => azure_samples::decode(fields, limits),
        (true, false) => ai_chat_protocol::decode(fields, limits),
        (false, true) => simple::decode(fields, limits),
        (true, true) => Err(Error::new(ErrorKind::InvalidRequest, "the body holds both `messages` and `message`")),
        (false, false) => Err(Error::new(ErrorKind::InvalidRequest, "the body holds neither `messages` nor `message`")),
    }
}

/// All events of an answer, or its failure.
pub async fn collect(events: impl Stream<Item = Result<ChatEvent>> + Send) -> Result<Vec<ChatEvent>> {
    let mut events = std::pin::pin!(events);
    let mut collected = Vec::new();
    while let Some(event) = events.next().await {
        collected.push(event?);
    }
    Ok(collected)
}

/// A complete answer as one value.
pub fn encode_whole(echo: &Echo, events: &[ChatEvent], now: DateTime<Utc>) -> Value {
    match echo.dialect {
        Dialect::AiChatProtocol => ai_chat_protocol::whole(echo, events),
        Dialect::Simple => simple::whole(echo, events, now),
        Dialect::AzureSamples => azure_samples::whole(echo, events),
        Dialect::AzureSamplesBefore => azure_samples::whole_before(echo, events),
    }
}

/// An answer as lines of JSON, each sent as soon as its event is there. A failure becomes the last line; who wants to log
/// it looks at the events before they come here.
pub fn encode_stream(
    echo: Echo,
    events: impl Stream<Item = Result<ChatEvent>> + Send,
    now: DateTime<Utc>,
) -> impl Stream<Item = Bytes> + Send {
    async_stream::stream! {
        let mut line: Line<'_> = match echo.dialect {
            Dialect::AiChatProtocol => Box::new(|event| ai_chat_protocol::line(&echo, event)),
            Dialect::AzureSamples => Box::new(azure_samples::lines(&echo)),
            Dialect::AzureSamplesBefore => Box::new(azure_samples::lines_before(&echo)),
            Dialect::Simple => {
                match collect(events).await {
                    Ok(events) => yield bytes_of(&simple::whole(&echo, &events, now)),
                    Err(error) => yield bytes_of(&error_body(echo.dialect, &error, now)),
                }
                return;
            }
        };
        for await event in events {
            let line = match &event {
                Ok(event) => line(event),
                Err(error) => Some(error_body(echo.dialect, error, now)),
            };
            if let Some(line) = line {
                yield bytes_of(&line);
            }
        }
    }
}

/// Makes the line of each event, where it has one.
type Line<'a> = Box<dyn FnMut(&ChatEvent) -> Option<Value> + Send + 'a>;

/// A failure in the shape of a dialect: its sentence, never its cause.
pub fn error_body(dialect: Dialect, error: &Error, now: DateTime<Utc>) -> Value {
    match dialect {
        // Those of Azure-Samples took theirs from it.
        Dialect::AiChatProtocol | Dialect::AzureSamples | Dialect::AzureSamplesBefore => ai_chat_protocol::error(error),
        Dialect::Simple => simple::error(error, now),
    }
}

/// The words of an answer with its citations where they belong.
fn text_of(events: &[ChatEvent]) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            ChatEvent::Text(words) => text.push_str(words),
            ChatEvent::Citation(citation) => text.push_str(&inline(citation)),
            _ => {}
        }
    }
    text
}

/// The questions that could come next; none when nobody wanted them.
fn follow_ups(events: &[ChatEvent]) -> Option<&[String]> {
    events.iter().find_map(|event| match event {
        ChatEvent::FollowUps(questions) => Some(questions.as_slice()),
        _ => None,
    })
}

/// A citation within words, with the gap before it: ` [handbook.pdf#page=4]`. Brackets of the name itself are escaped, so that it stays one.
fn inline(citation: &Citation) -> String {
    format!(" [{}]", citation.source.replace('[', "%5B").replace(']', "%5D"))
}

fn bytes_of(line: &Value) -> Bytes {
    let mut bytes = serde_json::to_vec(line).expect("a JSON value can always be written");
    bytes.push(b'\n');
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests;
