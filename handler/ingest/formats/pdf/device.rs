//! The device that PDF pages are drawn on: it hears of every glyph, keeps its letters and its place, and ignores lines,
//! pictures and colours. Glyphs go straight into the lines of the page; none is kept by itself.

use hayro_interpret::font::{Glyph, GlyphRun, PositionedGlyph};
use hayro_interpret::hayro_cmap::{BfString, WritingMode};
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect};
use hayro_interpret::{BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, SoftMask};

use crate::ingest::formats::pdf::lines::{Letter, Line, Lines};

/// Glyphs are described in thousandths of the font's size.
const UNITS_PER_EM: f64 = 1000.0;

/// Collects the text of one page after another.
pub struct TextDevice {
    lines: Lines,
    width: f64,
    height: f64,
    text_bytes: usize,
    max_text_bytes: usize,
    unreadable_glyphs: usize,
    pictures: usize,
    /// The letters of the glyph at hand.
    letters: String,
    /// The length and origin of the last run, to know it again when it is drawn twice.
    last_run: Option<(usize, Point)>,
}

impl TextDevice {
    /// A device that stops listening once it has heard `max_text_bytes` of text.
    pub fn new(max_text_bytes: usize) -> Self {
        Self {
            lines: Lines::default(),
            width: 0.0,
            height: 0.0,
            text_bytes: 0,
            max_text_bytes,
            unreadable_glyphs: 0,
            pictures: 0,
            letters: String::new(),
            last_run: None,
        }
    }

    /// Prepares for a page of a size, in points.
    pub fn begin_page(&mut self, width: f64, height: f64) {
        (self.width, self.height) = (width, height);
        self.last_run = None;
    }

    /// The lines of the page that was drawn, in the order in which they were begun.
    pub fn end_page(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines).finish()
    }

    /// Whether more text came than the limit allows.
    pub fn is_full(&self) -> bool {
        self.text_bytes > self.max_text_bytes
    }

    /// How many glyphs, over all pages, had no letter that belongs to them.
    pub fn unreadable_glyphs(&self) -> usize {
        self.unreadable_glyphs
    }

    /// How many pictures there were on all pages.
    pub fn pictures(&self) -> usize {
        self.pictures
    }

    fn glyph(&mut self, glyph: &PositionedGlyph<'_>, place: Place) {
        if !spell(glyph, &mut self.letters) {
            self.unreadable_glyphs += 1;
            return;
        }
        // What lies outside of the page nobody sees, for example what was cropped away. Neither does anybody see text
        // without a size; and a place that is not a number is in no range.
        let margin = place.size;
        let is_visible = (0.1..=10_000.0).contains(&place.size)
            && (-margin..=self.width + margin).contains(&place.origin.x)
            && (-margin..=self.height + margin).contains(&place.origin.y);
        self.text_bytes += self.letters.len();
        if !is_visible || self.is_full() {
            return;
        }
        self.lines.add(Letter {
            text: &self.letters,
            x: place.origin.x,
            y: place.origin.y,
            angle: place.angle,
            size: place.size,
            advance: place.advance,
            tracking: place.tracking,
        });
    }
}

impl<'a> Device<'a> for TextDevice {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        let Some(first) = run.glyphs().first() else { return };
        // Text that is filled and then outlined arrives twice.
        let signature = (run.glyphs().len(), props.transform * first.transform() * Point::ZERO);
        let is_repeated = matches!(mode, DrawMode::Stroke(_)) && self.last_run == Some(signature);
        self.last_run = Some(signature);
        if is_repeated || self.is_full() {
            return;
        }
        let is_vertical = run.writing_mode() == WritingMode::Vertical;
        let places: Vec<Place> = run
            .glyphs()
            .iter()
            .map(|glyph| Place::of(glyph, props.transform * glyph.transform(), is_vertical))
            .collect();
        let tracking = tracking_of(&places);
        for (glyph, place) in run.glyphs().iter().zip(places) {
            self.glyph(glyph, Place { tracking, ..place });
        }
    }

    // Drawing that carries no text.
    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {}
    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_clip_rect(&mut self, _: &Rect) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {
        self.pictures += 1;
    }

    fn draw_rect(&mut self, _: &Rect, _: DrawProps<'a>, _: &DrawMode) {}
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}

/// Where a glyph stands and how large it is, in points.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) origin: Point,
    /// The direction of writing in radians; 0 is from left to right.
    pub(super) angle: f64,
    pub(super) size: f64,
    pub(super) advance: f64,
    tracking: f64,
}

impl Place {
    /// The place of a glyph under a transformation.
    pub(super) fn of(glyph: &Glyph<'_>, transform: Affine, is_vertical: bool) -> Self {
        let [a, b, c, d, ..] = transform.as_coeffs();
        let along = a.hypot(b);
        let across = if along > 0.0 { (a * d - b * c).abs() / along } else { 0.0 };
        let size = across * UNITS_PER_EM;
        let angle = b.atan2(a);
        let units = match glyph {
            _ if is_vertical => None,
            Glyph::Outline(glyph) => glyph.advance_width(),
            Glyph::Type3(glyph) => glyph.advance_width(),
        };
        // A glyph of a substitute font is stretched to the width that is asked for, and that width must not be stretched
        // again: as long as the shape is not far from upright, its height is the better measure.
        let scale = if along > across * 0.8 && along < across * 1.25 { across } else { along };
        let advance = units.map_or(size, |units| f64::from(units) * scale);
        let angle = if is_vertical { angle + std::f64::consts::FRAC_PI_2 } else { angle };
        Self { origin: transform * Point::ZERO, angle, size, advance, tracking: 0.0 }
    }
}

/// The space that a run puts between all of its letters alike, as headings in spread letters do: it parts no words.
fn tracking_of(places: &[Place]) -> f64 {
    const FEWEST_GLYPHS: usize = 5;
    if places.len() < FEWEST_GLYPHS {
        return 0.0;
    }
    let gaps = places.windows(2).map(|pair| pair[0].origin.distance(pair[1].origin) - pair[0].advance);
    let smallest = gaps.fold(f64::INFINITY, f64::min);
    smallest.clamp(0.0, places[0].size / 2.0)
}

/// Writes the letters a glyph stands for and says whether there are any. Ligatures are taken apart; of the private signs
/// that fonts define for themselves only the usual bullets are known.
pub(super) fn spell(glyph: &Glyph<'_>, letters: &mut String) -> bool {
    letters.clear();
    let c = match glyph.as_unicode() {
        Some(BfString::Char(c)) => c,
        Some(BfString::String(text)) => {
            letters.extend(text.chars().filter(|&c| c != '\0'));
            return !letters.is_empty();
        }
        None => return false,
    };
    match c {
        '\u{fb00}' => letters.push_str("ff"),
        '\u{fb01}' => letters.push_str("fi"),
        '\u{fb02}' => letters.push_str("fl"),
        '\u{fb03}' => letters.push_str("ffi"),
        '\u{fb04}' => letters.push_str("ffl"),
        '\u{fb05}' | '\u{fb06}' => letters.push_str("st"),
        '\u{f0b7}' | '\u{f0a7}' | '\u{f076}' | '\u{f0d8}' => letters.push('•'),
        '\u{a0}' | '\t' | '\n' | '\r' => letters.push(' '),
        '\u{e000}'..='\u{f8ff}' | '\u{fffd}' | '\0' => return false,
        _ => letters.push(c),
    }
    true
}
