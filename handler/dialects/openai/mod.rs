//! OpenAI's chat completions. What enters are the bytes of a request, what leaves is one `ChatRequest`; and back, a stream
//! of `ChatEvent`s becomes one completion or server-sent chunks. What a caller asks for and would not get is refused; what
//! only tunes a model, such as `temperature`, is taken and changes nothing.

mod answer;
mod failure;

use serde_json::{Value, json};

pub use self::answer::{chunks, whole};
pub use self::failure::{Refusal, body_of, status_of};
use super::RequestLimits;
use super::fields::{self, Fields};
use crate::chat::{ChatRequest, Role, Turn, filter};

/// The one model that is offered: it stands for answers from the documents, whatever writes them.
pub const MODEL: &str = "knowledge-worker";

/// A request understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What is asked.
    pub request: ChatRequest,
    /// Whether the last chunk is to tell the tokens.
    pub is_usage_wanted: bool,
}

/// Reads a request. A refusal names the field and repeats nothing of what was sent.
pub fn decode(body: &[u8], limits: RequestLimits) -> Result<Asked, Refusal> {
    let mut body = Fields::read(body).map_err(Refusal::from)?;
    check_model(&body.take("model"))?;
    refuse_unkept(&mut body)?;
    let is_streamed = flag(&body.take("stream"), "stream")?;
    let is_usage_wanted = flag(&body.take("stream_options")["include_usage"], "stream_options.include_usage")?;
    let filter = filter::read(&body.take("filter"), "filter").map_err(|e| Refusal::from(e).about("filter"))?;
    let messages = fields::array(body.take("messages"), "messages", limits);
    let messages = messages.map_err(|e| Refusal::from(e).about("messages"))?;
    let Some((last, earlier)) = messages.split_last() else {
        return Err(Refusal::of("`messages` is empty").about("messages"));
    };
    let mut history = Vec::new();
    for (at, message) in earlier.iter().enumerate() {
        history.extend(turn(message, at)?.filter(|turn| !turn.text.trim().is_empty()));
    }
    let at = earlier.len();
    let asked = turn(last, at)?.filter(|turn| turn.role == Role::User);
    let asked = asked.ok_or_else(|| {
        Refusal::of(&format!("`messages[{at}]`, the last one, is not from the user")).about_message(at, "role")
    })?;
    let name = format!("messages[{at}].content");
    let question = fields::question(&Value::String(asked.text), &name, limits);
    let question = question.map_err(|e| Refusal::from(e).about_message(at, "content"))?;
    let request = ChatRequest { history, filter, is_streamed, ..ChatRequest::of(question) };
    Ok(Asked { request, is_usage_wanted })
}

fn check_model(model: &Value) -> Result<(), Refusal> {
    match model.as_str() {
        Some(MODEL) => Ok(()),
        Some(_) => Err(Refusal::no_such_model()),
        None => Err(Refusal::of("`model` is not a string; GET /v1/models lists what there is").about("model")),
    }
}

/// Refuses what would change the shape or number of answers, or let a model do something: none of it is kept.
fn refuse_unkept(body: &mut Fields) -> Result<(), Refusal> {
    for name in ["tools", "functions"] {
        if !matches!(body.take(name), Value::Null) {
            let sentence = format!("`{name}` is not supported: answers come from the documents, and no tool is called");
            return Err(Refusal::of(&sentence).about(name).coded("unsupported_parameter"));
        }
    }
    for limited in LIMITED {
        let value = body.take(limited.name);
        if !value.is_null() && !(limited.is_kept)(&value) {
            let sentence = format!("`{}` has a value that is not supported: {}", limited.name, limited.why);
            return Err(Refusal::of(&sentence).about(limited.name).coded("unsupported_value"));
        }
    }
    Ok(())
}

/// A field with values that would promise something that does not come.
struct Limited {
    name: &'static str,
    is_kept: fn(&Value) -> bool,
    why: &'static str,
}

const LIMITED: [Limited; 7] = [
    Limited { name: "tool_choice", is_kept: is_no_choice, why: "there are no tools to choose from" },
    Limited { name: "function_call", is_kept: is_no_choice, why: "there are no functions to call" },
    Limited { name: "n", is_kept: |value| value == 1, why: "a question has one answer" },
    Limited { name: "response_format", is_kept: |value| value["type"] == "text", why: "answers are text" },
    Limited { name: "modalities", is_kept: |value| *value == json!(["text"]), why: "answers are text" },
    Limited { name: "audio", is_kept: |_| false, why: "answers are text" },
    Limited { name: "logprobs", is_kept: |value| *value == false, why: "probabilities are not known" },
];

fn is_no_choice(value: &Value) -> bool {
    value == "none" || value == "auto"
}

fn flag(value: &Value, name: &'static str) -> Result<bool, Refusal> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        _ => Err(Refusal::of(&format!("`{name}` is neither true nor false")).about(name)),
    }
}

/// One message. `None` for instructions: clients send them, so they are accepted, and they are never followed.
fn turn(message: &Value, at: usize) -> Result<Option<Turn>, Refusal> {
    if !message.is_object() {
        return Err(Refusal::of(&format!("`messages[{at}]` is not an object")).about_message(at, ""));
    }
    for name in ["tool_calls", "function_call"] {
        if !message[name].is_null() {
            let sentence = format!("`messages[{at}].{name}` is not supported: no tool is called here");
            return Err(Refusal::of(&sentence).about_message(at, name).coded("unsupported_parameter"));
        }
    }
    let role = match message["role"].as_str() {
        Some("user") => Some(Role::User),
        Some("assistant") => Some(Role::Assistant),
        Some("system" | "developer") => None,
        Some("tool" | "function") => {
            let sentence = format!("`messages[{at}].role` is that of a tool, and no tool is called here");
            return Err(Refusal::of(&sentence).about_message(at, "role").coded("unsupported_value"));
        }
        _ => {
            let sentence = format!("`messages[{at}].role` is not one of system, developer, user, assistant");
            return Err(Refusal::of(&sentence).about_message(at, "role"));
        }
    };
    let text = text_of(&message["content"], at)?;
    Ok(role.map(|role| Turn { role, text }))
}

/// The words of a content: a string, or the texts of its parts, a line each.
fn text_of(content: &Value, at: usize) -> Result<String, Refusal> {
    let refused = |why: &str| Refusal::of(&format!("`messages[{at}].content` {why}")).about_message(at, "content");
    let parts = match content {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        _ => return Err(refused("is neither a string nor an array of parts")),
    };
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        match (part["type"].as_str(), &part["text"]) {
            (Some("text"), Value::String(text)) => texts.push(text.as_str()),
            (Some("image_url" | "input_audio" | "file"), _) => {
                let why = "holds an image, a sound or a file; only text is read";
                return Err(refused(why).coded("unsupported_value"));
            }
            _ => return Err(refused("holds a part that is no text")),
        }
    }
    Ok(texts.join("\n"))
}

#[cfg(test)]
mod tests;
