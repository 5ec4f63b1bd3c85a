//! The names in a sentence. What enters is a sentence of an answer, what leaves are the names that a passage ought to have if
//! it supports the sentence. Where a capital letter means little, as in German, few words count: a citation that holds must
//! not be dropped for a noun.

use crate::chat::language::Language;

/// Capitalised words within a sentence that name nobody.
const NO_NAMES: &[&str] =
    &["I", "Mr", "Mrs", "Ms", "Dr", "Prof", "Herr", "Herrn", "Frau", "Monsieur", "Madame", "Señor", "Señora"];
/// A word of capitals alone is an abbreviation up to this many letters, and may stand for words of a passage.
const ABBREVIATION_LETTERS: usize = 5;

/// Neighbouring capitalised words within a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// The words.
    pub words: Vec<&'a str>,
    /// Capitals tell little in this sentence.
    pub is_doubtful: bool,
}

impl Name<'_> {
    /// Whether the name is known where these of its words are known. A name of several words may be put together of known
    /// and unknown ones, as titles are; in doubt one known word is enough.
    pub(super) fn is_known(&self, is_known: impl Fn(&str) -> bool) -> bool {
        let known = self.words.iter().filter(|word| is_known(word)).count();
        if self.is_doubtful { known > 0 } else { known * 2 > self.words.len() }
    }
}

/// The names of a sentence, in order.
pub(super) fn names(sentence: &str) -> Vec<Name<'_>> {
    let is_doubtful = !matches!(Language::of(sentence), Some(Language::English | Language::French | Language::Spanish));
    let mut names: Vec<Vec<&str>> = Vec::new();
    let mut before: Option<(&str, usize)> = None;
    let mut is_in_name = false;
    for (at, word) in words(sentence) {
        let gap = before.map(|(_, end)| &sentence[end..at]);
        let follows =
            |allowed: &[char]| gap.is_some_and(|gap| gap.chars().all(|c| c.is_whitespace() || allowed.contains(&c)));
        let is_after_word = before.is_some_and(|(before, _)| !before.starts_with(char::is_uppercase));
        let is_name = is_capitalised(word);
        match () {
            () if is_name && is_in_name && follows(&['-', '*', '_']) => {
                names.last_mut().expect("one has begun").push(word)
            }
            // After anything but a small word it may begin a sentence, a title or a quotation.
            () if is_name && is_after_word && follows(&['*', '_']) => {
                names.push(vec![word]);
                is_in_name = true;
            }
            () => is_in_name = false,
        }
        before = Some((word, at + word.len()));
    }
    // Where all nouns have capitals, one alone says nothing.
    let tells = |words: &Vec<&str>| !is_doubtful || words.len() > 1;
    names.into_iter().filter(tells).map(|words| Name { words, is_doubtful }).collect()
}

/// The words with their places; an apostrophe is within a word.
fn words(sentence: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '’');
    let mut at = 0;
    let parts = sentence.split_inclusive(move |c: char| !is_inside(c)).map(move |part| {
        let start = at;
        at += part.len();
        (start, part.trim_end_matches(|c: char| !is_inside(c)))
    });
    parts.filter(|(_, word)| !word.is_empty())
}

fn is_capitalised(word: &str) -> bool {
    let bare = word.split(['\'', '’']).next().unwrap_or(word);
    let is_abbreviation = bare.chars().all(|c| !c.is_lowercase()) && bare.chars().count() <= ABBREVIATION_LETTERS;
    word.starts_with(char::is_uppercase) && !is_abbreviation && !NO_NAMES.contains(&bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sentence: &str, expected: &[&[&str]]) {
        let found: Vec<Vec<&str>> = names(sentence).into_iter().map(|name| name.words).collect();
        assert_eq!(found, expected, "{sentence}");
    }

    #[test]
    fn capitals_within_a_sentence_are_names() {
        check("It was founded by Halvard Sollas in Lindesvik.", &[&["Halvard", "Sollas"], &["Lindesvik"]]);
        check("Anna Schmidt approves it, and the form goes to **Bernd**.", &[&["Bernd"]]);
        check("La demande est approuvée par Marie Curie.", &[&["Marie", "Curie"]]);
    }

    #[test]
    fn what_may_begin_something_is_none() {
        check("You get 25 days of leave.", &[]);
        check("Annual Leave Policy: You get the 25 days.", &[]);
        check("The rule says \"Ask early\" and I may ask HR or the CEO, if Dr. Who is not there.", &[]);
        check("They pay 25 EUR for it.", &[]);
    }

    #[test]
    fn nouns_of_german_are_no_names() {
        check("Der Antrag muss beim Vorgesetzten gestellt werden.", &[]);
        check("Der Antrag geht an Bernd Schmidt.", &[&["Bernd", "Schmidt"]]);
        check("Antrag Urlaub", &[]);
    }

    #[test]
    fn most_of_a_name_has_to_be_known() {
        let known = |word: &str| matches!(word, "Annual" | "Leave" | "Schmidt");
        let name = |words: &[&'static str], is_doubtful| Name { words: words.to_vec(), is_doubtful }.is_known(known);
        assert!(name(&["Annual", "Leave", "Policy"], false) && !name(&["Anna", "Schmidt"], false));
        assert!(!name(&["Lindesvik"], false) && name(&["Anna", "Schmidt"], true) && !name(&["Anna", "Berg"], true));
    }
}
