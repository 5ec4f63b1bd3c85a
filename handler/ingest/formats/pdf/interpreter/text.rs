//! The state of text, and how letters are shown in it: ISO 32000-2, 9.3 and 9.4.

use hayro_interpret::kurbo::{Affine, Vec2};

use super::fonts::FontId;
use super::{Glyph, Interpreter, Listener, Run};

/// Glyphs and adjustments are measured in thousandths of the font's size.
const UNITS_PER_EM: f64 = 1000.0;

/// The part of the graphics state that decides where letters stand.
#[derive(Clone, Copy)]
pub struct State {
    /// To points on the page, from its upper left corner.
    pub transform: Affine,
    pub letter_space: f64,
    pub word_space: f64,
    /// 1 for letters of their usual width.
    pub scaling: f64,
    pub leading: f64,
    pub rise: f64,
    pub is_outline: bool,
    font: Option<FontId>,
    size: f64,
    /// Where the next letter stands, and where the line began.
    place: Affine,
    line: Affine,
}

impl State {
    pub fn new(transform: Affine) -> Self {
        Self {
            transform,
            letter_space: 0.0,
            word_space: 0.0,
            scaling: 1.0,
            leading: 0.0,
            rise: 0.0,
            is_outline: false,
            font: None,
            size: 1.0,
            place: Affine::IDENTITY,
            line: Affine::IDENTITY,
        }
    }

    pub fn set_font(&mut self, font: Option<FontId>, size: f64) {
        (self.font, self.size) = (font, size);
    }

    /// Begins a line at a place.
    pub fn begin_at(&mut self, place: Affine) {
        (self.place, self.line) = (place, place);
    }

    /// Begins a line at a distance from where the last one began.
    pub fn next_line(&mut self, x: f64, y: f64) {
        self.begin_at(self.line * Affine::translate((x, y)));
    }

    pub fn next_line_by_leading(&mut self) {
        self.next_line(0.0, -self.leading);
    }

    /// From thousandths of the font's size, at the place of the next letter, to the page.
    fn to_page(self) -> Affine {
        let em = self.size / UNITS_PER_EM;
        self.transform * self.place * Affine::new([em * self.scaling, 0.0, 0.0, em, 0.0, self.rise])
    }

    /// Goes on by a distance along the line.
    fn go_on(&mut self, distance: f64, is_vertical: bool) {
        let by = if is_vertical { Vec2::new(0.0, distance) } else { Vec2::new(distance * self.scaling, 0.0) };
        self.place *= Affine::translate(by);
    }
}

impl<L: Listener> Interpreter<'_, L> {
    /// Shows a text.
    pub(super) fn show(&mut self, text: &[u8]) {
        self.set_usual_font();
        self.append(text);
        self.tell();
    }

    /// A text without a font is read as the others do, with the most usual one.
    pub(super) fn set_usual_font(&mut self) {
        if self.state().font.is_none() {
            self.state().font = self.fonts.usual();
        }
    }

    /// A distance back along the line, in thousandths of the font's size.
    pub(super) fn adjust(&mut self, back: f64) {
        let state = *self.state();
        let is_vertical = state.font.is_some_and(|font| self.fonts.is_vertical(font));
        self.state().go_on(-back / UNITS_PER_EM * state.size, is_vertical);
    }

    /// Adds a text to what is being shown.
    pub(super) fn append(&mut self, text: &[u8]) {
        let mut state = *self.state();
        let Some(font) = state.font else { return };
        // With a font of our own choice only plain letters would be the right ones.
        let is_shown = self.visibility.is_visible() && (!self.fonts.is_guessed(font) || text.is_ascii());
        let is_vertical = self.fonts.is_vertical(font);
        let mut at = 0;
        while at < text.len() {
            let (code, length) = self.fonts.code(font, text, at);
            at += length.max(1);
            let glyph = self.fonts.know(font, code);
            let known = self.fonts.glyph(font, glyph);
            if is_shown {
                let shape = Affine::translate(known.displacement) * Affine::scale_non_uniform(known.stretch, 1.0);
                self.shown.push((glyph, state.to_page() * shape));
            }
            let advance = if is_vertical { known.step.y } else { known.step.x };
            let word_space = if code == 32 && length == 1 { state.word_space } else { 0.0 };
            state.go_on(advance / UNITS_PER_EM * state.size + state.letter_space + word_space, is_vertical);
        }
        *self.state() = state;
    }

    /// Tells the listener what was shown.
    pub(super) fn tell(&mut self) {
        let state = *self.state();
        let Some(font) = state.font else { return };
        let glyph = |&(glyph, transform): &(usize, Affine)| Glyph { known: self.fonts.glyph(font, glyph), transform };
        let glyphs: Vec<Glyph<'_>> = self.shown.iter().map(glyph).collect();
        if !glyphs.is_empty() {
            let is_vertical = self.fonts.is_vertical(font);
            self.listener.run(&Run { glyphs: &glyphs, is_vertical, is_outline: state.is_outline });
        }
        self.shown.clear();
    }
}
