//! Finds what stands in square brackets in text that arrives in pieces. What enters are pieces of a model's answer, what
//! leaves is the same text with bracketed parts told apart. Nothing is held back longer than a bracket is open; it knows
//! nothing of passages.

/// The most bytes that are held back for a bracket that does not close.
const MAX_HELD_BYTES: usize = 300;

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words.
    Text(String),
    /// `[1]` or `[1, 2]`: the numbers.
    Numbers(Vec<usize>),
    /// Anything else in square brackets, without them.
    Bracketed(String),
}

/// Reads an answer piece by piece.
#[derive(Default)]
pub struct MarkerScanner {
    held: String,
}

impl MarkerScanner {
    /// The parts that are certain after this piece.
    pub fn push(&mut self, piece: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        let text = std::mem::take(&mut self.held) + piece;
        let mut rest = text.as_str();
        while let Some(open) = rest.find(['[', '【']) {
            push_text(&mut parts, &rest[..open]);
            rest = &rest[open..];
            match read_bracket(rest) {
                Bracket::Closed(part, length) => {
                    parts.push(part);
                    rest = &rest[length..];
                }
                Bracket::Text(length) => {
                    push_text(&mut parts, &rest[..length]);
                    rest = &rest[length..];
                }
                Bracket::Open => {
                    self.held = rest.to_owned();
                    return parts;
                }
            }
        }
        push_text(&mut parts, rest);
        parts
    }

    /// What was still held back when the answer ended.
    pub fn finish(&mut self) -> Option<String> {
        Some(std::mem::take(&mut self.held)).filter(|held| !held.is_empty())
    }
}

/// What an opening bracket turned out to be.
enum Bracket {
    Closed(Part, usize),
    Text(usize),
    Open,
}

fn read_bracket(text: &str) -> Bracket {
    let opening = text.chars().next().map_or(0, char::len_utf8);
    for (at, c) in text.char_indices().skip(1) {
        match c {
            ']' | '】' => return Bracket::Closed(inside(&text[opening..at]), at + c.len_utf8()),
            // A line end or another opening: the first bracket was only a bracket.
            '\n' | '[' | '【' => return Bracket::Text(at),
            _ => {}
        }
    }
    if text.len() > MAX_HELD_BYTES { Bracket::Text(text.len()) } else { Bracket::Open }
}

fn inside(text: &str) -> Part {
    let numbers: Option<Vec<usize>> =
        text.split([',', ';', '，', '、']).map(|part| part.trim().trim_start_matches('^').parse().ok()).collect();
    match numbers {
        Some(numbers) => Part::Numbers(numbers),
        None => Part::Bracketed(text.to_owned()),
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    /// The parts of a text given at once, with neighbouring texts joined.
    fn whole(input: &[&str]) -> Vec<Part> {
        let mut scanner = MarkerScanner::default();
        let mut parts = Vec::new();
        for part in input.iter().flat_map(|piece| scanner.push(piece)).collect::<Vec<_>>() {
            match part {
                Part::Text(more) => push_text(&mut parts, &more),
                other => parts.push(other),
            }
        }
        push_text(&mut parts, &scanner.finish().unwrap_or_default());
        parts
    }

    #[test]
    fn tells_markers_from_other_brackets() {
        let expected = [
            text("A "),
            Part::Numbers(vec![1]),
            Part::Numbers(vec![2, 3]),
            text(" b "),
            Part::Bracketed("see c".to_owned()),
        ];
        assert_eq!(whole(&["A [1][2, 3] b [see c]"]), expected);
        assert_eq!(whole(&["x[^4]【5】"]), [text("x"), Part::Numbers(vec![4]), Part::Numbers(vec![5])]);
        assert_eq!(whole(&["a [b\nc"]), [text("a [b\nc")]);
        assert_eq!(whole(&["[[1]"]), [text("["), Part::Numbers(vec![1])]);
        assert_eq!(whole(&["[]"]), [Part::Bracketed(String::new())]);
        assert_eq!(whole(&["[99999999999999999999999]"]), [Part::Bracketed("99999999999999999999999".to_owned())]);
    }

    #[test]
    fn holds_back_only_an_open_bracket() {
        let mut scanner = MarkerScanner::default();
        assert_eq!(scanner.push("It is 25 [1"), [text("It is 25 ")]);
        assert_eq!(scanner.push("] days"), [Part::Numbers(vec![1]), text(" days")]);
        assert_eq!(scanner.push(&format!("[{}", "x".repeat(MAX_HELD_BYTES))).len(), 1);
        assert_eq!(scanner.finish(), None);
    }

    proptest::proptest! {
        #[test]
        fn pieces_make_no_difference(input in "[\\[\\]【】a-c1-3,\n ]{0,60}", cut in 0_usize..60) {
            let at = input.char_indices().nth(cut).map_or(input.len(), |(at, _)| at);
            proptest::prop_assert_eq!(whole(&[&input[..at], &input[at..]]), whole(&[&input]));
        }
    }
}
