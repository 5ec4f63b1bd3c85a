//! Rich text. Paragraphs, headings, list items, footnotes and tables go out; pictures, headers, instructions of fields and
//! every destination that is not known stay behind. Text is decoded by the code page of its font.

mod tokens;
mod words;

use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};

use crate::error::Result;
use crate::ingest::formats::flow::{Ending, Flow};
use crate::ingest::formats::package::over;
use crate::ingest::formats::rtf::tokens::{Token, Tokens};
use crate::ingest::formats::rtf::words::{Destination, code_page, destination, encoding_of_charset, sign};
use crate::ingest::formats::{ExtractLimits, Extracted, Fit, Format};

/// Rich text, as WordPad and TextEdit write it.
pub const FORMAT: Format = Format {
    name: "rich text (rtf)",
    extensions: &["rtf"],
    sniff: |bytes| if bytes.starts_with(b"{\\rtf") { Fit::Certain } else { Fit::No },
    read,
};

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let mut reader = Reader::new(limits);
    for token in Tokens::new(bytes) {
        reader.take(&token, limits)?;
    }
    reader.end_paragraph()?;
    reader.end_table()?;
    let title = reader.title.clone();
    let title = Some(title).filter(|title| !title.trim().is_empty()).or_else(|| reader.flow.blocks.first_heading());
    Ok(reader.flow.blocks.finish(title, None))
}

/// What holds until a group ends.
#[derive(Clone)]
struct State {
    destination: Destination,
    encoding: &'static Encoding,
    font: i32,
    /// Characters after `\u` that say the same for old programs.
    fallback_chars: i32,
    is_hidden: bool,
    style: Option<i32>,
}

struct Reader {
    flow: Flow,
    state: State,
    outer: Vec<State>,
    default_encoding: &'static Encoding,
    /// Code pages of fonts, and levels of styles that are headings.
    fonts: HashMap<i32, &'static Encoding>,
    headings: HashMap<i32, u8>,
    style_name: String,
    title: String,
    note: String,
    /// Bytes of the code page at hand that wait to be decoded together: some characters have two.
    bytes: Vec<u8>,
    /// The first half of a character that has two in UTF-16.
    surrogate: Option<u16>,
    /// How many characters are still skipped after `\u`.
    skip: i32,
    is_new_group: bool,
    in_paragraph: bool,
    is_in_row: bool,
    is_cell_open: bool,
    is_item: bool,
    outline: Option<u8>,
}

impl Reader {
    fn new(limits: &ExtractLimits) -> Self {
        let state = State {
            destination: Destination::Text,
            encoding: WINDOWS_1252,
            font: 0,
            fallback_chars: 1,
            is_hidden: false,
            style: None,
        };
        Self {
            flow: Flow::new(limits),
            state,
            outer: Vec::new(),
            default_encoding: WINDOWS_1252,
            fonts: HashMap::new(),
            headings: HashMap::new(),
            style_name: String::new(),
            title: String::new(),
            note: String::new(),
            bytes: Vec::new(),
            surrogate: None,
            skip: 0,
            is_new_group: false,
            in_paragraph: false,
            is_in_row: false,
            is_cell_open: false,
            is_item: false,
            outline: None,
        }
    }

    fn take(&mut self, token: &Token<'_>, limits: &ExtractLimits) -> Result<()> {
        let is_new_group = std::mem::take(&mut self.is_new_group);
        match token {
            Token::Byte(byte) if self.skip == 0 => self.bytes.push(*byte),
            Token::Byte(_) => self.skip -= 1,
            Token::Text(text) => {
                let skipped = usize::try_from(self.skip).unwrap_or(0).min(text.len());
                self.skip -= skipped as i32;
                self.bytes.extend_from_slice(&text[skipped..]);
            }
            Token::Open => {
                self.decode()?;
                self.is_new_group = true;
                self.outer.push(self.state.clone());
                if self.outer.len() > limits.max_nesting {
                    return Err(over(format!("its groups nest deeper than {}", limits.max_nesting)));
                }
            }
            Token::Close => {
                self.decode()?;
                self.close();
            }
            Token::Control(word, number) => {
                self.decode()?;
                self.control(word, *number, is_new_group)?;
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some(state) = self.outer.pop() else { return };
        let ended = std::mem::replace(&mut self.state, state);
        if ended.destination == Destination::Note && self.state.destination != Destination::Note {
            self.flow.notes.push(std::mem::take(&mut self.note));
        }
        if ended.destination == Destination::Styles {
            let name = std::mem::take(&mut self.style_name).to_lowercase();
            let level = name.trim().trim_end_matches(';').strip_prefix("heading ").and_then(|level| level.parse().ok());
            self.headings.extend(ended.style.zip(level));
        }
    }

    fn control(&mut self, word: &str, number: Option<i32>, is_first: bool) -> Result<()> {
        // `\*` marks a destination that may be unknown: all of these are.
        if is_first && word == "*" {
            self.state.destination = Destination::Skipped;
            return Ok(());
        }
        // What is skipped stays so, but for the title, which stands among what is skipped.
        let may_enter = |destination: &Destination| {
            *destination == Destination::Title || self.state.destination != Destination::Skipped
        };
        if let Some(destination) = destination(word).filter(may_enter) {
            self.state.destination = destination;
            return Ok(());
        }
        match (word, number) {
            ("u", Some(code)) => return self.unicode(code),
            ("uc", Some(count)) => self.state.fallback_chars = count.clamp(0, 8),
            ("ansicpg", Some(page)) => {
                self.default_encoding = code_page(page);
                self.state.encoding = self.default_encoding;
            }
            ("f", Some(font)) => {
                self.state.font = font;
                self.state.encoding = self.fonts.get(&font).copied().unwrap_or(self.default_encoding);
            }
            ("fcharset", Some(charset)) if self.state.destination == Destination::Fonts => {
                self.fonts.extend(encoding_of_charset(charset).map(|encoding| (self.state.font, encoding)));
            }
            ("s", Some(style)) => self.state.style = Some(style),
            ("v" | "deleted", _) => self.state.is_hidden = number != Some(0),
            ("listtext" | "pntext", _) => {
                self.is_item = true;
                self.state.destination = Destination::Skipped;
            }
            ("plain", _) => self.state.is_hidden = false,
            ("pard", _) => self.reset_paragraph(),
            ("outlinelevel", Some(level)) => self.outline = u8::try_from(level + 1).ok().filter(|level| *level <= 9),
            ("intbl", _) => self.is_in_row = true,
            _ if self.state.destination == Destination::Text => return self.layout(word),
            ("par" | "line", _) => return self.write("\n"),
            _ => {}
        }
        Ok(())
    }

    /// Control words that end something or stand for a sign.
    fn layout(&mut self, word: &str) -> Result<()> {
        match word {
            "par" | "sect" | "page" => {
                self.end_paragraph()?;
                if !self.is_in_row {
                    self.end_table()?;
                }
            }
            "cell" | "nestcell" => {
                self.open_cell();
                self.end_paragraph()?;
                self.is_cell_open = false;
            }
            "row" | "nestrow" => {
                self.end_paragraph()?;
                self.is_cell_open = false;
                if self.flow.is_in_table() {
                    self.flow.open_row();
                }
                self.is_in_row = false;
            }
            _ => return sign(word).map_or(Ok(()), |text| self.write(text)),
        }
        Ok(())
    }

    fn reset_paragraph(&mut self) {
        self.state.style = None;
        (self.is_in_row, self.is_item, self.outline) = (false, false, None);
    }

    fn unicode(&mut self, code: i32) -> Result<()> {
        self.skip = self.state.fallback_chars;
        // Numbers above 32767 are written as negative ones.
        let unit = (code & 0xffff) as u16;
        let units: Vec<u16> = self.surrogate.take().into_iter().chain([unit]).collect();
        if (0xd800..0xdc00).contains(&unit) {
            self.surrogate = Some(unit);
            return Ok(());
        }
        let text: String = char::decode_utf16(units).flatten().collect();
        self.write(&text)
    }

    fn decode(&mut self) -> Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.bytes);
        let text = self.state.encoding.decode_without_bom_handling(&bytes).0;
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        const LONGEST_NAME: usize = 1_000;
        match self.state.destination {
            Destination::Text if !self.state.is_hidden => {
                if !self.in_paragraph {
                    self.begin_paragraph()?;
                }
                return self.flow.text(text);
            }
            Destination::Note if !self.state.is_hidden => self.note.push_str(text),
            Destination::Title if self.title.len() < LONGEST_NAME => self.title.push_str(text),
            Destination::Styles if self.style_name.len() < LONGEST_NAME => self.style_name.push_str(text),
            _ => {}
        }
        Ok(())
    }

    fn begin_paragraph(&mut self) -> Result<()> {
        if self.is_in_row {
            self.open_cell();
        } else {
            self.end_table()?;
        }
        self.flow.open_paragraph();
        self.in_paragraph = true;
        Ok(())
    }

    fn open_cell(&mut self) {
        if !self.flow.is_in_table() {
            self.flow.open_table();
            self.flow.open_row();
        }
        if !std::mem::replace(&mut self.is_cell_open, true) {
            self.flow.open_cell();
        }
    }

    fn end_paragraph(&mut self) -> Result<()> {
        self.decode()?;
        let is_item = std::mem::take(&mut self.is_item);
        if !std::mem::take(&mut self.in_paragraph) {
            return Ok(());
        }
        let level = self.outline.or_else(|| self.headings.get(&self.state.style?).copied());
        self.flow.close_paragraph(match level {
            Some(level) => Ending::Heading(level),
            None if is_item => Ending::Item,
            None => Ending::Text,
        })
    }

    fn end_table(&mut self) -> Result<()> {
        if self.flow.is_in_table() {
            // A row was begun after the last one, in case another came.
            self.flow.drop_row_if_empty();
            self.is_cell_open = false;
            self.flow.close_table()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &[u8]) -> Vec<String> {
        let found = read(source, &ExtractLimits::new(1, 1000)).unwrap();
        found.blocks.iter().map(|block| format!("{:?} {}", block.kind, block.text)).collect()
    }

    #[test]
    fn reads_signs_in_any_code_page() {
        let source = br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}{\f1\fcharset204 Arial Cyr;}}
            {\*\generator Nobody;}{\info{\title A \b title}{\author Nobody}}\f0 Gr\'f6\'dfe {\f1 \'ef\'f0} \u8364?5 \u-10179?\u-8638?\~x\par
            {\v hidden}{\pict 00ff}{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}\par}";
        assert_eq!(lines(source), ["Paragraph Größe пр €5 🙂 x", "Paragraph link"]);
    }

    #[test]
    fn keeps_headings_items_notes_and_tables() {
        let source = br"{\rtf1{\stylesheet{\s0 Normal;}{\s1 heading 1;}}\pard\s1 Leave\par\pard Text{\footnote A note.}\par
            \pard{\listtext\tab}one\par\trowd\intbl Grade\cell Days\cell\row\trowd\intbl A\cell 25\cell\row\pard End\par}";
        assert_eq!(
            lines(source),
            [
                "Heading(1) Leave",
                "Paragraph Text",
                "Paragraph A note.",
                "Paragraph - one",
                "TableHeader Grade | Days",
                "TableRow Grade: A; Days: 25",
                "Paragraph End",
            ]
        );
    }

    #[test]
    fn refuses_depth_and_survives_nonsense() {
        let deep = [b"{\\rtf1".as_slice(), &b"{".repeat(1000)].concat();
        assert!(read(&deep, &ExtractLimits::new(1, 1000)).is_err());
        assert_eq!(lines(b"{\\rtf1 a}}}}\\cell\\row b\\par"), ["Paragraph a", "Paragraph b"]);
    }
}
