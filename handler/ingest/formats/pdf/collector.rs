//! Collects what pages say as lines: letters go straight into the lines of the page, and none is kept by itself.

use hayro_interpret::kurbo::Point;

use super::interpreter::{Listener, Run};
use super::lines::{Letter, Line, Lines};
use super::place::Place;

/// Collects the lines of one page after another.
pub struct LineCollector {
    lines: Lines,
    width: f64,
    height: f64,
    text_bytes: usize,
    max_text_bytes: usize,
    unreadable_glyphs: usize,
    pictures: usize,
    /// The length and origin of the last run, to know it again when it is drawn twice.
    last_run: Option<(usize, Point)>,
    /// The places of the run at hand.
    places: Vec<Place>,
}

impl LineCollector {
    /// One that stops listening once it has heard `max_text_bytes` of text.
    pub fn new(max_text_bytes: usize) -> Self {
        Self {
            lines: Lines::default(),
            width: 0.0,
            height: 0.0,
            text_bytes: 0,
            max_text_bytes,
            unreadable_glyphs: 0,
            pictures: 0,
            last_run: None,
            places: Vec::new(),
        }
    }

    /// Prepares for a page of a size, in points.
    pub fn begin_page(&mut self, width: f64, height: f64) {
        (self.width, self.height) = (width, height);
        self.last_run = None;
    }

    /// The lines of the page that was read, in the order in which they were begun.
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

    /// What lies outside of the page nobody sees, for example what was cropped away. Neither does anybody see text without a
    /// size; and a place that is not a number is in no range.
    fn is_visible(&self, place: &Place) -> bool {
        let margin = place.size;
        (0.1..=10_000.0).contains(&place.size)
            && (-margin..=self.width + margin).contains(&place.origin.x)
            && (-margin..=self.height + margin).contains(&place.origin.y)
    }
}

impl Listener for LineCollector {
    fn run(&mut self, run: &Run<'_>) {
        let Some(first) = run.glyphs.first() else { return };
        // Text that is filled and then outlined arrives twice.
        let signature = (run.glyphs.len(), first.transform.translation().to_point());
        let is_repeated = run.is_outline && self.last_run == Some(signature);
        self.last_run = Some(signature);
        if is_repeated || self.is_full() {
            return;
        }
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        places.extend(Place::all(run));
        let tracking = tracking_of(&places);
        for (glyph, place) in run.glyphs.iter().zip(&places) {
            let text = glyph.known.letters.as_str();
            self.unreadable_glyphs += usize::from(text.is_empty());
            self.text_bytes += text.len();
            if text.is_empty() || !self.is_visible(place) || self.is_full() {
                continue;
            }
            let (Point { x, y }, Place { angle, size, advance, .. }) = (place.origin, *place);
            self.lines.add(Letter { text, x, y, angle, size, advance, tracking });
        }
        self.places = places;
    }

    fn picture(&mut self) {
        self.pictures += 1;
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
    // A size that is no number, which some transformations make, limits nothing.
    smallest.min(places[0].size / 2.0).max(0.0)
}
