//! Whether a PDF is all there. A file that was cut off on its way is read as far as it goes, and whoever looks at it later is
//! told that it goes no further.

use hayro_syntax::Pdf;
use hayro_syntax::object::Dict;
use hayro_syntax::object::dict::keys::{COUNT, PAGES};

/// A whole file ends with these, within this many bytes of its end.
const END_MARKS: [&[u8]; 2] = [b"%%EOF", b"startxref"];
const END_WITHIN_BYTES: usize = 1024;

/// A sentence about a file of which something is missing, after `found` pages were found and `damaged` of them could not be
/// unpacked; none about a whole one. A number of pages above `most` is damage too, and not repeated.
pub fn remark(pdf: &Pdf, bytes: &[u8], found: usize, damaged: usize, most: usize) -> Option<String> {
    let promised = promised_pages(pdf).filter(|count| (found..=most).contains(count)).unwrap_or(found);
    let read = found - damaged.min(found);
    let is_incomplete = read < promised;
    let ends_early = !has_end(bytes) && (is_incomplete || !holds(bytes, END_MARKS[0]));
    let trouble = match (ends_early, is_incomplete) {
        (true, _) => "the file ends early",
        (false, true) => "the file is damaged",
        (false, false) => return None,
    };
    Some(match is_incomplete {
        true => format!("{trouble}; {read} of {promised} pages were read"),
        false => format!("{trouble}; {read} pages were read"),
    })
}

/// How many pages the document says it has.
fn promised_pages(pdf: &Pdf) -> Option<usize> {
    let catalog = pdf.xref().get::<Dict<'_>>(pdf.xref().root_id())?;
    let count = catalog.get::<Dict<'_>>(PAGES)?.get::<i32>(COUNT)?;
    usize::try_from(count).ok()
}

fn has_end(bytes: &[u8]) -> bool {
    let end = &bytes[bytes.len().saturating_sub(END_WITHIN_BYTES)..];
    END_MARKS.iter().any(|mark| holds(end, mark))
}

fn holds(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(bytes: &[u8], damaged: usize) -> Option<String> {
        let pdf = Pdf::new(bytes.to_vec()).ok()?;
        remark(&pdf, bytes, pdf.pages().len(), damaged, 2_000)
    }

    #[test]
    fn says_how_much_of_a_file_was_read() {
        let whole = include_bytes!("../../../../tests/fixtures/documents/running-heads.pdf").as_slice();
        assert_eq!(about(whole, 0), None);
        assert_eq!(about(whole, 1).as_deref(), Some("the file is damaged; 3 of 4 pages were read"));
        let end = whole.windows(9).rposition(|window| window == b"startxref").unwrap();
        assert_eq!(about(&whole[..end], 0).as_deref(), Some("the file ends early; 4 pages were read"));
        let followed = [whole, vec![b'\n'; 5_000].as_slice()].concat();
        assert_eq!(about(&followed, 0), None, "what follows the end is no damage");
    }
}
