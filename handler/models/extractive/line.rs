//! What one line of a passage is: heading, list item, table row, data, or running text. What enters is a line with its
//! surroundings, what leaves is its kind. It looks at form alone; the words mean nothing to it.

use crate::models::sentence::ends_sentence;

/// A line up to this wide without an end mark, standing before others, is taken for a heading.
const HEADING_WIDTH: usize = 60;

/// What a line looks like.
pub(super) enum Line<'a> {
    /// Nothing, or only marks.
    Blank,
    /// A heading, without its mark.
    Heading(&'a str),
    /// A list item, without its bullet.
    Item(&'a str),
    /// The cells of a table row.
    Row(Vec<String>),
    /// The line under the names of columns.
    Rule,
    /// A line of data, such as `key: value`.
    Data(&'a str),
    /// Running text, or a part of it.
    Prose(&'a str),
}

/// What a line is, by itself, the line after it, and the running text it would go on with.
pub(super) fn line_kind<'a>(line: &'a str, next: &str, prose: &str) -> Line<'a> {
    if !line.chars().any(char::is_alphanumeric) {
        return if line.contains('|') && line.contains('-') { Line::Rule } else { Line::Blank };
    }
    let without_marks = line.trim_start_matches('#');
    if without_marks.len() < line.len() && without_marks.starts_with(' ') {
        return Line::Heading(without_marks.trim());
    }
    if let Some(item) = list_item(line) {
        return Line::Item(item);
    }
    if let Some(cells) = cells(line) {
        return Line::Row(cells);
    }
    let stands_free = prose.is_empty() || ends_sentence(prose);
    if is_json_line(line) {
        return Line::Data(line.trim_end_matches([',', '{', '[']).trim());
    }
    if stands_free && is_key_and_value(line) {
        return Line::Data(line);
    }
    if prose.is_empty() && is_heading(line, next) { Line::Heading(line) } else { Line::Prose(line) }
}

/// The text of a list item without its bullet or number.
fn list_item(line: &str) -> Option<&str> {
    let bullet = line.strip_prefix(['-', '*', '•', '–', '·', '▪', '◦', '●', '‣', '+']);
    if let Some(rest) = bullet.filter(|rest| rest.starts_with(char::is_whitespace)) {
        return Some(rest.trim());
    }
    let (label, rest) = line.split_once(['.', ')'])?;
    let is_label = !label.is_empty()
        && (label.len() <= 3 && label.chars().all(|c| c.is_ascii_digit())
            || label.len() == 1 && label.chars().all(|c| c.is_ascii_lowercase()));
    (is_label && rest.starts_with(' ')).then(|| rest.trim())
}

/// The cells of a table row: between bars, tabs, or the commas of a CSV line, which have no space behind them.
fn cells(line: &str) -> Option<Vec<String>> {
    let split =
        |by: char| line.trim_matches('|').split(by).map(|cell| cell.trim().trim_matches('"').to_owned()).collect();
    if line.matches('|').count() >= 2 {
        return Some(split('|'));
    }
    if line.contains('\t') {
        return Some(split('\t'));
    }
    let is_csv = |by: char| line.matches(by).count() >= 2 && line.split(by).skip(1).all(|cell| !cell.starts_with(' '));
    if is_json_line(line) || ends_sentence(line) {
        return None;
    }
    [',', ';'].into_iter().find(|by| is_csv(*by)).map(split)
}

fn is_json_line(line: &str) -> bool {
    line.starts_with('{') || line.starts_with('"') && line.contains("\":")
}

/// `Key: value` on a line of its own, the key short.
fn is_key_and_value(line: &str) -> bool {
    let Some((key, value)) = line.split_once(": ").or_else(|| line.split_once('：')) else {
        return false;
    };
    let is_short = key.chars().count() <= 40 && key.split_whitespace().count() <= 5;
    (is_short || is_path(key)) && !value.trim().is_empty()
}

/// Whether a key says where in a tree of data its value is: `contracts[2].response.reply_within_hours`.
pub(super) fn is_path(key: &str) -> bool {
    key.contains(['.', '[']) && !key.contains(char::is_whitespace) && key.starts_with(char::is_alphanumeric)
}

fn is_heading(line: &str, next: &str) -> bool {
    let is_short = width(line) <= if line.contains(is_cjk) { HEADING_WIDTH / 2 } else { HEADING_WIDTH }
        && line.split_whitespace().count() <= 8;
    let ends_open = !ends_sentence(line) && !line.ends_with([':', ',', ';', '：', '、', '，']);
    let stands_above = !next.starts_with(char::is_lowercase);
    let has_digits = line.chars().any(char::is_numeric);
    is_short && ends_open && stands_above && !has_digits && !next.is_empty() && !line.starts_with(char::is_lowercase)
}

/// Whether a character is Chinese or Japanese, marks included.
pub(super) fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}')
}

/// How wide a line is set: Chinese and Japanese characters take two columns.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| if is_cjk(c) { 2 } else { 1 }).sum()
}
