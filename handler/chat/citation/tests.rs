//! Answers as a model might write them, with what is left after the check.

use super::*;
use crate::models::fixture::{passage, terms};

fn handbook() -> Vec<CitedPassage> {
    let passages = [
        passage(
            "handbook.pdf",
            0,
            "Annual leave",
            "Every employee gets 25 days of annual leave. Up to 5 days may be carried over.",
        ),
        passage("handbook.pdf", 3, "Sick leave", "A doctor's note is needed from day 4 of an illness."),
        passage("travel.md", 0, "", "Travel costs above 1,000 euros need approval of the director."),
    ];
    passages
        .into_iter()
        .enumerate()
        .map(|(at, passage)| CitedPassage { number: at + 1, passage: passage.into() })
        .collect()
}

/// The answer with citations written as `{n}`, and the verdict; given whole and byte by byte, which must not differ.
fn checked(answer: &str) -> (String, Verdict) {
    let passages = handbook();
    let run = |pieces: &[&str]| {
        let mut checker = CitationChecker::new("Who is Ola?", &terms, 0.4);
        checker.add(&passages, passages.iter().map(|cited| PassageTerms::of(&cited.passage, &terms)).collect());
        let mut found: Vec<Piece> = pieces.iter().flat_map(|piece| checker.push(piece)).collect();
        let (last, verdict) = checker.finish();
        found.extend(last);
        let written = found.into_iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Citation(citation) => format!("{{{}}}", citation.number),
        });
        (written.collect::<String>(), verdict)
    };
    let whole = run(&[answer]);
    let letters: Vec<&str> = answer.split_inclusive(|_| true).collect();
    assert_eq!(run(&letters), whole, "{answer}");
    whole
}

fn check(answer: &str, expected: &str, cited: &[usize], dropped: usize) {
    let (text, verdict) = checked(answer);
    let numbers: Vec<usize> = verdict.citations.iter().map(|citation| citation.number).collect();
    assert_eq!((text.as_str(), numbers.as_slice(), verdict.dropped), (expected, cited, dropped), "{answer}");
}

#[test]
fn keeps_what_is_supported() {
    check("You get 25 days of annual leave [1].", "You get 25 days of annual leave{1}.", &[1], 0);
    check("You get 25 days of annual leave. [1]", "You get 25 days of annual leave.{1}", &[1], 0);
    check("You get 25 days of annual leave.[handbook.pdf#page=1]", "You get 25 days of annual leave.{1}", &[1], 0);
    check("Costs above 1000 euros need approval【3】", "Costs above 1000 euros need approval{3}", &[3], 0);
    check("25 days of leave [1], 5 days carried over [1].", "25 days of leave{1}, 5 days carried over{1}.", &[1], 0);
    check(
        "1. Annual leave: 25 days [1]\n2. Note from day 4 of illness [2]",
        "1. Annual leave: 25 days{1}\n2. Note from day 4 of illness{2}",
        &[1, 2],
        0,
    );
}

#[test]
fn drops_what_is_not() {
    check("You get 30 days of annual leave [1].", "You get 30 days of annual leave.", &[], 1);
    check("Bring a cake on Fridays [1] and smile.", "Bring a cake on Fridays and smile.", &[], 1);
    check("You get 25 days of annual leave [7].", "You get 25 days of annual leave.", &[], 1);
    check("You get 25 days of annual leave [2].", "You get 25 days of annual leave.", &[], 1);
    check("See [salaries.xlsx] and [secret.pdf#page=9].", "See and.", &[], 2);
    check("[1]", "", &[], 1);
}

#[test]
fn drops_names_that_no_passage_has() {
    check(
        "The director of Travel approves costs above 1,000 euros [3].",
        "The director of Travel approves costs above 1,000 euros{3}.",
        &[3],
        0,
    );
    check("Travel costs need approval of Berta [3].", "Travel costs need approval of Berta.", &[], 1);
    check(
        "Travel costs of Ola need approval of the director [3].",
        "Travel costs of Ola need approval of the director{3}.",
        &[3],
        0,
    );
    check(
        "Travel costs need approval from the Director's [3].",
        "Travel costs need approval from the Director's{3}.",
        &[3],
        0,
    );
    // Two passages may share the names of a sentence between them.
    check(
        "You get the annual leave of an Employee and for travel costs the approval of a Director [1][3].",
        "You get the annual leave of an Employee and for travel costs the approval of a Director{1}{3}.",
        &[1, 3],
        0,
    );
}

#[test]
fn judges_markers_that_stand_together() {
    check("25 days of annual leave [1][2].", "25 days of annual leave{1}.", &[1], 1);
    check("25 days of annual leave [1, 3].", "25 days of annual leave{1}.", &[1], 1);
    check("25 days of annual leave [1] [1].", "25 days of annual leave{1}.", &[1], 0);
    // Two passages may share the figures of a sentence between them.
    check(
        "25 days of annual leave and a doctor's note from day 4 of illness [1][2].",
        "25 days of annual leave and a doctor's note from day 4 of illness{1}{2}.",
        &[1, 2],
        0,
    );
    check("25 days of annual leave [1], [2].", "25 days of annual leave{1},.", &[1], 1);
}

#[test]
fn leaves_other_brackets_alone() {
    check("A list [see below] and [x.", "A list [see below] and [x.", &[], 0);
}

#[test]
fn notices_that_the_model_declines() {
    let (text, verdict) = checked("The documents do not say. [0]");
    assert_eq!(text, "The documents do not say.");
    assert!(verdict.declined && verdict.dropped == 0 && verdict.has_text);
    assert!(!checked("").1.has_text);
}

#[test]
fn quotes_the_words_that_support_best() {
    let (_, verdict) = checked("Five days, 5, may be carried over [1].");
    assert_eq!(verdict.citations[0].quote, "Up to 5 days may be carried over.");
}

proptest::proptest! {
    #[test]
    fn never_fails_and_cites_only_passages(answer in "(\\PC|[\\[\\]0-9 \n]){0,120}") {
        let (_, verdict) = checked(&answer);
        proptest::prop_assert!(verdict.citations.iter().all(|citation| (1..=3).contains(&citation.number)));
    }
}
