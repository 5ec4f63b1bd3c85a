//! PDFs that are broken, locked, endless or a trap. Each is quarantined with the reason, or read where that does no harm;
//! none is tried for ever, and none takes the process with it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use knowledge_worker::ingest::ledger::State;
use knowledge_worker::ingest::pipeline::Synced;

use super::Besieged;

fn file(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A PDF of these objects, the first of them the catalogue.
fn pdf(objects: &[String], trailer: &str) -> Vec<u8> {
    let (mut text, mut offsets) = ("%PDF-1.7\n".to_owned(), Vec::new());
    for (body, number) in objects.iter().zip(1..) {
        offsets.push(text.len());
        text.push_str(&format!("{number} 0 obj\n{body}\nendobj\n"));
    }
    let (start, size) = (text.len(), objects.len() + 1);
    text.push_str(&format!("xref\n0 {size}\n0000000000 65535 f \n"));
    text.extend(offsets.iter().map(|offset| format!("{offset:010} 00000 n \n")));
    text.push_str(&format!("trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n"));
    text.into_bytes()
}

/// A PDF of one page that draws `content`, with further objects from number 6 on.
fn page(content: &str, stream_entries: &str, resources: &str, further: &[&str]) -> Vec<u8> {
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
             /Resources << /Font << /F 5 0 R >> {resources} >> >>"
        ),
        format!("<< /Length {} {stream_entries} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    objects.extend(further.iter().map(|object| (*object).to_owned()));
    pdf(&objects, "")
}

fn words(text: &str) -> String {
    format!("BT /F 12 Tf 72 720 Td ({text}) Tj ET")
}

/// Asserts that each is quarantined as one of `codes`.
async fn assert_each_quarantined(besieged: &Besieged, codes: &[&str], pdfs: Vec<(&str, Vec<u8>)>) {
    for (name, bytes) in pdfs {
        let name = format!("{name}.pdf");
        match besieged.test.ingest(&name, bytes).await {
            Synced::Quarantined { code } if codes.contains(&code) => besieged.assert_quarantined(&name, code).await,
            other => panic!("{name} ended as {other:?}"),
        }
    }
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_22_a_name_does_not_make_a_pdf() {
    let besieged = Besieged::with(&[]).await;
    let others: Vec<(&str, Vec<u8>)> = vec![
        ("page", b"<!doctype html><h1>Ferry</h1><script>alert(1)</script>".into()),
        ("words", b"The words of a text.".into()),
        ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01".into()),
        ("elf", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".into()),
        ("exe", b"MZ\x90\0\x03\0\0\0\x04\0\0\0".into()),
        ("zip", b"PK\x03\x04\x14\0\0\0\x08\0".into()),
        ("one-byte", b"%".into()),
        ("almost", b"%PDF".into()),
        ("postscript", b"%!PS-Adobe-3.0\nshowpage".into()),
    ];
    assert_each_quarantined(&besieged, &["document-unsupported"], others).await;
}

#[tokio::test]
async fn bad_input_25_a_pdf_that_is_cut_anywhere_is_read_as_far_as_it_goes_or_refused() {
    let besieged = Besieged::with(&[("MAX_WORKERS", "4")]).await;
    let whole = file("samples/documents/handbook/staff-handbook.pdf");
    let cuts = (0..30).map(|step| step * whole.len() / 30).chain([5, 9, 100, whole.len() - 1, whole.len() - 7]);
    let (mut read, mut refused) = (0, 0);
    for cut in cuts.filter(|cut| *cut > 0) {
        let name = format!("cut-{cut}.pdf");
        match besieged.test.ingest(&name, &whole[..cut]).await {
            Synced::Indexed { passages } => {
                read += 1;
                assert!(passages > 0, "{cut}");
            }
            Synced::Quarantined { code } => {
                refused += 1;
                assert!(["document-damaged", "document-without-text"].contains(&code), "{cut}: {code}");
                besieged.assert_quarantined(&name, code).await;
            }
            other => panic!("{cut}: {other:?}"),
        }
    }
    assert!(read > 0 && refused > 0, "{read} were read and {refused} refused");
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_23_a_locked_pdf_says_that_it_is_locked() {
    let besieged = Besieged::with(&[]).await;
    let objects = |further: &str| {
        let plain = String::from_utf8(page(&words("sealed"), "", "", &[])).unwrap();
        plain.replace("/Root 1 0 R", &format!("/Root 1 0 R {further}")).into_bytes()
    };
    let id = "/ID [<00> <00>]";
    let locked = vec![
        ("password", file("tests/fixtures/documents/password.pdf")),
        ("unknown-handler", objects(&format!("/Encrypt << /Filter /Vault /V 4 >> {id}"))),
        ("unknown-cipher", objects(&format!("/Encrypt << /Filter /Standard /V 99 /R 99 /P 0 /O <00> /U <00> >> {id}"))),
    ];
    assert_each_quarantined(&besieged, &["document-encrypted"], locked).await;
    // An owner's password keeps nobody from reading.
    let open = file("tests/fixtures/documents/no-password-needed.pdf");
    assert_eq!(besieged.test.ingest("open.pdf", open).await, Synced::Indexed { passages: 1 });
    assert!(besieged.test.ask("When does the vault open?").await.contains("nine in the morning"));
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_25_a_pdf_that_leads_in_circles_comes_to_an_end() {
    let besieged = Besieged::with(&[("EXTRACT_TIMEOUT_SECONDS", "10")]).await;
    let form = |stream: &str, resources: &str| {
        let length = stream.len();
        format!(
            "<< /Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << {resources} >> /Length {length} >>\n\
             stream\n{stream}\nendstream"
        )
    };
    let own_kid = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [2 0 R 2 0 R 2 0 R] /Count 1000000000 >>".to_owned(),
    ];
    let own_root = ["1 0 R".to_owned()];
    let looped_xref =
        b"%PDF-1.4\nxref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size 1 /Prev 9 >>\nstartxref\n9\n%%EOF\n";
    let far_xref = b"%PDF-1.4\ntrailer\n<< /Root 1 0 R >>\nstartxref\n99999999999999999999\n%%EOF\n";
    let ends = vec![
        ("own-kid", pdf(&own_kid, "")),
        ("own-root", pdf(&own_root, "")),
        ("looped-xref", looped_xref.to_vec()),
        ("far-xref", far_xref.to_vec()),
        ("own-contents", page("", "/Length 4 0 R", "", &[])),
        ("deep-array", page(&"[".repeat(200_000), "", "", &[])),
        ("deep-dictionary", page(&"<<".repeat(200_000), "", "", &[])),
        ("many-states", page(&"q ".repeat(500_000), "", "", &[])),
        (
            "drawn-by-itself",
            page("/X Do", "", "/XObject << /X 6 0 R >>", &[&form("/X Do /X Do", "/XObject << /X 6 0 R >>")]),
        ),
        (
            "drawn-by-each-other",
            page(
                "/X Do",
                "",
                "/XObject << /X 6 0 R >>",
                &[&form("/Y Do /Y Do", "/XObject << /Y 7 0 R >>"), &form("/X Do /X Do", "/XObject << /X 6 0 R >>")],
            ),
        ),
        ("unknown-filter", page("abc", "/Filter /Nothing", "", &[])),
        ("not-flate", page("these are no packed bytes", "/Filter /FlateDecode", "", &[])),
        ("many-filters", page("00>", &format!("/Filter [{}]", "/ASCIIHexDecode ".repeat(10_000)), "", &[])),
        ("no-words", page("0 0 100 100 re f", "", "", &[])),
    ];
    let codes = ["document-damaged", "document-without-text", "document-over-limit"];
    assert_each_quarantined(&besieged, &codes, ends).await;
}

#[tokio::test]
async fn what_is_wrong_beside_the_text_does_not_hide_the_text() {
    let besieged = Besieged::with(&[]).await;
    let text = words("The tide gate of Tarnholm closes at dusk.");
    let sound = String::from_utf8(page(&text, "", "", &[])).unwrap();
    let length = format!("/Length {}", text.len());
    let odd: Vec<(&str, Vec<u8>)> = vec![
        ("wrong-length", sound.replace(&length, "/Length 1").into()),
        ("huge-length", sound.replace(&length, "/Length 4294967295").into()),
        ("no-length", sound.replace(&length, "").into()),
        ("wrong-xref", sound.replace("startxref\n", "startxref\n7").into()),
        ("no-xref", sound.split("xref").next().unwrap().as_bytes().to_vec()),
        ("before-the-signature", [b"GIF89a and other words\n".as_slice(), sound.as_bytes()].concat()),
        ("after-the-end", [sound.as_bytes(), &[0; 10_000]].concat()),
        ("script", sound.replace("/Catalog", "/Catalog /OpenAction << /S /JavaScript /JS (app.alert(1)) >>").into()),
        ("launch", sound.replace("/Catalog", "/Catalog /OpenAction << /S /Launch /F (/bin/sh) >>").into()),
        ("many-pages-claimed", sound.replace("/Count 1", "/Count 2147483647").into()),
    ];
    for (name, bytes) in odd {
        let name = format!("{name}.pdf");
        assert_eq!(besieged.test.ingest(&name, bytes).await, Synced::Indexed { passages: 1 }, "{name}");
        assert!(besieged.test.ask("When does the tide gate of Tarnholm close?").await.contains("at dusk"), "{name}");
        besieged.test.delete(&name);
        assert_eq!(besieged.test.sync(&name).await, Synced::Removed);
    }
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_24_a_bomb_goes_off_behind_the_fence() {
    let bomb = file("tests/fixtures/documents/text-bomb.pdf");
    for (memory, seconds, trouble) in [("256", "30", "memory"), ("4096", "5", "time")] {
        let besieged = Besieged::with(&[("EXTRACT_MEMORY_MB", memory), ("EXTRACT_TIMEOUT_SECONDS", seconds)]).await;
        let began = Instant::now();
        assert_each_quarantined(&besieged, &["document-over-limit"], vec![("bomb", bomb.clone())]).await;
        assert!(began.elapsed() < Duration::from_secs(35), "{:?}", began.elapsed());
        let row = besieged.test.row("bomb.pdf").await.unwrap();
        let sentence = row.error.unwrap().message;
        assert!(sentence.contains(trouble), "{sentence}");
        assert_eq!(row.attempts, 1);
        // Nobody lights it again.
        assert_eq!(besieged.test.sync("bomb.pdf").await, Synced::Quarantined { code: "document-over-limit" });
        assert_eq!(besieged.test.row("bomb.pdf").await.unwrap().attempts, 1);
    }
}

#[tokio::test]
async fn fifty_megabytes_of_nothing_are_refused() {
    let settings = [("MAX_DOCUMENT_SIZE", "67108864"), ("EXTRACT_TIMEOUT_SECONDS", "5")];
    let besieged = Besieged::with(&settings).await;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let noise: Vec<u8> = noise.flatten().take(1 << 20).collect();
    let garbage = [b"%PDF-1.7\n".to_vec(), noise.repeat(50)].concat();
    let codes = ["document-damaged", "document-over-limit"];
    assert_each_quarantined(&besieged, &codes, vec![("noise", garbage)]).await;
    let over = vec![b' '; (64 << 20) + 1];
    assert_each_quarantined(&besieged, &["document-too-large"], vec![("too-large", over)]).await;
    assert_eq!(besieged.test.row("noise.pdf").await.unwrap().state, State::Quarantined);
}
