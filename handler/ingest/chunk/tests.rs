//! Passages of small documents, written as text.

use super::*;

fn block(kind: BlockKind, text: &str, page: Option<u32>) -> Block {
    Block { kind, text: text.to_owned(), page, place: None }
}

fn passages(blocks: Vec<Block>, tokens: usize, overlap_tokens: usize) -> Vec<Passage> {
    let name = DocumentName::parse("handbook/leave.pdf").unwrap();
    let document = Extracted { title: None, pages: None, blocks, remark: None };
    let found = chunk(&name, &document, &ChunkSettings { tokens, overlap_tokens });
    assert_eq!(
        found,
        chunk(&name, &document, &ChunkSettings { tokens, overlap_tokens }),
        "chunking must be repeatable"
    );
    for (position, passage) in found.iter().enumerate() {
        assert_eq!(passage.id, format!("{}-{position}", passage.document_id));
        assert!(!passage.text.trim().is_empty());
        assert!(estimate(&passage.text) <= tokens, "{passage:?}");
    }
    found
}

fn texts(passages: &[Passage]) -> Vec<&str> {
    passages.iter().map(|passage| passage.text.as_str()).collect()
}

use BlockKind::{Code, Heading, Paragraph, TableHeader, TableRow};

#[test]
fn packs_paragraphs_of_one_section_and_parts_sections() {
    let found = passages(
        vec![
            block(Heading(1), "Handbook", None),
            block(Heading(2), "Leave", None),
            block(Paragraph, "One.", None),
            block(Paragraph, "Two.", None),
            block(Heading(2), "Pay", None),
            block(Paragraph, "- a", None),
            block(Paragraph, "- b", None),
        ],
        100,
        10,
    );
    assert_eq!(texts(&found), ["Handbook\n\nLeave\n\nOne.\n\nTwo.", "Pay\n\n- a\n- b"]);
    assert_eq!(found[0].heading_path, ["Handbook", "Leave"]);
    assert_eq!(found[1].heading_path, ["Handbook", "Pay"]);
    assert_eq!(found[0].title, "leave.pdf");
}

#[test]
fn never_crosses_a_page() {
    let found = passages(
        vec![
            block(Paragraph, "One.", Some(1)),
            block(Heading(1), "Leave", Some(1)),
            block(Paragraph, "Two.", Some(2)),
            block(Heading(1), "Pay", Some(2)),
            block(Heading(1), "End", Some(3)),
        ],
        100,
        10,
    );
    assert_eq!(texts(&found), ["One.", "Two.", "Pay", "End"]);
    assert_eq!(found.iter().map(|passage| passage.page).collect::<Vec<_>>(), [Some(1), Some(2), Some(2), Some(3)]);
    assert_eq!(found[1].heading_path, ["Leave"]);
}

#[test]
fn overlaps_where_a_section_is_cut_and_keeps_headings_with_their_text() {
    let found = passages(
        vec![
            block(Paragraph, "One two three four. Five six seven.", None),
            block(Paragraph, "Eight nine ten.", None),
            block(Heading(3), "Pay", None),
            block(Paragraph, "Eleven twelve thirteen fourteen fifteen.", None),
        ],
        12,
        4,
    );
    assert_eq!(
        texts(&found),
        [
            "One two three four. Five six seven.",
            "Five six seven.\n\nEight nine ten.",
            "Pay\n\nEleven twelve thirteen fourteen fifteen.",
        ]
    );
}

#[test]
fn repeats_the_header_of_a_long_table() {
    let mut blocks = vec![block(Paragraph, "Days of leave.", None), block(TableHeader, "Grade | Days", None)];
    blocks.extend((1..=4).map(|row| block(TableRow, &format!("Grade: A{row}; Days: 25"), None)));
    let found = passages(blocks, 22, 5);
    assert_eq!(
        texts(&found),
        [
            "Days of leave.\n\nGrade | Days\nGrade: A1; Days: 25",
            "Grade | Days\nGrade: A2; Days: 25\nGrade: A3; Days: 25",
            "Grade | Days\nGrade: A4; Days: 25",
        ]
    );
}

#[test]
fn cuts_long_paragraphs_at_sentences_and_code_at_lines() {
    let long = "Leave must be asked for in writing. ".repeat(20);
    let found = passages(vec![block(Paragraph, &long, None)], 30, 0);
    assert!(found.iter().all(|passage| passage.text.ends_with("in writing.")), "{:?}", texts(&found));
    let found = passages(vec![block(Code, &"let x = 1;\n".repeat(10), None)], 20, 10);
    assert!(found.len() > 1 && found.iter().all(|passage| passage.text.ends_with("x = 1;")));
}

#[test]
fn has_no_passage_for_no_text() {
    assert!(passages(vec![], 100, 10).is_empty());
    assert!(passages(vec![block(Paragraph, "  ", None)], 100, 10).is_empty());
}

#[test]
fn repeats_only_the_beginning_of_an_endless_title() {
    let endless = "words ".repeat(20_000);
    let name = DocumentName::parse("endless.eml").unwrap();
    let blocks =
        vec![block(Heading(1), &endless, None), block(Heading(2), &endless, None), block(Paragraph, "End.", None)];
    let document = Extracted { title: Some(endless.clone()), pages: None, remark: None, blocks };
    let found = chunk(&name, &document, &ChunkSettings { tokens: 100, overlap_tokens: 10 });
    let repeated =
        |passage: &Passage| passage.title.len() + passage.heading_path.iter().map(String::len).sum::<usize>();
    assert!(found.len() > 200, "{}", found.len());
    assert!(found.iter().all(|passage| estimate(&passage.text) < 200), "headings alone fill passages too");
    let most = found.iter().map(repeated).max();
    assert!(most <= Some(3 * MOST_TITLE_CHARS), "{most:?}");
    assert!(found[0].title.starts_with("words words "));
    // The text itself stays whole.
    let text_bytes: usize = found.iter().map(|passage| passage.text.len()).sum();
    assert!(text_bytes >= 2 * (endless.len() - found.len() * 2), "{text_bytes} of {}", 2 * endless.len());
}
