//! One message of JSON-RPC 2.0. What enters are bytes, what leaves is a request, the news that it is a notification, or a
//! failure with one of the protocol's codes. A failure never repeats what was sent.

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::json::{self as strictly, Unfit};

/// The body is not JSON.
const PARSE_ERROR: i32 = -32_700;
/// It is, and no message.
const INVALID_REQUEST: i32 = -32_600;
/// There is no such method.
const METHOD_NOT_FOUND: i32 = -32_601;
/// The parameters are not those of the method.
const INVALID_PARAMS: i32 = -32_602;
/// Something broke on this side.
const INTERNAL_ERROR: i32 = -32_603;
/// Headers and body say different things.
const HEADER_MISMATCH: i32 = -32_020;
/// A revision that is not spoken.
const UNSUPPORTED_VERSION: i32 = -32_022;
/// No such resource, in the eras before 2026-07-28.
const RESOURCE_NOT_FOUND: i32 = -32_002;

/// What a body holds.
#[derive(Debug)]
pub enum Message {
    /// Somebody wants an answer.
    Request(Request),
    /// Somebody tells something.
    Notification,
}

/// A request.
#[derive(Debug)]
pub struct Request {
    /// A string or a number; goes back unchanged.
    pub id: Value,
    /// What is to be done.
    pub method: String,
    /// With what.
    pub params: Map<String, Value>,
}

/// Why a request is not answered with a result.
#[derive(Debug)]
pub struct Failure {
    code: i32,
    message: String,
    data: Option<Value>,
    /// What went wrong on this side, for the log.
    pub cause: Option<Error>,
}

impl Failure {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None, cause: None }
    }

    /// There is no such method.
    pub fn no_such_method() -> Self {
        Self::new(METHOD_NOT_FOUND, "Method not found")
    }

    /// The parameters are not those of the method.
    pub fn invalid_params(sentence: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, sentence)
    }

    /// A header is missing, unreadable, or says something else than the body.
    pub fn header_mismatch(header: &str, what: &str) -> Self {
        Self::new(HEADER_MISMATCH, format!("Header mismatch: the {header} header is missing or is not {what}"))
    }

    /// A revision that is not spoken; with those that are.
    pub fn unsupported_version(requested: &str, supported: &[&str]) -> Self {
        // What was asked for goes back, as the protocol wants, and no more of it than a revision is long.
        let requested: String = requested.chars().filter(char::is_ascii_graphic).take(32).collect();
        let data = json!({"supported": supported, "requested": requested});
        Self { data: Some(data), ..Self::new(UNSUPPORTED_VERSION, "Unsupported protocol version") }
    }

    /// No such resource, or one that the caller may not know of.
    pub fn no_such_resource(is_stateless: bool) -> Self {
        Self::new(if is_stateless { INVALID_PARAMS } else { RESOURCE_NOT_FOUND }, "Resource not found")
    }

    /// The HTTP status where the protocol says one.
    pub fn status(&self) -> u16 {
        match self.code {
            METHOD_NOT_FOUND => 404,
            INTERNAL_ERROR => 200,
            _ => 400,
        }
    }

    /// The `error` of a response.
    pub fn body(&self) -> Value {
        let mut body = json!({"code": self.code, "message": self.message});
        if let Some(data) = &self.data {
            body["data"] = data.clone();
        }
        body
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { cause: None, ..Self::new(INTERNAL_ERROR, error.message()) }.caused_by(error)
    }
}

impl Failure {
    fn caused_by(self, error: Error) -> Self {
        Self { cause: Some(error), ..self }
    }
}

/// Reads a body: exactly one request or notification.
pub fn read(body: &[u8]) -> Result<Message, Failure> {
    let invalid = || Failure::new(INVALID_REQUEST, "The body must be one JSON-RPC request or notification");
    let parsed = strictly::read(body).map_err(|unfit| match unfit {
        Unfit::Malformed(_) => Failure::new(PARSE_ERROR, "Parse error"),
        Unfit::Repeated => invalid(),
    })?;
    let Value::Object(mut fields) = parsed else { return Err(invalid()) };
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid());
    }
    let Some(Value::String(method)) = fields.remove("method") else { return Err(invalid()) };
    let id = match fields.remove("id") {
        None => return Ok(Message::Notification),
        Some(id @ (Value::String(_) | Value::Number(_))) => id,
        Some(_) => return Err(invalid()),
    };
    let params = match fields.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(invalid()),
    };
    Ok(Message::Request(Request { id, method, params }))
}
