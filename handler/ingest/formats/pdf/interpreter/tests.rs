//! What is said of pages made for the purpose, and of every PDF among the fixtures as the interpreter of the crates has it.

use std::fmt::Write;

use hayro_interpret::font::{Glyph as DrawnGlyph, GlyphRun};
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect};
use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps, InterpreterCache,
    InterpreterSettings, SoftMask, interpret_page,
};
use hayro_syntax::Pdf;

use super::*;
use crate::ingest::formats::pdf::collector::LineCollector;

/// What was heard: letters with the place of their origin, from the upper left corner.
#[derive(Default, Debug)]
struct Heard {
    letters: Vec<(String, Point)>,
    pictures: usize,
}

impl Heard {
    fn text(&self) -> String {
        self.letters.iter().map(|(letters, _)| letters.as_str()).collect()
    }

    /// Where a letter stands, in points from the lower left corner of a page that is 200 high.
    fn place_of(&self, letter: &str) -> (f64, f64) {
        let (_, place) = self.letters.iter().find(|(letters, _)| letters == letter).unwrap();
        ((place.x * 100.0).round() / 100.0, ((200.0 - place.y) * 100.0).round() / 100.0)
    }
}

impl Listener for Heard {
    fn run(&mut self, run: &Run<'_>) {
        let heard = run.glyphs.iter().map(|glyph| (glyph.known.letters.clone(), glyph.transform * Point::ZERO));
        self.letters.extend(heard);
    }

    fn picture(&mut self) {
        self.pictures += 1;
    }
}

fn heard_of(bytes: Vec<u8>) -> Vec<Heard> {
    let pdf = Pdf::new(bytes).unwrap();
    let mut interpreter = Interpreter::new(pdf.xref(), Heard::default());
    let heard = |page| {
        Interpreter::page(&mut interpreter, page, Page::page_stream(page).unwrap_or_default());
        std::mem::take(&mut interpreter.listener)
    };
    pdf.pages().iter().map(heard).collect()
}

/// A file of one page, 200 points wide and high, with Courier as its font: each letter is 600 thousandths of its size wide.
/// More objects follow from number 6 on; `page` and `catalog` are further entries of those.
fn pdf(content: &str, page: &str, catalog: &str, more: &[&str]) -> Vec<u8> {
    let stream =
        |dict: &str, content: &str| format!("<<{dict} /Length {}>> stream\n{content}\nendstream", content.len());
    let mut objects = vec![
        format!("<</Type /Catalog /Pages 2 0 R {catalog}>>"),
        "<</Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 200 200]>>".to_owned(),
        format!("<</Type /Page /Parent 2 0 R /Contents 4 0 R {page}>>"),
        stream("", content),
        "<</Type /Font /Subtype /Type1 /BaseFont /Courier>>".to_owned(),
    ];
    for object in more {
        objects.push(match object.split_once(" stream ") {
            Some((dict, content)) => stream(dict, content),
            None => (*object).to_owned(),
        });
    }
    let (mut file, mut places) = ("%PDF-1.7\n".to_owned(), Vec::new());
    for (number, object) in objects.iter().enumerate() {
        places.push(file.len());
        let _ = write!(file, "{} 0 obj\n{object}\nendobj\n", number + 1);
    }
    let (start, count) = (file.len(), objects.len() + 1);
    let _ = write!(file, "xref\n0 {count}\n0000000000 65535 f \n");
    for place in places {
        let _ = writeln!(file, "{place:010} 00000 n ");
    }
    let _ = write!(file, "trailer <</Size {count} /Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n");
    file.into_bytes()
}

const FONT: &str = "/Resources <</Font <</F 5 0 R>>>>";

fn heard(content: &str) -> Heard {
    heard_of(pdf(content, FONT, "", &[])).remove(0)
}

#[test]
fn letters_stand_where_the_operators_put_them() {
    let found = heard("BT /F 10 Tf 20 150 Td (ab) Tj 0 -15 TD [(c) -1000 (d)] TJ T* (e) ' 2 1 (f g) \" ET");
    assert_eq!(found.text(), "abcdef g");
    assert_eq!((found.place_of("a"), found.place_of("b")), ((20.0, 150.0), (26.0, 150.0)));
    assert_eq!((found.place_of("c"), found.place_of("d")), ((20.0, 135.0), (36.0, 135.0)), "moved on by an em");
    assert_eq!(found.place_of("e"), (20.0, 105.0), "T* and ' are two lines");
    // 6 for each letter, 1 after each, 2 more after the space.
    assert_eq!((found.place_of("f"), found.place_of("g")), ((20.0, 90.0), (36.0, 90.0)));
    let found = heard("1 0 0 1 5 5 cm BT 1 0 0 2 10 20 Tm /F 10 Tf 50 Tz 3 Ts (ab) Tj ET");
    assert_eq!((found.place_of("a"), found.place_of("b")), ((15.0, 31.0), (18.0, 31.0)));
}

#[test]
fn a_text_without_a_font_has_the_usual_one_if_it_is_plain() {
    assert_eq!(heard("BT (ab) Tj ET").text(), "ab");
    assert_eq!(heard("BT /Missing 12 Tf (ab) Tj (a\\344b) Tj ET").text(), "ab");
}

#[test]
fn states_are_kept_and_come_back() {
    let found = heard("q 2 0 0 2 0 0 cm BT /F 10 Tf (a) Tj ET Q BT 10 10 Td /F 10 Tf (b) Tj ET");
    assert_eq!(found.place_of("b"), (10.0, 10.0));
    let unbalanced = format!("{} BT /F 10 Tf 10 10 Td (a) Tj ET {}", "q ".repeat(20_000), "Q ".repeat(50_000));
    let found = heard(&format!("{unbalanced} BT /F 10 Tf 20 20 Td (b) Tj ET"));
    assert_eq!((found.text().as_str(), found.place_of("b")), ("ab", (20.0, 20.0)));
}

#[test]
fn a_place_that_is_no_number_breaks_nothing() {
    let cm = "1000000000 1000000000 1000000000 1000000000 0 0 cm ".repeat(18);
    let file = pdf(&format!("q {cm} BT /F 12 Tf (Hello) Tj ET Q BT 9 9 Td /F 12 Tf (seen) Tj ET"), FONT, "", &[]);
    let pdf = Pdf::new(file).unwrap();
    let mut interpreter = Interpreter::new(pdf.xref(), LineCollector::new(1_000));
    interpreter.listener.begin_page(200.0, 200.0);
    let page = &pdf.pages()[0];
    interpreter.page(page, page.page_stream().unwrap_or_default());
    assert_eq!(interpreter.listener.end_page().len(), 1);
}

#[test]
fn forms_have_their_place_and_resources_and_end_within_themselves() {
    let resources = "/Resources <</Font <</F 5 0 R>> /XObject <</X 6 0 R /P 7 0 R>>>>";
    let form = "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Matrix [1 0 0 1 30 40] /Resources <</Font <</G 5 0 R>> \
                /XObject <</X 6 0 R>>>> stream Q Q Q BT /G 10 Tf (f) Tj ET /X Do";
    let picture =
        "/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 stream x";
    let content = "q 1 0 0 1 10 10 cm /X Do BT /F 10 Tf 1 1 Td (p) Tj ET Q /P Do";
    let found = heard_of(pdf(content, resources, "", &[form, picture])).remove(0);
    assert_eq!(found.place_of("f"), (40.0, 50.0));
    assert_eq!(found.text(), "fp", "a form within itself is left out");
    assert_eq!((found.place_of("p"), found.pictures), ((11.0, 11.0), 1), "what the form did is undone");
}

#[test]
fn what_is_hidden_is_not_read() {
    let catalog = "/OCProperties <</OCGs [6 0 R 7 0 R] /D <</OFF [7 0 R]>>>>";
    let layers =
        ["<</Type /OCG /Name (on)>>", "<</Type /OCG /Name (off)>>", "<</Type /OCMD /OCGs [6 0 R 7 0 R] /P /AllOn>>"];
    let both = "<</Type /OCMD /OCGs [6 0 R 7 0 R]>>";
    let form = "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /OC 7 0 R stream BT /F 10 Tf (x) Tj ET";
    let page = "/Resources <</Font <</F 5 0 R>> /XObject <</X 10 0 R>> \
                /Properties <</On 6 0 R /Off 7 0 R /All 8 0 R /Any 9 0 R>>>>";
    let shown = |name: &str, letter: char| format!("/OC /{name} BDC BT /F 10 Tf ({letter}) Tj ET EMC ");
    let nested = format!("/OC /Off BDC {} EMC ", shown("On", 'n'));
    let content = [shown("On", 'a'), shown("Off", 'b'), shown("All", 'c'), shown("Any", 'd'), nested].concat();
    let content = content + "/Span BMC BT /F 10 Tf (e) Tj ET EMC /X Do";
    let found = heard_of(pdf(&content, page, catalog, &[layers[0], layers[1], layers[2], both, form])).remove(0);
    assert_eq!(found.text(), "ade");
}

#[test]
fn a_page_that_ends_within_a_hidden_layer_hides_no_other() {
    let page = "/Resources <</Font <</F 5 0 R>> /Properties <</Off 6 0 R>>>>";
    let catalog = "/OCProperties <</OCGs [6 0 R] /D <</OFF [6 0 R]>>>>";
    let content = "BT /F 10 Tf (a) Tj ET q /OC /Off BDC BT /F 10 Tf (b) Tj ET";
    let pdf = Pdf::new(pdf(content, page, catalog, &["<</Type /OCG /Name (off)>>"])).unwrap();
    let mut interpreter = Interpreter::new(pdf.xref(), Heard::default());
    for read in ["a", "aa"] {
        let page = &pdf.pages()[0];
        Interpreter::page(&mut interpreter, page, Page::page_stream(page).unwrap_or_default());
        assert_eq!(interpreter.listener.text(), read);
    }
}

#[test]
fn annotations_are_read_on_their_area() {
    let annotation = |flags: u32, letter: &str, form: u32| {
        (
            format!("<</Type /Annot /Rect [100 50 120 70] /F {flags} /AP <</N {form} 0 R>>>>"),
            format!(
                "/Type /XObject /Subtype /Form /BBox [0 0 10 10] /Resources <</Font <</F 5 0 R>>>> \
                 stream BT /F 10 Tf 1 1 Td ({letter}) Tj ET"
            ),
        )
    };
    let (seen, seen_form) = annotation(4, "s", 7);
    let (hidden, hidden_form) = annotation(2, "h", 9);
    let page = "/Annots [6 0 R 8 0 R]";
    let found = heard_of(pdf("", page, "", &[&seen, &seen_form, &hidden, &hidden_form])).remove(0);
    assert_eq!((found.text().as_str(), found.place_of("s")), ("s", (102.0, 52.0)), "twice as large");
}

/// The crate's own interpreter, which draws everything, as the measure of ours.
#[derive(Default)]
struct Drawn(Heard);

impl<'a> Device<'a> for Drawn {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        // A text that is filled and outlined comes twice.
        if matches!(mode, DrawMode::Stroke(_)) {
            return;
        }
        for glyph in run.glyphs() {
            let letters = match &**glyph {
                DrawnGlyph::Outline(glyph) => glyph.as_unicode(),
                DrawnGlyph::Type3(glyph) => glyph.as_unicode(),
            };
            let letters = letters.map_or_else(String::new, fonts::spelled);
            self.0.letters.push((letters, props.transform * glyph.transform() * Point::ZERO));
        }
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {}
    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_clip_rect(&mut self, _: &Rect) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {}
    fn draw_rect(&mut self, _: &Rect, _: DrawProps<'a>, _: &DrawMode) {}
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}

#[test]
fn says_the_same_as_an_interpreter_that_draws() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/documents");
    let mut letters = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Bombs are for the fence, which ends them.
        if !name.ends_with(".pdf") || name.contains("bomb") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let Ok(pdf) = Pdf::new(bytes.clone()) else { continue };
        let ours = heard_of(bytes);
        for (page, ours) in pdf.pages().iter().zip(ours) {
            let (mut drawn, cache) = (Drawn::default(), InterpreterCache::new());
            let transform = Affine::new(page.initial_transform(true).as_coeffs());
            let area = Rect::new(0.0, 0.0, 1_000.0, 1_000.0);
            let mut context = Context::new(transform, area, &cache, page.xref(), InterpreterSettings::default());
            interpret_page(page, &mut context, &mut drawn);
            assert_eq!(ours.text(), drawn.0.text(), "{name}");
            for (ours, theirs) in ours.letters.iter().zip(&drawn.0.letters) {
                assert!(ours.1.distance(theirs.1) < 0.01, "{ours:?} and {theirs:?} in {name}");
            }
            letters += ours.letters.len();
        }
    }
    assert!(letters > 1_000, "only {letters} letters were compared");
}
