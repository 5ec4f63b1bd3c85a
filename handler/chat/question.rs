//! A question that has been checked. What enters is text from outside, what leaves is a question that says something and
//! is not too long, or one sentence saying why not.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// What begins a script in a page.
const SCRIPTS: [&str; 3] = ["<script", "javascript:", "data:"];

/// A question: at least one visible character, at most as many as the settings allow.
#[derive(Clone, PartialEq, Eq)]
pub struct Question(String);

impl Question {
    /// Takes a question from outside, without the white space and invisible characters around it.
    pub fn parse(raw: &str, max_chars: usize) -> Result<Self> {
        let trimmed = raw.trim_matches(is_blank);
        if trimmed.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "the question is empty"));
        }
        if trimmed.chars().count() > max_chars {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("the question is longer than {max_chars} characters"),
            ));
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// Refuses a question with what begins a script in a page. Nothing here ever runs such a thing, and plain talk about it is
    /// refused as well, so this is for places whose rules ask for it (STRICT_INPUT).
    pub fn refuse_scripts(&self) -> Result<()> {
        let plain: String = self.0.chars().filter(|c| !is_blank(*c)).flat_map(char::to_lowercase).collect();
        match SCRIPTS.iter().find(|mark| plain.contains(*mark)) {
            Some(mark) => Err(Error::new(ErrorKind::InvalidRequest, format!("a question must not hold `{mark}` here"))),
            None => Ok(()),
        }
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({} bytes)", self.0.len())
    }
}

/// White space, control characters, and characters that take no space and show nothing.
fn is_blank(c: char) -> bool {
    let shows_nothing = matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    );
    c.is_whitespace() || c.is_control() || shows_nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: Option<&str>) {
        assert_eq!(Question::parse(raw, 10).ok().as_ref().map(Question::as_str), expected, "{raw:?}");
    }

    #[test]
    fn takes_one_to_the_limit_of_characters() {
        check("a", Some("a"));
        check("  Why?\n", Some("Why?"));
        check("\u{feff}Why?\u{200b}", Some("Why?"));
        check("年假有多少天可以结转", Some("年假有多少天可以结转"));
        check("0123456789", Some("0123456789"));
        check("01234567890", None);
        check("", None);
        check(" \t\r\n\u{3000}", None);
        check("\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{0}", None);
    }

    #[test]
    fn scripts_are_refused_where_somebody_wants_it_so() {
        let check = |raw: &str| Question::parse(raw, 100).expect("fits").refuse_scripts().is_ok();
        let scripts = [
            "<script>",
            "what is < SCRIPT\u{200b} src=x",
            "JavaScript : alert(1)",
            "java\tscript:",
            "see data:text/html,x",
        ];
        assert!(scripts.iter().all(|raw| !check(raw)));
        assert!(["Why?", "the script of a play", "JavaScript or data?", "a < b"].into_iter().all(check));
    }

    #[test]
    fn does_not_show_itself_in_debug_output() {
        assert_eq!(format!("{:?}", Question::parse("secret", 10).expect("fits")), "Question(6 bytes)");
    }
}
