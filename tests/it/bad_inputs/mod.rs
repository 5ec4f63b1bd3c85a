//! The thirty bad inputs that the product was promised to stand (`bad_input_NN_…`), and the right answer to each. Those that had
//! a test before have it where they were: 2 to 5, 8 and 22 to 27 in `hostile`, 10 and 13 in `limits`, 11 in
//! `conversations`, 12 in `faults`, 14 to 21 in `access`, 30 in `serve`, `command_line` and `contract`.

mod fields;
mod forms;
mod ids;
mod json;
mod models;
mod overwrites;
mod strict;
mod triggers;

use std::path::Path;

use axum::body::Body;
use axum::http::{Method, Request};

/// Every route that takes JSON, with a body that is right.
const JSON_ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/api/chat", r#"{"message": "How deep?"}"#),
    ("POST", "/api/chat/stream", r#"{"message": "How deep?"}"#),
    ("POST", "/chat", r#"{"message": "How deep?"}"#),
    ("POST", "/chat/stream", r#"{"message": "How deep?"}"#),
    ("POST", "/api/search", r#"{"query": "How deep?"}"#),
    ("POST", "/api/feedback", r#"{"conversation_id": "c", "turn": 1, "rating": "up"}"#),
    ("POST", "/api/url", r#"{"url": "http://127.0.0.1/"}"#),
    ("PATCH", "/api/conversations/c", r#"{"title": "t"}"#),
];

fn with_json(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Request::builder().method(method).uri(path).header("content-type", "application/json").body(body.into()).unwrap()
}

/// The sources of the tests under a folder, one after another.
pub fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &std::fs::read_to_string(&path).unwrap();
        }
    }
    all
}

#[test]
fn every_bad_input_has_a_test_that_bears_its_number() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"));
    // One test goes through the matrix of tokens.
    let matrix = sources.contains("fn inputs_14_to_20_");
    let missing = (1..=30).filter(|n| {
        let is_named =
            sources.contains(&format!("fn bad_input_{n:02}_")) || sources.contains(&format!("fn input_{n:02}_"));
        !(is_named || matrix && (14..=20).contains(n))
    });
    assert_eq!(missing.collect::<Vec<u32>>(), Vec::<u32>::new());
}

/// Words that stand between backquotes in a document.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (page, sources) =
        (std::fs::read_to_string(root.join("docs/security.md")).unwrap(), sources(&root.join("tests/it")));
    let proofs = std::fs::read_to_string(root.join("scripts/lib/prove.py")).unwrap();
    let mut checked = 0;
    for word in quoted(&page) {
        let is_name = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let (name, end) = word.strip_suffix('…').map_or((word, "("), |name| (name, ""));
        if let Some(promises) = word.strip_prefix("scripts/prove ") {
            for promise in promises.split(' ') {
                assert!(proofs.contains(&format!("\"{promise}\":")), "{promise}");
            }
        } else if is_name(name) && name.matches('_').count() >= 3 && name != "so_it_is_named" {
            assert!(sources.contains(&format!("fn {name}{end}")), "there is no test {word}");
            checked += 1;
        }
    }
    assert!(checked >= 50, "{checked}");
}
