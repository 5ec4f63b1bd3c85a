//! Citations on all that the sample documents say: a sentence of a passage always keeps its citation, and loses it when a name
//! or a figure in it is another one.

use knowledge_worker::chat::CitedPassage;
use knowledge_worker::chat::citation::{CitationChecker, Piece};
use knowledge_worker::chat::passage_terms::PassageTerms;
use knowledge_worker::document::{Passage, Principal};
use knowledge_worker::models::extractive::units::{UnitKind, units};

use crate::support::app::TestApp;

/// Whether a sentence with a reference to its passage keeps it.
fn is_kept(test: &TestApp, passage: &Passage, sentence: &str) -> bool {
    let analyze = |text: &str| test.app.index.terms(text);
    let cited = CitedPassage { number: 1, passage: passage.clone().into() };
    let mut checker = CitationChecker::new("", &analyze, test.app.chat.settings.citation_support);
    checker.add(std::slice::from_ref(&cited), vec![PassageTerms::of(passage, &analyze)]);
    let mut pieces = checker.push(&format!("{} [1]", sentence.replace(['[', ']'], "")));
    pieces.extend(checker.finish().0);
    pieces.iter().any(|piece| matches!(piece, Piece::Citation(_)))
}

/// The sentence with another name in place of one after a small word: "by Halvard" becomes "by Zebulon".
fn with_another_name(sentence: &str) -> Option<String> {
    let words: Vec<&str> = sentence.split(' ').collect();
    let is_small = |word: &str| !word.is_empty() && word.chars().all(char::is_lowercase);
    let is_name = |word: &str| {
        word.len() > 5
            && word.chars().all(char::is_alphabetic)
            && word.starts_with(char::is_uppercase)
            && word.chars().skip(1).all(char::is_lowercase)
    };
    let stands_alone = |at: usize| !words.get(at + 1).is_some_and(|next| next.starts_with(char::is_uppercase));
    let at = (1..words.len()).find(|at| is_small(words[at - 1]) && is_name(words[*at]) && stands_alone(*at))?;
    Some([&words[..at], &["Zebulon"], &words[at + 1..]].concat().join(" "))
}

/// The sentence with another figure in place of its first.
fn with_another_figure(sentence: &str) -> Option<String> {
    let at = sentence.find(|c: char| c.is_ascii_digit())?;
    Some(format!("{}7{}", &sentence[..at], &sentence[at..]))
}

#[tokio::test]
async fn a_sentence_of_a_passage_keeps_its_citation_and_a_changed_one_does_not() {
    let test = TestApp::new();
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/documents");
    for name in [
        "handbook/staff-handbook.pdf",
        "products/curlew-maintenance-manual.pdf",
        "operations/incident-report-gannet-17.md",
    ] {
        test.ingest(name, std::fs::read(samples.join(name)).expect("a sample")).await;
    }
    let (mut honest, mut dropped, mut renamed, mut told, mut refigured, mut counted) = (0, Vec::new(), 0, 0, 0, 0);
    for (id, _) in test.app.index.entries().await.expect("the index answers") {
        let passages = test.app.index.passages(&Principal::anonymous(), &id).await.expect("the index answers");
        for passage in &passages {
            for unit in units(&passage.text).into_iter().filter(|unit| unit.kind == UnitKind::Sentence) {
                honest += 1;
                if !is_kept(&test, passage, &unit.text) {
                    dropped.push(unit.text.clone());
                }
                if let Some(changed) = with_another_name(&unit.text) {
                    renamed += 1;
                    told += usize::from(!is_kept(&test, passage, &changed));
                }
                if let Some(changed) = with_another_figure(&unit.text) {
                    refigured += 1;
                    counted += usize::from(!is_kept(&test, passage, &changed));
                }
            }
        }
    }
    println!(
        "{honest} sentences, {} dropped; {renamed} renamed, {told} told; {refigured} refigured, {counted} told",
        dropped.len()
    );
    assert!(honest > 200 && renamed > 20 && refigured > 50, "{honest}, {renamed}, {refigured}");
    assert_eq!(dropped, Vec::<String>::new(), "honest sentences stay as they are");
    assert!(told * 100 >= renamed * 90, "{told} of {renamed} other names");
    assert!(counted * 100 >= refigured * 95, "{counted} of {refigured} other figures");
}
