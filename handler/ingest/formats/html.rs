//! HTML pages. The tokenizer is read as a stream and no tree is built, so that depth of nesting costs nothing; what comes
//! out are headings, paragraphs, list items, table rows and preformatted text.

use encoding_rs::Encoding;
use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use crate::error::Result;
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Fit, Format, text};

/// HTML, told from other text by its first tag.
pub const FORMAT: Format = Format { name: "HTML", extensions: &["html", "htm", "xhtml"], sniff, read };

/// A page may declare its encoding this far into it.
const DECLARATION_BYTES: usize = 1024;
/// Rows longer than this come from tables that lay out a page: their cells are paragraphs.
const LONGEST_ROW_BYTES: usize = 2000;

fn sniff(bytes: &[u8]) -> Fit {
    if !text::is_text(bytes) {
        Fit::No
    } else if looks_like_html(bytes) {
        Fit::Likely
    } else {
        Fit::Possible
    }
}

/// Whether a text begins as HTML pages do.
pub fn looks_like_html(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let start = bytes[..bytes.len().min(14)].to_ascii_lowercase();
    [b"<!doctype html".as_slice(), b"<html", b"<head", b"<body"].iter().any(|tag| start.starts_with(tag))
}

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let source = text::decode_labelled(bytes, declared_encoding(bytes))?;
    let (title, blocks) = read_page(&source, Blocks::new(limits), None)?;
    Ok(blocks.finish(title, None))
}

/// Reads a page that is part of a document, such as a chapter or a message, after the blocks so far; at a place, where it
/// has one. Returns its title and all blocks.
pub fn read_page(source: &str, blocks: Blocks, place: Option<&str>) -> Result<(Option<String>, Blocks)> {
    let mut emitter = DefaultEmitter::default();
    // Without it `<` inside of a script or a title would open tags.
    emitter.naively_switch_states(true);
    let mut page = Page::new(blocks, place);
    for token in Tokenizer::new_with_emitter(source, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => page.open(&tag)?,
            Token::EndTag(tag) => page.close(&tag.name)?,
            Token::String(string) => page.text(&String::from_utf8_lossy(&string)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    page.flush()?;
    page.end_row()?;
    let title = Some(page.title).filter(|title| !title.trim().is_empty()).or_else(|| page.blocks.first_heading());
    Ok((title, page.blocks))
}

/// The encoding that a page declares in a `meta` tag.
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_BYTES)]).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let label = after.trim_start_matches(['"', '\'', ' ']);
    let end = label.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':'))).unwrap_or(label.len());
    // A declaration that can be read in single bytes is not in UTF-16, whatever it says.
    Encoding::for_label(&label.as_bytes()[..end]).filter(|encoding| *encoding == encoding.output_encoding())
}

/// What the tokens so far have come to. Everything is flat: a block ends where the next begins.
struct Page {
    blocks: Blocks,
    place: Option<String>,
    title: String,
    in_title: bool,
    /// The element whose content is not shown, and how many of that name are open.
    skipped: Option<(Vec<u8>, usize)>,
    /// Text of the block that is being read.
    pending: String,
    kind: BlockKind,
    /// Whether the block is an item of a list and its mark has still to be written.
    item: bool,
    row: Option<Row>,
}

/// A table row that is being read.
#[derive(Default)]
struct Row {
    cells: Vec<String>,
    header_cells: usize,
}

impl Page {
    fn new(blocks: Blocks, place: Option<&str>) -> Self {
        let (title, pending, kind) = (String::new(), String::new(), BlockKind::Paragraph);
        let place = place.map(str::to_owned);
        Self { blocks, place, title, in_title: false, skipped: None, pending, kind, item: false, row: None }
    }

    fn open(&mut self, tag: &StartTag<()>) -> Result<()> {
        let name: &[u8] = &tag.name;
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth += usize::from(skipped == name && !tag.self_closing);
            return Ok(());
        }
        match name {
            b"script" | b"style" | b"noscript" | b"template" | b"svg" if !tag.self_closing => {
                self.skipped = Some((name.to_owned(), 1));
            }
            b"title" => self.in_title = self.title.is_empty(),
            b"br" => self.pending.push('\n'),
            b"img" => self.image(tag),
            b"pre" => self.begin(BlockKind::Code)?,
            b"li" | b"dt" | b"dd" => {
                self.begin(BlockKind::Paragraph)?;
                self.item = name == b"li" && self.row.is_none();
            }
            b"table" => {
                self.end_row()?;
                self.begin(BlockKind::Paragraph)?;
            }
            b"tr" => {
                self.end_row()?;
                self.flush()?;
                self.row = Some(Row::default());
            }
            b"td" | b"th" => self.cell(name == b"th"),
            _ => match heading_level(name) {
                Some(level) => {
                    self.end_row()?;
                    self.begin(BlockKind::Heading(level))?;
                }
                None if is_block(name) => self.begin(BlockKind::Paragraph)?,
                None => {}
            },
        }
        Ok(())
    }

    fn close(&mut self, name: &[u8]) -> Result<()> {
        if let Some((skipped, depth)) = &mut self.skipped {
            if skipped == name {
                *depth -= 1;
                if *depth == 0 {
                    self.skipped = None;
                }
            }
            return Ok(());
        }
        match name {
            b"title" => self.in_title = false,
            b"tr" | b"table" => self.end_row()?,
            b"pre" | b"li" | b"dt" | b"dd" => self.begin(BlockKind::Paragraph)?,
            _ if heading_level(name).is_some() || is_block(name) => self.begin(BlockKind::Paragraph)?,
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.skipped.is_some() {
            return;
        }
        if self.in_title {
            self.title.push_str(text);
            return;
        }
        if self.kind == BlockKind::Code {
            self.pending.push_str(text);
            return;
        }
        // A line break in the source is a space; the only breaks that count are written as tags.
        for c in text.chars() {
            let c = if c == '\n' || c == '\r' { ' ' } else { c };
            if self.item && !c.is_whitespace() {
                self.item = false;
                self.pending.insert_str(0, "- ");
            }
            self.pending.push(c);
        }
    }

    /// The words that stand for an image are text like any other.
    fn image(&mut self, tag: &StartTag<()>) {
        if let Some(words) = tag.attributes.get(b"alt".as_slice()) {
            let words = format!(" {} ", String::from_utf8_lossy(words));
            self.text(&words);
        }
    }

    /// Ends the block that is being read and begins another. Inside a table row there are only cells: there it is a space.
    fn begin(&mut self, kind: BlockKind) -> Result<()> {
        if self.row.is_some() {
            self.pending.push(' ');
            return Ok(());
        }
        self.flush()?;
        self.kind = kind;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.item = false;
        let text = std::mem::take(&mut self.pending);
        match &mut self.row {
            Some(row) => row.fill(&text),
            None => self.push(self.kind, &text)?,
        }
        self.kind = BlockKind::Paragraph;
        Ok(())
    }

    fn cell(&mut self, is_header: bool) {
        let text = std::mem::take(&mut self.pending);
        let row = self.row.get_or_insert_default();
        row.fill(&text);
        row.cells.push(String::new());
        row.header_cells += usize::from(is_header);
    }

    /// Ends the table row that is being read, if one is.
    fn end_row(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.pending);
        let Some(mut row) = self.row.take() else {
            self.pending = text;
            return Ok(());
        };
        row.fill(&text);
        let size: usize = row.cells.iter().map(String::len).sum();
        if row.cells.len() == 1 || size > LONGEST_ROW_BYTES {
            for cell in &row.cells {
                self.push(BlockKind::Paragraph, cell)?;
            }
            return Ok(());
        }
        let is_header = !row.cells.is_empty() && row.header_cells == row.cells.len();
        let kind = if is_header { BlockKind::TableHeader } else { BlockKind::TableRow };
        let cells: Vec<&str> = row.cells.iter().map(|cell| cell.trim()).collect();
        if cells.iter().all(|cell| cell.is_empty()) {
            return Ok(());
        }
        let text = cells.join(" | ");
        self.push(kind, &text)
    }

    fn push(&mut self, kind: BlockKind, text: &str) -> Result<()> {
        match &self.place {
            Some(place) => self.blocks.push_at(kind, text, place),
            None => self.blocks.push(kind, text, None),
        }
    }
}

impl Row {
    /// Adds text to the cell that is open; text before the first cell gets one of its own.
    fn fill(&mut self, text: &str) {
        match self.cells.last_mut() {
            Some(cell) => cell.push_str(text),
            None if text.trim().is_empty() => {}
            None => self.cells.push(text.to_owned()),
        }
    }
}

fn heading_level(name: &[u8]) -> Option<u8> {
    match name {
        [b'h', digit @ b'1'..=b'6'] => Some(digit - b'0'),
        _ => None,
    }
}

/// Elements that begin on a line of their own.
fn is_block(name: &[u8]) -> bool {
    const BLOCKS: [&[u8]; 33] = [
        b"address",
        b"article",
        b"aside",
        b"blockquote",
        b"body",
        b"caption",
        b"center",
        b"dd",
        b"details",
        b"dialog",
        b"div",
        b"dl",
        b"dt",
        b"fieldset",
        b"figcaption",
        b"figure",
        b"footer",
        b"form",
        b"header",
        b"hgroup",
        b"hr",
        b"legend",
        b"main",
        b"nav",
        b"ol",
        b"option",
        b"p",
        b"search",
        b"section",
        b"summary",
        b"tbody",
        b"thead",
        b"ul",
    ];
    BLOCKS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(source: &str) -> Extracted {
        read(source.as_bytes(), &ExtractLimits::new(1, 1 << 20)).unwrap()
    }

    fn lines(source: &str) -> Vec<String> {
        page(source).blocks.iter().map(|block| format!("{:?} {}", block.kind, block.text)).collect()
    }

    #[test]
    fn reads_structure() {
        let source = "<!doctype html><title>Leave &amp; pay</title><h2>Leave\n year</h2><p>It starts in <b>Ap</b>ril.\
            <script>if (a<b) {}</script><ul><li>one<li>two</ul><pre>a\n  b</pre>\
            <table><tr><th>Grade<th>Days</tr><tr><td>A<td>25</tr></table>tail";
        assert_eq!(page(source).title.as_deref(), Some("Leave & pay"));
        assert_eq!(
            lines(source),
            [
                "Heading(2) Leave year",
                "Paragraph It starts in April.",
                "Paragraph - one",
                "Paragraph - two",
                "Code a\n  b",
                "TableHeader Grade | Days",
                "TableRow A | 25",
                "Paragraph tail",
            ]
        );
    }

    #[test]
    fn survives_depth_and_unclosed_tags() {
        let deep = format!("{}deep{}", "<div><b>".repeat(100_000), "<svg><p>never shown");
        assert_eq!(lines(&deep), ["Paragraph deep"]);
        assert_eq!(lines("<table><td>a<h1>T</h1><p>b"), ["Paragraph a", "Heading(1) T", "Paragraph b"]);
    }

    #[test]
    fn believes_the_declared_encoding() {
        let bytes = b"<html><meta charset=iso-8859-2><p>\xbb\xb9";
        let found = read(bytes, &ExtractLimits::new(1, 100)).unwrap();
        assert_eq!(found.blocks[0].text, "ťš");
    }
}
