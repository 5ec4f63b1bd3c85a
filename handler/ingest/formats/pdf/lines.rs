//! From letters to lines. Letters arrive in the order in which they are drawn; a line is a row of them on one baseline,
//! words are parted by gaps, and gaps too wide for a word part cells. Everything is measured in the size of the letters.

use crate::ingest::formats::pdf::accents::compose;
use crate::tokens::is_ideograph;

/// A gap of this many sizes parts words: the narrowest space of justified text is about a fifth.
const WORD_GAP: f64 = 0.16;
/// Between ideographs, which are written without spaces, only a gap that is clearly meant counts.
const IDEOGRAPH_GAP: f64 = 0.8;
/// A gap of this many sizes parts cells: the widest space of justified text stays below.
const CELL_GAP: f64 = 2.0;
/// Letters that stand back by less than this still follow one another: accents and tight pairs do.
const BACKWARD: f64 = 0.6;
/// Letters raised or lowered by less than this belong to the line: superscripts do.
const RAISED: f64 = 0.5;
/// Two parts of a line that were drawn apart are put together when they are this close.
const TOUCHING: f64 = 0.6;
/// The same text again, within this part of its size, is the same print struck twice to look bold.
const STRUCK_TWICE: f64 = 0.3;

/// A letter, or the letters of one glyph, and where it stands: points from the top left corner of the page.
pub struct Letter<'t> {
    /// What it says.
    pub text: &'t str,
    /// From the left.
    pub x: f64,
    /// From the top, to the baseline.
    pub y: f64,
    /// The direction of writing in radians; 0 is from left to right.
    pub angle: f64,
    /// Size of the font.
    pub size: f64,
    /// How far the next letter is away by rights.
    pub advance: f64,
    /// Space that its run puts between all letters.
    pub tracking: f64,
}

/// A row of text on one baseline. Places are measured along and across the direction of writing.
pub struct Line {
    /// The text, in cells where wide gaps part it; at least one, none of them empty.
    pub cells: Vec<String>,
    /// The direction of writing, in steps of a twentieth radian.
    pub angle: i32,
    /// How far down the baseline is.
    pub baseline: f64,
    /// Where the line begins.
    pub start: f64,
    /// Where the line ends.
    pub end: f64,
    /// The size that most of its letters have.
    pub size: f64,
}

impl Line {
    /// The whole text of the line.
    pub fn text(&self) -> String {
        self.cells.join(" ")
    }
}

/// The lines of one page while it is drawn.
#[derive(Default)]
pub struct Lines {
    lines: Vec<OpenLine>,
}

struct OpenLine {
    angle: i32,
    baseline: f64,
    size: f64,
    /// How far the size at hand leads over all others among the letters so far.
    size_lead: u32,
    parts: Vec<Part>,
}

/// Letters that follow one another from left to right, or a single letter of a script that runs the other way.
struct Part {
    text: String,
    start: f64,
    /// Where its last letter stands.
    last: f64,
    end: f64,
    is_rtl: bool,
}

impl Lines {
    /// Adds the next letter that is drawn.
    pub fn add(&mut self, letter: Letter<'_>) {
        let angle = (letter.angle * 20.0).round() as i32;
        let (along, across) = turn(&letter, angle);
        let is_rtl = letter.text.chars().any(is_rtl);
        let line = self
            .lines
            .last_mut()
            .filter(|line| line.angle == angle && (across - line.baseline).abs() < RAISED * line.size.max(letter.size));
        let Some(line) = line else { return self.begin(&letter, angle, along, across, is_rtl) };
        let size = line.size.max(letter.size);
        let part = line.parts.last_mut().expect("a line is begun with a part");
        let gap = along - part.end;
        if part.repeats(letter.text, along, size) {
            return;
        }
        let follows = gap > -BACKWARD * size && gap < CELL_GAP * size;
        if follows && !is_rtl && !part.is_rtl {
            append(&mut part.text, letter.text, gap - letter.tracking, size);
            (part.last, part.end) = (along, along + letter.advance);
        } else if gap > -BACKWARD * size || is_rtl || part.is_rtl {
            line.parts.push(Part::of(&letter, along, is_rtl));
        } else {
            return self.begin(&letter, angle, along, across, is_rtl);
        }
        line.weigh(letter.size, across);
    }

    /// Begins a line, unless there is nothing to see yet.
    fn begin(&mut self, letter: &Letter<'_>, angle: i32, along: f64, across: f64, is_rtl: bool) {
        if letter.text.trim().is_empty() {
            return;
        }
        let parts = vec![Part::of(letter, along, is_rtl)];
        self.lines.push(OpenLine { angle, baseline: across, size: letter.size, size_lead: 1, parts });
    }

    /// The finished lines in the order in which they were begun.
    pub fn finish(mut self) -> Vec<Line> {
        self.join_touching();
        self.lines.into_iter().filter_map(OpenLine::finish).collect()
    }

    /// Puts together what stands side by side but was drawn at different times, such as bold words drawn after the rest.
    fn join_touching(&mut self) {
        let mut places: Vec<Place> = self.lines.iter().enumerate().map(|(line, open)| open.place(line)).collect();
        places.sort_by(|a, b| a.angle.cmp(&b.angle).then(a.baseline.total_cmp(&b.baseline)));
        let mut rest = places.as_mut_slice();
        while let Some(&first) = rest.first() {
            // Measured from the first: neighbours alone could lead down the whole page in small steps.
            let length = rest.iter().take_while(|place| first.shares_baseline(place)).count();
            let (row, below) = rest.split_at_mut(length.max(1));
            rest = below;
            row.sort_by(|a, b| a.start.total_cmp(&b.start));
            let mut left = row[0];
            for &right in &row[1..] {
                let gap = right.start - left.end;
                let size = left.size.max(right.size);
                if right.start - left.start < STRUCK_TWICE * size && self.says_the_same(left.line, right.line) {
                    self.lines[right.line].parts.clear();
                    continue;
                }
                if gap < -BACKWARD * size || gap > TOUCHING * size {
                    left = right;
                    continue;
                }
                // The text stands where the earlier of the two was drawn.
                let (keep, give) = (left.line.min(right.line), left.line.max(right.line));
                let parts = std::mem::take(&mut self.lines[give].parts);
                self.lines[keep].parts.extend(parts);
                left = Place { line: keep, end: right.end, ..left };
            }
        }
    }

    fn says_the_same(&self, left: usize, right: usize) -> bool {
        let texts = |line: usize| self.lines[line].parts.iter().map(|part| part.text.as_str());
        texts(left).eq(texts(right))
    }
}

/// Where a line stands on its page.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    angle: i32,
    baseline: f64,
    size: f64,
    start: f64,
    end: f64,
}

impl Place {
    fn shares_baseline(&self, other: &Self) -> bool {
        self.angle == other.angle && (self.baseline - other.baseline).abs() < 0.25 * self.size.max(other.size)
    }
}

impl OpenLine {
    /// Keeps the size that most letters have, by letting the letters vote; a larger letter also sets the baseline.
    fn weigh(&mut self, size: f64, across: f64) {
        if (size - self.size).abs() < 0.05 * self.size {
            self.size_lead += 1;
        } else if self.size_lead > 1 {
            self.size_lead -= 1;
        } else {
            if size > self.size {
                self.baseline = across;
            }
            self.size = size;
        }
    }

    fn place(&self, line: usize) -> Place {
        let start = self.parts.iter().map(|part| part.start).fold(f64::INFINITY, f64::min);
        let end = self.parts.iter().map(|part| part.end).fold(f64::NEG_INFINITY, f64::max);
        Place { line, angle: self.angle, baseline: self.baseline, size: self.size, start, end }
    }

    /// Puts the parts in order and joins them to cells. A line that was given away has no parts and ends here.
    fn finish(mut self) -> Option<Line> {
        let rtl_letters = self.parts.iter().filter(|part| part.is_rtl).count();
        let is_rtl = rtl_letters * 2 > self.parts.len();
        self.parts.sort_by(|a, b| a.start.total_cmp(&b.start));
        self.parts.dedup_by(|b, a| a.text == b.text && b.start - a.start < STRUCK_TWICE * self.size);
        if is_rtl {
            self.parts.reverse();
        }
        let Place { start, end, .. } = self.place(0);
        let mut cells: Vec<String> = Vec::new();
        let mut last: Option<(f64, f64)> = None;
        for part in &self.parts {
            let gap = last.map_or(0.0, |(start, end)| if is_rtl { start - part.end } else { part.start - end });
            match cells.last_mut().filter(|_| gap < CELL_GAP * self.size) {
                Some(cell) => append(cell, &part.text, gap, self.size),
                None => cells.push(part.text.clone()),
            }
            last = Some((part.start, part.end));
        }
        let cells: Vec<String> =
            cells.iter().map(|cell| shorten_leaders(cell)).filter(|cell| !cell.is_empty()).collect();
        let Self { angle, baseline, size, .. } = self;
        (!cells.is_empty()).then_some(Line { cells, angle, baseline, start, end, size })
    }
}

impl Part {
    fn of(letter: &Letter<'_>, along: f64, is_rtl: bool) -> Self {
        Self { text: letter.text.to_owned(), start: along, last: along, end: along + letter.advance, is_rtl }
    }

    /// Whether a letter is printed over the last one, a hair apart: a way to make it look bold.
    fn repeats(&self, text: &str, along: f64, size: f64) -> bool {
        let nearest = (self.end - self.last).min(size) * STRUCK_TWICE;
        (along - self.last).abs() < nearest && self.text.ends_with(text)
    }
}

/// Adds text after a gap, with a space if the gap is one.
fn append(line: &mut String, text: &str, gap: f64, size: f64) {
    let (last, first) = (line.chars().next_back(), text.chars().next());
    // A letter that is drawn under the sign before it: an accent and its letter.
    let accented = last.zip(first).filter(|_| gap < -WORD_GAP * size).and_then(|(sign, letter)| compose(sign, letter));
    if let Some(letter) = accented {
        line.pop();
        line.push(letter);
        return;
    }
    let are_ideographs = last.is_some_and(is_ideograph) && first.is_some_and(is_ideograph);
    let word_gap = if are_ideographs { IDEOGRAPH_GAP } else { WORD_GAP };
    let has_space = last.is_none_or(char::is_whitespace) || first.is_none_or(char::is_whitespace);
    if gap > word_gap * size && !has_space {
        line.push(' ');
    }
    if !(text == " " && last.is_none_or(char::is_whitespace)) {
        line.push_str(text);
    }
}

/// What stands for the dots that lead the eye to a page number.
pub const LEADER: &str = " … ";

/// A cell without space around it, and with one sign for each row of four dots or more.
fn shorten_leaders(cell: &str) -> String {
    if !cell.contains("..") && !cell.contains(". .") {
        return cell.trim().to_owned();
    }
    let mut out = String::new();
    let mut rest = cell.trim();
    while let Some(start) = rest.find('.') {
        let dots = rest[start..].find(|c| c != '.' && c != ' ').unwrap_or(rest.len() - start);
        let (row, after) = rest[start..].split_at(dots);
        let is_leader = row.matches('.').count() >= 4;
        out.push_str(if is_leader { rest[..start].trim_end() } else { &rest[..start] });
        out.push_str(if is_leader { LEADER } else { row });
        rest = after;
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// The place of a letter along and across its own direction of writing.
fn turn(letter: &Letter<'_>, angle: i32) -> (f64, f64) {
    if angle == 0 {
        return (letter.x, letter.y);
    }
    let (sin, cos) = letter.angle.sin_cos();
    (letter.x * cos + letter.y * sin, letter.y * cos - letter.x * sin)
}

/// Whether a letter belongs to a script that is written from right to left.
fn is_rtl(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}') && c.is_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws words of ten-point letters, each five points wide, at (x, y).
    fn draw(words: &[(f64, f64, &str)]) -> Vec<(Vec<String>, f64)> {
        let mut lines = Lines::default();
        for &(x, y, word) in words {
            for (position, c) in word.chars().enumerate() {
                let x = x + 5.0 * position as f64;
                lines.add(Letter { text: &c.to_string(), x, y, angle: 0.0, size: 10.0, advance: 5.0, tracking: 0.0 });
            }
        }
        lines.finish().into_iter().map(|line| (line.cells, line.baseline)).collect()
    }

    fn cells(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn parts_words_and_cells_by_gaps() {
        let drawn = draw(&[(0.0, 20.0, "the"), (18.0, 20.0, "year"), (80.0, 20.0, "25"), (0.0, 32.0, "next")]);
        assert_eq!(drawn, [(cells(&["the year", "25"]), 20.0), (cells(&["next"]), 32.0)]);
    }

    #[test]
    fn keeps_superscripts_and_joins_what_was_drawn_later() {
        let drawn = draw(&[(0.0, 20.0, "E=mc"), (20.0, 16.0, "2"), (0.0, 40.0, "rest"), (27.0, 20.0, "holds")]);
        assert_eq!(drawn, [(cells(&["E=mc2 holds"]), 20.0), (cells(&["rest"]), 40.0)]);
    }

    #[test]
    fn shortens_rows_of_dots_and_composes_accents() {
        assert_eq!(shorten_leaders("1.2 Leave ........ 7"), "1.2 Leave … 7");
        assert_eq!(shorten_leaders("Pay . . . . . 9"), "Pay … 9");
        assert_eq!(shorten_leaders("and so on... yes."), "and so on... yes.");
        assert_eq!(draw(&[(0.0, 20.0, "M¨"), (5.0, 20.0, "unchen")]), [(cells(&["München"]), 20.0)]);
    }

    #[test]
    fn prints_bold_by_double_strike_once() {
        assert_eq!(draw(&[(0.0, 20.0, "Total"), (0.2, 20.0, "Total")]), [(cells(&["Total"]), 20.0)]);
        assert_eq!(draw(&[(0.0, 20.0, "a"), (0.2, 20.0, "a"), (5.0, 20.0, "a")]), [(cells(&["aa"]), 20.0)]);
    }

    #[test]
    fn reads_right_to_left_scripts_in_their_order() {
        // Drawn as they are seen, from the left: the word reads backwards on paper.
        assert_eq!(draw(&[(0.0, 20.0, "םולש"), (22.0, 20.0, "42")]), [(cells(&["42 שלום"]), 20.0)]);
    }
}
