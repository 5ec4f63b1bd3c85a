//! What stands on a page beside its content: notes, stamps and the fields of forms. ISO 32000-2, 12.5.

use hayro_interpret::kurbo::{Affine, Rect, Shape};
use hayro_syntax::object::dict::keys::{ANNOTS, AP, AS, BBOX, F, N, RECT};
use hayro_syntax::object::{self, Array, Dict, Name, Object, Stream};
use hayro_syntax::page::Page;

use super::{Interpreter, Listener, matrix};

/// The flags of what is not shown on a screen.
const HIDDEN: u32 = 1 << 1 | 1 << 5;

impl<'a, L: Listener> Interpreter<'a, L> {
    /// Reads what the annotations of a page show.
    pub(super) fn annotations(&mut self, page: &Page<'a>) {
        let Some(annotations) = page.raw().get::<Array<'a>>(ANNOTS) else { return };
        for annotation in annotations.iter::<Dict<'a>>() {
            if annotation.get::<u32>(F).unwrap_or(0) & HIDDEN != 0 || !self.visibility.of_owner(&annotation) {
                continue;
            }
            let Some(form) = appearance(&annotation) else { continue };
            if let Some(placed) = placed(&annotation, &form) {
                self.form(&form, placed, page.resources());
            }
        }
    }
}

/// The form that an annotation is drawn with, which may depend on its state.
fn appearance<'a>(annotation: &Dict<'a>) -> Option<Stream<'a>> {
    match annotation.get::<Dict<'a>>(AP)?.get::<Object<'a>>(N)? {
        Object::Stream(form) => Some(form),
        Object::Dict(states) => annotation
            .get::<Name<'_>>(AS)
            .and_then(|state| states.get::<Stream<'a>>(state))
            .or_else(|| states.get::<Stream<'a>>(b"Off")),
        _ => None,
    }
}

/// What brings the box of a form, after its own transformation, onto the area of its annotation.
fn placed(annotation: &Dict<'_>, form: &Stream<'_>) -> Option<Affine> {
    let area = annotation.get::<object::Rect>(RECT)?;
    let [x0, y0, x1, y1] = form.dict().get::<[f64; 4]>(BBOX)?;
    let drawn = (matrix(form.dict()) * Rect::new(x0, y0, x1, y1).to_path(0.1)).bounding_box();
    let across = (area.x1 - area.x0).abs() / drawn.width();
    let down = (area.y1 - area.y0).abs() / drawn.height();
    let (left, top) = (area.x0.min(area.x1), area.y0.min(area.y1));
    Some(Affine::new([across, 0.0, 0.0, down, left - across * drawn.x0, top - down * drawn.y0]))
}
