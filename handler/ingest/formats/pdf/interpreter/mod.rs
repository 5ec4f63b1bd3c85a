//! What a page says: the operators of a content stream that place text, after ISO 32000-2, chapter 9, and nothing of those that
//! draw. A crate's interpreter that draws everything would do, and takes three times as long: it makes a glyph of every letter
//! and asks its font anew for each. Fonts, objects and streams are the crates' work here too.

mod annotations;
mod fonts;
#[cfg(test)]
mod tests;
mod text;
mod visibility;

use hayro_interpret::kurbo::Affine;
use hayro_syntax::content::TypedIter;
use hayro_syntax::content::ops::TypedInstruction;
use hayro_syntax::object::dict::keys::{FONT, FORM, IMAGE, MATRIX, RESOURCES, SUBTYPE};
use hayro_syntax::object::{Array, Dict, Name, Object, Stream, dict_or_stream};
use hayro_syntax::page::{Page, Resources};
use hayro_syntax::xref::XRef;

use fonts::Fonts;
pub use fonts::KnownGlyph;
use text::State;
use visibility::Visibility;

/// Forms within forms.
const MOST_NESTED: usize = 50;
/// States of graphics that are kept to come back to; more are only counted.
const MOST_SAVED: usize = 10_000;

/// Hears what a page says, in the order in which it is written.
pub trait Listener {
    /// Letters that are shown by one operator, in one font.
    fn run(&mut self, run: &Run<'_>);
    /// A picture.
    fn picture(&mut self);
}

/// Letters that are shown by one operator.
pub struct Run<'r> {
    /// The glyphs that they are drawn with.
    pub glyphs: &'r [Glyph<'r>],
    /// Whether they are written from top to bottom.
    pub is_vertical: bool,
    /// Whether only the outlines are drawn.
    pub is_outline: bool,
}

/// A glyph and its place.
#[derive(Clone, Copy)]
pub struct Glyph<'r> {
    /// What its font says of it.
    pub known: &'r KnownGlyph,
    /// From thousandths of the font's size, at the glyph's origin, to points on the page, from its upper left corner.
    pub transform: Affine,
}

/// Reads pages of one document after another.
pub struct Interpreter<'a, L> {
    /// Who hears of them.
    pub listener: L,
    fonts: Fonts<'a>,
    visibility: Visibility,
    states: Vec<State>,
    /// Saved states above the limit.
    overflow: usize,
    nested: usize,
    /// The letters of the operator at hand: which glyph of the font, and where.
    shown: Vec<(usize, Affine)>,
}

impl<'a, L: Listener> Interpreter<'a, L> {
    /// An interpreter of a document.
    pub fn new(document: &'a XRef, listener: L) -> Self {
        let (fonts, visibility) = (Fonts::default(), Visibility::of(document));
        Self { listener, fonts, visibility, states: Vec::new(), overflow: 0, nested: 0, shown: Vec::new() }
    }

    /// Reads a page, whose content was unpacked before, and its annotations.
    pub fn page(&mut self, page: &Page<'a>, content: &[u8]) {
        self.states = vec![State::new(Affine::new(page.initial_transform(true).as_coeffs()))];
        self.visibility.begin_page();
        self.stream(content, page.resources());
        self.annotations(page);
    }

    fn state(&mut self) -> &mut State {
        // There is one state at least while a page is read: nothing takes the first away.
        let last = self.states.len() - 1;
        &mut self.states[last]
    }

    fn save(&mut self) {
        if self.states.len() < MOST_SAVED {
            let state = *self.state();
            self.states.push(state);
        } else {
            self.overflow += 1;
        }
    }

    /// Goes back to the state that was saved last, and never to one from before `base`.
    fn restore(&mut self, base: usize) {
        if self.overflow > 0 {
            self.overflow -= 1;
        } else if self.states.len() > base {
            self.states.pop();
        }
    }

    /// Reads the operators of a content stream; the state is then what it was before.
    fn stream(&mut self, content: &[u8], resources: &Resources<'a>) {
        self.save();
        let (base, overflow) = (self.states.len(), self.overflow);
        let mut operators = TypedIter::new(content);
        while let Some(operator) = operators.next() {
            self.operator(operator, resources, base);
        }
        self.overflow = overflow;
        self.states.truncate(base);
        self.restore(1);
    }

    fn operator(&mut self, operator: TypedInstruction<'_, '_>, resources: &Resources<'a>, base: usize) {
        use TypedInstruction as Op;
        match operator {
            Op::SaveState(_) => self.save(),
            Op::RestoreState(_) => self.restore(base),
            Op::Transform(m) => {
                let numbers = [m.0, m.1, m.2, m.3, m.4, m.5].map(|number| number.as_f64());
                self.state().transform *= Affine::new(numbers);
            }
            Op::SetGraphicsState(name) => self.graphics_state(name.0, resources),
            Op::BeginText(_) => self.state().begin_at(Affine::IDENTITY),
            Op::SetTextMatrix(m) => {
                let numbers = [m.0, m.1, m.2, m.3, m.4, m.5].map(|number| number.as_f64());
                self.state().begin_at(Affine::new(numbers));
            }
            Op::TextFont(font) => {
                let found = self.fonts.named(resources, font.0);
                self.state().set_font(found, font.1.as_f64());
            }
            Op::HorizontalScaling(scaling) => self.state().scaling = scaling.0.as_f64() / 100.0,
            Op::TextLeading(leading) => self.state().leading = leading.0.as_f64(),
            Op::CharacterSpacing(space) => self.state().letter_space = space.0.as_f64(),
            Op::WordSpacing(space) => self.state().word_space = space.0.as_f64(),
            Op::TextRise(rise) => self.state().rise = rise.0.as_f64(),
            Op::TextRenderingMode(mode) => self.state().is_outline = matches!(mode.0.as_i64(), 1 | 5),
            Op::NextLine(by) => self.state().next_line(by.0.as_f64(), by.1.as_f64()),
            Op::NextLineUsingLeading(_) => self.state().next_line_by_leading(),
            Op::NextLineAndSetLeading(by) => {
                self.state().leading = -by.1.as_f64();
                self.state().next_line(by.0.as_f64(), by.1.as_f64());
            }
            Op::ShowText(text) => self.show(text.0.as_bytes()),
            Op::NextLineAndShowText(text) => {
                self.state().next_line_by_leading();
                self.show(text.0.as_bytes());
            }
            Op::ShowTextWithParameters(text) => {
                self.state().word_space = text.0.as_f64();
                self.state().letter_space = text.1.as_f64();
                self.state().next_line_by_leading();
                self.show(text.2.as_bytes());
            }
            Op::ShowTexts(parts) => {
                self.set_usual_font();
                for part in parts.0.iter::<Object<'_>>() {
                    match part {
                        Object::Number(number) => self.adjust(number.as_f64()),
                        Object::String(text) => self.append(text.as_bytes()),
                        _ => {}
                    }
                }
                self.tell();
            }
            Op::BeginMarkedContent(_) => self.visibility.begin(true),
            Op::BeginMarkedContentWithProperties(marked) => {
                let is_visible = self.is_content_visible(marked.1, resources);
                self.visibility.begin(is_visible);
            }
            Op::EndMarkedContent(_) => self.visibility.end(),
            Op::XObject(name) => {
                if let Some(object) = resources.get_x_object(name.0) {
                    self.object(&object, resources);
                }
            }
            Op::InlineImage(_) if self.visibility.is_visible() => self.listener.picture(),
            _ => {}
        }
    }

    /// A named set of parameters, of which only the font matters here.
    fn graphics_state(&mut self, name: &Name<'_>, resources: &Resources<'a>) {
        let font = || {
            let array = resources.get_ext_g_state(name)?.get::<Array<'a>>(FONT)?;
            let mut parts = array.iter::<Object<'a>>();
            Some((parts.next()?.into_dict()?, parts.next()?.into_number()?.as_f64()))
        };
        if let Some((dict, size)) = font() {
            let font = self.fonts.described(&dict);
            self.state().set_font(font, size);
        }
    }

    /// Whether content is shown that names a layer: one among the resources, or one in a description of its own.
    fn is_content_visible(&self, properties: &Object<'_>, resources: &Resources<'a>) -> bool {
        if let Some(name) = properties.clone().into_name() {
            let layer = resources.properties.get::<Dict<'_>>(&name).unwrap_or_default();
            return resources
                .properties
                .get_ref(&name)
                .is_none_or(|id| self.visibility.of_layer(&layer, Some(id.into())));
        }
        dict_or_stream(properties).is_none_or(|(own, _)| self.visibility.of_owner(own))
    }

    /// A picture, or a form: a content stream that is drawn by its name.
    fn object(&mut self, object: &Stream<'a>, resources: &Resources<'a>) {
        let dict = object.dict();
        if !self.visibility.is_visible() || !self.visibility.of_owner(dict) {
            return;
        }
        match dict.get::<Name<'_>>(SUBTYPE).as_deref() {
            Some(IMAGE) => self.listener.picture(),
            Some(FORM) => self.form(object, Affine::IDENTITY, resources),
            _ => {}
        }
    }

    /// Reads a form, placed by a transformation and then its own. It has its own resources, or else those of its page.
    fn form(&mut self, form: &Stream<'a>, placed: Affine, resources: &Resources<'a>) {
        if self.nested == MOST_NESTED {
            return;
        }
        let Ok(content) = form.decoded_data() else { return };
        let own = form.dict().get::<Dict<'a>>(RESOURCES).map(Resources::new);
        self.nested += 1;
        self.save();
        self.state().transform *= placed * matrix(form.dict());
        self.stream(&content, own.as_ref().unwrap_or(resources));
        self.restore(1);
        self.nested -= 1;
    }
}

/// The transformation that a form brings.
fn matrix(form: &Dict<'_>) -> Affine {
    form.get::<[f64; 6]>(MATRIX).map_or(Affine::IDENTITY, Affine::new)
}
