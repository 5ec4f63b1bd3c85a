//! Lines that belong together. A paragraph is asked of each next line whether it goes on with it; at the end it gives its
//! text, with words made whole that a line end had cut, and with the line breaks that were meant.

use crate::ingest::formats::pdf::lines::{LEADER, Line};
use crate::tokens::is_ideograph;

/// Lines further apart than the page's usual distance by this factor are different paragraphs.
const STEP_FACTOR: f64 = 1.2;
/// The same where the size changes a little, too: it may be a subheading, or only a line with much code in it.
const CHANGED_SIZE_STEP_FACTOR: f64 = 1.1;
/// A heading is larger than the running text by this factor at least.
const HEADING_FACTOR: f64 = 1.15;
/// Longer texts in large letters are no headings.
const LONGEST_HEADING_CHARS: usize = 200;
/// A heading in letters no larger than the text stands further from what is above it by this factor, and is short.
const SPACED_FACTOR: f64 = 1.15;
const LONGEST_SPACED_CHARS: usize = 80;

/// Lines that belong together, on one page; at least one.
pub struct Paragraph {
    rows: Vec<Row>,
    angle: i32,
    size: f64,
    /// The edges of the column at hand.
    left: f64,
    right: f64,
    first_baseline: f64,
    last_baseline: f64,
}

/// One line of a paragraph.
struct Row {
    text: String,
    start: f64,
    end: f64,
    /// How many times the paragraph has run on in the next column so far.
    column: usize,
}

impl Paragraph {
    /// A paragraph that begins with a line.
    pub fn of(line: &Line) -> Self {
        let row = Row { text: line.text(), start: line.start, end: line.end, column: 0 };
        let Line { angle, size, baseline, start, end, .. } = *line;
        Self {
            rows: vec![row],
            angle,
            size,
            left: start,
            right: end,
            first_baseline: baseline,
            last_baseline: baseline,
        }
    }

    /// The size of its letters.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// How far down the first line is.
    pub fn first_baseline(&self) -> f64 {
        self.first_baseline
    }

    /// How far down the last line is.
    pub fn last_baseline(&self) -> f64 {
        self.last_baseline
    }

    /// Whether a line goes on with this paragraph; `pitch` is the usual distance of lines, in sizes.
    pub fn continues_with(&self, line: &Line, pitch: f64) -> bool {
        let last = self.last();
        if self.angle != line.angle || (self.size - line.size).abs() > 0.1 * self.size || last.text.contains(LEADER) {
            return false;
        }
        if self.runs_on_in_the_next_column(line) {
            return true;
        }
        let step = line.baseline - self.last_baseline;
        let is_same_size = half_points(self.size) == half_points(line.size);
        let factor = if is_same_size { STEP_FACTOR } else { CHANGED_SIZE_STEP_FACTOR };
        let is_under = step > 0.3 * self.size && step <= factor * pitch * self.size;
        let overlaps = line.start < self.right && line.end > self.left;
        if !(is_under && overlaps) || starts_item(&line.cells[0]) {
            return false;
        }
        // A sentence that ended is followed by a new paragraph if the line was left short or the next one is indented.
        let was_ended = self.rows.len() > 1 && last.text.ends_with(['.', '!', '?', ':']);
        let is_indented = line.start > last.start + self.size && line.start > self.left + self.size;
        let was_short = self.right - last.end > 0.3 * (self.right - self.left);
        !(was_ended && (is_indented || was_short))
    }

    /// Whether a line at the top of the next column ends the sentence that this one broke off.
    fn runs_on_in_the_next_column(&self, line: &Line) -> bool {
        let is_next_column = line.baseline < self.last_baseline && line.start >= self.right;
        let is_open = !self.last().text.ends_with(['.', '!', '?', ':', ';']);
        is_next_column && is_open && line.cells[0].starts_with(char::is_lowercase)
    }

    /// Adds a line that continues the paragraph.
    pub fn add(&mut self, line: &Line) {
        let mut column = self.last().column;
        if line.start >= self.right {
            column += 1;
            (self.left, self.right) = (line.start, line.end);
        }
        self.left = self.left.min(line.start);
        self.right = self.right.max(line.end);
        self.last_baseline = line.baseline;
        self.rows.push(Row { text: line.text(), start: line.start, end: line.end, column });
    }

    /// The text. A line that had room for the first word of the next one was ended on purpose, and stays a line.
    pub fn text(&self) -> String {
        let mut edges: Vec<f64> = Vec::new();
        for row in &self.rows {
            match edges.get_mut(row.column) {
                Some(edge) => *edge = edge.max(row.end),
                None => edges.push(row.end),
            }
        }
        let mut text = String::new();
        let mut room = 0.0;
        for row in &self.rows {
            let is_meant = room > row.first_word_width() + 0.3 * self.size;
            join(&mut text, &row.text, if is_meant { "\n" } else { " " });
            room = edges[row.column] - row.end;
        }
        text
    }

    /// Whether this is a heading because its letters are larger than those of the text, which are of size `body`.
    pub fn is_large_heading(&self, body: f64) -> bool {
        let chars: usize = self.rows.iter().map(|row| row.text.chars().count()).sum();
        let is_short = self.rows.len() <= 3 && chars <= LONGEST_HEADING_CHARS;
        self.size >= body * HEADING_FACTOR && is_short && self.reads_like_heading()
    }

    /// Whether this is a heading in letters of the text's own size: one short line that stands closer to the paragraph
    /// `after` it than to what is `above` it at that distance.
    pub fn is_spaced_heading(&self, body: f64, above: f64, after: &Self) -> bool {
        let text = &self.rows[0].text;
        let is_short = self.rows.len() == 1 && text.chars().count() <= LONGEST_SPACED_CHARS;
        let starts_well = text.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
        let below = after.first_baseline - self.last_baseline;
        let is_near = below > 0.0 && below < 3.0 * self.size && above > below * SPACED_FACTOR;
        let opens_text = after.rows.len() > 1 && after.right > self.right && (after.left - self.left).abs() < self.size;
        self.size >= body * 0.95 && is_short && starts_well && is_near && opens_text && self.reads_like_heading()
    }

    fn reads_like_heading(&self) -> bool {
        self.rows.iter().any(|row| row.text.contains(char::is_alphabetic))
            && !self.last().text.contains(LEADER)
            && !self.last().text.ends_with(['.', ',', ';', ':'])
    }

    fn last(&self) -> &Row {
        self.rows.last().expect("a paragraph is begun with a line")
    }
}

impl Row {
    /// About how wide the first word is.
    fn first_word_width(&self) -> f64 {
        let chars = self.text.chars().count().max(1);
        let word = self.text.split(' ').next().unwrap_or_default().chars().count();
        (self.end - self.start) * word as f64 / chars as f64
    }
}

/// A size in half points: what two sizes are compared by.
pub fn half_points(size: f64) -> i64 {
    (size * 2.0).round() as i64
}

/// Whether a line begins with the mark of a list: a bullet, or a short number or letter with a dot or bracket.
fn starts_item(text: &str) -> bool {
    let Some((mark, _)) = text.split_once(' ') else { return false };
    let is_bullet = matches!(mark, "•" | "◦" | "▪" | "■" | "●" | "–" | "-" | "*" | "‣" | "·" | "o");
    let label = mark.trim_start_matches('(').trim_end_matches(['.', ')']);
    let is_label = label.len() < mark.len()
        && (label.len() == 1 && label.chars().all(char::is_alphanumeric)
            || (1..=2).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_digit()));
    is_bullet || is_label
}

/// Joins a line to the text before it, with `gap` between the two. A word that was cut at the end of the line becomes
/// whole again.
fn join(text: &mut String, line: &str, gap: &str) {
    let word = text.rsplit([' ', '\n']).next().unwrap_or_default();
    let Some(stem) = word.strip_suffix(['-', '\u{2010}']).filter(|stem| goes_on(stem, line)) else {
        let ends_are = |test: fn(char) -> bool| text.chars().next_back().is_some_and(test) && line.starts_with(test);
        if !text.is_empty() && (gap == "\n" || !ends_are(is_ideograph)) {
            text.push_str(gap);
        }
        text.push_str(line);
        return;
    };
    // `state-of-the-` keeps its last hyphen, as it has others.
    if !stem.contains('-') {
        let length = text.len() - word.len() + stem.len();
        text.truncate(length);
    }
    text.push_str(line);
}

/// Whether a line goes on with a word that a hyphen cut: both parts are in small letters where they meet, or both are in
/// capitals.
fn goes_on(stem: &str, line: &str) -> bool {
    let meet = |test: fn(char) -> bool| stem.ends_with(test) && line.starts_with(test);
    let has_capitals = |part: &str| part.chars().filter(|c| c.is_uppercase()).count() >= 2;
    let next = line.split(' ').next().unwrap_or_default();
    meet(char::is_lowercase) || (meet(char::is_uppercase) && has_capitals(stem) && has_capitals(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_cut_words_whole() {
        let cases = [
            ("the regu-", "lation", "the regulation"),
            ("a state-of-the-", "art plan", "a state-of-the-art plan"),
            ("AS PER-", "MITTED BY", "AS PERMITTED BY"),
            ("pages 3-", "5", "pages 3- 5"),
            ("Rolls-", "Royce", "Rolls- Royce"),
            ("Berlin -", "a city", "Berlin - a city"),
            ("有給", "休暇", "有給休暇"),
            ("one", "two", "one two"),
        ];
        for (text, line, joined) in cases {
            let mut text = text.to_owned();
            join(&mut text, line, " ");
            assert_eq!(text, joined);
        }
    }

    #[test]
    fn keeps_line_breaks_that_were_meant() {
        let line = |number: usize, text: &str| Line {
            cells: vec![text.to_owned()],
            angle: 0,
            baseline: 12.0 * number as f64,
            start: 0.0,
            end: 5.0 * text.len() as f64,
            size: 10.0,
        };
        let lines = ["Bring with you", "a torque wrench from 5 to 60 Nm with", "its case", "Gloves"];
        let mut paragraph = Paragraph::of(&line(0, lines[0]));
        for (number, text) in (1..).zip(&lines[1..]) {
            assert!(paragraph.continues_with(&line(number, text), 1.2));
            paragraph.add(&line(number, text));
        }
        assert_eq!(paragraph.text(), "Bring with you\na torque wrench from 5 to 60 Nm with its case\nGloves");
    }

    #[test]
    fn knows_the_marks_of_lists() {
        assert!(["• one", "1. one", "12) one", "a) one", "(b) one", "- one"].iter().all(|line| starts_item(line)));
        assert!(["one", "2024 was", "a year", "No. 5", "I am"].iter().all(|line| !starts_item(line)));
    }
}
