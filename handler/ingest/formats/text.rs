//! Plain text, and the decoding that every text format shares. Bytes come in, in whatever encoding; paragraphs go out.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Fit, Format};

/// Plain text: paragraphs parted by empty lines.
pub const FORMAT: Format = Format {
    name: "plain text",
    extensions: &["txt", "text", "log"],
    sniff: |bytes| if is_text(bytes) { Fit::Likely } else { Fit::No },
    read,
};

/// How far to look for the signs of binary content, in bytes.
const SNIFFED_BYTES: usize = 64 * 1024;
/// Guessing an encoding needs a sample, not all of a large file.
const GUESSED_BYTES: usize = 1024 * 1024;

/// Formats written in letters that still nobody can read: PDF, rich text, PostScript.
const MARKUP_FOR_MACHINES: [&[u8]; 3] = [b"%PDF-", b"{\\rtf", b"%!PS"];

/// Reads paragraphs, parted by empty lines. Line breaks inside a paragraph stay: they may mean something.
fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let mut blocks = Blocks::new(limits);
    for paragraph in paragraphs(&decode(bytes)?) {
        blocks.push(BlockKind::Paragraph, &paragraph, None)?;
    }
    Ok(blocks.finish(None, None))
}

/// The paragraphs of a text, parted by empty lines, each with its line breaks.
pub fn paragraphs(text: &str) -> impl Iterator<Item = String> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let first = lines.by_ref().find(|line| !line.trim().is_empty())?;
        let rest = lines.by_ref().take_while(|line| !line.trim().is_empty());
        Some(std::iter::once(first).chain(rest).collect::<Vec<_>>().join("\n"))
    })
}

/// Whether bytes are text in some encoding: no NUL, few control characters, not the source of a page layout.
pub fn is_text(bytes: &[u8]) -> bool {
    if MARKUP_FOR_MACHINES.iter().any(|start| bytes.starts_with(start)) {
        return false;
    }
    if Encoding::for_bom(bytes).is_some_and(|(encoding, _)| encoding != UTF_8) {
        return true;
    }
    let sample = &bytes[..bytes.len().min(SNIFFED_BYTES)];
    let controls =
        sample.iter().filter(|&&byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)).count();
    !sample.contains(&0) && controls * 50 <= sample.len()
}

/// Decodes text: by its byte order mark, else as UTF-8, else in the encoding it looks most like.
pub fn decode(bytes: &[u8]) -> Result<String> {
    decode_labelled(bytes, None)
}

/// Decodes text as [`decode`] does, but believes a label found in the text itself before it guesses.
pub fn decode_labelled(bytes: &[u8], label: Option<&'static Encoding>) -> Result<String> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return Ok(encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(text.to_owned());
    }
    if !is_text(bytes) {
        return Err(Error::new(ErrorKind::DocumentUnsupported, "the file is named like text but holds binary data"));
    }
    let encoding = label.unwrap_or_else(|| guess(bytes));
    Ok(encoding.decode_without_bom_handling(bytes).0.into_owned())
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    // The sample may begin with a megabyte of ASCII: start shortly before the first byte that tells anything.
    let telling = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(0).saturating_sub(GUESSED_BYTES / 2);
    let sample = &bytes[telling..bytes.len().min(telling + GUESSED_BYTES)];
    detector.feed(sample, telling + sample.len() == bytes.len());
    // UTF-8 was tried before; a cut or damaged UTF-8 file is still best read as UTF-8.
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Vec<String> {
        let limits = ExtractLimits::new(1, 1000);
        read(bytes, &limits).unwrap().blocks.into_iter().map(|block| block.text).collect()
    }

    #[test]
    fn parts_paragraphs_at_empty_lines() {
        assert_eq!(read_all(b"one\ntwo\r\n\r\n  \nthree"), ["one\ntwo", "three"]);
    }

    #[test]
    fn decodes_what_people_save() {
        let utf16: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("Größe".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(read_all(&utf16), ["Größe"]);
        assert_eq!(read_all("\u{feff}Größe".as_bytes()), ["Größe"]);
        let windows = include_bytes!("../../../tests/fixtures/documents/windows-1252.txt");
        let text = read_all(windows).join("\n");
        assert!(text.contains("Die Prüfung kostet 12 € – „ohne Gewähr“"), "{text}");
    }

    #[test]
    fn tells_text_from_binary() {
        assert!(is_text(b"plain"));
        assert!(is_text(b"M\xfcnchen"));
        assert!(!is_text(b"ab\0cd"));
        assert!(!is_text(&[1, 2, 3, 4, 5, 6, 7]));
        assert!(!is_text(b"{\\rtf1 hello}"));
    }
}
