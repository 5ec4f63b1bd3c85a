//! The embeddings of the fake server. What enters is a request as OpenAI publishes it, what leaves are vectors that carry
//! meaning of a kind: texts that share words, or words of the same meaning, point the same way. It refuses what OpenAI
//! refuses.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Length of vectors when no other is asked for.
const DIMENSIONS: usize = 64;
/// Inputs of one request.
const MAX_INPUTS: usize = 2_048;
/// Tokens of one input; one token is four bytes here.
const MAX_TOKENS: usize = 8_191;

/// Words of one meaning; all count as the first.
const SYNONYMS: &[&[&str]] = &[
    &["leave", "holiday", "vacation", "urlaub"],
    &["ferry", "boat", "ship", "vessel"],
    &["depart", "leaves", "sails", "departure"],
    &["pay", "salary", "wage", "remuneration"],
    &["car", "automobile", "vehicle"],
];

/// Words that carry no meaning.
const EMPTY: &[&str] =
    &["the", "a", "an", "of", "at", "in", "is", "it", "to", "do", "does", "when", "how", "what", "i"];

/// How one answer goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Twist {
    /// The vectors come last first, each with its right `index`.
    Reversed,
    /// One vector is missing.
    OneMissing,
    /// Numbers are written out although base64 was asked for.
    Written,
    /// The vectors have another length than those before.
    Dimensions(usize),
    /// The vectors are zero.
    Zero,
    /// The body is no JSON.
    Garbled,
    /// The body is larger than any answer.
    Huge,
    /// Inputs of more than so many bytes are refused, as by a model with a short window.
    Window(usize),
    /// More inputs than so many are refused.
    Inputs(usize),
}

/// The answer to a request, with something wrong about it if the test wants that.
pub(super) fn answer(body: &Value, twist: Option<Twist>) -> Response {
    let inputs: Vec<&str> = match &body["input"] {
        Value::String(text) => vec![text],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let most = if let Some(Twist::Inputs(most)) = twist { most } else { MAX_INPUTS };
    let window = if let Some(Twist::Window(bytes)) = twist { bytes } else { MAX_TOKENS * 4 };
    if inputs.is_empty() || inputs.len() > most || inputs.contains(&"") {
        return refused("invalid input");
    }
    if inputs.iter().any(|text| text.len() > window) {
        return refused("This model's maximum context length is exceeded");
    }
    let asked = body["dimensions"].as_u64().map_or(DIMENSIONS, |asked| asked as usize);
    let dimensions = if let Some(Twist::Dimensions(other)) = twist { other } else { asked };
    let in_base64 = body["encoding_format"] == "base64" && !matches!(twist, Some(Twist::Written));
    let mut data: Vec<Value> = Vec::new();
    for (index, text) in inputs.iter().enumerate() {
        let mut vector = meaning(text, dimensions);
        if matches!(twist, Some(Twist::Zero)) {
            vector.fill(0.0);
        }
        let embedding = if in_base64 { encoded(&vector) } else { json!(vector) };
        data.push(json!({ "object": "embedding", "index": index, "embedding": embedding }));
    }
    match twist {
        Some(Twist::Reversed) => data.reverse(),
        Some(Twist::OneMissing) => drop(data.pop()),
        Some(Twist::Huge) => return vec![b' '; 33 << 20].into_response(),
        Some(Twist::Garbled) => return (StatusCode::OK, "{\"data\": [").into_response(),
        _ => {}
    }
    let tokens: usize = inputs.iter().map(|text| text.len().div_ceil(4)).sum();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    axum::Json(json!({ "object": "list", "data": data, "model": body["model"], "usage": usage })).into_response()
}

/// As OpenAI says it, without a code.
fn refused(message: &str) -> Response {
    let error = json!({ "message": message, "type": "invalid_request_error", "param": null, "code": null });
    (StatusCode::BAD_REQUEST, axum::Json(json!({ "error": error }))).into_response()
}

fn encoded(vector: &[f32]) -> Value {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    Value::String(STANDARD.encode(bytes))
}

/// A bag of words as a direction: each word adds to one dimension, which its hash chooses.
fn meaning(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; dimensions];
    // Texts without a word point somewhere too.
    vector[0] = 0.01;
    for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if EMPTY.contains(&word) {
            continue;
        }
        let same = SYNONYMS.iter().find(|words| words.contains(&word)).map_or(word, |words| words[0]);
        // FNV-1a.
        let hash = same
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        vector[(hash % dimensions as u64) as usize] += 1.0;
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter().map(|value| value / length).collect()
}
