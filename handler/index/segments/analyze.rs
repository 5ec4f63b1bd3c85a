//! Text becomes terms: Unicode words, lower case, accents folded, stop words dropped, stemmed. Documents and questions go
//! through the same steps. Scripts written without spaces become overlapping pairs of characters, so they can be found.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RawTokenizer, RemoveLongFilter, Stemmer, StopWordFilter, TextAnalyzer,
    Token, TokenStream, Tokenizer,
};
use unicode_segmentation::UnicodeSegmentation;

use super::known_words::KnownWords;

/// Raised whenever the steps change, so that passages made by earlier steps are made anew.
const ANALYZER_VERSION: u32 = 2;
/// A longer word is no word; it would only fill the dictionary.
const MAX_TERM_BYTES: usize = 120;

/// Words that make a text a question but say nothing about what is asked. Only questions lose them, never documents.
static QUESTION_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let lines = include_str!("question_words.txt").lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).collect()
});

/// Whether a word only makes a text a question, in any case and in any of the languages of the list.
pub fn is_question_word(word: &str) -> bool {
    QUESTION_WORDS.contains(word.to_lowercase().as_str())
}

/// A language whose word endings are cut off, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StemmerLanguage(Option<Language>);

impl FromStr for StemmerLanguage {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        if raw.eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        let mut name = raw.to_lowercase();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        serde_json::from_value(serde_json::Value::String(name)).map(|language| Self(Some(language))).map_err(|_| {
            "is not one of none, arabic, danish, dutch, english, finnish, french, german, greek, hungarian, italian, norwegian, \
             portuguese, romanian, russian, spanish, swedish, tamil, turkish"
                .to_owned()
        })
    }
}

/// A term with the place in the text that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTerm {
    /// The term as the index knows it.
    pub term: String,
    /// First byte of its word in the text.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// The steps for one language.
#[derive(Clone)]
pub struct Analyzer {
    language: StemmerLanguage,
    steps: TextAnalyzer,
    /// The same for a word that is found already.
    of_words: TextAnalyzer,
    known: Arc<KnownWords>,
}

impl Analyzer {
    /// The steps for `language`.
    pub fn new(language: StemmerLanguage) -> Self {
        let of_words = steps(RawTokenizer::default(), language);
        Self { language, steps: steps(Words::default(), language), of_words, known: Arc::default() }
    }

    /// The steps as the index library takes them.
    pub fn for_index(&self) -> TextAnalyzer {
        self.steps.clone()
    }

    /// Says which steps these are; kept with every segment.
    pub fn name(&self) -> String {
        match self.language.0 {
            None => format!("none-{ANALYZER_VERSION}"),
            Some(language) => format!("{language:?}-{ANALYZER_VERSION}").to_lowercase(),
        }
    }

    /// The terms of a text, in its order.
    pub fn terms(&self, text: &str) -> Vec<TextTerm> {
        let with_term = |(start, word): (usize, &str)| {
            // Words that are too long have none, and are not worth remembering.
            let term = if word.len() < MAX_TERM_BYTES { self.known.term(word, |word| self.term(word)) } else { None }?;
            Some(TextTerm { term, start, end: start + word.len() })
        };
        words(text).into_iter().filter_map(with_term).collect()
    }

    /// The term of a word that [`words`] has found; none when the steps leave it out.
    fn term(&self, word: &str) -> Option<String> {
        let mut steps = self.of_words.clone();
        let mut stream = steps.token_stream(word);
        stream.advance().then(|| stream.token().text.clone())
    }

    /// The distinct terms of a question that say what is asked; all its terms when nothing else is left.
    pub fn question_terms(&self, question: &str) -> Vec<String> {
        let all = self.terms(question);
        let says_something =
            |term: &&TextTerm| !is_question_word(question.get(term.start..term.end).unwrap_or_default());
        let telling: Vec<&TextTerm> = all.iter().filter(says_something).collect();
        let chosen = if telling.is_empty() { all.iter().collect() } else { telling };
        let mut distinct: Vec<String> = Vec::new();
        for term in chosen {
            if !distinct.contains(&term.term) {
                distinct.push(term.term.clone());
            }
        }
        distinct
    }
}

/// What happens to words after they are found.
fn steps(words: impl Tokenizer, language: StemmerLanguage) -> TextAnalyzer {
    let steps = TextAnalyzer::builder(words)
        .filter_dynamic(RemoveLongFilter::limit(MAX_TERM_BYTES))
        .filter_dynamic(LowerCaser)
        .filter_dynamic(AsciiFoldingFilter);
    let Some(language) = language.0 else { return steps.build() };
    let steps = match StopWordFilter::new(language) {
        Some(stop_words) => steps.filter_dynamic(stop_words),
        None => steps,
    };
    steps.filter_dynamic(Stemmer::new(language)).build()
}

/// Splits text into Unicode words (UAX 29), and runs of scripts without spaces into overlapping pairs.
#[derive(Clone, Default)]
struct Words {
    token: Token,
}

struct WordStream<'a> {
    found: std::vec::IntoIter<(usize, &'a str)>,
    token: &'a mut Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { found: words(text).into_iter(), token: &mut self.token }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some((start, word)) = self.found.next() else { return false };
        self.token.text.clear();
        self.token.text.push_str(word);
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = start;
        self.token.offset_to = start + word.len();
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

fn words(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut run: Option<(usize, usize)> = None;
    for (start, word) in text.unicode_word_indices() {
        let end = start + word.len();
        let spaceless = word.chars().all(is_written_without_spaces);
        run = match run {
            Some((first, last)) if spaceless && last == start => Some((first, end)),
            other => {
                push_pairs(text, other, &mut found);
                if spaceless { Some((start, end)) } else { None }
            }
        };
        if !spaceless {
            push_parts(start, word, &mut found);
        }
    }
    push_pairs(text, run, &mut found);
    found
}

/// Pushes a word, or the words it is joined of: UAX 29 sees one word in `list_price`, `contract.name` and `www.example.com`,
/// and somebody who asks for one part of it would find none of them. Figures stay whole, and so do initials, as in `U.S.`.
fn push_parts<'a>(start: usize, word: &'a str, found: &mut Vec<(usize, &'a str)>) {
    let are_initials = word.split('.').all(|part| part.chars().count() == 1);
    let mut from = 0;
    for (at, mark) in word.match_indices(['_', '.']) {
        let is_between_figures =
            mark == "." && word[..at].ends_with(char::is_numeric) && word[at + 1..].starts_with(char::is_numeric);
        if !is_between_figures && !are_initials {
            push_part(start, from, at, word, found);
            from = at + 1;
        }
    }
    push_part(start, from, word.len(), word, found);
}

fn push_part<'a>(start: usize, from: usize, to: usize, word: &'a str, found: &mut Vec<(usize, &'a str)>) {
    if from < to {
        found.push((start + from, &word[from..to]));
    }
}

fn push_pairs<'a>(text: &'a str, run: Option<(usize, usize)>, found: &mut Vec<(usize, &'a str)>) {
    let Some((first, last)) = run else { return };
    let starts: Vec<usize> = text[first..last].char_indices().map(|(offset, _)| first + offset).collect();
    if starts.len() == 1 {
        found.push((first, &text[first..last]));
    }
    for (i, start) in starts.iter().enumerate().take(starts.len().saturating_sub(1)) {
        let end = starts.get(i + 2).copied().unwrap_or(last);
        found.push((*start, &text[*start..end]));
    }
}

/// Han, kana, Hangul, Thai, Lao, Myanmar and Khmer.
fn is_written_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{1100}'..='\u{11FF}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{3130}'..='\u{318F}' | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    fn check(language: &str, text: &str, expected: &[&str]) {
        let analyzer = Analyzer::new(language.parse().unwrap());
        let terms: Vec<String> = analyzer.terms(text).into_iter().map(|t| t.term).collect();
        assert_eq!(terms, expected);
    }

    #[test]
    fn english_is_stemmed_and_loses_its_stop_words() {
        check("english", "The buoys are drifting, calmly.", &["buoy", "drift", "calm"]);
        check("none", "The buoys drift", &["the", "buoys", "drift"]);
    }

    #[test]
    fn accents_and_case_do_not_matter() {
        check("none", "Café ÜBER ２０２６", &["cafe", "uber", "2026"]);
    }

    #[test]
    fn scripts_without_spaces_become_pairs() {
        check("english", "有給休暇は20日", &["有給", "給休", "休暇", "暇は", "20", "日"]);
        check("english", "서울 buoy", &["서울", "buoy"]);
    }

    #[test]
    fn joined_words_are_found_by_their_parts() {
        check("none", "contract.list_price_eur: 3.50", &["contract", "list", "price", "eur", "3.50"]);
        check("none", "www.example.com _private_ __", &["www", "example", "com", "private"]);
        check("none", "the U.S. and e.g. v2_1.5", &["the", "u.s", "and", "e.g", "v2", "1.5"]);
    }

    proptest! {
        /// What the index library makes of a text is what a question is looked for with.
        #[test]
        fn words_one_by_one_have_the_terms_of_the_whole_text(text in "([a-zA-Z0-9]{1,8}|[._' -]|\\PC){0,40}") {
            let analyzer = Analyzer::new("english".parse().unwrap());
            let (mut steps, mut of_library) = (analyzer.for_index(), Vec::new());
            let mut stream = steps.token_stream(&text);
            while stream.advance() {
                let token = stream.token();
                of_library.push(TextTerm { term: token.text.clone(), start: token.offset_from, end: token.offset_to });
            }
            prop_assert_eq!(analyzer.terms(&text), of_library);
        }
    }

    #[test]
    fn a_question_keeps_what_is_asked() {
        let analyzer = Analyzer::new("english".parse().unwrap());
        assert_eq!(analyzer.question_terms("How many days of annual leave do I get?"), ["day", "annual", "leav"]);
        assert_eq!(analyzer.question_terms("How much?"), ["how", "much"]);
    }

    #[test]
    fn an_unknown_language_is_named_as_such() {
        assert!("klingon".parse::<StemmerLanguage>().unwrap_err().contains("english"));
        assert!("".parse::<StemmerLanguage>().is_err());
    }
}
