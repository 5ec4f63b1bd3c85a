//! Running headers and footers. Pages of lines come in; what stands at the top or the bottom of most pages, and differs
//! in numbers at most, goes: it would part sentences and be found for every question.

use std::collections::{HashMap, HashSet};

use crate::ingest::formats::pdf::lines::Line;

/// Below this many pages nothing can be said to repeat.
const FEWEST_PAGES: usize = 3;
/// How many lines from the top and from the bottom may belong to a header or footer.
const DEPTH: usize = 3;
/// The share of pages, in percent, that have to carry a line: left and right pages often differ.
const SHARE_PERCENT: usize = 40;

/// Drops running headers, footers and page numbers from documents of three pages and more. No page loses its last line.
pub fn drop_running_lines(pages: &mut [Vec<Line>]) {
    let page_count = pages.iter().filter(|lines| !lines.is_empty()).count();
    if page_count < FEWEST_PAGES {
        return;
    }
    let mut seen: HashMap<Key, usize> = HashMap::new();
    for (number, lines) in (1..).zip(pages.iter()) {
        let keys: HashSet<Key> =
            edges(lines).iter().flat_map(|edge| edge.keys(&lines[edge.position], number)).collect();
        for key in keys {
            *seen.entry(key).or_default() += 1;
        }
    }
    let is_running = |key: &Key| {
        let count = seen.get(key).copied().unwrap_or(0);
        let is_text = matches!(key, Key::Text(_));
        count >= FEWEST_PAGES && (!is_text || count * 100 >= page_count * SHARE_PERCENT)
    };
    for (number, lines) in (1..).zip(pages.iter_mut()) {
        let mut running = edges(lines);
        running.retain(|edge| edge.keys(&lines[edge.position], number).iter().any(is_running));
        let running: HashSet<usize> = running.into_iter().map(|edge| edge.position).collect();
        if running.len() < lines.len() {
            let mut position = 0..;
            lines.retain(|_| !position.next().is_some_and(|position| running.contains(&position)));
        }
    }
}

/// What a line near the edge of a page is known by on other pages.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    /// Its text without numbers.
    Text(String),
    /// Its text without numbers, and its place: the heads of chapters are on few pages, but always in the same place.
    InPlace(i64, String),
    /// How far a bare number is ahead of the number of the page: page numbers count up together.
    Ahead(i64),
}

/// A line near the top or the bottom of its page.
struct Edge {
    position: usize,
    /// Whether no line is nearer.
    is_outermost: bool,
}

impl Edge {
    fn keys(&self, line: &Line, page: i64) -> Vec<Key> {
        let text = line.text();
        let bare_number = number(text.trim_matches(['-', '–', ' ']));
        let key = without_numbers(&text);
        match bare_number {
            Some(number) if self.is_outermost => vec![Key::Text(key), Key::Ahead(number - page)],
            None if self.is_outermost => {
                vec![Key::InPlace((line.baseline / 2.0).round() as i64, key.clone()), Key::Text(key)]
            }
            _ => vec![Key::Text(key)],
        }
    }
}

/// The lines nearest to the top and to the bottom of a page.
fn edges(lines: &[Line]) -> Vec<Edge> {
    let mut upright: Vec<usize> = (0..lines.len()).filter(|&position| lines[position].angle == 0).collect();
    upright.sort_by(|&a, &b| lines[a].baseline.total_cmp(&lines[b].baseline));
    let (top, bottom) = (upright.first().copied(), upright.last().copied());
    if upright.len() > 2 * DEPTH {
        upright.drain(DEPTH..upright.len() - DEPTH);
    }
    let edge = |position| Edge { position, is_outermost: Some(position) == top || Some(position) == bottom };
    upright.into_iter().map(edge).collect()
}

/// The value of a text that is nothing but a number, in digits or in small Roman numerals.
fn number(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<u32>() {
        return Some(i64::from(number));
    }
    let digit = |letter: char| match letter {
        'i' => Some(1),
        'v' => Some(5),
        'x' => Some(10),
        'l' => Some(50),
        _ => None,
    };
    let digits: Vec<i64> = text.chars().take(10).map(digit).collect::<Option<_>>()?;
    let value = digits.iter().enumerate().map(|(position, digit)| match digits.get(position + 1) {
        Some(next) if next > digit => -digit,
        _ => *digit,
    });
    (!digits.is_empty()).then(|| value.sum())
}

fn without_numbers(text: &str) -> String {
    let mut key = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if !(c == '#' && key.ends_with('#')) {
            key.push(c);
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(texts: &[&str]) -> Vec<Line> {
        let line = |(number, text): (usize, &&str)| {
            let cells = vec![(*text).to_owned()];
            Line { cells, angle: 0, baseline: 12.0 * number as f64, start: 0.0, end: 90.0, size: 10.0 }
        };
        texts.iter().enumerate().map(line).collect()
    }

    #[test]
    fn drops_what_repeats_and_keeps_the_rest() {
        let mut pages: Vec<Vec<Line>> = (1..=4)
            .map(|n| {
                page(&["Handbook", "a", "b", &format!("text {}", "x".repeat(n)), "d", "e", &format!("Page {n} of 4")])
            })
            .collect();
        pages.push(page(&["Page 5 of 5"]));
        drop_running_lines(&mut pages);
        let first: Vec<String> = pages[0].iter().map(Line::text).collect();
        assert!(!first.contains(&"Handbook".to_owned()) && !first.contains(&"Page 1 of 4".to_owned()), "{first:?}");
        assert!(first.contains(&"text x".to_owned()));
        assert_eq!(pages[4].len(), 1);
    }

    #[test]
    fn drops_heads_of_chapters_and_bare_page_numbers() {
        let mut pages: Vec<Vec<Line>> = (1..=12)
            .map(|n| {
                page(&[
                    &format!("Chapter {}", ["one", "two", "three", "four"][(n - 1) / 3]),
                    "a",
                    "b",
                    "c",
                    "d",
                    "e",
                    "f",
                    &format!("text {n}"),
                    "xii",
                ])
            })
            .collect();
        drop_running_lines(&mut pages);
        let texts: Vec<String> = pages[0].iter().map(Line::text).collect();
        assert_eq!(number("xiv"), Some(14));
        assert!(!texts.iter().any(|text| text.starts_with("Chapter") || text == "i"), "{texts:?}");
    }
}
