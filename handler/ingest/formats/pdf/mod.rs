//! PDF. The hayro crates take the file apart and read its fonts; what each page says and where it stands is read off its
//! content (`interpreter`), and lines and paragraphs are made from the places (`lines`, `paragraph`, `layout`), since a PDF
//! itself knows neither.

mod accents;
mod collector;
mod interpreter;
mod layout;
mod lines;
mod marks;
pub mod page;
mod paragraph;
mod place;
mod running;
mod wholeness;

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};
use hayro_syntax::object::dict::keys::CONTENTS;
use hayro_syntax::object::{Array, Stream};
use hayro_syntax::page::Page;
use hayro_syntax::{DecryptionError, LoadPdfError, Pdf};

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::blocks::{Blocks, over_text_limit};
use crate::ingest::formats::pdf::collector::LineCollector;
use crate::ingest::formats::pdf::interpreter::{Interpreter, Listener};
use crate::ingest::formats::pdf::lines::Line;
use crate::ingest::formats::{ExtractLimits, Extracted, Fit, Format};

/// PDF, known by its signature.
pub const FORMAT: Format = Format { name: "PDF", extensions: &["pdf"], sniff, read };

/// Some writers put a few bytes before the signature, and readers have always borne with it.
const SIGNATURE_WITHIN_BYTES: usize = 1024;

fn sniff(bytes: &[u8]) -> Fit {
    let start = &bytes[..bytes.len().min(SIGNATURE_WITHIN_BYTES)];
    match start.windows(5).position(|window| window == b"%PDF-") {
        Some(0) => Fit::Certain,
        Some(_) => Fit::Possible,
        None => Fit::No,
    }
}

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let pdf = Pdf::new(bytes.to_vec()).map_err(refused)?;
    let page_count = pdf.pages().len();
    if page_count == 0 {
        return Err(Error::new(
            ErrorKind::DocumentDamaged,
            "the PDF has no pages that can be found; it may be cut off",
        ));
    }
    if page_count > limits.max_pages as usize {
        let message = format!("the document has {page_count} pages; the limit is {}", limits.max_pages);
        return Err(Error::new(ErrorKind::DocumentOverLimit, message));
    }
    let drawn = read_pages(&pdf, limits)?;
    if drawn.pages.iter().all(Vec::is_empty) {
        return Err(without_text(&drawn));
    }
    let mut pages = drawn.pages;
    running::drop_running_lines(&mut pages);
    let mut blocks = Blocks::new(limits);
    layout::write_blocks(pages, &mut blocks)?;
    let title = own_title(&pdf).or_else(|| blocks.first_heading());
    let mut extracted = blocks.finish(title, u32::try_from(page_count).ok());
    extracted.remark = wholeness::remark(&pdf, bytes, page_count, drawn.damaged_pages, limits.max_pages as usize);
    Ok(extracted)
}

/// What a file that cannot be opened is told.
fn refused(error: LoadPdfError) -> Error {
    match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            Error::new(ErrorKind::DocumentEncrypted, "the PDF is protected with a password; upload it without one")
        }
        LoadPdfError::Decryption(_) => Error::new(
            ErrorKind::DocumentEncrypted,
            "the PDF is encrypted in a way that cannot be read; upload it unencrypted",
        ),
        LoadPdfError::Invalid => {
            Error::new(ErrorKind::DocumentDamaged, "the PDF is damaged or cut off: its pages cannot be found")
        }
    }
}

/// What a file without text is told: the reason decides what helps.
fn without_text(drawn: &Drawn) -> Error {
    let (kind, message) = if drawn.unreadable_glyphs > 0 {
        let message = "the fonts of the PDF do not say which letters they draw; run text recognition (OCR) on it first";
        (ErrorKind::DocumentWithoutText, message)
    } else if drawn.pictures > 0 {
        let message = "the PDF holds pictures but no text; it looks scanned: run text recognition (OCR) on it first";
        (ErrorKind::DocumentWithoutText, message)
    } else if drawn.damaged_pages > 0 {
        (ErrorKind::DocumentDamaged, "the PDF is damaged or cut off: the content of its pages cannot be read")
    } else {
        (ErrorKind::DocumentWithoutText, "the PDF holds no text: its pages are empty or hold drawings only")
    };
    Error::new(kind, message)
}

/// The lines of every page, and what else explains a lack of them.
struct Drawn {
    pages: Vec<Vec<Line>>,
    /// Glyphs without a letter.
    unreadable_glyphs: usize,
    pictures: usize,
    /// Pages with content that could not be unpacked.
    damaged_pages: usize,
}

fn read_pages(pdf: &Pdf, limits: &ExtractLimits) -> Result<Drawn> {
    let mut interpreter = Interpreter::new(pdf.xref(), LineCollector::new(limits.max_text_bytes));
    let mut pages = Vec::with_capacity(pdf.pages().len());
    let mut damaged_pages = 0;
    for page in pdf.pages().iter() {
        let (width, height) = page.render_dimensions();
        interpreter.listener.begin_page(f64::from(width), f64::from(height));
        damaged_pages += usize::from(!read_page(page, &mut interpreter));
        let collector = &mut interpreter.listener;
        if collector.is_full() {
            return Err(over_text_limit(limits.max_text_bytes));
        }
        pages.push(collector.end_page());
    }
    let collector = interpreter.listener;
    let (unreadable_glyphs, pictures) = (collector.unreadable_glyphs(), collector.pictures());
    Ok(Drawn { pages, unreadable_glyphs, pictures, damaged_pages })
}

/// Reads one page, its annotations included, and says whether all of its content could be unpacked. The content is dropped
/// with the page, so that two thousand pages need no more memory than one.
fn read_page<'a>(page: &Page<'a>, interpreter: &mut Interpreter<'a, impl Listener>) -> bool {
    let (content, is_whole) = content_of(page);
    interpreter.page(page, &content);
    is_whole
}

/// The unpacked content of a page, which is one stream or several that count as one, and whether it is whole. A stream
/// that is damaged or missing is left out.
fn content_of(page: &Page<'_>) -> (Vec<u8>, bool) {
    let raw = page.raw();
    let mut streams = Vec::new();
    let mut is_whole = true;
    if let Some(stream) = raw.get::<Stream<'_>>(CONTENTS) {
        streams.push(stream);
    } else if let Some(array) = raw.get::<Array<'_>>(CONTENTS) {
        streams.extend(array.iter::<Stream<'_>>());
    } else {
        is_whole = !raw.contains_key(CONTENTS);
    }
    let mut content = Vec::new();
    for stream in streams {
        match stream.decoded_data() {
            // Most pages have one stream, which may be large: it is not copied.
            Ok(data) if content.is_empty() => content = data.into_owned(),
            Ok(data) => content.extend_from_slice(&data),
            Err(_) => is_whole = false,
        }
        // A word may end one stream and another begin the next.
        content.push(b' ');
    }
    (content, is_whole)
}

/// The title in the document's own description, unless it is one that writing programs put there by themselves.
fn own_title(pdf: &Pdf) -> Option<String> {
    let title = decode_string(pdf.metadata().title.as_deref()?);
    let title = title.trim().trim_start_matches("Microsoft Word - ").trim_start_matches("Microsoft PowerPoint - ");
    let lower = title.to_lowercase();
    let is_file_name =
        lower.rsplit_once('.').is_some_and(|(_, ending)| (2..=5).contains(&ending.len()) && !ending.contains(' '));
    let is_empty_form = ["", "untitled", "unbenannt", "document", "powerpoint presentation"].contains(&lower.as_str());
    (!is_file_name && !is_empty_form).then(|| title.to_owned())
}

/// Text in a PDF's descriptions: UTF-16 or UTF-8 with a mark, else an encoding that differs from Windows-1252 in rare signs.
fn decode_string(bytes: &[u8]) -> String {
    match bytes {
        [0xfe, 0xff, text @ ..] => UTF_16BE.decode_without_bom_handling(text).0.into_owned(),
        [0xff, 0xfe, text @ ..] => UTF_16LE.decode_without_bom_handling(text).0.into_owned(),
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8_lossy(text).into_owned(),
        text => WINDOWS_1252.decode_without_bom_handling(text).0.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::formats::BlockKind;

    const WIDE: ExtractLimits = ExtractLimits::new(10, 100_000);

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../../../tests/fixtures/documents/", $name)).as_slice()
        };
    }

    fn refusal(bytes: &[u8], limits: &ExtractLimits) -> (ErrorKind, String) {
        let error = read(bytes, limits).unwrap_err();
        (error.kind(), error.message().to_owned())
    }

    #[test]
    fn reads_headings_tables_and_cut_words_without_running_heads() {
        let found = read(fixture!("running-heads.pdf"), &WIDE).unwrap();
        assert_eq!((found.title.as_deref(), found.pages), (Some("Office manual"), Some(4)));
        let first_page: Vec<(BlockKind, &str)> = found
            .blocks
            .iter()
            .filter(|block| block.page == Some(1))
            .map(|block| (block.kind, block.text.as_str()))
            .collect();
        assert_eq!(first_page[0], (BlockKind::Heading(1), "1 Keys"));
        assert_eq!(first_page[2], (BlockKind::Heading(2), "1.1 Spare keys"));
        assert!(
            first_page[3].1.starts_with("The regulation on spare keys")
                && first_page[3].1.ends_with("by the caretaker.")
        );
        assert_eq!(first_page[4], (BlockKind::TableHeader, "Door | Number of keys"));
        assert_eq!(first_page[5], (BlockKind::TableRow, "Front door | 12"));
        assert!(found.blocks.iter().all(|block| !block.text.contains("internal") && !block.text.contains("Page")));
    }

    #[test]
    fn reads_column_after_column_and_turned_pages() {
        let found = read(fixture!("two-column.pdf"), &WIDE).unwrap();
        let sentence = |n: usize| {
            format!(
                "This is sentence {n} of the text in two columns, which has to be read down the left column before the right one."
            )
        };
        let expected: Vec<String> = (1..=30).map(sentence).collect();
        assert_eq!(found.blocks.len(), 1);
        assert_eq!(found.blocks[0].text, expected.join(" "));
        let found = read(fixture!("japanese-rotated.pdf"), &WIDE).unwrap();
        assert_eq!(found.blocks[0].text, "有給休暇は四月に始まります。申請は書面で行います。");
    }

    #[test]
    fn says_why_a_file_cannot_be_read() {
        assert_eq!(refusal(fixture!("encrypted.pdf"), &WIDE).0, ErrorKind::DocumentEncrypted);
        assert_eq!(
            read(fixture!("owner-password.pdf"), &WIDE).unwrap().blocks[0].text,
            "The leave year starts in April."
        );
        let (kind, message) = refusal(fixture!("scanned.pdf"), &WIDE);
        assert_eq!(kind, ErrorKind::DocumentWithoutText);
        assert!(message.contains("looks scanned") && message.contains("OCR"), "{message}");
        assert_eq!(refusal(fixture!("page-loop.pdf"), &WIDE).0, ErrorKind::DocumentDamaged);
        assert_eq!(refusal(fixture!("cut-off.pdf"), &WIDE).0, ErrorKind::DocumentDamaged);
        assert_eq!(refusal(b"%PDF-1.7\nnothing", &WIDE).0, ErrorKind::DocumentDamaged);
    }

    #[test]
    fn keeps_the_limits() {
        let few_pages = ExtractLimits { max_pages: 3, ..WIDE };
        let (kind, message) = refusal(fixture!("running-heads.pdf"), &few_pages);
        assert_eq!(
            (kind, message.as_str()),
            (ErrorKind::DocumentOverLimit, "the document has 4 pages; the limit is 3")
        );
        let little_text = ExtractLimits { max_text_bytes: 200, ..WIDE };
        assert_eq!(refusal(fixture!("running-heads.pdf"), &little_text).0, ErrorKind::DocumentOverLimit);
    }

    #[test]
    fn decodes_titles() {
        assert_eq!(decode_string(b"\xfe\xff\0G\0r\0\xf6\0\xdf\0e"), "Größe");
        assert_eq!(decode_string(b"Gr\xf6\xdfe"), "Größe");
    }
}
