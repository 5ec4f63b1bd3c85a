//! Notes of a model on passages. What enters are its words, what leaves are the notes in them whose references hold: each is
//! checked as an answer is, and let out as an answer is.

use std::sync::Arc;

use super::{Note, Section};
use crate::chat::citation::{CitationChecker, Piece};
use crate::chat::outgoing::OutgoingFilter;
use crate::chat::outgoing::allowlist::LinkAllowlist;
use crate::chat::passage_terms::{Analyze, PassageTerms};
use crate::chat::{ChatSettings, CitedPassage};
use crate::document::Passage;

/// Characters of a note; a longer one is an essay.
const MAX_CHARS: usize = 600;
/// Notes of one section.
const MOST: usize = 8;

/// Checks notes against the passages that they were made from.
pub(super) struct NoteChecker<'a> {
    passages: Vec<CitedPassage>,
    analyze: &'a Analyze<'a>,
    support: f32,
    links: &'a LinkAllowlist,
}

impl<'a> NoteChecker<'a> {
    /// For notes that name passages by their ordinal and one.
    pub(super) fn new(passages: &[Passage], analyze: &'a Analyze<'a>, settings: &'a ChatSettings) -> Self {
        let cited = |passage: &Passage| CitedPassage { number: number_of(passage), passage: Arc::new(passage.clone()) };
        let passages = passages.iter().map(cited).collect();
        Self { passages, analyze, support: settings.citation_support, links: &settings.links }
    }

    /// The notes in the words of a model, in their order.
    pub(super) fn notes(&self, said: &str) -> Vec<Note> {
        let mut section = Section::Insights;
        let mut notes: Vec<Note> = Vec::new();
        for line in said.lines() {
            let line = bare(line);
            if let Some(heading) = heading(line) {
                section = heading;
                continue;
            }
            let is_full = notes.iter().filter(|note| note.section == section).count() >= MOST;
            if line.is_empty() || is_full || line.chars().count() > MAX_CHARS {
                continue;
            }
            let Some((text, ordinals)) = self.checked(line) else { continue };
            if notes.iter().all(|note| note.text != text) {
                notes.push(Note { section, text, ordinals });
            }
        }
        notes
    }

    /// A note without its references, and the passages that support it; none without one that does.
    fn checked(&self, line: &str) -> Option<(String, Vec<u32>)> {
        let mut checker = CitationChecker::new("", self.analyze, self.support);
        let named = |cited: &&CitedPassage| line.contains(&format!("{}", cited.number));
        let passages: Vec<CitedPassage> = self.passages.iter().filter(named).cloned().collect();
        let terms = passages.iter().map(|cited| PassageTerms::of(&cited.passage, self.analyze)).collect();
        checker.add(&passages, terms);
        let mut pieces = checker.push(line);
        let (last, verdict) = checker.finish();
        pieces.extend(last);
        let words = pieces.into_iter().filter_map(|piece| match piece {
            Piece::Text(words) => Some(words),
            Piece::Citation(_) => None,
        });
        let known = passages.iter().map(|cited| cited.passage.text.as_str()).collect();
        let mut filter = OutgoingFilter::new(self.links, known);
        let text = filter.push(&words.collect::<String>()) + &filter.finish();
        let ordinals: Vec<u32> = verdict.citations.iter().filter_map(|citation| ordinal_of(citation.number)).collect();
        (!ordinals.is_empty() && !text.trim().is_empty()).then(|| (text.trim().to_owned(), ordinals))
    }
}

/// The number that a model knows a passage by.
pub(super) fn number_of(passage: &Passage) -> usize {
    passage.ordinal as usize + 1
}

fn ordinal_of(number: usize) -> Option<u32> {
    u32::try_from(number.checked_sub(1)?).ok()
}

/// A line without the marks of lists, headings and emphasis around it.
fn bare(line: &str) -> &str {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '*' | '•' | '#'));
    line.trim_end_matches(|c: char| c.is_whitespace() || c == '*')
}

fn heading(line: &str) -> Option<Section> {
    let word = line.trim_end_matches([':', '*', ' ']).to_lowercase();
    Section::ALL.into_iter().find(|section| section.heading().to_lowercase() == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::fixture::{passage, terms};

    fn check(said: &str, expected: &[(Section, &str, &[u32])]) {
        let passages = [
            passage("a.pdf", 0, "Leave", "Every employee gets 25 days of annual leave."),
            passage("a.pdf", 11, "Travel", "The director approves travel above 1,000 euros."),
        ];
        let settings = ChatSettings::default();
        let notes = NoteChecker::new(&passages, &terms, &settings).notes(said);
        let found: Vec<(Section, &str, &[u32])> =
            notes.iter().map(|note| (note.section, note.text.as_str(), note.ordinals.as_slice())).collect();
        assert_eq!(found, expected, "{said}");
    }

    #[test]
    fn notes_stand_under_their_headings() {
        check(
            "**Topics:**\n- Annual leave [1]\n## Details\n* 25 days of annual leave [1]\nAction items\n- Ask the director before travel [12]",
            &[
                (Section::Topics, "Annual leave", &[0]),
                (Section::Details, "25 days of annual leave", &[0]),
                (Section::ActionItems, "Ask the director before travel", &[11]),
            ],
        );
    }

    #[test]
    fn only_what_the_passages_say_is_noted() {
        check("- 30 days of annual leave [1]\n- Annual leave\n- Cake on Fridays [12]\n- Annual leave [7]", &[]);
        check("- Annual leave [1]\n- Annual leave [1]", &[(Section::Insights, "Annual leave", &[0])]);
        check(&format!("- {} [1]", "annual leave ".repeat(60)), &[]);
        check(
            "- Every employee gets 25 days of [annual leave](https://e.example/y) [1]",
            &[(Section::Insights, "Every employee gets 25 days of [annual leave]", &[0])],
        );
    }
}
