//! Passages in the order in which they are best read. What enters are numbered passages, best first; what leaves are the same
//! with those that follow each other in a document side by side, and without the words that such a one repeats of the one
//! before. Numbers stay, so that a citation points where it did.

use crate::chat::CitedPassage;
use crate::document::Passage;

/// Passages as they are to be read, each with its words. A run of neighbours stands where its best one stood.
pub fn in_reading_order(passages: &[CitedPassage]) -> Vec<(&CitedPassage, &str)> {
    let mut read: Vec<(&CitedPassage, &str)> = Vec::with_capacity(passages.len());
    for cited in passages {
        if read.iter().any(|(other, _)| other.number == cited.number) {
            continue;
        }
        let mut first = cited;
        while let Some(before) = passages.iter().find(|other| follows(&first.passage, &other.passage)) {
            first = before;
        }
        read.push((first, first.passage.text.trim()));
        let mut last = first;
        while let Some(next) = passages.iter().find(|other| follows(&other.passage, &last.passage)) {
            read.push((next, new_words(last.passage.text.trim(), next.passage.text.trim())));
            last = next;
        }
    }
    read
}

/// Whether a passage is the one after another in the same document.
fn follows(passage: &Passage, other: &Passage) -> bool {
    passage.document_id == other.document_id && other.ordinal.checked_add(1) == Some(passage.ordinal)
}

/// What `next` says beyond the end of `before` that it begins with; all of it when it says nothing else.
pub fn new_words<'a>(before: &str, next: &'a str) -> &'a str {
    // Whole words only: an end and a beginning that share a letter repeat nothing.
    let mut ends = next.char_indices().filter(|(_, c)| c.is_whitespace()).map(|(at, _)| at);
    let is_repeated = |at: &usize| {
        let rest = before.strip_suffix(&next[..*at]);
        rest.is_some_and(|rest| rest.chars().next_back().is_none_or(char::is_whitespace))
    };
    let repeated = ends.rfind(is_repeated).unwrap_or(0);
    next[repeated..].trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::fixture::passage;

    /// The numbers and words of passages of documents, given as name, ordinal and text, best first.
    fn check(passages: &[(&str, u32, &str)], expected: &[(usize, &str)]) {
        let cited = passages.iter().enumerate();
        let cited: Vec<CitedPassage> = cited
            .map(|(at, (name, ordinal, text))| CitedPassage {
                number: at + 1,
                passage: passage(name, *ordinal, "", text).into(),
            })
            .collect();
        let read: Vec<(usize, &str)> =
            in_reading_order(&cited).into_iter().map(|(cited, text)| (cited.number, text)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn neighbours_stand_in_the_order_of_their_document() {
        check(&[("a", 4, "E"), ("b", 1, "B"), ("a", 2, "C"), ("a", 3, "D")], &[(3, "C"), (4, "D"), (1, "E"), (2, "B")]);
        check(&[("a", 4, "E"), ("a", 2, "C"), ("b", 3, "D")], &[(1, "E"), (2, "C"), (3, "D")]);
        check(&[], &[]);
    }

    #[test]
    fn what_a_neighbour_repeats_is_said_once() {
        let first = ("a", 0, "Rest matters. You get 25 days.");
        check(&[("a", 1, "You get 25 days.\n\nAsk early."), first], &[(2, first.2), (1, "Ask early.")]);
        // Of another document, or farther away, it is no repetition.
        check(&[("b", 1, "You get 25 days. Ask."), first], &[(1, "You get 25 days. Ask."), (2, first.2)]);
        check(&[first, ("a", 2, "You get 25 days. Ask.")], &[(1, first.2), (2, "You get 25 days. Ask.")]);
    }

    #[test]
    fn only_whole_words_are_repeated_and_no_passage_is_emptied() {
        check(&[("a", 0, "In days"), ("a", 1, "s and so on")], &[(1, "In days"), (2, "s and so on")]);
        check(&[("a", 0, "One. Two."), ("a", 1, "Two.")], &[(1, "One. Two."), (2, "Two.")]);
        check(&[("a", 0, "Für Grüße"), ("a", 1, "Grüße an alle")], &[(1, "Für Grüße"), (2, "an alle")]);
    }
}
