//! JSON documents and JSON lines. Values come out as readable lines, `path.to.key: value`, in the order of the document;
//! the lines of one element stand together in one paragraph. The tree is never held in memory.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Fit, Format, text};

/// One JSON value in a file.
pub const FORMAT: Format = Format { name: "JSON", extensions: &["json"], sniff, read };

/// One JSON value in each line.
pub const LINES: Format =
    Format { name: "JSON lines", extensions: &["jsonl", "ndjson"], sniff: sniff_lines, read: read_lines };

/// Only what begins as objects and lists of them do: a log line may begin with a bracket, too.
fn sniff(bytes: &[u8]) -> Fit {
    if !text::is_text(bytes) {
        return Fit::No;
    }
    let mut start = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (start.next(), start.next()) {
        (Some(b'{'), Some(b'"')) | (Some(b'['), Some(b'{')) => Fit::Likely,
        _ => Fit::Possible,
    }
}

fn sniff_lines(bytes: &[u8]) -> Fit {
    if text::is_text(bytes) { Fit::Possible } else { Fit::No }
}

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let source = text::decode(bytes)?;
    let mut blocks = Blocks::new(limits);
    flatten(&source, &mut blocks, None)?;
    Ok(blocks.finish(None, None))
}

fn read_lines(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let source = text::decode(bytes)?;
    let mut blocks = Blocks::new(limits);
    for (line, number) in source.lines().zip(1..) {
        if !line.trim().is_empty() {
            flatten(line, &mut blocks, Some(number))?;
        }
    }
    Ok(blocks.finish(None, None))
}

/// Writes one JSON value into blocks. A `line` number says that the value is one line of a file and one element.
fn flatten(source: &str, blocks: &mut Blocks, line: Option<u64>) -> Result<()> {
    let depth = if line.is_some() { BELOW_GROUPS } else { 0 };
    let mut state = Flattened { blocks, lines: String::new(), path: String::new(), depth, refused: None };
    let mut source = serde_json::Deserializer::from_str(source);
    let outcome = Value { state: &mut state, in_list: false }.deserialize(&mut source).and_then(|()| source.end());
    match (state.refused.take(), outcome) {
        (Some(refused), _) => Err(refused),
        (None, Err(error)) => Err(damaged(&error, line)),
        (None, Ok(())) => state.end_group(),
    }
}

fn damaged(error: &serde_json::Error, line: Option<u64>) -> Error {
    // The parser's own words for too deep a nesting; it has no code for it.
    let reason = if error.to_string().starts_with("recursion limit") {
        "nests deeper than 128 levels"
    } else if error.is_eof() {
        "ends in the middle of a value"
    } else {
        "is not valid JSON"
    };
    let line = line.unwrap_or(error.line() as u64);
    let message = format!("the document {reason} (line {line}, column {})", error.column());
    Error::new(ErrorKind::DocumentDamaged, message)
}

/// Objects and lists inside this many others are never groups of their own.
const BELOW_GROUPS: usize = 3;

/// The lines written so far, and where in the document the parser is.
struct Flattened<'b> {
    blocks: &'b mut Blocks,
    lines: String,
    path: String,
    /// How many objects and lists are open.
    depth: usize,
    /// Our own refusal, which the parser's error type cannot carry.
    refused: Option<Error>,
}

impl Flattened<'_> {
    /// Writes `path: value`.
    fn scalar(&mut self, value: impl fmt::Display) {
        use fmt::Write;
        let separator = if self.path.is_empty() { "" } else { ": " };
        writeln!(self.lines, "{}{separator}{value}", self.path).expect("writing to a string cannot fail");
    }

    /// Ends a paragraph of lines that belong together.
    fn end_group(&mut self) -> Result<()> {
        let lines = std::mem::take(&mut self.lines);
        self.blocks.push(BlockKind::Paragraph, &lines, None)
    }

    /// Ends a paragraph from inside the parser.
    fn end_group_within<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.end_group().map_err(|refused| {
            self.refused = Some(refused);
            E::custom("refused")
        })
    }

    /// Makes the path longer by a key or a position; the answer is the length to cut it back to.
    fn enter(&mut self, step: &str) -> usize {
        let length = self.path.len();
        if !self.path.is_empty() && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        length
    }
}

/// A value at the current path, about to be read.
struct Value<'s, 'b> {
    state: &'s mut Flattened<'b>,
    in_list: bool,
}

impl<'s, 'b> Value<'s, 'b> {
    /// Reads an object or a list. It is an element with a paragraph of its own if it is a member of the outermost value,
    /// or an item of a list that is one: `{"staff": [{…}, {…}]}` has two.
    fn container<E: serde::de::Error>(self, read: impl FnOnce(&mut Flattened<'b>) -> Result<(), E>) -> Result<(), E> {
        let Self { state, in_list } = self;
        let is_group = state.depth == 1 || (state.depth == 2 && in_list);
        if is_group {
            state.end_group_within()?;
        }
        state.depth += 1;
        read(state)?;
        state.depth -= 1;
        if is_group { state.end_group_within() } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.state.scalar(value);
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.state.scalar(value);
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.state.scalar(value);
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.state.scalar(value);
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        if !value.trim().is_empty() {
            self.state.scalar(value);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.container(|state| {
            // Items of the outermost list are elements of their own; their position would only be noise.
            let is_outermost = state.depth == 1;
            for position in 1.. {
                let step = if is_outermost { String::new() } else { format!("[{position}]") };
                let length = state.enter(&step);
                let item = items.next_element_seed(Value { state, in_list: true })?;
                state.path.truncate(length);
                if item.is_none() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.container(|state| {
            while let Some(key) = members.next_key::<String>()? {
                let length = state.enter(&key);
                members.next_value_seed(Value { state, in_list: false })?;
                state.path.truncate(length);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ExtractLimits = ExtractLimits::new(1, 1000);

    fn paragraphs(source: &str) -> Vec<String> {
        read(source.as_bytes(), &LIMITS).unwrap().blocks.into_iter().map(|block| block.text).collect()
    }

    #[test]
    fn groups_lines_by_element() {
        let source = r#"{"b": 1, "a": "x", "office": {"city": "Köln"}, "staff": [{"name": "Ada", "tags": ["p", "q"]}, {"name": "Bo"}]}"#;
        assert_eq!(
            paragraphs(source),
            [
                "b: 1\na: x",
                "office.city: Köln",
                "staff[1].name: Ada\nstaff[1].tags[1]: p\nstaff[1].tags[2]: q",
                "staff[2].name: Bo"
            ]
        );
        assert_eq!(paragraphs(r#"[{"a": null, "b": true}, {"b": 1.5}]"#), ["b: true", "b: 1.5"]);
        assert_eq!(paragraphs("\"alone\""), ["alone"]);
    }

    #[test]
    fn reads_one_element_a_line() {
        let found = read_lines(b"{\"a\": {\"b\": 1}, \"c\": 2}\n\n[3, 4]\n", &LIMITS).unwrap();
        let texts: Vec<&str> = found.blocks.iter().map(|block| block.text.as_str()).collect();
        assert_eq!(texts, ["a.b: 1\nc: 2", "[1]: 3\n[2]: 4"]);
        let error = read_lines(b"{}\n{\"a\":\n", &LIMITS).unwrap_err();
        assert_eq!(error.message(), "the document ends in the middle of a value (line 2, column 5)");
    }

    #[test]
    fn refuses_depth_damage_and_too_much() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let error = read(deep.as_bytes(), &LIMITS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DocumentDamaged);
        assert!(error.message().starts_with("the document nests deeper than 128 levels"), "{error}");
        assert_eq!(read(b"{\"a\": nope}", &LIMITS).unwrap_err().kind(), ErrorKind::DocumentDamaged);
        let large = format!("[[1],[\"{}\"]]", "x".repeat(2000));
        assert_eq!(read(large.as_bytes(), &LIMITS).unwrap_err().kind(), ErrorKind::DocumentOverLimit);
    }
}
