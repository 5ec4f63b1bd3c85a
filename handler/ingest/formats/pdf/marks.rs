//! Where the words of a passage stand on a page. Letters are compared and nothing else: spaces, line breaks, hyphens and
//! signs are written differently on the page and in the passage.

use std::collections::{HashMap, HashSet};

use hayro_interpret::kurbo::{Point, Rect};

use super::interpreter::{Listener, Run};
use super::place::Place;

/// Glyphs of a page that are looked at; no page that people read has nearly as many.
const MOST_GLYPHS: usize = 200_000;
/// So many letters in a row are no chance.
const GRAM: usize = 10;
/// Places in a passage that one such row of letters may have; more come from repetition and tell nothing.
const PLACES: usize = 8;

/// The letters of a page with their places, in the order in which they are drawn.
#[derive(Default)]
pub struct LetterCollector {
    letters: Vec<(char, usize)>,
    boxes: Vec<Rect>,
    /// The glyphs that are signs: no letters, and no spaces.
    signs: HashSet<usize>,
}

impl LetterCollector {
    /// The places of the passage's letters, put together to one for each stretch of a line: of all of it, and of the letters
    /// from `from` to `to`, counted in characters.
    pub fn find(&self, passage: &str, from: usize, to: usize) -> (Vec<Rect>, Vec<Rect>) {
        let page: Vec<char> = self.letters.iter().map(|&(letter, _)| letter).collect();
        let wanted: Vec<(char, usize)> =
            passage.chars().enumerate().filter_map(|(at, c)| Some((comparable(c)?, at))).collect();
        let passage: Vec<char> = wanted.iter().map(|&(letter, _)| letter).collect();
        let mut all = Vec::new();
        let mut core = Vec::new();
        for stretch in stretches(&page, &passage) {
            for step in 0..stretch.length {
                let glyph = self.letters[stretch.on_page + step].1;
                all.push(glyph);
                if (from..to).contains(&wanted[stretch.in_passage + step].1) {
                    core.push(glyph);
                }
            }
        }
        (self.joined(all), self.joined(core))
    }

    /// The boxes of glyphs, those that follow one another on a line as one.
    fn joined(&self, mut glyphs: Vec<usize>) -> Vec<Rect> {
        // The full stop belongs to its sentence.
        let signs: Vec<usize> = glyphs.iter().map(|glyph| glyph + 1).filter(|next| self.signs.contains(next)).collect();
        glyphs.extend(signs);
        glyphs.sort_unstable();
        glyphs.dedup();
        let mut joined: Vec<Rect> = Vec::new();
        for glyph in glyphs {
            let next = self.boxes[glyph];
            match joined.last_mut() {
                Some(last) if is_beside(last, &next) => *last = last.union(next),
                _ => joined.push(next),
            }
        }
        joined
    }
}

/// Whether a box goes on where another ends, on the same line, whichever way the line runs.
fn is_beside(last: &Rect, next: &Rect) -> bool {
    let reach = last.height().min(last.width()).max(next.height().min(next.width())) * 1.5;
    let same_row = (last.y0 - next.y0).abs() < reach * 0.4 && (last.y1 - next.y1).abs() < reach * 0.4;
    let same_column = (last.x0 - next.x0).abs() < reach * 0.4 && (last.x1 - next.x1).abs() < reach * 0.4;
    let near = last.inflate(reach, reach).overlaps(*next);
    near && (same_row || same_column)
}

/// A run of letters that page and passage share.
struct Stretch {
    on_page: usize,
    in_passage: usize,
    length: usize,
}

/// The runs that page and passage share, the longest first. A part of the passage stands on the page once: what is shorter
/// and says the same, at another place of the page, is left out.
fn stretches(page: &[char], passage: &[char]) -> Vec<Stretch> {
    let gram = GRAM.min(passage.len());
    if gram == 0 {
        return Vec::new();
    }
    let mut places: HashMap<&[char], Vec<usize>> = HashMap::new();
    for (at, letters) in passage.windows(gram).enumerate() {
        let known = places.entry(letters).or_default();
        if known.len() < PLACES {
            known.push(at);
        }
    }
    let shared = |on_page: usize, in_passage: usize| {
        page[on_page..].iter().zip(&passage[in_passage..]).take_while(|(a, b)| a == b).count()
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at + gram <= page.len() {
        let known = places.get(&page[at..at + gram]).map(Vec::as_slice).unwrap_or_default();
        let best = known.iter().map(|&place| (shared(at, place), place)).max_by_key(|&(length, _)| length);
        let Some((length, in_passage)) = best else {
            at += 1;
            continue;
        };
        found.push(Stretch { on_page: at, in_passage, length });
        at += length;
    }
    found.sort_by_key(|stretch| std::cmp::Reverse(stretch.length));
    let mut taken = vec![false; passage.len()];
    found.retain(|stretch| {
        let part = &mut taken[stretch.in_passage..stretch.in_passage + stretch.length];
        let is_new = part.iter().filter(|taken| **taken).count() * 2 < part.len();
        if is_new {
            part.fill(true);
        }
        is_new
    });
    found
}

/// A letter as it is compared; none for what is no letter and no digit.
fn comparable(c: char) -> Option<char> {
    c.is_alphanumeric().then(|| c.to_lowercase().next()).flatten()
}

impl Listener for LetterCollector {
    fn run(&mut self, run: &Run<'_>) {
        for (glyph, place) in run.glyphs.iter().zip(Place::all(run)) {
            if self.boxes.len() >= MOST_GLYPHS {
                return;
            }
            let (text, area) = (glyph.known.letters.as_str(), place.area());
            if text.is_empty() || !area.is_finite() {
                continue;
            }
            let glyph = self.boxes.len();
            self.boxes.push(area);
            self.letters.extend(text.chars().filter_map(comparable).map(|letter| (letter, glyph)));
            if !text.chars().any(|c| c.is_alphanumeric() || c.is_whitespace()) {
                self.signs.insert(glyph);
            }
        }
    }

    fn picture(&mut self) {}
}

impl Place {
    /// The part of the page that a glyph takes, from a fifth of its size below the baseline to four fifths above.
    fn area(&self) -> Rect {
        let (sin, cos) = self.angle.sin_cos();
        let at = |along: f64, up: f64| {
            let (along, up) = (along * self.advance, up * self.size);
            Point::new(self.origin.x + cos * along + sin * up, self.origin.y + sin * along - cos * up)
        };
        let area = Rect::from_points(at(0.0, -0.22), at(1.0, 0.8));
        area.union(Rect::from_points(at(0.0, 0.8), at(1.0, -0.22)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(text: &str) -> Vec<char> {
        text.chars().filter_map(comparable).collect()
    }

    fn found(page: &str, passage: &str) -> Vec<String> {
        let (page, passage) = (letters(page), letters(passage));
        let mut found = stretches(&page, &passage);
        found.sort_by_key(|stretch| stretch.on_page);
        found.iter().map(|stretch| page[stretch.on_page..stretch.on_page + stretch.length].iter().collect()).collect()
    }

    #[test]
    fn finds_a_passage_however_its_lines_are_broken() {
        let page =
            "Page 4 of 9\nThe leave year starts in Ap-\nril. Every employee gets 25 days\nof annual leave.\nNext";
        assert_eq!(
            found(page, "The leave year starts in April. Every employee gets 25 days of annual leave."),
            ["theleaveyearstartsinaprileveryemployeegets25daysofannualleave"]
        );
        assert!(found("Nothing of it is here at all", "The leave year starts in April.").is_empty());
    }

    #[test]
    fn the_same_words_elsewhere_are_not_marked() {
        let page = "Annual leave policy. Staff get 25 days of annual leave policy days. Annual leave policy.";
        assert_eq!(
            found(page, "Staff get 25 days of annual leave policy days."),
            ["staffget25daysofannualleavepolicydays"]
        );
    }

    #[test]
    fn a_short_passage_is_found_and_repetition_takes_no_time() {
        assert_eq!(found("Fee: EUR 38", "EUR 38"), ["eur38"]);
        assert!(found("anything", " \u{2013} ").is_empty());
        let many = "a".repeat(20_000);
        assert_eq!(found(&many, &many[..2_000]).first().map(String::len), Some(2_000));
    }
}
