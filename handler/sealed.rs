//! Small files of ours that must not be read when they are not what was written: two lines of JSON, of which the first holds
//! the format and the SHA-256 of that format and the second line.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::hex;

#[derive(Serialize, Deserialize)]
struct Heading {
    format: u32,
    /// See [`checksum`].
    sha256: String,
}

/// Why a file was not opened.
#[derive(Debug)]
pub enum Unopened {
    /// It has not the form, or no content that is understood.
    Unreadable(Option<serde_json::Error>),
    /// It is not the one that was written.
    Altered,
    /// It is whole, and of a later format than is understood here.
    Newer,
}

/// The bytes of a file of `format` with this content.
pub fn seal(format: u32, content: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_vec(content).expect("what is sealed is always JSON");
    let heading = Heading { format, sha256: checksum(format, &body) };
    let mut bytes = serde_json::to_vec(&heading).expect("a heading is always JSON");
    bytes.push(b'\n');
    bytes.extend(body);
    bytes.push(b'\n');
    bytes
}

/// The content of such a file, of `newest` format or an earlier one.
pub fn open<T: DeserializeOwned>(bytes: &[u8], newest: u32) -> Result<T, Unopened> {
    let line = bytes.iter().position(|byte| *byte == b'\n').ok_or(Unopened::Unreadable(None))?;
    let heading: Heading = serde_json::from_slice(&bytes[..line]).map_err(|e| Unopened::Unreadable(Some(e)))?;
    let body = bytes[line + 1..].strip_suffix(b"\n").ok_or(Unopened::Unreadable(None))?;
    if checksum(heading.format, body) != heading.sha256 {
        return Err(Unopened::Altered);
    }
    if heading.format > newest {
        return Err(Unopened::Newer);
    }
    serde_json::from_slice(body).map_err(|e| Unopened::Unreadable(Some(e)))
}

/// SHA-256 over the format in digits, a line end, and the body.
fn checksum(format: u32, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{format}\n"));
    hash.update(body);
    hex(&hash.finalize())
}
