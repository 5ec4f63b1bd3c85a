//! Office files, books, messages and rich text that unfold, nest or repeat without end. Each is refused with the limit it
//! breaks, by the reader or by the fence around it; none is tried twice, and none takes the process with it.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use knowledge_worker::ingest::pipeline::Synced;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::Besieged;

fn package(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn docx(document: &str) -> Vec<u8> {
    package(&[("word/document.xml", document.as_bytes())])
}

fn ods(content: &str) -> Vec<u8> {
    let kind = b"application/vnd.oasis.opendocument.spreadsheet";
    // The type comes first and is not packed, so that it can be seen.
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer.start_file("mimetype", stored).unwrap();
    writer.write_all(kind).unwrap();
    for (name, text) in [("META-INF/manifest.xml", "<manifest:manifest/>"), ("content.xml", content)] {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn table(name: &str, row: &str) -> String {
    format!("<table:table table:name=\"{name}\">{row}</table:table>")
}

/// A workbook of this many sheets, all the same.
fn xlsx(num_sheets: usize) -> Vec<u8> {
    let names: Vec<String> = (0..num_sheets).map(|number| format!("xl/worksheets/sheet{number}.xml")).collect();
    package(&names.iter().map(|name| (name.as_str(), b"<worksheet/>".as_slice())).collect::<Vec<_>>())
}

/// A message in a message, this deep.
fn forwarded(depth: usize) -> Vec<u8> {
    let head = "From: a@example.com\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n";
    (head.repeat(depth) + "From: b@example.com\r\nSubject: inside\r\n\r\nwords\r\n").into_bytes()
}

fn attachments(count: usize) -> Vec<u8> {
    let head =
        "From: a@example.com\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    (head.to_owned() + &"--b\r\nContent-Type: text/plain; name=a.txt\r\n\r\nw\r\n".repeat(count) + "--b--\r\n")
        .into_bytes()
}

#[tokio::test]
async fn bad_input_24_what_unfolds_or_nests_without_end_is_told_its_limit() {
    let besieged = Besieged::with(&[]).await;
    let open = "<w:document xmlns:w=\"w\">";
    let huge = format!("{open}{}", " ".repeat(40 << 20));
    let many: Vec<String> = (0..3_000).map(|number| format!("word/{number}.xml")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    let sheets: String = (0..10_000).map(|number| table(&format!("s{number}"), "")).collect();
    let cell = "<table:table-cell office:value-type=\"string\" table:number-columns-repeated=\"16000\"><text:p>words</text:p></table:table-cell>";
    let wide = format!("<table:table-row table:number-rows-repeated=\"1000000\">{cell}</table:table-row>");
    let spread =
        |inside: &str| ods(&format!("<office:document-content xmlns:office=\"o\">{inside}</office:document-content>"));
    let documents: Vec<(&str, Vec<u8>, &str)> = vec![
        ("unfolds.docx", docx(&huge), "times its size"),
        ("unfolds.pptx", package(&[("ppt/presentation.xml", huge.as_bytes())]), "times its size"),
        ("unfolds.xlsx", package(&[("xl/workbook.xml", huge.as_bytes())]), "times its size"),
        ("unfolds.epub", package(&[("META-INF/container.xml", huge.as_bytes())]), "times its size"),
        ("entries.docx", package(&many), "2000 parts"),
        ("sheets.xlsx", xlsx(10_000), "2000 parts"),
        ("sheets.ods", spread(&sheets), "10000 sheets"),
        ("cells.ods", spread(&table("s", &wide)), "limit"),
        ("deep.docx", docx(&format!("{open}{}", "<w:p>".repeat(10_000))), "256 elements"),
        ("deep.xml", "<a>".repeat(100_000).into_bytes(), "256 elements"),
        ("deep.rtf", ["{\\rtf1", &"{".repeat(100_000)].concat().into_bytes(), "256"),
        ("deep.eml", forwarded(200), "limit"),
        ("parts.eml", attachments(5_000), "2000 parts"),
    ];
    for (name, bytes, word) in documents {
        let started = Instant::now();
        assert_eq!(
            besieged.test.ingest(name, bytes).await,
            Synced::Quarantined { code: "document-over-limit" },
            "{name}"
        );
        besieged.assert_quarantined(name, "document-over-limit").await;
        let message = besieged.test.row(name).await.unwrap().error.unwrap().message;
        assert!(message.contains(word), "{name}: {message}");
        assert!(started.elapsed() < Duration::from_secs(30), "{name} took {:?}", started.elapsed());
    }
    besieged.stands().await;
}

#[tokio::test]
async fn entities_stand_for_nothing_and_archives_in_archives_stay_shut() {
    let besieged = Besieged::with(&[]).await;
    let bomb = "<!DOCTYPE d [<!ENTITY a \"canary canary\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c SYSTEM \"file:///etc/passwd\">]>\
                <w:document xmlns:w=\"w\"><w:body><w:p><w:r><w:t>The ferry of Tarnholm is green.&b;&c;</w:t></w:r></w:p></w:body></w:document>";
    let inner = docx("<w:document xmlns:w=\"w\"><w:p><w:r><w:t>canary</w:t></w:r></w:p></w:document>");
    let nested = package(&[
        ("word/document.xml", bomb.as_bytes()),
        ("word/embeddings/inner.docx", &inner),
        ("../../escape.txt", b"canary"),
    ]);
    assert_eq!(besieged.test.ingest("nested.docx", nested).await, Synced::Indexed { passages: 1 });
    let answer = besieged.test.ask("What colour is the ferry of Tarnholm?").await;
    assert!(answer.contains("green") && !answer.contains("canary") && !answer.contains("root"), "{answer}");
    besieged.stands().await;
}

/// A workbook whose list of sheets points behind its end: the library that reads it stops with a panic.
fn torn_xls() -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/documents/tides.xls");
    let mut bytes = std::fs::read(path).unwrap();
    // The name of the sheet ends the record that says where the sheet begins.
    let name = bytes.windows(5).position(|found| found == b"Tides").unwrap();
    bytes[name - 8..name - 4].copy_from_slice(&[0x00, 0xff, 0xff, 0x00]);
    bytes
}

#[tokio::test]
async fn noise_in_an_archive_is_damage() {
    let besieged = Besieged::with(&[]).await;
    let documents = [
        ("no-xml.docx", docx("these are words, not XML <")),
        ("no-main.docx", package(&[("word/other.xml", b"<a/>")])),
        ("no-slides.pptx", package(&[("ppt/other.xml", b"<a/>")])),
        ("no-book.xlsx", package(&[("xl/other.xml", b"<a/>")])),
        ("no-chapters.epub", package(&[("META-INF/container.xml", b"<container/>")])),
        ("cut.xml", b"<?xml version=\"1.0\"?><a><b>".to_vec()),
    ];
    for (name, bytes) in documents.into_iter().chain([("torn.xls", torn_xls())]) {
        assert_eq!(besieged.test.ingest(name, bytes).await, Synced::Quarantined { code: "document-damaged" }, "{name}");
        besieged.assert_quarantined(name, "document-damaged").await;
    }
    besieged.stands().await;
}
