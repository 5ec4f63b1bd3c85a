//! The numbers in a text, made comparable: `1,000`, `1.000` and `1 000` are one number, and so are `３` and `3`. What
//! enters is text, what leaves are plain strings. Used to see whether a sentence answers "how many", and whether a passage
//! really holds the figures an answer gives.

use std::collections::HashSet;

/// One number of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its digits with thousands joined, a dot for the decimals, and no needless zeros: `1234.5`.
    pub value: String,
    /// For a number with spaces between its thousands: the groups alone, because the spaces may have meant nothing.
    groups: Vec<String>,
}

/// All numbers of a text, for asking whether it holds those of another.
#[derive(Clone, Debug, Default)]
pub struct NumberSet(HashSet<String>);

impl NumberSet {
    /// The numbers of a text.
    pub fn of(text: &str) -> Self {
        let mut set = Self::default();
        set.add(text);
        set
    }

    /// Adds the numbers of another text.
    pub fn add(&mut self, text: &str) {
        for number in numbers(text) {
            self.0.extend(number.groups);
            self.0.insert(number.value);
        }
    }

    /// Whether this number is among them.
    pub fn holds(&self, number: &Number) -> bool {
        let in_groups = !number.groups.is_empty() && number.groups.iter().all(|group| self.0.contains(group));
        self.0.contains(&number.value) || in_groups
    }
}

/// The numbers of a text, in order.
pub fn numbers(text: &str) -> Vec<Number> {
    let chars: Vec<char> = text.chars().map(|c| digit(c).unwrap_or(c)).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if chars[at].is_ascii_digit() {
            let (groups, separators, next) = run_at(&chars, at);
            read_run(&groups, &separators, &mut found);
            at = next;
        } else {
            at += 1;
        }
    }
    found
}

/// The digits from `at` on, with single separators between groups of them, and where they end.
fn run_at(chars: &[char], mut at: usize) -> (Vec<String>, Vec<char>, usize) {
    let mut groups = vec![String::new()];
    let mut separators = Vec::new();
    loop {
        while at < chars.len() && chars[at].is_ascii_digit() {
            groups.last_mut().expect("there is always one group").push(chars[at]);
            at += 1;
        }
        let goes_on = at + 1 < chars.len() && is_separator(chars[at]) && chars[at + 1].is_ascii_digit();
        if !goes_on {
            return (groups, separators, at);
        }
        separators.push(chars[at]);
        groups.push(String::new());
        at += 1;
    }
}

fn read_run(groups: &[String], separators: &[char], found: &mut Vec<Number>) {
    if separators.is_empty() {
        found.push(whole(&groups[0]));
        return;
    }
    // `1,234.5` and `1.234,5`: the last separator differs from all before it, so it is the decimal sign.
    let (last, before) = separators.split_last().expect("not empty, as just checked");
    let has_decimals = !before.is_empty() && before.iter().all(|s| s != last) && matches!(last, '.' | ',');
    if has_decimals && are_thousands(&groups[..groups.len() - 1], before) {
        found.push(decimal(&groups[..groups.len() - 1].concat(), &groups[groups.len() - 1]));
    } else if are_thousands(groups, separators) {
        let is_spaced = separators.iter().all(|s| s.is_whitespace());
        let groups_alone = if is_spaced { groups.iter().map(|g| without_zeros(g)).collect() } else { Vec::new() };
        found.push(Number { value: without_zeros(&groups.concat()), groups: groups_alone });
    } else if groups.len() == 2 && matches!(separators[0], '.' | ',') {
        found.push(decimal(&groups[0], &groups[1]));
    } else {
        // A date, a version, a list: each part counts for itself.
        found.extend(groups.iter().map(|group| whole(group)));
    }
}

/// Whether digits are grouped the way thousands are: one to three, then always three, one separator throughout.
fn are_thousands(groups: &[String], separators: &[char]) -> bool {
    let (first, rest) = groups.split_first().expect("a run has at least one group");
    (1..=3).contains(&first.len())
        && rest.iter().all(|group| group.len() == 3)
        && separators.windows(2).all(|pair| pair[0] == pair[1])
}

fn whole(digits: &str) -> Number {
    Number { value: without_zeros(digits), groups: Vec::new() }
}

fn decimal(units: &str, fraction: &str) -> Number {
    let fraction = fraction.trim_end_matches('0');
    let units = without_zeros(units);
    let value = if fraction.is_empty() { units } else { format!("{units}.{fraction}") };
    Number { value, groups: Vec::new() }
}

fn without_zeros(digits: &str) -> String {
    let bare = digits.trim_start_matches('0');
    if bare.is_empty() { "0".to_owned() } else { bare.to_owned() }
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | ',' | '\'' | '’' | ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

/// The ASCII digit of a full-width, Arabic, Persian or Devanagari one.
fn digit(c: char) -> Option<char> {
    let zero = match c {
        '\u{ff10}'..='\u{ff19}' => 0xff10,
        '\u{660}'..='\u{669}' => 0x660,
        '\u{6f0}'..='\u{6f9}' => 0x6f0,
        '\u{966}'..='\u{96f}' => 0x966,
        _ => return None,
    };
    char::from_digit(u32::from(c) - zero, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let values: Vec<String> = numbers(text).into_iter().map(|number| number.value).collect();
        assert_eq!(values, expected, "{text:?}");
    }

    #[test]
    fn reads_numbers_of_many_forms() {
        check("25 days, 3 of them in 2024", &["25", "3", "2024"]);
        check("1,000 and 1.000 and 1\u{a0}000 and 1’000", &["1000", "1000", "1000", "1000"]);
        check("1,234,567.50 or 1.234.567,50", &["1234567.5", "1234567.5"]);
        check("3.5 and 3,50", &["3.5", "3.5"]);
        check("2024-04-01 and 01.04.2024", &["2024", "4", "1", "1", "4", "2024"]);
        check("１５日 and ٢٥", &["15", "25"]);
        check("page 5.", &["5"]);
        check("none", &[]);
    }

    #[test]
    fn a_space_may_or_may_not_join_thousands() {
        let passage = NumberSet::of("Room 12 300 seats");
        assert!(passage.holds(&numbers("300 seats")[0]));
        assert!(passage.holds(&numbers("12,300")[0]));
        assert!(!passage.holds(&numbers("1230")[0]));
    }

    #[test]
    fn a_decimal_is_not_found_in_its_parts() {
        assert!(!NumberSet::of("3 or 5").holds(&numbers("3.5")[0]));
    }
}
