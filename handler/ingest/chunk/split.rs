//! Cutting a text that is too long for one passage: at sentences, else between words, else between characters.

use unicode_segmentation::UnicodeSegmentation;

use crate::tokens::estimate;

/// A part of a text that fits into a passage.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    /// The part itself, without space around it.
    pub text: &'t str,
    /// What it costs.
    pub tokens: usize,
    /// What stood between it and the part before it.
    pub separator: &'static str,
}

/// Cuts a text into its sentences, each of at most `most_tokens`; a longer one is cut between words.
pub fn sentences(text: &str, most_tokens: usize) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut separator = "";
    for sentence in text.split_sentence_bounds() {
        let tokens = estimate(sentence);
        if tokens <= most_tokens {
            push(&mut pieces, sentence, tokens, separator);
        } else {
            cut_between_words(sentence, most_tokens, separator, &mut pieces);
        }
        separator = separator_after(sentence);
    }
    pieces
}

/// The last sentences of a text that together cost at most `most_tokens`; empty when the last alone costs more, or when
/// it would be the whole text.
pub fn trailing_sentences(text: &str, most_tokens: usize) -> &str {
    let starts: Vec<usize> = text.split_sentence_bound_indices().map(|(start, _)| start).collect();
    let mut best = text.len();
    for &start in starts.iter().rev() {
        if estimate(&text[start..]) > most_tokens {
            break;
        }
        best = start;
    }
    if best == 0 { "" } else { text[best..].trim() }
}

fn push<'t>(pieces: &mut Vec<Piece<'t>>, text: &'t str, tokens: usize, separator: &'static str) {
    let text = text.trim();
    if !text.is_empty() {
        pieces.push(Piece { text, tokens, separator });
    }
}

/// What the end of a text puts between it and what follows.
fn separator_after(text: &str) -> &'static str {
    match text.chars().next_back() {
        Some('\n') => "\n",
        Some(c) if c.is_whitespace() => " ",
        _ => "",
    }
}

fn cut_between_words<'t>(text: &'t str, most_tokens: usize, separator: &'static str, pieces: &mut Vec<Piece<'t>>) {
    let (mut start, mut end, mut tokens) = (0, 0, 0);
    let mut separator = separator;
    for word in text.split_inclusive(char::is_whitespace) {
        let cost = estimate(word);
        if tokens + cost > most_tokens {
            push(pieces, &text[start..end], tokens, separator);
            if end > start {
                separator = separator_after(&text[start..end]);
            }
            (start, tokens) = (end, 0);
        }
        if cost > most_tokens {
            cut_between_characters(word, most_tokens, separator, pieces);
            separator = separator_after(word);
            start = end + word.len();
        } else {
            tokens += cost;
        }
        end += word.len();
    }
    push(pieces, &text[start..end], tokens, separator);
}

/// Cuts a run without spaces. No estimate gives a character more than one token, so as many characters always fit.
fn cut_between_characters<'t>(word: &'t str, most_tokens: usize, separator: &'static str, pieces: &mut Vec<Piece<'t>>) {
    let mut separator = separator;
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(most_tokens).map_or(rest.len(), |(end, _)| end);
        let (piece, after) = rest.split_at(end);
        push(pieces, piece, estimate(piece), separator);
        separator = "";
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, most_tokens: usize) -> Vec<(&str, &str)> {
        sentences(text, most_tokens).into_iter().map(|piece| (piece.separator, piece.text)).collect()
    }

    #[test]
    fn cuts_at_sentences_then_words_then_characters() {
        assert_eq!(texts("One two. Three four.\nFive.", 4), [("", "One two."), (" ", "Three four."), ("\n", "Five.")]);
        assert_eq!(texts("one two three four five", 2), [("", "one two"), (" ", "three four"), (" ", "five")]);
        assert_eq!(texts("a 有給休暇有給休暇 b", 4), [("", "a"), (" ", "有給休暇"), ("", "有給休暇"), (" ", "b")]);
        assert_eq!(texts("一二三。四五六。", 4), [("", "一二三。"), ("", "四五六。")]);
    }

    #[test]
    fn loses_no_word_and_keeps_the_limit() {
        let text = "Leave is granted by the head of the office, in writing. ".repeat(50) + &"x1".repeat(500);
        for most_tokens in [8, 13, 40] {
            let pieces = sentences(&text, most_tokens);
            let joined: String = pieces.iter().flat_map(|piece| [piece.separator, piece.text]).collect();
            assert_eq!(joined, text);
            assert!(pieces.iter().all(|piece| estimate(piece.text) <= most_tokens));
        }
    }

    #[test]
    fn takes_the_last_sentences() {
        assert_eq!(trailing_sentences("One two. Three four. Five six.", 6), "Three four. Five six.");
        assert_eq!(trailing_sentences("One two. Three four five six.", 3), "");
        assert_eq!(trailing_sentences("One two.", 10), "");
    }
}
