//! A document's own sentences in place of a model's notes: its headings are its topics, the sentences that say most of what it
//! is about are its insights, those with figures its details, those that oblige somebody its action items. The same document
//! gives the same notes, always.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Note, Section};
use crate::chat::Chat;
use crate::document::Passage;
use crate::error::{Error, ErrorKind, Result};
use crate::models::extractive::units::{UnitKind, units};

/// Headings that are told.
const TOPICS: usize = 10;
/// The other notes, in the order in which they are chosen: no sentence is told twice, so what fits few sections comes first.
const CHOSEN: [(Section, usize); 3] = [(Section::ActionItems, 6), (Section::Insights, 5), (Section::Details, 6)];
/// Terms of a sentence that can stand alone.
const TERMS: std::ops::RangeInclusive<usize> = 4..=40;

/// Words that oblige, in the languages that the page speaks.
const DUTIES: &[&str] = &[
    "must",
    "shall",
    "should",
    "required",
    "deadline",
    "submit",
    "muss",
    "müssen",
    "soll",
    "sollen",
    "verpflichtet",
    "frist",
    "doit",
    "doivent",
    "devez",
    "obligatoire",
    "debe",
    "deben",
    "deberá",
    "obligatorio",
    "plazo",
];

/// A sentence with what it is measured by.
struct Candidate {
    text: String,
    ordinal: u32,
    position: usize,
    score: f32,
    terms: HashSet<String>,
}

/// The notes on passages of one document.
pub(super) async fn notes(chat: &Chat, passages: &[Passage]) -> Result<Vec<Note>> {
    let (retriever, passages) = (Arc::clone(&chat.retriever), passages.to_vec());
    let choosing = tokio::task::spawn_blocking(move || choose(&passages, &|text| retriever.index().terms(text)));
    choosing.await.map_err(|_| Error::new(ErrorKind::Internal, "a summary was interrupted"))
}

fn choose(passages: &[Passage], analyze: &dyn Fn(&str) -> Vec<String>) -> Vec<Note> {
    let mut candidates = candidates(passages, analyze);
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.position.cmp(&b.position)));
    let mut notes = topics(passages);
    let mut used: Vec<&Candidate> = Vec::new();
    for (section, most) in CHOSEN {
        let mut chosen: Vec<&Candidate> = Vec::new();
        for candidate in &candidates {
            let is_new = used.iter().chain(&chosen).all(|other| !is_alike(other, candidate));
            if chosen.len() < most && is_new && is_of(section, candidate) {
                chosen.push(candidate);
            }
        }
        chosen.sort_by_key(|candidate| candidate.position);
        let note =
            |candidate: &&Candidate| Note { section, text: candidate.text.clone(), ordinals: vec![candidate.ordinal] };
        notes.extend(chosen.iter().map(note));
        used.extend(chosen);
    }
    notes
}

/// The headings, each once, at the first passage that stands under it; without any, the title.
fn topics(passages: &[Passage]) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    for passage in passages {
        let Some(heading) = passage.heading_path.last() else { continue };
        if notes.len() < TOPICS && notes.iter().all(|note| note.text != *heading) {
            notes.push(Note { section: Section::Topics, text: heading.clone(), ordinals: vec![passage.ordinal] });
        }
    }
    if let (Some(first), true) = (passages.first(), notes.is_empty()) {
        notes.push(Note { section: Section::Topics, text: first.title.clone(), ordinals: vec![first.ordinal] });
    }
    notes
}

/// The sentences, each measured by how often its terms are in the document.
fn candidates(passages: &[Passage], analyze: &dyn Fn(&str) -> Vec<String>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut counts: HashMap<String, f32> = HashMap::new();
    for passage in passages {
        for unit in units(&passage.text) {
            let terms: HashSet<String> = analyze(&unit.text).into_iter().collect();
            for term in &terms {
                *counts.entry(term.clone()).or_default() += 1.0;
            }
            if matches!(unit.kind, UnitKind::Sentence | UnitKind::Line) && TERMS.contains(&terms.len()) {
                let (ordinal, position) = (passage.ordinal, found.len());
                found.push(Candidate { text: unit.text, ordinal, position, score: 0.0, terms });
            }
        }
    }
    for candidate in &mut found {
        let weight = |term: &String| counts.get(term).map_or(0.0, |count| count.ln());
        let sum: f32 = candidate.terms.iter().map(weight).sum();
        // What is longer has more of everything.
        candidate.score = sum / (candidate.terms.len() as f32).sqrt();
    }
    found
}

fn is_of(section: Section, candidate: &Candidate) -> bool {
    match section {
        Section::Topics | Section::Insights => true,
        Section::Details => candidate.text.contains(|c: char| c.is_ascii_digit()),
        Section::ActionItems => {
            let lower = candidate.text.to_lowercase();
            lower.split(|c: char| !c.is_alphabetic()).any(|word| DUTIES.contains(&word))
        }
    }
}

/// Whether two sentences say nearly the same, as overlapping passages do.
fn is_alike(a: &Candidate, b: &Candidate) -> bool {
    let common = a.terms.intersection(&b.terms).count();
    common * 5 >= a.terms.len().min(b.terms.len()) * 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::fixture::{passage, terms};

    #[test]
    fn a_document_is_told_in_its_own_words() {
        let passages = [
            passage(
                "a.pdf",
                0,
                "Leave",
                "Annual leave is time away from work. Annual leave is 25 days a year for every employee.",
            ),
            passage("a.pdf", 1, "Leave > Asking", "Annual leave must be asked for two weeks before it begins."),
            passage("a.pdf", 2, "Leave > Asking", "Annual leave must be asked for two weeks before it begins."),
        ];
        let notes = choose(&passages, &|text| terms(text));
        let of = |section: Section| -> Vec<(&str, u32)> {
            notes
                .iter()
                .filter(|note| note.section == section)
                .map(|note| (note.text.as_str(), note.ordinals[0]))
                .collect()
        };
        assert_eq!(of(Section::Topics), [("Leave", 0), ("Asking", 1)]);
        let told: usize = notes.iter().filter(|note| note.text.starts_with("Annual leave must")).count();
        assert_eq!(told, 1, "nothing is told twice: {notes:?}");
        assert!(notes.iter().all(
            |note| note.section == Section::Topics || passages[note.ordinals[0] as usize].text.contains(&note.text)
        ));
        assert_eq!(choose(&passages, &|text| terms(text)), notes);
        assert_eq!(choose(&[passage("b.txt", 0, "", "")], &|text| terms(text))[0].text, "b.txt");
    }
}
