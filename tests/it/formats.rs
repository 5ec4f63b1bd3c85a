//! Real files of every format, as people make them: what is read, and where each piece of it stands. How the files were made
//! and which traps are in them is told beside them.

use std::fs;
use std::path::Path;

use knowledge_worker::document::{DocumentId, DocumentName, Principal};
use knowledge_worker::error::ErrorKind;
use knowledge_worker::ingest::formats::{Block, ExtractLimits, Extracted, extract};
use knowledge_worker::ingest::pipeline::Synced;

use crate::support::app::{TestApp, document_name};

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/documents").join(name)).unwrap()
}

/// Reads a file under another name, which may lie about what it is.
fn read_as(name: &str, file: &str) -> Extracted {
    let limits = ExtractLimits::new(100, 1 << 20);
    extract(&DocumentName::parse(name).unwrap(), &fixture(file), &limits).unwrap()
}

/// Asserts what is read of a file: its title, its pages, and its blocks with their places.
fn check(file: &str, title: Option<&str>, pages: Option<u32>, expected: &[&str]) {
    let found = read_as(file, file);
    let line = |block: &Block| {
        let page = block.page.map(|page| format!("p{page} ")).unwrap_or_default();
        let place = block.place.as_ref().map(|place| format!("{place} ")).unwrap_or_default();
        format!("{page}{place}{:?}: {}", block.kind, block.text)
    };
    assert_eq!(found.blocks.iter().map(line).collect::<Vec<_>>(), expected, "{file}");
    assert_eq!((found.title.as_deref(), found.pages), (title, pages), "{file}");
    // The content alone tells what it is, and is believed rather than the name.
    if !file.ends_with("srt") && !file.ends_with("sql") {
        assert_eq!(read_as("unnamed", file), found, "{file}");
    }
}

#[test]
fn word_keeps_headings_tables_notes_and_pages_and_reads_it_as_shown() {
    check(
        "rules.docx",
        Some("Harbour rules"),
        Some(2),
        &[
            "p1 Heading(1): Rules of the harbour",
            "p1 Heading(1): Moorings",
            "p1 Paragraph: Boats pay twelve crowns a night.",
            "p1 Paragraph: Children sail free.",
            "p1 Paragraph: - ropes at both ends",
            "p1 Paragraph: - lights at night",
            "p1 Paragraph: Words in a box.",
            "p1 Paragraph: Beside the box.",
            "p1 Heading(2): Fees",
            "p1 TableHeader: Berth | Length | Fee",
            "p1 TableRow: Berth: North; Length: up to 8 m; Fee: 12",
            "p1 TableRow: Berth: North; Length: up to 12 m; Fee: 18",
            "p1 TableRow: Berth: South; Length: any; Fee: 9",
            "p1 Heading(1): Storms",
            "p2 Paragraph: In a storm the gate is closed.",
        ],
    );
}

#[test]
fn powerpoint_keeps_the_order_of_slides_and_their_notes() {
    check(
        "talk.pptx",
        Some("The harbour of Tarnholm"),
        Some(3),
        &[
            "p1 Heading(1): The harbour of Tarnholm",
            "p1 Paragraph: A talk for visitors",
            "p2 Heading(1): Tides",
            "p2 Paragraph: - High water at six",
            "p2 Paragraph: - Low water at noon",
            "p2 Paragraph: Notes: Tell the story of the flood.",
            "p3 Heading(1): Depths",
            "p3 TableHeader: Basin | Metres",
            "p3 TableRow: Basin: North; Metres: 14",
        ],
    );
}

#[test]
fn spreadsheets_keep_cells_dates_and_numbers_as_shown() {
    check(
        "prices.xlsx",
        Some("Prices of the chandler"),
        None,
        &[
            "sheet=Prices!A1:A1 Heading(1): Prices",
            "sheet=Prices!A1:A1 Paragraph: Price list 2026",
            "sheet=Prices!A3:D3 TableHeader: Part | Group | Price | Valid from",
            "sheet=Prices!A4:D4 TableRow: Part: Rope; Group: Deck; Price: 1,234.50 EUR; Valid from: 2026-03-01",
            "sheet=Prices!A5:D5 TableRow: Part: Cleat; Group: Deck; Price: 7.25; Valid from: 2026-03-01 08:30",
            "sheet=Prices!A6:C6 TableRow: Part: Paint; Group: Hull; Price: 12.5%",
            "sheet=Crew & pay!B2:C2 Heading(1): Crew & pay",
            "sheet=Crew & pay!B2:C2 TableHeader: Name | Grade",
            "sheet=Crew & pay!B3:C3 TableRow: Name: Ada; Grade: A",
        ],
    );
    check(
        "tides.xls",
        None,
        None,
        &[
            "sheet=Tides!A1:B1 Heading(1): Tides",
            "sheet=Tides!A1:B1 TableHeader: Day | High water",
            "sheet=Tides!A2:B2 TableRow: Day: 2026-05-04; High water: 3.4",
            "sheet=Tides!A3:B3 TableRow: Day: 2026-05-05; High water: 3.1",
        ],
    );
    check(
        "locks.ods",
        None,
        None,
        &[
            "sheet=Locks!A1:B1 Heading(1): Locks",
            "sheet=Locks!A1:B1 TableHeader: Lock | Opened",
            "sheet=Locks!A2:B2 TableRow: Lock: East; Opened: 1911-06-01",
            "sheet=Locks!A3:B3 TableRow: Lock: West; Opened: 1934-09-15",
        ],
    );
}

#[test]
fn opendocument_rich_text_and_books_keep_their_headings() {
    check(
        "lighthouse.odt",
        Some("Lighthouse"),
        None,
        &[
            "Heading(1): Lighthouse",
            "Paragraph: The lamp turns every nine seconds.",
            "Paragraph: Since 1887.",
            "Heading(2): Keepers",
            "Paragraph: - clean the lens",
            "Paragraph: - fill the tank",
            "TableHeader: Keeper | Watch",
            "TableRow: Keeper: Ada; Watch: night",
            "TableRow: Keeper: Bo; Watch: day",
            "Paragraph: The stairs have 112 steps.",
        ],
    );
    check(
        "pilot.rtf",
        Some("Pilotage"),
        None,
        &[
            "Heading(1): Pilots",
            "Paragraph: Every ship above 40 m takes a pilot, for €90 a trip.",
            "Paragraph: In winter 110.",
            "Paragraph: - Call on channel 12",
            "TableHeader: Size | Pilots",
            "TableRow: Size: größer; Pilots: 2",
            "Paragraph: The office opens at eight.",
        ],
    );
    check(
        "harbour.epub",
        Some("The Harbour Book"),
        None,
        &[
            "Heading(1): Chapter one: Ebb",
            "Paragraph: The water goes at noon.",
            "Heading(2): More of it",
            "Paragraph: Twice a day, said b.",
            "Heading(1): Chapter two: Flood",
            "Paragraph: It is back at six.",
            "Heading(2): More of it",
            "Paragraph: Twice a day, said a.",
        ],
    );
}

#[test]
fn mail_keeps_who_wrote_and_which_part() {
    check(
        "ferry.eml",
        Some("New ferry – times"),
        None,
        &[
            "Paragraph: From: Ada Björk <ada@tarnholm.example>\nTo: Bo <bo@tarnholm.example>, harbour@tarnholm.example\n\
             Date: 2026-05-04T09:30:00+02:00\nSubject: New ferry – times",
            "Paragraph: Dear Bo,",
            "Paragraph: from June on the ferry leaves at seven, and costs £4.",
            "part=stops.txt Paragraph: Attachment: stops.txt",
            "part=stops.txt Paragraph: It stops at the mill.",
            "part=map.png Paragraph: Attachment: map.png",
            "part=Dogs Paragraph: From: Cy <cy@tarnholm.example>\nTo: Ada <ada@tarnholm.example>\n\
             Date: 2026-05-03T08:00:00Z\nSubject: Dogs",
            "part=Dogs Paragraph: Dogs travel free.",
        ],
    );
}

#[test]
fn subtitles_code_and_xml_keep_moments_lines_and_records() {
    check(
        "council.vtt",
        None,
        None,
        &[
            "t=00:01:20 Paragraph: Ada: The bridge will be closed on Monday.",
            "t=01:02:03 Paragraph: Bo: Who pays & when?",
        ],
    );
    check(
        "film.srt",
        None,
        None,
        &["t=00:00:05 Paragraph: The tide waits for nobody.", "t=00:10:00 Paragraph: - Cast off!"],
    );
    check(
        "berths.sql",
        None,
        None,
        &[
            "lines=1-5 Code: -- Berths of the harbour, and who lies there.\ncreate table berth (\n    \
             number integer primary key,\n    length_m real not null\n);",
            "lines=7-9 Code: create view free_berth as\nselect number from berth\n\
             where number not in (select berth from mooring);",
        ],
    );
    check(
        "orders.xml",
        None,
        None,
        &[
            "Paragraph: number: 17; item: Rope; amount: 40 (unit: m)",
            "Paragraph: number: 18; item: Tar & brushes",
            "Paragraph: remark: Deliver to the north quay before noon.",
        ],
    );
}

#[test]
fn a_name_that_lies_is_found_out_and_a_locked_file_says_so() {
    assert_eq!(read_as("rules.xlsx", "rules.docx"), read_as("rules.docx", "rules.docx"));
    assert_eq!(read_as("tides.pdf", "tides.xls"), read_as("tides.xls", "tides.xls"));
    let refusal = |name: &str, bytes: &[u8]| {
        extract(&DocumentName::parse(name).unwrap(), bytes, &ExtractLimits::new(100, 1 << 20)).unwrap_err()
    };
    for name in ["locked.xlsx", "locked.docx", "locked"] {
        let error = refusal(name, &fixture("locked.xlsx"));
        assert_eq!(error.kind(), ErrorKind::DocumentEncrypted, "{error}");
        assert!(error.message().contains("password"), "{error}");
    }
    for file in ["rules.docx", "talk.pptx", "prices.xlsx", "tides.xls", "locks.ods", "lighthouse.odt", "harbour.epub"] {
        let whole = fixture(file);
        let error = refusal(file, &whole[..whole.len() / 2]);
        assert!(matches!(error.kind(), ErrorKind::DocumentDamaged | ErrorKind::DocumentUnsupported), "{file}: {error}");
    }
}

#[tokio::test]
async fn a_citation_names_the_sheet_the_moment_the_part_or_the_page() {
    let test = TestApp::new();
    let cases = [
        ("prices.xlsx", "prices.xlsx#sheet=Prices!A1:D6", "What is the price of the rope?", "1,234.50 EUR"),
        ("council.vtt", "council.vtt#t=00:01:20", "When will the bridge be closed?", "Monday"),
        ("ferry.eml", "ferry.eml#part=stops.txt", "Where does it stop, at the mill?", "mill"),
        ("talk.pptx", "talk.pptx#page=3", "How many metres has the North basin?", "14"),
        ("berths.sql", "berths.sql#lines=1-9", "Which table has number integer primary key?", "berth"),
    ];
    for (file, source, question, said) in cases {
        assert!(matches!(test.ingest(file, fixture(file)).await, Synced::Indexed { .. }), "{file}");
        let id = DocumentId::of(&document_name(file));
        let passages = test.app.index.passages(&Principal::anonymous(), &id).await.unwrap();
        let sources: Vec<String> = passages.iter().map(|passage| passage.source()).collect();
        assert!(sources.iter().any(|found| found == source), "{sources:?}");
        let answer = test.ask(question).await;
        assert!(answer.contains(said) && answer.contains(source), "{file}: {answer}");
    }
}
