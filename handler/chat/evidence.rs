//! How well passages cover a question. What enters are the question's terms with their weights and the passages, what
//! leaves is a share from 0 to 1. Words that only make a question polite or a question at all do not count.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use moka::sync::Cache;

use crate::document::Passage;
use crate::index::segments::analyze::is_question_word;
use crate::index::{QueryTerm, Token};
use crate::models::extractive::{FORMS_SHARE, WeightedTerm, resembles};

/// What a word that only makes a question counts when sentences are compared.
const FILLER_SHARE: f32 = 0.1;

/// What a term counts when a passage only has another form of it.
const RESEMBLING_SHARE: f32 = 0.7;

/// What a term counts that only the question before has.
const EARLIER_SHARE: f32 = 0.5;

/// Memory for terms of passages: those of some thousand of them.
const MOST_BYTES: u64 = 4 << 20;

/// Text into terms, in order, the way the index does it.
pub type Analyze<'a> = dyn Fn(&str) -> Vec<String> + Send + Sync + 'a;

/// Question words of Chinese and Japanese, which have no spaces: a bigram that touches one of these is a filler.
const CJK_FILLERS: &[&str] = &[
    "多少",
    "什么",
    "什麼",
    "怎么",
    "怎麼",
    "怎样",
    "如何",
    "是否",
    "可以",
    "能否",
    "吗",
    "嗎",
    "呢",
    "哪里",
    "哪些",
    "哪个",
    "谁",
    "誰",
    "请问",
    "請問",
    "几",
    "幾",
    "为什么",
    "何",
    "教えて",
];

/// The terms of a question.
#[derive(Clone, Debug, Default)]
pub struct QuestionTerms {
    /// The terms that tell what it is about. Never empty unless the question has no terms at all.
    pub telling: Vec<WeightedTerm>,
    /// All terms in order, those that tell little with little weight.
    pub all: Vec<WeightedTerm>,
    /// How many terms tell what it is about; 0 when all are fillers and `telling` falls back to them.
    pub num_telling: usize,
}

/// Weighs the terms of a searched text whose question starts at byte `question_start`; what is before it was asked earlier.
/// Without any weights every term weighs 1.
pub fn question_terms(text: &str, question_start: usize, tokens: &[Token], weighted: &[QueryTerm]) -> QuestionTerms {
    let weights: HashMap<&str, f32> = weighted.iter().map(|t| (t.term.as_str(), t.weight)).collect();
    let asked_now: HashSet<&str> =
        tokens.iter().filter(|t| t.start >= question_start).map(|t| t.term.as_str()).collect();
    let cjk_fillers = filler_ranges(text);
    let mut seen = HashSet::new();
    let mut terms = QuestionTerms::default();
    for token in tokens {
        if !seen.insert(token.term.as_str()) {
            continue;
        }
        let full = weights.get(token.term.as_str()).copied().unwrap_or(1.0);
        let weight = if asked_now.contains(token.term.as_str()) { full } else { full * EARLIER_SHARE };
        // The index leaves out what only makes a question, too.
        let is_unnamed = !weighted.is_empty() && !weights.contains_key(token.term.as_str());
        let is_filler = is_unnamed
            || is_filler(text.get(token.start..token.end).unwrap_or(""))
            || cjk_fillers.iter().any(|(start, end)| token.start < *end && *start < token.end);
        if is_filler {
            terms.all.push(WeightedTerm { term: token.term.clone(), weight: weight * FILLER_SHARE });
        } else {
            terms.all.push(WeightedTerm { term: token.term.clone(), weight });
            terms.telling.push(WeightedTerm { term: token.term.clone(), weight });
        }
    }
    terms.num_telling = terms.telling.len();
    if terms.telling.is_empty() {
        terms.telling.clone_from(&terms.all);
    }
    terms
}

/// How well passages cover the telling terms: the mean of what all of them cover together and what the best covers alone.
/// Words scattered over unrelated passages so count for less than words found together.
pub fn coverage(terms: &QuestionTerms, passages: &[PassageTerms]) -> f32 {
    let total: f32 = terms.telling.iter().map(|t| t.weight).sum();
    if total <= 0.0 || passages.is_empty() {
        return 0.0;
    }
    let covered =
        |share: &dyn Fn(&str) -> f32| terms.telling.iter().map(|t| t.weight * share(&t.term)).sum::<f32>() / total;
    let together = covered(&|term| passages.iter().map(|passage| passage.holds(term)).fold(0.0, f32::max));
    let alone = passages.iter().map(|passage| covered(&|term| passage.holds(term))).fold(0.0, f32::max);
    f32::midpoint(together, alone)
}

/// The terms of a passage: of its text, its title, its headings and its name.
#[derive(Clone, Debug)]
pub struct PassageTerms(Arc<Sorted>);

/// Each once, in order, so that what begins alike stands together.
type Sorted = [Box<str>];

impl PassageTerms {
    /// Reads a passage.
    pub fn of(passage: &Passage, analyze: &Analyze<'_>) -> Self {
        let found = analyze(&passage.text).into_iter().chain(analyze(&frame(passage)));
        let mut terms: Vec<Box<str>> = found.map(String::into_boxed_str).collect();
        terms.sort_unstable();
        terms.dedup();
        Self(terms.into())
    }

    /// 1 when a term is among these, less when only another form of it is, else 0.
    pub(super) fn holds(&self, term: &str) -> f32 {
        match () {
            () if self.contains(term) => 1.0,
            () if self.beginning_like(term).iter().any(|other| resembles(other, term)) => RESEMBLING_SHARE,
            () => 0.0,
        }
    }

    /// The share of some terms that are among these; 0 of none.
    pub fn share(&self, terms: &[String]) -> f32 {
        let found = terms.iter().filter(|term| self.contains(term)).count();
        found as f32 / terms.len().max(1) as f32
    }

    fn contains(&self, term: &str) -> bool {
        self.0.binary_search_by(|other| (**other).cmp(term)).is_ok()
    }

    /// Those that begin as a term does, among which its other forms are. A short term has none.
    fn beginning_like(&self, term: &str) -> &Sorted {
        let mut characters = term.char_indices().map(|(at, c)| at + c.len_utf8());
        characters.nth(FORMS_SHARE - 1).map_or(&[], |end| self.starting_with(&term[..end]))
    }

    fn starting_with(&self, beginning: &str) -> &Sorted {
        let from = self.0.partition_point(|other| **other < *beginning);
        let length = self.0[from..].partition_point(|other| other.starts_with(beginning));
        &self.0[from..from + length]
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|term| term.len() + size_of::<Box<str>>()).sum()
    }
}

/// The terms of passages that were looked at lately. The same few passages answer most questions, and reading them is most of
/// the work that an answer makes.
#[derive(Debug)]
pub struct TermCache {
    kept: Cache<u64, PassageTerms>,
    hashes: RandomState,
}

impl Default for TermCache {
    fn default() -> Self {
        let bytes = |_: &u64, terms: &PassageTerms| u32::try_from(terms.bytes()).unwrap_or(u32::MAX);
        Self { kept: Cache::builder().weigher(bytes).max_capacity(MOST_BYTES).build(), hashes: RandomState::new() }
    }
}

impl TermCache {
    /// The terms of a passage, which is known again by all that they come from.
    pub fn of(&self, passage: &Passage, analyze: &Analyze<'_>) -> PassageTerms {
        let key = self.hashes.hash_one((&passage.text, &passage.title, &passage.heading_path, passage.name.as_str()));
        self.kept.get_with(key, || PassageTerms::of(passage, analyze))
    }
}

/// The words a passage stands under: title, headings, and the name of the document with its marks as spaces.
pub fn frame(passage: &Passage) -> String {
    let name: String = passage.name.as_str().chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    format!("{}\n{}\n{name}", passage.title, passage.heading_path.join("\n"))
}

fn is_filler(word: &str) -> bool {
    // Japanese endings and particles: what a noun is, is written in kanji or katakana.
    let is_kana = word.chars().count() <= 2 && word.contains(|c| ('\u{3041}'..='\u{309f}').contains(&c));
    is_kana || is_question_word(word)
}

fn filler_ranges(text: &str) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    for filler in CJK_FILLERS {
        ranges.extend(text.match_indices(filler).map(|(at, found)| (at, at + found.len())));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::fixture::{self, passage};

    fn terms_of(earlier: &str, question: &str) -> QuestionTerms {
        let text = if earlier.is_empty() { question.to_owned() } else { format!("{earlier}\n{question}") };
        let tokens: Vec<Token> =
            fixture::tokens(&text).into_iter().map(|(term, start, end)| Token { term, start, end }).collect();
        question_terms(&text, text.len() - question.len(), &tokens, &[])
    }

    fn check_telling(question: &str, expected: &[&str]) {
        let terms = terms_of("", question);
        let found: Vec<&str> = terms.telling.iter().map(|t| t.term.as_str()).collect();
        assert_eq!(found, expected, "{question}");
    }

    fn check_coverage(question: &str, passages: &[&str], expected: f32) {
        let passages: Vec<PassageTerms> =
            passages.iter().map(|text| PassageTerms::of(&passage("a.txt", 0, "", text), &fixture::terms)).collect();
        let found = coverage(&terms_of("", question), &passages);
        assert!((found - expected).abs() < 0.01, "{question}: {found}");
    }

    #[test]
    fn courtesy_tells_nothing() {
        check_telling("Could you please explain how many days of annual leave I get?", &["day", "annual", "leave"]);
        check_telling("How do I?", &["do"]);
        check_telling("年假有多少天", &["年假", "假有"]);
        check_telling("?", &[]);
    }

    #[test]
    fn what_was_asked_before_counts_half() {
        let terms = terms_of("How long is annual leave?", "And sick leave?");
        let weights: Vec<(&str, f32)> = terms.telling.iter().map(|t| (t.term.as_str(), t.weight)).collect();
        assert_eq!(weights, [("annual", 0.5), ("leave", 1.0), ("sick", 1.0)]);
    }

    #[test]
    fn forms_of_a_word_count_less_than_the_word() {
        let passage =
            PassageTerms::of(&passage("a.txt", 0, "", "Subsidies, substitutes and größere tests."), &fixture::terms);
        let held = ["test", "subsidy", "subs", "substitution", "größer", "zebra"].map(|term| passage.holds(term));
        assert_eq!(held, [1.0, 0.7, 0.0, 0.7, 0.7, 0.0]);
    }

    #[test]
    fn passages_are_read_once_and_known_by_all_that_they_say() {
        let (cache, read) = (TermCache::default(), std::sync::Mutex::new(0));
        let analyze = |text: &str| {
            *read.lock().unwrap() += 1;
            fixture::terms(text)
        };
        let first = passage("a.txt", 0, "Leave", "Annual leave is 25 days.");
        let renamed = passage("b.txt", 0, "Leave", "Annual leave is 25 days.");
        assert_eq!(cache.of(&first, &analyze).holds("annual"), 1.0);
        let once = *read.lock().unwrap();
        assert_eq!(cache.of(&first, &analyze).holds("annual"), 1.0);
        assert_eq!(*read.lock().unwrap(), once);
        assert_eq!((cache.of(&renamed, &analyze).holds("b"), cache.of(&first, &analyze).holds("b")), (1.0, 0.0));
    }

    #[test]
    fn words_found_together_are_worth_more_than_scattered_ones() {
        check_coverage("annual leave days", &["Annual leave is 25 days."], 1.0);
        check_coverage("annual leave days", &["the annual report", "leave the room", "open days"], 0.667);
        check_coverage("capital of Mongolia", &["Annual leave is 25 days."], 0.0);
        check_coverage("subsidy", &["Subsidies exist."], 0.7);
        check_coverage("annual leave", &[], 0.0);
        check_coverage("?", &["Annual leave is 25 days."], 0.0);
    }
}
