//! What unit tests of answering share: a small analyser in place of the index's, and passages made from a few words.

use crate::document::{DocumentId, DocumentName, Passage};

const STOPWORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "how", "i", "if", "in", "is", "it", "may", "my",
    "no", "not", "of", "on", "or", "that", "the", "their", "there", "they", "this", "to", "was", "what", "when",
    "where", "who", "will", "with", "you", "your",
];

/// Terms with their byte offsets: lower case, without stopwords, plurals cut, runs of Chinese and Japanese as bigrams.
pub(crate) fn tokens(text: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                word(text, from, at, &mut found);
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// The terms alone.
pub(crate) fn terms(text: &str) -> Vec<String> {
    tokens(text).into_iter().map(|(term, _, _)| term).collect()
}

/// The passage `ordinal` of a document, with headings divided by ` > `.
pub(crate) fn passage(name: &str, ordinal: u32, headings: &str, text: &str) -> Passage {
    let name = DocumentName::parse(name).expect("a test's name");
    let document_id = DocumentId::of(&name);
    Passage {
        id: Passage::id_of(&document_id, ordinal),
        document_id,
        title: name.file_name().to_owned(),
        name,
        ordinal,
        page: Some(ordinal + 1),
        place: None,
        heading_path: headings.split(" > ").filter(|heading| !heading.is_empty()).map(str::to_owned).collect(),
        text: text.to_owned(),
    }
}

fn word(text: &str, from: usize, to: usize, found: &mut Vec<(String, usize, usize)>) {
    let raw = &text[from..to];
    if raw.chars().any(|c| ('\u{3040}'..='\u{9fff}').contains(&c)) {
        let starts: Vec<usize> = raw.char_indices().map(|(at, _)| at).chain([raw.len()]).collect();
        found.extend(starts.windows(3).map(|w| (raw[w[0]..w[2]].to_owned(), from + w[0], from + w[2])));
        return;
    }
    let lower = raw.to_lowercase();
    if !STOPWORDS.contains(&lower.as_str()) {
        let stem = lower.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(&lower).to_owned();
        found.push((stem, from, to));
    }
}
