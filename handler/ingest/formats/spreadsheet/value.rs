//! Values of cells as people see them: dates and times by ISO 8601, numbers in the format of their cell where that is a
//! plain one, else with the digits they have.

use calamine::{Data, DataRef, ExcelDateTime};

/// A cell's value, as text; empty for an empty cell.
pub fn shown(value: &Data) -> String {
    match value {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => plain(*number),
        Data::Bool(truth) => truth_word(*truth),
        Data::DateTime(moment) => iso(moment),
        Data::Error(error) => error.to_string(),
    }
}

/// A cell's value, as text, in the number format of its cell.
pub fn shown_as(value: &DataRef<'_>, format: Option<&str>) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::Int(number) => formatted(*number as f64, format).unwrap_or_else(|| number.to_string()),
        DataRef::Float(number) => formatted(*number, format).unwrap_or_else(|| plain(*number)),
        DataRef::Bool(truth) => truth_word(*truth),
        DataRef::DateTime(moment) => iso(moment),
        DataRef::Error(error) => error.to_string(),
    }
}

fn truth_word(truth: bool) -> String {
    if truth { "TRUE" } else { "FALSE" }.to_owned()
}

/// A number with at most fifteen digits, which is what spreadsheets calculate with: 0.1 + 0.2 is 0.3.
fn plain(number: f64) -> String {
    if !number.is_finite() || (number != 0.0 && !(1e-9..1e15).contains(&number.abs())) {
        return number.to_string();
    }
    let digits_before = number.abs().max(1.0).log10().floor() as usize + 1;
    let text = format!("{number:.*}", 15_usize.saturating_sub(digits_before));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number in a format of digits, separators, a percent sign and words around them; `None` where the format says more.
fn formatted(number: f64, format: Option<&str>) -> Option<String> {
    const MOST_DECIMALS: usize = 10;
    let format = format?;
    if format.eq_ignore_ascii_case("general") || !number.is_finite() || number.abs() >= 1e15 {
        return None;
    }
    let pattern = Pattern::parse(format.split(';').next()?)?;
    let decimals = pattern.decimals.min(MOST_DECIMALS);
    let scaled = if pattern.is_percent { number * 100.0 } else { number };
    let text = format!("{:.decimals$}", scaled.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let whole = if pattern.is_grouped { grouped(whole) } else { whole.to_owned() };
    let is_zero = text.bytes().all(|digit| matches!(digit, b'0' | b'.'));
    let sign = if scaled < 0.0 && !is_zero { "-" } else { "" };
    Some(format!("{sign}{}{whole}{rest}{}", pattern.before, pattern.after))
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A format of numbers, taken apart.
#[derive(Default)]
struct Pattern {
    before: String,
    after: String,
    decimals: usize,
    is_grouped: bool,
    is_percent: bool,
}

impl Pattern {
    fn parse(section: &str) -> Option<Self> {
        let (mut pattern, mut has_digits, mut in_decimals) = (Self::default(), false, false);
        let mut rest = section.chars();
        while let Some(c) = rest.next() {
            match c {
                '0' | '#' => {
                    // Digits after words after digits are a telephone number, or something else that is not this.
                    if !pattern.after.is_empty() {
                        return None;
                    }
                    has_digits = true;
                    pattern.decimals += usize::from(in_decimals && c == '0');
                }
                '.' if has_digits && !in_decimals => in_decimals = true,
                ',' if has_digits && !in_decimals => pattern.is_grouped = true,
                '"' => {
                    let words: String = rest.by_ref().take_while(|c| *c != '"').collect();
                    pattern.word(&words, has_digits);
                }
                '[' => {
                    // `[$€-407]` is a currency and its language; other brackets are colours and conditions.
                    let inside: String = rest.by_ref().take_while(|c| *c != ']').collect();
                    let currency = inside.strip_prefix('$').and_then(|inside| inside.split('-').next());
                    pattern.word(currency.unwrap_or_default(), has_digits);
                }
                '_' | '*' => drop(rest.next()),
                '\\' => pattern.word(rest.next()?.encode_utf8(&mut [0; 4]), has_digits),
                '%' => {
                    pattern.is_percent = true;
                    pattern.word("%", has_digits);
                }
                ' ' | '-' | '+' | '(' | ')' | '$' | '€' | '£' | '¥' => {
                    pattern.word(c.encode_utf8(&mut [0; 4]), has_digits);
                }
                _ => return None,
            }
        }
        (has_digits && !section.ends_with(',')).then(|| {
            pattern.after.truncate(pattern.after.trim_end().len());
            pattern
        })
    }

    fn word(&mut self, word: &str, is_after: bool) {
        if is_after { self.after.push_str(word) } else { self.before.push_str(word) }
    }
}

/// A date, a time, both, or a length of time.
fn iso(moment: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    let value = moment.as_f64();
    if moment.is_duration() && value.abs() < 1e9 {
        const SECONDS_OF_DAY: f64 = 86_400.0;
        let seconds = (value.abs() * SECONDS_OF_DAY).round() as u64;
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let time =
        if second == 0 { format!("{hour:02}:{minute:02}") } else { format!("{hour:02}:{minute:02}:{second:02}") };
    let date = format!("{year:04}-{month:02}-{day:02}");
    if (0.0..1.0).contains(&value) {
        time
    } else if value.fract() == 0.0 {
        date
    } else {
        format!("{date} {time}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_numbers_as_their_cells_do() {
        let cases = [
            (0.1 + 0.2, None, "0.3"),
            (42.0, Some("General"), "42"),
            (-1234.5, Some("#,##0.00"), "-1,234.50"),
            (0.125, Some("0.0%"), "12.5%"),
            (3.5, Some("\"EUR\" 0.00"), "EUR 3.50"),
            (3.5, Some("#,##0.00 [$€-407];[Red]-#,##0.00 [$€-407]"), "3.50 €"),
            (1500.0, Some("0,"), "1500"),
            (2.5, Some("# ?/?"), "2.5"),
            (1e300, Some("0.00"), &1e300.to_string()),
            (f64::NAN, Some("0.00"), "NaN"),
        ];
        for (number, format, expected) in cases {
            assert_eq!(shown_as(&DataRef::Float(number), format), expected, "{format:?}");
        }
    }
}
