//! One page of a PDF as a picture: an SVG of paths and images that refers to nothing outside itself, with the words of a
//! passage marked on it.

use std::fmt::Write;

use hayro_interpret::InterpreterSettings;
use hayro_interpret::kurbo::Rect;
use hayro_svg::{RenderCache, SvgRenderSettings, convert};
use hayro_syntax::Pdf;
use serde::{Deserialize, Serialize};

use super::interpreter::Interpreter;
use super::marks::LetterCollector;
use super::{read_page, refused};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::ExtractLimits;

/// Which page is to be drawn, and what is to be marked on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageWanted {
    /// From 1.
    pub page: u32,
    /// What to mark, if anything.
    pub marked: Option<MarkedText>,
}

/// A text to mark, and the part of it that matters most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedText {
    /// The text of a passage.
    pub text: String,
    /// Where the part begins, in characters.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
}

/// A page as a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrawnPage {
    /// The picture.
    pub svg: String,
    /// How far down the page the marked words begin, from 0 to 1; none when nothing is marked.
    pub marked_at: Option<f64>,
}

/// Draws a page. [`ErrorKind::NotFound`] when there is none of that number.
pub fn draw_page(bytes: &[u8], wanted: &PageWanted, limits: &ExtractLimits) -> Result<DrawnPage> {
    let pdf = Pdf::new(bytes.to_vec()).map_err(refused)?;
    let absent = || Error::new(ErrorKind::NotFound, "the document has no such page");
    let at = usize::try_from(wanted.page).ok().and_then(|page| page.checked_sub(1)).ok_or_else(absent)?;
    let page = pdf.pages().get(at).filter(|_| wanted.page <= limits.max_pages).ok_or_else(absent)?;
    let white = SvgRenderSettings { bg_color: [255; 4] };
    let mut svg = convert(page, &RenderCache::new(), &InterpreterSettings::default(), &white);
    let mut marked_at = None;
    if let Some(marked) = &wanted.marked {
        let mut interpreter = Interpreter::new(pdf.xref(), LetterCollector::default());
        read_page(page, &mut interpreter);
        let (all, core) = interpreter.listener.find(&marked.text, marked.from, marked.to);
        let first = if core.is_empty() { &all } else { &core };
        let top = first.iter().map(|place| place.y0).reduce(f64::min);
        marked_at = top.map(|top| (top / f64::from(page.render_dimensions().1)).clamp(0.0, 1.0));
        write_marks(&mut svg, &all, &core)?;
    }
    Ok(DrawnPage { svg, marked_at })
}

/// Lays marks over the picture, the way a marker pen does: what is below stays readable.
fn write_marks(svg: &mut String, all: &[Rect], core: &[Rect]) -> Result<()> {
    let broken = || Error::new(ErrorKind::Internal, "the picture of the page has no end");
    let end = svg.rfind("</svg>").ok_or_else(broken)?;
    svg.truncate(end);
    for (places, colour) in [(all, "#fff0a6"), (core, "#ffd95e")] {
        let _ = write!(svg, r#"<g fill="{colour}" style="mix-blend-mode:multiply">"#);
        for place in places {
            let (x, y, width, height) = (place.x0, place.y0, place.width(), place.height());
            let _ = write!(svg, r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#);
        }
        svg.push_str("</g>");
    }
    svg.push_str("</svg>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: ExtractLimits = ExtractLimits::new(10, 100_000);

    fn fixture(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/documents/");
        std::fs::read(format!("{folder}{name}")).unwrap()
    }

    fn marks_of(name: &str, page: u32, text: &str, from: usize, to: usize) -> (DrawnPage, Vec<usize>) {
        let marked = Some(MarkedText { text: text.to_owned(), from, to });
        let drawn = draw_page(&fixture(name), &PageWanted { page, marked }, &WIDE).unwrap();
        let groups = drawn.svg.split("mix-blend-mode:multiply\">").skip(1);
        let counts = groups.map(|group| group.split("</g>").next().unwrap().matches("<rect").count()).collect();
        (drawn, counts)
    }

    #[test]
    fn a_page_is_a_picture_that_refers_to_nothing() {
        let drawn = draw_page(&fixture("running-heads.pdf"), &PageWanted { page: 1, marked: None }, &WIDE).unwrap();
        assert!(drawn.svg.starts_with("<svg") && drawn.svg.trim_end().ends_with("</svg>"));
        assert!(drawn.svg.len() > 2_000 && drawn.marked_at.is_none());
        let elsewhere = drawn.svg.replace("http://www.w3.org/", "");
        assert!(!elsewhere.contains("http") && !elsewhere.contains("<script") && !elsewhere.contains("<a "));
    }

    #[test]
    fn the_passage_is_marked_line_by_line() {
        let sentence = "This is sentence 3 of the text in two columns, which has to be read down the left column before the right one.";
        let (drawn, counts) = marks_of("two-column.pdf", 1, sentence, 0, 18);
        let [all, core] = counts[..] else { panic!("two groups of marks") };
        assert!((2..=4).contains(&all) && core == 1, "{all} lines, {core} with the core");
        assert!(drawn.marked_at.is_some_and(|at| at > 0.05 && at < 0.4), "{:?}", drawn.marked_at);
        let (_, none) = marks_of("two-column.pdf", 1, "Something that is not on this page.", 0, 5);
        assert_eq!(none, [0, 0]);
    }

    #[test]
    fn says_when_there_is_no_such_page() {
        for page in [0, 5, u32::MAX] {
            let error =
                draw_page(&fixture("running-heads.pdf"), &PageWanted { page, marked: None }, &WIDE).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
        let error = draw_page(&fixture("encrypted.pdf"), &PageWanted { page: 1, marked: None }, &WIDE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DocumentEncrypted);
    }
}
