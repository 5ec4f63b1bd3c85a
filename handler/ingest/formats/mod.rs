//! The registry of formats. Bytes and a name come in, blocks of text with headings, tables and pages go out; nothing here
//! knows about chunks, stores or processes. A new format is one file and one line in [`FORMATS`].
//!
//! Parsers meet whatever people upload, so this code is run only inside the killable child that `ingest::extract` starts.

pub mod blocks;
pub mod compound;
pub mod csv;
pub mod docx;
pub mod epub;
pub mod flow;
pub mod html;
pub mod json;
pub mod mail;
pub mod markdown;
pub mod markup;
pub mod odt;
pub mod package;
pub mod pdf;
pub mod pptx;
pub mod relations;
pub mod rtf;
pub mod source_code;
pub mod spreadsheet;
pub mod subtitles;
pub mod table;
pub mod text;
pub mod xml;

use serde::{Deserialize, Serialize};

use crate::document::DocumentName;
use crate::error::{Error, ErrorKind, Result};

/// What a document says, in reading order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extracted {
    /// The document's own title, where the format has one.
    pub title: Option<String>,
    /// How many pages it has, for formats that have pages.
    pub pages: Option<u32>,
    /// Its headings, paragraphs, table rows and code; none of them without text.
    pub blocks: Vec<Block>,
    /// A sentence for a person when not all of the document could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// A piece of text of one kind on one page or at one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// What kind of text it is.
    pub kind: BlockKind,
    /// The text. One space between words; line breaks only where the source keeps them.
    pub text: String,
    /// Page, counted from 1, for formats that have pages.
    pub page: Option<u32>,
    /// Where in the document, for formats whose places are no pages: `sheet=Prices!A2:D2`, `t=00:01:20`, `part=notes.txt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// What a block is in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockKind {
    /// A heading; 1 is the outermost level, 6 the innermost.
    Heading(u8),
    /// Running text, or an item of a list.
    Paragraph,
    /// The row that names a table's columns.
    TableHeader,
    /// One row of a table.
    TableRow,
    /// Preformatted text: line breaks and indentation matter.
    Code,
}

/// How much of a document is read before it is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractLimits {
    /// Most pages a document may have.
    pub max_pages: u32,
    /// Most bytes of text, in UTF-8, that may come out of a document.
    pub max_text_bytes: usize,
    /// Most bytes that all parts of an archive, such as an Office document, may unfold into.
    pub max_unpacked_bytes: u64,
    /// Most bytes that one part of an archive may unfold into.
    pub max_part_bytes: u64,
    /// Most parts an archive or a message may have.
    pub max_entries: usize,
    /// How many times its packed size a part may unfold into, after its first mebibyte.
    pub max_ratio: u64,
    /// How deep elements, groups and messages may lie in one another.
    pub max_nesting: usize,
}

impl ExtractLimits {
    /// Limits with these two, which are settings, and with the others as they always are: far above what people write,
    /// far below what harms. The largest real workbooks unfold into tens of megabytes; text packs to a tenth, seldom to a
    /// hundredth, and a bomb to a thousandth; slides with many pictures have some hundred parts; no real text nests deeper
    /// than a few dozen elements.
    pub const fn new(max_pages: u32, max_text_bytes: usize) -> Self {
        Self {
            max_pages,
            max_text_bytes,
            max_unpacked_bytes: 100 << 20,
            max_part_bytes: 20 << 20,
            max_entries: 2_000,
            max_ratio: 200,
            max_nesting: 256,
        }
    }
}

/// One format: what it is called, how it is recognised and how it is read.
pub struct Format {
    /// The name people know it by.
    pub name: &'static str,
    /// File name extensions, in lower case, that claim this format.
    pub extensions: &'static [&'static str],
    /// How well the bytes fit the format.
    pub sniff: fn(&[u8]) -> Fit,
    /// Reads the bytes.
    pub read: fn(&[u8], &ExtractLimits) -> Result<Extracted>,
}

/// How well bytes fit a format, judged from their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// They carry the format's signature: it is this format, whatever the name says.
    Certain,
    /// It is this format, unless the name says another that they fit as well.
    Likely,
    /// It is this format if the name says so.
    Possible,
    /// It is something else, whatever the name says.
    No,
}

/// Every format, in the order in which content is tried. Plain text comes last and takes what nobody else wanted.
pub const FORMATS: &[Format] = &[
    pdf::FORMAT,
    docx::FORMAT,
    pptx::FORMAT,
    spreadsheet::XLSX,
    spreadsheet::XLS,
    odt::FORMAT,
    spreadsheet::ODS,
    epub::FORMAT,
    rtf::FORMAT,
    subtitles::VTT,
    html::FORMAT,
    xml::FORMAT,
    mail::FORMAT,
    markdown::FORMAT,
    csv::FORMAT,
    json::FORMAT,
    json::LINES,
    subtitles::SRT,
    source_code::FORMAT,
    text::FORMAT,
];

/// Reads a document: chooses its format by content and by extension, and returns its text in blocks.
///
/// Runs in the calling thread for as long as the parser likes; outside of unit tests only the child process calls it.
pub fn extract(name: &DocumentName, bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(ErrorKind::DocumentEmpty, "the document is empty"));
    }
    if compound::is_encrypted_office(bytes) {
        return Err(package::locked());
    }
    let extracted = (choose(name, bytes)?.read)(bytes, limits)?;
    if extracted.blocks.is_empty() {
        return Err(Error::new(ErrorKind::DocumentWithoutText, "the document holds no text that can be read"));
    }
    Ok(extracted)
}

/// The names of all formats, for a sentence: `PDF, Word (docx), …`.
pub fn supported() -> String {
    FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ")
}

/// The format of a document: the one its extension claims if the content may pass for it, else the one the content is
/// certain to be; where the extension claims nothing, the one the content looks most like.
fn choose(name: &DocumentName, bytes: &[u8]) -> Result<&'static Format> {
    let extension = name.extension();
    let claimed = FORMATS.iter().find(|format| format.extensions.contains(&extension.as_str()));
    if let Some(claimed) = claimed.filter(|format| (format.sniff)(bytes) != Fit::No) {
        return Ok(claimed);
    }
    let fitting = |wanted: Fit| FORMATS.iter().find(|format| (format.sniff)(bytes) == wanted);
    if let Some(found) = fitting(Fit::Certain) {
        return Ok(found);
    }
    match claimed {
        Some(claimed) => Err(unlike(claimed, bytes)),
        None => fitting(Fit::Likely).ok_or_else(|| unknown(&extension, bytes)),
    }
}

/// The refusal of a file that nothing here can read.
fn unknown(extension: &str, bytes: &[u8]) -> Error {
    let ending = if extension.is_empty() { "no extension".to_owned() } else { format!("the extension .{extension}") };
    let (what, formats) = (looks_like(bytes), supported());
    let message = format!("a file with {ending} that looks like {what} cannot be read; supported are {formats}");
    Error::new(ErrorKind::DocumentUnsupported, message)
}

/// The refusal of a file whose content is not what its extension promises.
fn unlike(claimed: &Format, bytes: &[u8]) -> Error {
    let (expected, what, formats) = (claimed.name, looks_like(bytes), supported());
    let message = format!("the file is named like {expected} but looks like {what}; supported are {formats}");
    Error::new(ErrorKind::DocumentUnsupported, message)
}

/// First bytes that give a format away, and what people call it.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"{\\rtf", "a rich text document"),
    (b"%!PS", "a PostScript file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"RIFF", "a sound, a film or a WebP image"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "a database"),
];

/// What the bytes are likely to be, in words that come from here and never from the bytes.
fn looks_like(bytes: &[u8]) -> &'static str {
    if let Some((_, what)) = SIGNATURES.iter().find(|(start, _)| bytes.starts_with(start)) {
        return what;
    }
    if html::looks_like_html(bytes) {
        "an HTML page"
    } else if text::is_text(bytes) {
        "plain text"
    } else {
        "binary data"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits wide enough for every document here.
    const WIDE: ExtractLimits = ExtractLimits::new(100, 1 << 20);

    fn kind_of(name: &str, bytes: &[u8]) -> std::result::Result<usize, ErrorKind> {
        let name = DocumentName::parse(name).unwrap();
        extract(&name, bytes, &WIDE).map(|found| found.blocks.len()).map_err(|error| error.kind())
    }

    #[test]
    fn refuses_what_it_cannot_read_with_the_right_kind() {
        assert_eq!(kind_of("a.txt", b""), Err(ErrorKind::DocumentEmpty));
        assert_eq!(kind_of("a.txt", b" \n\t "), Err(ErrorKind::DocumentEmpty));
        assert_eq!(kind_of("a.pdf", b"PK\x03\x04zip"), Err(ErrorKind::DocumentUnsupported));
        assert_eq!(kind_of("a.pdf", b"just words"), Err(ErrorKind::DocumentUnsupported));
        assert_eq!(kind_of("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Err(ErrorKind::DocumentUnsupported));
        assert_eq!(kind_of("a.docx", b"PK\x03\x04\x14\0\x06\0"), Err(ErrorKind::DocumentDamaged));
        assert_eq!(kind_of("a", b"PK\x03\x04\x14\0\x06\0"), Err(ErrorKind::DocumentUnsupported));
        assert_eq!(kind_of("a.html", b"<p> </p>"), Err(ErrorKind::DocumentWithoutText));
    }

    #[test]
    fn reads_text_under_an_unknown_extension() {
        assert_eq!(kind_of("notes", b"one\n\ntwo"), Ok(2));
        assert_eq!(kind_of("settings.yaml", b"one: 1\ntwo: 2\n"), Ok(1));
        assert_eq!(kind_of("page", b"<!doctype html><h1>A</h1><p>b"), Ok(2));
    }

    #[test]
    fn names_what_was_found_and_what_is_supported() {
        let name = DocumentName::parse("report.pdf").unwrap();
        let error = extract(&name, b"PK\x03\x04zip", &WIDE).unwrap_err();
        let start = "the file is named like PDF but looks like a ZIP archive or an Office document; supported are PDF, Word (docx), ";
        assert!(error.message().starts_with(start), "{error}");
        assert!(error.message().ends_with(", source code, plain text"), "{error}");
    }
}
