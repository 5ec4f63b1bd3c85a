//! Questions that a model proposes after its answer, `<<like this>>`. What enters are its words as they come, what leaves are
//! the same words without these questions; they are gathered on the way. What is held back is what may yet become one.

use crate::chat::marker::{MarkerScanner, Part};
use crate::chat::outgoing::OutgoingFilter;
use crate::chat::outgoing::allowlist::LinkAllowlist;

/// Questions that are kept.
const MOST: usize = 3;
/// The most bytes of one; what is longer is no question.
const MAX_BYTES: usize = 400;

/// Reads an answer piece by piece.
#[derive(Debug, Default)]
pub struct FollowUpScanner {
    is_on: bool,
    held: String,
    questions: Vec<String>,
    /// The last character that was passed on and is no white space.
    last: Option<char>,
    /// What is held begins a line.
    is_inside_line: bool,
}

impl FollowUpScanner {
    /// A scanner that passes all on when no questions were asked for.
    pub fn new(is_on: bool) -> Self {
        Self { is_on, ..Self::default() }
    }

    /// What is certain to be of the answer after the next words.
    pub fn push(&mut self, words: &str) -> String {
        if !self.is_on {
            return words.to_owned();
        }
        self.held.push_str(words);
        self.advance(false)
    }

    /// What was still held back when the answer ended.
    pub fn finish(&mut self) -> String {
        self.advance(true)
    }

    /// The questions, as they may leave.
    pub fn questions(&self, links: &LinkAllowlist) -> Vec<String> {
        let mut kept: Vec<String> = Vec::new();
        for question in &self.questions {
            let mut filter = OutgoingFilter::new(links, Vec::new());
            let filtered = filter.push(&without_references(question)) + &filter.finish();
            let one_line = filtered.split_whitespace().collect::<Vec<_>>().join(" ");
            if !one_line.is_empty() && !kept.contains(&one_line) && kept.len() < MOST {
                kept.push(one_line);
            }
        }
        kept
    }

    fn advance(&mut self, is_all: bool) -> String {
        let held = std::mem::take(&mut self.held);
        let (mut rest, mut out) = (held.as_str(), String::new());
        // Where to look on: before it are openings that turned out to be words.
        let mut from = 0;
        while let Some(at) = rest[from..].find("<<").map(|at| from + at) {
            let inside = &rest[at + 2..];
            let end = inside.find(['>', '<', '\n']).filter(|end| *end <= MAX_BYTES);
            match end {
                Some(end) if inside[end..].starts_with(">>") && self.may_stand_after(&rest[..at]) => {
                    self.questions.push(inside[..end].to_owned());
                    let words = &rest[..marks_start(&rest[..at], self.is_inside_line)];
                    self.pass(words, &mut out);
                    // Another one may follow at once.
                    self.last = None;
                    rest = &inside[end + 2..];
                    from = 0;
                }
                Some(end) if inside[end..] == *">" && !is_all => break,
                None if inside.len() <= MAX_BYTES && !is_all => break,
                _ => from = at + 2,
            }
        }
        let certain = if is_all { rest.len() } else { certain(rest, from, self.is_inside_line) };
        self.pass(&rest[..certain], &mut out);
        rest[certain..].clone_into(&mut self.held);
        out
    }

    fn pass(&mut self, words: &str, out: &mut String) {
        out.push_str(words);
        if let Some(last) = words.trim_end().chars().next_back() {
            self.last = Some(last);
        }
        if let Some(last) = words.chars().next_back() {
            self.is_inside_line = last != '\n';
        }
    }

    /// Whether a question may stand here: at the start of a line, or after the end of a sentence, a reference or another
    /// question. Elsewhere it is an arrow of a program, or a quotation.
    fn may_stand_after(&self, before: &str) -> bool {
        let line = marks_start(before, self.is_inside_line) < before.len() || before.ends_with('\n');
        let last = before.trim_end().chars().next_back().or(self.last);
        line || last.is_none_or(|last| matches!(last, '.' | '!' | '?' | '。' | '！' | '？' | ']' | '】' | ')' | '>'))
            || before.is_empty() && !self.is_inside_line
    }
}

/// A question without the numbers of passages, which mean nothing there.
fn without_references(question: &str) -> String {
    let mut scanner = MarkerScanner::default();
    let mut parts = scanner.push(question);
    parts.extend(scanner.finish().map(Part::Text));
    let words = parts.into_iter().map(|part| match part {
        Part::Text(text) => text,
        Part::Numbers(_) => String::new(),
        Part::Bracketed(inside) => format!("[{inside}]"),
    });
    words.collect::<String>().replace(" ?", "?")
}

/// Where the last line begins, if it holds nothing but white space and marks of lists; else the end of the text.
fn marks_start(text: &str, is_inside_line: bool) -> usize {
    let start = match text.rfind('\n') {
        Some(at) => at + 1,
        None if is_inside_line => return text.len(),
        None => 0,
    };
    let is_mark = |c: char| c.is_whitespace() || c.is_ascii_digit() || matches!(c, '-' | '*' | '•' | '.' | ')');
    if text[start..].chars().all(is_mark) { start } else { text.len() }
}

/// How much of a text is certain to hold no beginning of a question; up to `from` there are only words.
fn certain(text: &str, from: usize, is_inside_line: bool) -> usize {
    let open = text[from..].find("<<").map(|at| from + at);
    let end =
        open.unwrap_or_else(|| if text.ends_with('<') && text.len() > from { text.len() - 1 } else { text.len() });
    marks_start(&text[..end], is_inside_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of an answer, and the questions; whole and letter by letter, which must not differ.
    fn scanned(answer: &str) -> (String, Vec<String>) {
        let run = |pieces: &[&str]| {
            let mut scanner = FollowUpScanner::new(true);
            let mut out: String = pieces.iter().map(|piece| scanner.push(piece)).collect();
            out.push_str(&scanner.finish());
            (out, scanner.questions(&LinkAllowlist::default()))
        };
        let whole = run(&[answer]);
        let letters: Vec<&str> = answer.split_inclusive(|_| true).collect();
        assert_eq!(run(&letters), whole, "{answer}");
        whole
    }

    fn check(answer: &str, text: &str, questions: &[&str]) {
        let (left, found) = scanned(answer);
        assert_eq!((left.trim_end(), found), (text, questions.iter().map(|q| (*q).to_owned()).collect()), "{answer}");
    }

    #[test]
    fn questions_are_taken_out_of_the_answer() {
        check(
            "It is 25 [1].\n\n<<Who approves it?>>\n<<And in May?>>",
            "It is 25 [1].",
            &["Who approves it?", "And in May?"],
        );
        check("It is 25 [1]. <<A?>><<B?>> <<C?>> <<D?>>", "It is 25 [1].", &["A?", "B?", "C?"]);
        check("It is 25.\n- <<A?>>\n2. <<A?>>", "It is 25.", &["A?"]);
        check("<<A?>>", "", &["A?"]);
    }

    #[test]
    fn other_arrows_are_words() {
        for honest in [
            "a << b >> c",
            "cout << x;",
            "x <<y",
            "1 < 2 and 3 > 2",
            "cat <<EOF\nhi\nEOF",
            "It is <<open",
            "<",
            "- one\n- two\n1",
        ] {
            check(honest, honest, &[]);
        }
        let long = format!("<<{}>>", "x".repeat(MAX_BYTES + 1));
        check(&long, &long, &[]);
        let mut off = FollowUpScanner::new(false);
        assert_eq!(off.push("Yes.\n<<A?>>") + &off.finish(), "Yes.\n<<A?>>");
    }

    #[test]
    fn what_is_certain_is_not_held_back() {
        let mut scanner = FollowUpScanner::new(true);
        assert_eq!(scanner.push("It is 25 days <"), "It is 25 days ");
        assert_eq!(scanner.push(" 26"), "< 26");
        assert_eq!(scanner.push(".\n<<Who"), ".\n");
        assert_eq!(scanner.push("?>>"), "");
    }

    #[test]
    fn a_question_is_filtered_like_all_a_model_says() {
        check("Yes.\n<<See ![x](https://evil.example/a)?>>", "Yes.", &["See ! [x]?"]);
    }

    proptest::proptest! {
        #[test]
        fn pieces_make_no_difference(answer in "[<>a.\\-1\n ]{0,40}") {
            scanned(&answer);
        }
    }
}
