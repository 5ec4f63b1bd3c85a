//! Uploads: multipart bodies that are none, names that lead elsewhere, files beyond the limits. What is refused leaves
//! nothing in the documents folder.

use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use knowledge_worker::ingest::ledger::State;

use super::{Besieged, KEPT};
use crate::support::app::Answer;

const BOUNDARY: &str = "-----------------------------7f3a";

/// A multipart body with one part for each file.
fn form<'a>(files: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in files {
        body.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
        body.extend_from_slice(b"Content-Disposition: form-data; name=\"file\"; filename=\"");
        body.extend_from_slice(name);
        body.extend_from_slice(b"\"\r\nContent-Type: text/plain\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

async fn upload(besieged: &Besieged, body: impl Into<Body>) -> Answer {
    let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = Request::post("/api/documents").header(header::CONTENT_TYPE, media_type);
    besieged.test.send(request.body(body.into()).unwrap()).await
}

/// Every file below the documents folder, by its name.
fn stored(besieged: &Besieged) -> BTreeSet<String> {
    fn walk(root: &Path, folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // What the store keeps for itself is no document.
            if path.file_name().unwrap().to_str().unwrap().starts_with(".kw-") {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, names);
            } else {
                names.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let (root, mut names) = (besieged.test.documents(), BTreeSet::new());
    walk(&root, &root, &mut names);
    names
}

fn only_the_kept_one() -> BTreeSet<String> {
    BTreeSet::from([KEPT.to_owned()])
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let besieged = Besieged::with(&[]).await;
    let good = form([(&b"a.txt"[..], &b"words"[..])]);
    let types = ["", "text/plain", "application/json", "multipart/form-data", "multipart/mixed; boundary=x"];
    for media_type in types {
        let request = Request::post("/api/documents").header(header::CONTENT_TYPE, media_type);
        let answer = besieged.test.send(request.body(good.clone().into()).unwrap()).await;
        answer.assert_problem("unsupported-media-type");
    }
    let without_type = Request::post("/api/documents").body(good.into()).unwrap();
    besieged.test.send(without_type).await.assert_problem("unsupported-media-type");
    assert_eq!(stored(&besieged), only_the_kept_one());
    besieged.stands().await;
}

#[tokio::test]
async fn a_form_without_a_whole_file_is_refused() {
    let besieged = Besieged::with(&[]).await;
    let good = form([(&b"a.txt"[..], &b"words that are cut off"[..])]);
    let other_boundary = String::from_utf8(good.clone()).unwrap().replace(BOUNDARY, "somebody-else");
    let field =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nwords\r\n--{BOUNDARY}--\r\n");
    let without_disposition = format!("--{BOUNDARY}\r\n\r\nwords\r\n--{BOUNDARY}--\r\n");
    let endless_head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {}", "x".repeat(1 << 20));
    let bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"words".into(),
        form([]),
        other_boundary.into(),
        field.into(),
        without_disposition.into(),
        endless_head.into(),
        vec![0; 1 << 16],
    ];
    for body in bodies {
        upload(&besieged, body).await.assert_problem("invalid-request");
    }
    let end = format!("\r\n--{BOUNDARY}--\r\n").len();
    for cut in [1, 20, 60, 100, good.len() - end - 1, good.len() - end, good.len() - end + 3] {
        let answer = upload(&besieged, good[..cut].to_vec()).await;
        answer.assert_problem("invalid-request");
    }
    assert_eq!(stored(&besieged), only_the_kept_one());
    besieged.stands().await;
}

#[tokio::test]
async fn a_name_that_no_document_can_have_is_refused() {
    let besieged = Besieged::with(&[]).await;
    let long = [b"a".repeat(5_000), b".txt".to_vec()].concat();
    let too_long_for_a_file = [b"a".repeat(300), b".txt".to_vec()].concat();
    let names: Vec<&[u8]> = vec![
        b"",
        b".",
        b"..",
        b"../..",
        b"folder/",
        b"C:\\folder\\",
        b".hidden",
        b".kw-lock",
        b"folder/.git",
        b"~$report.docx",
        &long,
        &too_long_for_a_file,
        b"a\tb.txt",
        b"a\x01b.txt",
        b"a\x1b[31mb.txt",
        b"a\x7fb.txt",
        "a\u{85}b.txt".as_bytes(),
        b"a\0b.txt",
    ];
    for name in names {
        let answer = upload(&besieged, form([(name, &b"words"[..])])).await;
        let shown = String::from_utf8_lossy(&name[..name.len().min(40)]).into_owned();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{shown:?}: {answer:?}");
        // A raw control character can break the head of the part before there is a name.
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        answer.assert_problem(if code == "invalid-request" { "invalid-request" } else { "invalid-name" });
    }
    assert_eq!(stored(&besieged), only_the_kept_one());
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_26_a_name_never_leads_out_of_the_folder() {
    let besieged = Besieged::with(&[]).await;
    let cases = [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/shadow", "shadow"),
        ("C:\\Users\\me\\plan.txt", "plan.txt"),
        ("%2e%2e%2fescaped.txt", "%2e%2e%2fescaped.txt"),
        ("a%00b.txt", "a%00b.txt"),
        ("'; DROP TABLE records; --.txt", "'; DROP TABLE records; --.txt"),
        ("<img src=x onerror=alert(1)>.txt", "<img src=x onerror=alert(1)>.txt"),
        ("\u{202e}txt.exe", "\u{202e}txt.exe"),
        ("\u{1f6a2} \u{1f642}.txt", "\u{1f6a2} \u{1f642}.txt"),
        ("CON", "CON"),
        ("LanguageWorkerConsoleLog.txt", "LanguageWorkerConsoleLog.txt"),
    ];
    let mut expected = only_the_kept_one();
    for (sent, name) in cases {
        let answer = upload(&besieged, form([(sent.as_bytes(), &b"harmless words"[..])])).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{sent:?}: {answer:?}");
        assert_eq!(answer.json()["documents"][0]["name"], name);
        besieged.test.sync(name).await;
        assert_eq!(besieged.test.row(name).await.unwrap().state, State::Indexed, "{name:?}");
        expected.insert(name.to_owned());
    }
    assert_eq!(stored(&besieged), expected);
    besieged.stands().await;
}

#[tokio::test]
async fn nobody_uploads_more_than_the_limits_allow() {
    let besieged = Besieged::with(&[("MAX_DOCUMENT_SIZE", "1000"), ("MAX_DOCUMENTS_PER_USER", "2")]).await;
    let large = vec![b'x'; 1_001];
    upload(&besieged, form([(&b"large.txt"[..], &large[..])])).await.assert_problem("body-too-large");
    assert_eq!(stored(&besieged), only_the_kept_one());
    for name in ["one.txt", "two.txt"] {
        let answer = upload(&besieged, form([(name.as_bytes(), &large[..1_000])])).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    }
    upload(&besieged, form([(&b"three.txt"[..], &b"words"[..])])).await.assert_problem("quota-exceeded");
    assert!(!stored(&besieged).contains("three.txt"));
    // Replacing takes no more room.
    let answer = upload(&besieged, form([(&b"two.txt"[..], &b"other words"[..])])).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    besieged.stands().await;
}

#[tokio::test]
async fn a_form_holds_a_hundred_files_at_most() {
    let besieged = Besieged::with(&[("MAX_DOCUMENTS_PER_USER", "1000")]).await;
    let names: Vec<String> = (0..101).map(|number| format!("{number}.txt")).collect();
    let files = names.iter().map(|name| (name.as_bytes(), &b"words"[..]));
    let answer = upload(&besieged, form(files)).await;
    answer.assert_problem("invalid-request");
    assert!(answer.body.contains("100"), "{answer:?}");
    assert!(!stored(&besieged).contains("100.txt"));
    besieged.stands().await;
}
