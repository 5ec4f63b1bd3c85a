//! Failures in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}` with a status. What enters is an error of
//! ours, and for what a caller can mend the field it is about; the cause stays inside.

use serde_json::{Value, json};

use crate::error::{Error, ErrorKind};

/// Why a request is not answered.
#[derive(Debug)]
pub struct Refusal {
    /// What is wrong.
    pub error: Error,
    param: Option<String>,
    code: Option<&'static str>,
}

impl Refusal {
    /// A refusal that can be mended by sending something else.
    pub(super) fn of(sentence: &str) -> Self {
        Error::new(ErrorKind::InvalidRequest, sentence).into()
    }

    /// A model is asked for that is not offered.
    pub fn no_such_model() -> Self {
        let sentence = "there is no such model; GET /v1/models lists what there is";
        Self::from(Error::new(ErrorKind::NotFound, sentence)).about("model").coded("model_not_found")
    }

    /// Names the field.
    pub(super) fn about(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }

    /// Names a field of a message; an empty one stands for the message itself.
    pub(super) fn about_message(self, at: usize, field: &str) -> Self {
        match field {
            "" => self.about(&format!("messages[{at}]")),
            field => self.about(&format!("messages[{at}].{field}")),
        }
    }

    /// Has one of OpenAI's own codes.
    pub(super) fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, param: None, code: None }
    }
}

/// The HTTP status of a failure. OpenAI answers 400 to whatever cannot be understood, and its clients look for that.
pub fn status_of(error: &Error) -> u16 {
    match error.kind().row().status {
        422 => 400,
        status => status,
    }
}

/// A failure as a body, or as the data of the chunk that ends a stream.
pub fn body_of(refusal: &Refusal) -> Value {
    let row = refusal.error.kind().row();
    let kind = match row.status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let code = match refusal.error.kind() {
        ErrorKind::ContentFiltered => "content_filter",
        _ => refusal.code.unwrap_or(row.code),
    };
    json!({ "error": { "message": refusal.error.message(), "type": kind, "param": refusal.param, "code": code } })
}
