//! The terms of passages: what a passage enters with, what leaves says how well it holds a term. The same few passages answer
//! most questions, and reading them is most of the work that an answer makes, so their terms are kept for a while.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use moka::sync::Cache;

use crate::document::Passage;
use crate::models::extractive::units::units;
use crate::models::extractive::{FORMS_SHARE, resembles};
use crate::models::numbers::NumberSet;

/// What a term counts when a passage only has another form of it.
const RESEMBLING_SHARE: f32 = 0.7;

/// Memory for terms of passages and for what these can support: that of about a thousand of them.
const MOST_BYTES: u64 = 8 << 20;

/// What a passage can support takes so many times its text: its sentences, and the terms of each.
const SUPPORT_SHARE: usize = 3;

/// Text into terms, in order, the way the index does it.
pub type Analyze<'a> = dyn Fn(&str) -> Vec<String> + Send + Sync + 'a;

/// The terms of a passage: of its text, its title, its headings and its name.
#[derive(Clone, Debug)]
pub struct PassageTerms(Arc<Read>);

#[derive(Debug)]
struct Read {
    terms: Box<Sorted>,
    text_bytes: usize,
    /// Worked out when the passage is first cited.
    support: OnceLock<Support>,
}

/// Each once, in order, so that what begins alike stands together.
type Sorted = [Box<str>];

/// What a passage can support: its figures, and its sentences and lines with the terms of each.
#[derive(Debug)]
pub struct Support {
    /// The figures of its text, title, headings and name.
    pub numbers: NumberSet,
    /// What can be quoted, in reading order.
    pub quotes: Vec<(String, HashSet<String>)>,
}

impl Support {
    fn of(passage: &Passage, analyze: &Analyze<'_>) -> Self {
        let mut numbers = NumberSet::of(&passage.text);
        numbers.add(&frame(passage));
        let with_terms = |text: String| {
            let terms = analyze(&text).into_iter().collect();
            (text, terms)
        };
        let quotes = units(&passage.text).into_iter().map(|unit| with_terms(unit.text)).collect();
        Self { numbers, quotes }
    }
}

impl PassageTerms {
    /// Reads a passage.
    pub fn of(passage: &Passage, analyze: &Analyze<'_>) -> Self {
        let found = analyze(&passage.text).into_iter().chain(analyze(&frame(passage)));
        let mut terms: Vec<Box<str>> = found.map(String::into_boxed_str).collect();
        terms.sort_unstable();
        terms.dedup();
        Self(Arc::new(Read { terms: terms.into(), text_bytes: passage.text.len(), support: OnceLock::new() }))
    }

    /// What the passage can support; `passage` is the one that these are the terms of.
    pub fn support(&self, passage: &Passage, analyze: &Analyze<'_>) -> &Support {
        self.0.support.get_or_init(|| Support::of(passage, analyze))
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
        self.0.terms.binary_search_by(|other| (**other).cmp(term)).is_ok()
    }

    /// Those that begin as a term does, among which its other forms are. A short term has none.
    fn beginning_like(&self, term: &str) -> &Sorted {
        let mut characters = term.char_indices().map(|(at, c)| at + c.len_utf8());
        characters.nth(FORMS_SHARE - 1).map_or(&[], |end| self.starting_with(&term[..end]))
    }

    fn starting_with(&self, beginning: &str) -> &Sorted {
        let terms = &self.0.terms;
        let from = terms.partition_point(|other| **other < *beginning);
        let length = terms[from..].partition_point(|other| other.starts_with(beginning));
        &terms[from..from + length]
    }

    /// The memory that they take, or will take.
    fn bytes(&self) -> usize {
        let terms: usize = self.0.terms.iter().map(|term| term.len() + size_of::<Box<str>>()).sum();
        terms + SUPPORT_SHARE * self.0.text_bytes
    }
}

/// The terms of passages that were looked at lately.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::fixture::{self, passage};

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
}
