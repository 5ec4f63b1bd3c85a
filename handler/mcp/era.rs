//! Which era a request belongs to. What enters are its routing headers and its body, what leaves is the era, or a failure.
//! In revision 2026-07-28 the headers repeat what the body says, so that those who pass a request on need not read it; they
//! must say the same, or somebody on the way believed something else than we do.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::message::{Failure, Request};

/// The revision without sessions.
pub const STATELESS: &str = "2026-07-28";

/// The revisions that begin with `initialize`, the newest first.
pub const INITIALIZED: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// How somebody speaks to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// Each request says all it needs.
    Stateless,
    /// A handshake comes first; we keep nothing of it.
    Initialized,
}

/// A header as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Given {
    /// Not at all.
    #[default]
    Absent,
    /// Once, and as text.
    Once(String),
    /// More than once, or not as text: whoever reads the first believes something else than who reads the last.
    Unusable,
}

/// The routing headers of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// `MCP-Protocol-Version`.
    pub version: Given,
    /// `Mcp-Method`.
    pub method: Given,
    /// `Mcp-Name`.
    pub name: Given,
}

/// Every revision that is spoken.
pub fn supported() -> Vec<&'static str> {
    [STATELESS].into_iter().chain(INITIALIZED).collect()
}

/// The era of a request whose headers and body agree.
pub fn of(headers: &Headers, request: &Request) -> Result<Era, Failure> {
    let meta = request.params.get("_meta").and_then(Value::as_object);
    let is_stateless = meta.is_some_and(|meta| meta.contains_key(VERSION));
    match &headers.version {
        Given::Absent if !is_stateless => return Ok(Era::Initialized),
        Given::Once(version) if !is_stateless && INITIALIZED.contains(&version.as_str()) => {
            return Ok(Era::Initialized);
        }
        Given::Once(version) if !is_stateless && version != STATELESS => {
            return Err(Failure::unsupported_version(version, &supported()));
        }
        _ => {}
    }
    let known = meta.filter(|meta| meta.contains_key(VERSION) && meta.get(CAPABILITIES).is_some_and(Value::is_object));
    let Some(meta) = known else {
        let sentence = format!("`params._meta` must hold `{VERSION}` and, as an object, `{CAPABILITIES}`");
        return Err(Failure::invalid_params(sentence));
    };
    let version = meta[VERSION].as_str().unwrap_or_default();
    agree("MCP-Protocol-Version", &headers.version, version, "the version of the body")?;
    agree("Mcp-Method", &headers.method, &request.method, "the method of the body")?;
    if let Some(field) = name_field(&request.method) {
        let named = request.params.get(field).and_then(Value::as_str).unwrap_or_default();
        agree("Mcp-Name", &headers.name, named, "the name in the body")?;
    }
    if version != STATELESS {
        return Err(Failure::unsupported_version(version, &supported()));
    }
    Ok(Era::Stateless)
}

/// A notification has no body that matters; only its version can be wrong.
pub fn check_version_of_notification(headers: &Headers) -> Result<(), Failure> {
    match &headers.version {
        Given::Absent => Ok(()),
        Given::Once(version) if supported().contains(&version.as_str()) => Ok(()),
        Given::Once(version) => Err(Failure::unsupported_version(version, &supported())),
        Given::Unusable => Err(Failure::header_mismatch("MCP-Protocol-Version", "given once")),
    }
}

/// The parameter that a method's `Mcp-Name` repeats.
fn name_field(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    }
}

fn agree(header: &str, given: &Given, expected: &str, what: &str) -> Result<(), Failure> {
    match given {
        Given::Once(value) if decoded(value).as_deref() == Some(expected) => Ok(()),
        _ => Err(Failure::header_mismatch(header, what)),
    }
}

/// The value of a header; what a header cannot hold comes as `=?base64?…?=`. None for one that is broken.
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}
