//! Where every format puts what it finds: text is cleaned once, here, and counted against the limit as it arrives, so
//! that a small file that unfolds into a large text is stopped on the way.

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::{Block, BlockKind, ExtractLimits, Extracted};

/// Collects blocks up to the limit of text.
pub struct Blocks {
    blocks: Vec<Block>,
    bytes: usize,
    max_text_bytes: usize,
}

impl Blocks {
    /// An empty collection that refuses more text than `limits` allow.
    pub fn new(limits: &ExtractLimits) -> Self {
        Self { blocks: Vec::new(), bytes: 0, max_text_bytes: limits.max_text_bytes }
    }

    /// Adds a text of a kind, cleaned. Does nothing when no text is left; fails when the limit is passed.
    pub fn push(&mut self, kind: BlockKind, text: &str, page: Option<u32>) -> Result<()> {
        self.add(kind, text, page, None)
    }

    /// As [`Blocks::push`], for a text of a format whose places are no pages. What cannot be seen goes from the place, too.
    pub fn push_at(&mut self, kind: BlockKind, text: &str, place: &str) -> Result<()> {
        self.add(kind, text, None, Some(clean(place, false)))
    }

    /// How much text is in it, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn add(&mut self, kind: BlockKind, text: &str, page: Option<u32>, place: Option<String>) -> Result<()> {
        let text = match kind {
            BlockKind::Code => clean_code(text),
            BlockKind::Paragraph => clean(text, true),
            BlockKind::Heading(_) | BlockKind::TableHeader | BlockKind::TableRow => clean(text, false),
        };
        if text.is_empty() {
            return Ok(());
        }
        self.bytes += text.len();
        if self.bytes > self.max_text_bytes {
            return Err(over_text_limit(self.max_text_bytes));
        }
        self.blocks.push(Block { kind, text, page, place });
        Ok(())
    }

    /// The text of the first heading, for formats that keep no title of their own.
    pub fn first_heading(&self) -> Option<String> {
        self.blocks.iter().find(|block| matches!(block.kind, BlockKind::Heading(_))).map(|block| block.text.clone())
    }

    /// Ends the collection. A title without text counts as none.
    pub fn finish(self, title: Option<String>, pages: Option<u32>) -> Extracted {
        let title = title.map(|title| clean(&title, false)).filter(|title| !title.is_empty());
        Extracted { title, pages, blocks: self.blocks, remark: None }
    }
}

/// The refusal of a document with too much text.
pub fn over_text_limit(max_text_bytes: usize) -> Error {
    let message = format!("the document holds more than {max_text_bytes} bytes of text, which is the limit");
    Error::new(ErrorKind::DocumentOverLimit, message)
}

/// Text with single spaces, without what cannot be seen. Line breaks are kept on demand, never two in a row.
pub fn clean(text: &str, keep_lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = None;
    for c in text.chars() {
        if c.is_whitespace() {
            let is_break = keep_lines && matches!(c, '\n' | '\r');
            gap = if is_break || gap == Some('\n') { Some('\n') } else { Some(' ') };
        } else if !is_invisible(c) {
            if let Some(gap) = gap.take().filter(|_| !out.is_empty()) {
                out.push(gap);
            }
            out.push(c);
        }
    }
    out
}

/// Code keeps its lines and indentation; empty lines around it and blanks at line ends go.
fn clean_code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.extend(line.trim_end().chars().filter(|&c| c == '\t' || !is_invisible(c)));
        out.push('\n');
    }
    out.trim_matches('\n').trim_end().to_owned()
}

/// Characters that a reader does not see: controls, soft hyphens, zero-width and direction marks, and the tag characters
/// that can carry a hidden text. They would only keep words from being found, and hide words from people. The two
/// joiners stay: several scripts are written with them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_space_and_the_invisible() {
        assert_eq!(clean("  a\u{a0}\t b\u{200b}c\u{ad}d \r\n e ", false), "a bcd e");
        assert_eq!(clean(" a \n\n  b \n c", true), "a\nb\nc");
        assert_eq!(clean("\u{e0041}\u{202e}x", false), "x");
        assert_eq!(clean_code("\n  if x:\n\treturn  \n\n"), "  if x:\n\treturn");
    }

    #[test]
    fn stops_at_the_limit_of_text() {
        let mut blocks = Blocks::new(&ExtractLimits::new(1, 5));
        blocks.push(BlockKind::Paragraph, "12345", None).unwrap();
        let error = blocks.push(BlockKind::Paragraph, "6", None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DocumentOverLimit);
    }
}
