//! The text of a document, put together from its passages: each place of it under its source, and nothing said twice where
//! passages overlap.

use crate::chat::neighbours::new_words;
use crate::document::Passage;

/// The text of passages that follow each other.
pub fn of_passages<'a>(passages: impl IntoIterator<Item = &'a Passage>) -> String {
    let mut text = String::new();
    let mut before: Option<&Passage> = None;
    for passage in passages {
        let source = passage.source();
        if before.is_none_or(|before| before.source() != source) {
            start_paragraph(&mut text);
            text.push_str(&format!("[{source}]"));
        }
        let follows = before.filter(|before| before.ordinal.checked_add(1) == Some(passage.ordinal));
        let words = follows.map_or(passage.text.trim(), |before| new_words(before.text.trim(), passage.text.trim()));
        start_paragraph(&mut text);
        text.push_str(words);
        before = Some(passage);
    }
    text
}

/// The first `chars` characters, and whether that is not all.
pub fn cut(text: String, chars: usize) -> (String, bool) {
    match text.char_indices().nth(chars) {
        Some((at, _)) => (text[..at].to_owned(), true),
        None => (text, false),
    }
}

fn start_paragraph(text: &mut String) {
    if !text.is_empty() {
        text.push_str("\n\n");
    }
}
