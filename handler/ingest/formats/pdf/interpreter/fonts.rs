//! The fonts of a document, and what is known of their glyphs: every code is looked up once.

use std::collections::HashMap;

use hayro_font::hayro_cmap::BfString;
use hayro_font::{CMapResolverFn, Font, FontCache, FontGlyph, FontResolverFn, StandardFont};
use hayro_interpret::InterpreterSettings;
use hayro_interpret::kurbo::Vec2;
use hayro_syntax::object::{Dict, Name};
use hayro_syntax::page::Resources;

/// Codes up to here have their glyph in a table.
const CODES_IN_TABLE: usize = 1 << 16;

/// A font of the document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FontId(usize);

/// What a font says of a code.
pub struct KnownGlyph {
    /// What it stands for; empty when nobody knows.
    pub letters: String,
    /// How wide it is, in thousandths of the font's size, where the font says so.
    pub width: Option<f64>,
    /// How far the next one stands from it.
    pub(super) step: Vec2,
    /// Where it is drawn from, and how much wider than it is.
    pub(super) displacement: Vec2,
    pub(super) stretch: f64,
}

struct Typeface<'a> {
    font: Font<'a>,
    is_guessed: bool,
    known: Vec<KnownGlyph>,
    /// For each code the number of its glyph in `known` and one.
    table: Vec<u32>,
    beyond: HashMap<u32, u32>,
}

/// The fonts of a document.
pub struct Fonts<'a> {
    cache: FontCache<'a>,
    programs: FontResolverFn,
    encodings: CMapResolverFn,
    typefaces: Vec<Typeface<'a>>,
    /// By what describes them in the file.
    described: HashMap<&'a [u8], Option<FontId>>,
    usual: Option<FontId>,
}

impl Default for Fonts<'_> {
    fn default() -> Self {
        let InterpreterSettings { font_resolver, cmap_resolver, .. } = InterpreterSettings::default();
        Self {
            cache: FontCache::new(),
            programs: font_resolver,
            encodings: cmap_resolver,
            typefaces: Vec::new(),
            described: HashMap::new(),
            usual: None,
        }
    }
}

impl<'a> Fonts<'a> {
    /// The font of a name among resources; the most usual one when there is none of that name.
    pub(super) fn named(&mut self, resources: &Resources<'a>, name: &Name<'_>) -> Option<FontId> {
        match resources.get_font(name) {
            Some(dict) => self.described(&dict),
            None => self.usual(),
        }
    }

    /// The font of a description; the most usual one when it cannot be read.
    pub(super) fn described(&mut self, dict: &Dict<'a>) -> Option<FontId> {
        if let Some(found) = self.described.get(dict.data()) {
            return *found;
        }
        let font = self.cache.font(dict, &self.programs, &self.encodings);
        let found = font.map(|font| self.add(font, false)).or_else(|| self.usual());
        self.described.insert(dict.data(), found);
        found
    }

    /// Helvetica, for texts that name no font that is there.
    pub(super) fn usual(&mut self) -> Option<FontId> {
        if self.usual.is_none() {
            let font = self.cache.standard_font(StandardFont::Helvetica, &self.programs)?;
            self.usual = Some(self.add(font, true));
        }
        self.usual
    }

    fn add(&mut self, font: Font<'a>, is_guessed: bool) -> FontId {
        let (known, table, beyond) = (Vec::new(), Vec::new(), HashMap::new());
        self.typefaces.push(Typeface { font, is_guessed, known, table, beyond });
        FontId(self.typefaces.len() - 1)
    }

    /// Whether the document does not say which font it is.
    pub(super) fn is_guessed(&self, font: FontId) -> bool {
        self.typefaces[font.0].is_guessed
    }

    pub(super) fn is_vertical(&self, font: FontId) -> bool {
        !self.typefaces[font.0].font.is_horizontal()
    }

    /// The code at a place of a text, and how many bytes it has.
    pub(super) fn code(&self, font: FontId, text: &[u8], at: usize) -> (u32, usize) {
        self.typefaces[font.0].font.read_code(text, at)
    }

    /// The number of a code's glyph among those of the font that are known; it is looked up when it is not.
    pub(super) fn know(&mut self, font: FontId, code: u32) -> usize {
        self.typefaces[font.0].know(code)
    }

    pub(super) fn glyph(&self, font: FontId, glyph: usize) -> &KnownGlyph {
        &self.typefaces[font.0].known[glyph]
    }
}

impl Typeface<'_> {
    fn know(&mut self, code: u32) -> usize {
        let at = code as usize;
        let number = match self.table.get(at) {
            Some(0) | None => self.beyond.get(&code).copied().unwrap_or(0),
            Some(&number) => number,
        };
        if number > 0 {
            return number as usize - 1;
        }
        self.known.push(look_up(&self.font, code));
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        if at < CODES_IN_TABLE {
            if self.table.len() <= at {
                self.table.resize(at + 1, 0);
            }
            self.table[at] = number;
        } else {
            self.beyond.insert(code, number);
        }
        self.known.len() - 1
    }
}

fn look_up(font: &Font<'_>, code: u32) -> KnownGlyph {
    let id = font.map_code(code);
    let (letters, width) = match font.glyph(id, code) {
        FontGlyph::Outline(glyph) => (glyph.as_unicode(), glyph.advance_width()),
        FontGlyph::Type3(glyph) => (glyph.as_unicode(), Some(glyph.advance_width())),
    };
    KnownGlyph {
        letters: letters.map_or_else(String::new, spelled),
        width: width.map(f64::from),
        step: font.code_advance(code),
        displacement: font.origin_displacement(code),
        stretch: font.glyph_stretch(id, code),
    }
}

/// The letters that a font names. Ligatures are taken apart; of the private signs that fonts define for themselves only the
/// usual bullets are known.
pub(super) fn spelled(letters: BfString) -> String {
    let c = match letters {
        BfString::Char(c) => c,
        BfString::String(text) => return text.replace('\0', ""),
    };
    match c {
        '\u{fb00}' => "ff".into(),
        '\u{fb01}' => "fi".into(),
        '\u{fb02}' => "fl".into(),
        '\u{fb03}' => "ffi".into(),
        '\u{fb04}' => "ffl".into(),
        '\u{fb05}' | '\u{fb06}' => "st".into(),
        '\u{f0b7}' | '\u{f0a7}' | '\u{f076}' | '\u{f0d8}' => "•".into(),
        '\u{a0}' | '\t' | '\n' | '\r' => " ".into(),
        '\u{e000}'..='\u{f8ff}' | '\u{fffd}' | '\0' => String::new(),
        _ => c.into(),
    }
}
