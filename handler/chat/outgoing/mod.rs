//! What a model writes is hostile until it has passed here. What enters are the words of an answer as they come, what leaves
//! are the same words with nothing in them that a client could load, open or run: no image, no HTML, no link that leads off
//! the list, no character that hides another. Honest answers leave as they came, byte for byte.
//!
//! This is a scanner and not a parser: a parser needs the whole paragraph, and speaks for one reader of Markdown only. The
//! rules here hold for all readers, because a link, an image or a tag needs characters side by side that never leave side by
//! side. Only code is passed as it is, and only where no reader could take it for anything else. What is held back is the
//! last word, and code until it ends.

pub mod allowlist;
mod characters;
mod fences;
mod line;
mod scan;
mod words;

use std::borrow::Cow;

use self::allowlist::{LinkAllowlist, is_host, is_local_part};
use self::characters::Cleaner;
use self::fences::{Block, Line};
use self::line::LineSoFar;
use self::scan::{closing, closing_parenthesis, is_tex_command, undrawn};
use self::words::{bare, defanged, is_linkable};

/// The most bytes of one word; a longer one is no word of a language, and its links lead nowhere.
const MAX_WORD: usize = 1_000;

/// The most bytes of code within a line.
const MAX_CODE: usize = 500;

/// Lets the words of one answer out.
pub struct OutgoingFilter<'a> {
    links: &'a LinkAllowlist,
    /// Texts whose e-mail addresses may be given as they are.
    known: Vec<Cow<'a, str>>,
    cleaner: Cleaner,
    /// What is not yet decided.
    held: String,
    block: Block,
    /// What is known of the line so far.
    line: LineSoFar,
    /// In this paragraph readers could differ about what is code.
    code_is_doubtful: bool,
    /// The word at hand is too long to be looked at as a whole.
    is_in_long_word: bool,
    /// What was let out last is an address that leads where it may.
    is_after_address: bool,
    /// The last character that was let out.
    last: char,
}

impl<'a> OutgoingFilter<'a> {
    /// Starts on an answer. `known` are texts that the reader may read anyway: e-mail addresses in them pass.
    pub fn new(links: &'a LinkAllowlist, known: Vec<&'a str>) -> Self {
        Self {
            links,
            known: known.into_iter().map(Cow::Borrowed).collect(),
            cleaner: Cleaner::default(),
            held: String::new(),
            block: Block::Text,
            line: LineSoFar::NEW,
            code_is_doubtful: false,
            is_in_long_word: false,
            is_after_address: false,
            last: '\n',
        }
    }

    /// Another text that the reader may read anyway.
    pub fn know(&mut self, text: &str) {
        self.known.push(Cow::Owned(text.to_owned()));
    }

    /// What may leave after the next words.
    pub fn push(&mut self, text: &str) -> String {
        let clean = self.cleaner.push(text);
        self.held.push_str(&clean);
        self.advance(false)
    }

    /// What was still held back, before a citation that the product itself writes in brackets.
    pub fn before_citation(&mut self) -> String {
        let out = self.advance(true);
        self.line.put_citation();
        self.last = ']';
        out
    }

    /// What was still held back when the answer ended.
    pub fn finish(&mut self) -> String {
        self.advance(true)
    }

    fn advance(&mut self, is_all: bool) -> String {
        let held = std::mem::take(&mut self.held);
        let (mut rest, mut out) = (held.as_str(), String::with_capacity(held.len()));
        while !rest.is_empty() {
            match self.next(rest, is_all, &mut out) {
                Some(length) => rest = &rest[length..],
                None => break,
            }
        }
        rest.clone_into(&mut self.held);
        out
    }

    /// Lets out what a text begins with. How many bytes that was, or nothing when more has to come first.
    fn next(&mut self, rest: &str, is_all: bool, out: &mut String) -> Option<usize> {
        if self.line.is_at_start {
            match self.block.line(rest, is_all) {
                Line::Unknown => return None,
                Line::Fence(line, length) => {
                    self.as_it_is(&line, out);
                    self.code_is_doubtful = false;
                    return Some(length);
                }
                Line::Words => self.line.is_at_start = false,
            }
        }
        let first = rest.chars().next()?;
        match self.block {
            Block::Code(fence) if !fence.is_drawn => {
                let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
                self.as_it_is(&rest[..end], out);
                Some(end)
            }
            Block::Text if first == '`' => self.code(rest, is_all, out),
            _ if ends_word(first) => {
                self.put(first, out);
                Some(first.len_utf8())
            }
            _ => self.next_word(rest, is_all, out),
        }
    }

    /// Code within a line, if it ends there; else its back quotes become quotes, so that they open nothing later.
    fn code(&mut self, rest: &str, is_all: bool, out: &mut String) -> Option<usize> {
        let marks = rest.len() - rest.trim_start_matches('`').len();
        if marks == rest.len() && !is_all && marks < MAX_CODE {
            return None;
        }
        let within = &rest[marks..];
        let line_end = within.find('\n').unwrap_or(within.len());
        let inside = closing(&within[..line_end], marks).filter(|_| self.last != '\\');
        let is_open = line_end == within.len() && !is_all && line_end < MAX_CODE;
        match inside {
            Some(end) if end + marks == within.len() && is_open => None,
            Some(end) => {
                // A bar may end a cell of a table before the code, a dollar may end a formula within it.
                self.code_is_doubtful |= within[..end].contains(['|', '$']);
                let length = end + 2 * marks;
                if self.code_is_doubtful {
                    self.part(out);
                    self.text(&rest[..length], out);
                } else {
                    self.as_it_is(&rest[..length], out);
                }
                Some(length)
            }
            None if is_open && self.last != '\\' => None,
            None => {
                self.part(out);
                (0..marks).for_each(|_| self.put('\'', out));
                Some(marks)
            }
        }
    }

    fn next_word(&mut self, rest: &str, is_all: bool, out: &mut String) -> Option<usize> {
        let is_text = self.block == Block::Text;
        let end = rest.find(|c| ends_word(c) && (c != '`' || is_text));
        let length = end.unwrap_or(rest.len());
        if self.is_in_long_word || length > MAX_WORD {
            self.is_in_long_word = true;
            for c in rest[..length].chars() {
                self.put(if matches!(c, '.' | ':' | '@' | '&' | '\\') { '·' } else { c }, out);
            }
            return Some(length);
        }
        if end.is_none() && !is_all {
            return None;
        }
        self.word(&rest[..length], out);
        Some(length)
    }

    /// A gap, if what comes next could go on with the word before.
    fn part(&mut self, out: &mut String) {
        if is_of_address(self.last) {
            self.put(' ', out);
        }
    }

    /// Text in which back quotes mean nothing.
    fn text(&mut self, text: &str, out: &mut String) {
        let ends_word = |c: char| ends_word(c) && c != '`';
        for part in text.split_inclusive(ends_word) {
            let word = part.trim_end_matches(ends_word);
            self.word(word, out);
            part[word.len()..].chars().for_each(|c| self.put(c, out));
        }
    }

    /// A word: targets of links in it stay only when they lead where they may.
    fn word(&mut self, word: &str, out: &mut String) {
        let mut rest = word;
        while let Some(at) = rest.find("](") {
            let Some(length) = closing_parenthesis(&rest[at + 1..]) else { break };
            let (text, target) = (&rest[..=at], &rest[at + 1..=at + length]);
            self.words(text, out);
            if self.links.permits(&target[1..target.len() - 1]) {
                self.is_after_address = false;
                self.as_it_is(target, out);
            }
            rest = &rest[at + 1 + length..];
        }
        self.words(rest, out);
    }

    fn words(&mut self, word: &str, out: &mut String) {
        let drawn = matches!(self.block, Block::Code(_)).then(|| undrawn(word));
        let word = drawn.as_deref().unwrap_or(word);
        let is_linkable = is_linkable(word);
        let is_safe = !is_linkable || self.links.permits_word(bare(word)) || self.is_known_mail(bare(word));
        let written = if is_safe { word.to_owned() } else { defanged(word) };
        for (at, c) in written.char_indices() {
            if c != '\\' || !is_tex_command(&written[at + 1..]) {
                self.put(c, out);
            }
        }
        self.is_after_address = is_linkable && is_safe;
    }

    /// Whether this is an e-mail address that stands in the texts of the answer just like this. One that a model has put
    /// together could carry something away in its name.
    fn is_known_mail(&self, word: &str) -> bool {
        let is_mail = word.split_once('@').is_some_and(|(local, host)| is_local_part(local) && is_host(host));
        let is_end = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '+' | '@'));
        is_mail
            && self.known.iter().any(|text| {
                text.match_indices(word).any(|(at, _)| {
                    let before = text[..at].chars().next_back();
                    is_end(before) && before != Some('.') && is_end(text[at + word.len()..].chars().next())
                })
            })
    }

    /// Lets out what needs no look.
    fn as_it_is(&mut self, text: &str, out: &mut String) {
        if self.is_after_address {
            out.push(' ');
        }
        out.push_str(text);
        self.last = text.chars().next_back().unwrap_or(self.last);
        self.is_after_address = false;
        self.is_in_long_word = false;
        self.line.has_only_marks = false;
        if self.last == '\n' {
            self.line = LineSoFar::NEW;
        }
    }

    /// Lets out a character, and sees to it that no two stand side by side that mean something together.
    fn put(&mut self, c: char, out: &mut String) {
        let is_apart = match (self.last, c) {
            ('<', _) => !(c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')),
            ('!' | '[', '[') | (']', '(') => false,
            (']', ':') => !self.line.defines(),
            (_, '=') => !self.line.may_be_attribute(),
            // An address goes on for as long as some reader thinks: a full stop of Chinese is a dot to it.
            _ => !self.is_after_address || c.is_whitespace(),
        };
        if !is_apart {
            out.push(' ');
        }
        let is_mathematics = matches!(self.last, '_' | '^');
        out.push(c);
        let c = if is_apart || c != '=' {
            c
        } else {
            out.push(' ');
            ' '
        };
        self.last = c;
        self.is_after_address = false;
        self.is_in_long_word &= !ends_word(c);
        if c == '\n' {
            self.code_is_doubtful &= !self.line.has_only_marks;
        }
        self.line.put(c, is_mathematics);
    }
}

/// Whether a word ends here: at white space, at code, at punctuation of scripts that have no spaces.
fn ends_word(c: char) -> bool {
    c.is_whitespace()
        || c == '`'
        || matches!(c, '\u{3001}'..='\u{3011}' | '！' | '（' | '）' | '，' | '：' | '；' | '？')
}

/// Whether this can be a part of an address.
fn is_of_address(c: char) -> bool {
    c.is_alphanumeric() || "/.:@-_?#=&%+~".contains(c)
}

#[cfg(test)]
mod tests;
