//! Where a glyph stands and how large it is.

use hayro_interpret::kurbo::{Affine, Point};

use super::interpreter::{Glyph, Run};

/// Glyphs are described in thousandths of the font's size.
const UNITS_PER_EM: f64 = 1000.0;

/// Where a glyph stands and how large it is, in points.
#[derive(Clone, Copy)]
pub struct Place {
    /// Where its baseline begins.
    pub origin: Point,
    /// The direction of writing in radians; 0 is from left to right.
    pub angle: f64,
    /// The size of its font.
    pub size: f64,
    /// How far the next glyph stands from it, when nothing is between them.
    pub advance: f64,
}

impl Place {
    /// The places of all glyphs of a run.
    pub fn all(run: &Run<'_>) -> impl Iterator<Item = Self> {
        // Most glyphs of a run differ in where they stand and in nothing else.
        let mut last: Option<(Shape, [f64; 4])> = None;
        run.glyphs.iter().map(move |glyph| {
            let [a, b, c, d, ..] = glyph.transform.as_coeffs();
            let shape = match last {
                Some((shape, of)) if of == [a, b, c, d] => shape,
                _ => Shape::of(glyph.transform, run.is_vertical),
            };
            last = Some((shape, [a, b, c, d]));
            shape.place(glyph, run.is_vertical)
        })
    }
}

/// What a transformation makes of every glyph.
#[derive(Clone, Copy)]
struct Shape {
    angle: f64,
    size: f64,
    /// What a thousandth of the font's size becomes along the line.
    scale: f64,
}

impl Shape {
    fn of(transform: Affine, is_vertical: bool) -> Self {
        let [a, b, c, d, ..] = transform.as_coeffs();
        let along = a.hypot(b);
        let across = if along > 0.0 { (a * d - b * c).abs() / along } else { 0.0 };
        let turn = if is_vertical { std::f64::consts::FRAC_PI_2 } else { 0.0 };
        // A glyph of a substitute font is stretched to the width that is asked for, and that width must not be stretched
        // again: as long as the shape is not far from upright, its height is the better measure.
        let is_upright = along > across * 0.8 && along < across * 1.25;
        let scale = if is_upright { across } else { along };
        Self { angle: b.atan2(a) + turn, size: across * UNITS_PER_EM, scale }
    }

    fn place(self, glyph: &Glyph<'_>, is_vertical: bool) -> Place {
        let width = if is_vertical { None } else { glyph.known.width };
        let advance = width.map_or(self.size, |width| width * self.scale);
        Place { origin: glyph.transform.translation().to_point(), angle: self.angle, size: self.size, advance }
    }
}
