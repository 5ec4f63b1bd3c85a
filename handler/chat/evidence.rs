//! How well passages cover a question. What enters are the question's terms with their weights and the passages, what
//! leaves is a share from 0 to 1. Words that only make a question polite or a question at all do not count.

use std::collections::{HashMap, HashSet};

use crate::chat::passage_terms::PassageTerms;
use crate::index::segments::analyze::is_question_word;
use crate::index::{QueryTerm, Token};
use crate::models::extractive::WeightedTerm;

/// What a word that only makes a question counts when sentences are compared.
const FILLER_SHARE: f32 = 0.1;

/// What a term counts that only the question before has.
const EARLIER_SHARE: f32 = 0.5;

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
    fn words_found_together_are_worth_more_than_scattered_ones() {
        check_coverage("annual leave days", &["Annual leave is 25 days."], 1.0);
        check_coverage("annual leave days", &["the annual report", "leave the room", "open days"], 0.667);
        check_coverage("capital of Mongolia", &["Annual leave is 25 days."], 0.0);
        check_coverage("subsidy", &["Subsidies exist."], 0.7);
        check_coverage("annual leave", &[], 0.0);
        check_coverage("?", &["Annual leave is 25 days."], 0.0);
    }
}
