//! Documents of every other format that are empty, damaged, mislabelled or far too much of something, put into the folder
//! under names that nobody should choose.

use knowledge_worker::ingest::ledger::State;
use knowledge_worker::ingest::pipeline::Synced;
use serde_json::json;

use super::Besieged;
use crate::support::app::{document_name, get};

/// Asserts that each is quarantined as `code`.
async fn assert_each_quarantined(code: &'static str, documents: Vec<(&str, Vec<u8>)>) {
    let besieged = Besieged::with(&[]).await;
    for (name, bytes) in documents {
        assert_eq!(besieged.test.ingest(name, bytes).await, Synced::Quarantined { code }, "{name}");
        besieged.assert_quarantined(name, code).await;
        // A second look says the same and is no second attempt.
        assert_eq!(besieged.test.sync(name).await, Synced::Quarantined { code }, "{name}");
        assert_eq!(besieged.test.row(name).await.unwrap().attempts, 1, "{name}");
    }
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_22_what_is_empty_is_called_empty() {
    let documents: Vec<(&str, Vec<u8>)> = vec![
        ("empty.txt", b"".into()),
        ("empty.pdf", b"".into()),
        ("empty", b"".into()),
        ("blank.txt", b" ".into()),
        ("blank.md", b"\n\n\r\n\t\x0c ".into()),
        ("blank.csv", b"\n".into()),
        ("blank.json", vec![b' '; 1 << 20]),
    ];
    assert_each_quarantined("document-empty", documents).await;
}

#[tokio::test]
async fn bad_input_23_what_holds_no_text_is_called_so() {
    let documents: Vec<(&str, Vec<u8>)> = vec![
        ("mark.txt", b"\xef\xbb\xbf".into()),
        ("mark-16.txt", b"\xff\xfe".into()),
        ("unseen.txt", "\u{200b}\u{202e}\u{e0041}\u{feff}".into()),
        ("commas.csv", b",,,\n,,,\n".into()),
        ("markup.html", b"<!doctype html><p> </p><script>var words = 'hidden words'</script>".into()),
        ("comment.html", b"<!-- words -->".into()),
        ("object.json", b"{}".into()),
        ("list.json", b"[[], {}, [[]]]".into()),
        ("nulls.json", b"{\"a\": \"\", \"b\": [\"\"]}".into()),
    ];
    let besieged = Besieged::with(&[]).await;
    for (name, bytes) in documents {
        match besieged.test.ingest(name, bytes).await {
            Synced::Quarantined { code } => {
                assert_eq!(code, "document-without-text", "{name}");
                besieged.assert_quarantined(name, code).await;
            }
            // Names of fields without a value are little, and still words.
            other => assert_eq!((name, other), ("nulls.json", Synced::Indexed { passages: 1 })),
        }
    }
    besieged.stands().await;
}

#[tokio::test]
async fn what_is_no_text_is_not_read_as_text() {
    let signatures: [(&str, &[u8]); 12] = [
        ("picture.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("photo.md", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
        ("program.txt", b"\x7fELF\x02\x01\x01\0\0\0\0\0"),
        ("program.csv", b"MZ\x90\0\x03\0\0\0"),
        ("archive.json", b"PK\x03\x04\x14\0\x06\0\x08\0"),
        ("archive", b"PK\x03\x04\x14\0\x06\0\x08\0"),
        ("report.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0"),
        ("page.ps", b"%!PS-Adobe-3.0\n(words) show"),
        ("notes.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        ("database.txt", b"SQLite format 3\0"),
        ("zeros.txt", &[0; 1_000]),
        ("controls", b"\x01\x02\x03\x04\x05\x06\x07\x08"),
    ];
    let documents = signatures.into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect();
    assert_each_quarantined("document-unsupported", documents).await;
}

#[tokio::test]
async fn what_is_damaged_is_called_damaged() {
    let documents: Vec<(&str, Vec<u8>)> = vec![
        ("deep-list.json", b"[".repeat(100_000)),
        ("deep-object.json", b"{\"a\":".repeat(100_000)),
        ("deep-closed.json", ["[".repeat(100_000), "]".repeat(100_000)].concat().into()),
        ("deep-line.jsonl", [b"{\"a\": 1}\n".as_slice(), &b"[".repeat(100_000)].concat()),
        ("cut.json", b"{\"depth\": 14, \"name\": \"Tarn".into()),
        ("two.json", b"{\"a\": 1} {\"b\": 2}".into()),
        ("words.json", b"just words".into()),
        ("cut.docx", b"PK\x03\x04\x14\0\x06\0\x08\0".into()),
        ("half.jsonl", b"{\"a\": 1}\n{\"b\":\n".into()),
    ];
    assert_each_quarantined("document-damaged", documents).await;
}

#[tokio::test]
async fn what_is_too_much_is_stopped_on_the_way() {
    let besieged = Besieged::with(&[("MAX_DOCUMENT_SIZE", "4000000"), ("MAX_DOCUMENT_TEXT", "100000")]).await;
    let long_keys = format!("{{\"{}\": [{}1]}}", "key".repeat(1_000), "1, ".repeat(100_000));
    let unfolded: Vec<(&str, Vec<u8>)> = vec![
        ("long.txt", b"words and words\n\n".repeat(10_000)),
        ("long-line.txt", vec![b'x'; 1_000_000]),
        ("long-keys.json", long_keys.into()),
        ("wide.csv", format!("{}\n{}", "a,b,c,d,e,f,".repeat(2_000), "1,".repeat(100_000)).into()),
    ];
    for (name, bytes) in unfolded {
        let code = "document-over-limit";
        assert_eq!(besieged.test.ingest(name, bytes).await, Synced::Quarantined { code }, "{name}");
        besieged.assert_quarantined(name, code).await;
    }
    let code = "document-too-large";
    assert_eq!(besieged.test.ingest("large.txt", vec![b'x'; 4_000_001]).await, Synced::Quarantined { code });
    besieged.assert_quarantined("large.txt", code).await;
    besieged.stands().await;
}

#[tokio::test]
async fn what_is_odd_and_harmless_is_read() {
    let besieged = Besieged::with(&[]).await;
    let said = "The lamp of Tarnholm turns every nine seconds.";
    let utf16 =
        |mark: &[u8], unit: fn(u16) -> [u8; 2]| [mark.to_vec(), said.encode_utf16().flat_map(unit).collect()].concat();
    let documents: Vec<(&str, Vec<u8>)> = vec![
        ("invalid-utf-8.txt", [said.as_bytes(), b" \xff\xfe\xc3\x28 \xed\xa0\x80"].concat()),
        ("utf-16-le.txt", utf16(b"\xff\xfe", u16::to_le_bytes)),
        ("utf-16-be.txt", utf16(b"\xfe\xff", u16::to_be_bytes)),
        ("ragged.csv", format!("a,b\n1\n{said},2,3,4,5\n\"unclosed, {said}\n").into()),
        ("large-cell.csv", format!("name,value\nnoise,\"{}\"\nlamp,{said}\n", "x".repeat(1 << 20)).into()),
        ("quotes.csv", format!("\"\"\"\",\"\n\n\"\n{said},\"\"\n").into()),
        ("deep.html", format!("{}<p>{said}</p>", "<div><b><table>".repeat(100_000)).into()),
        ("unclosed.html", format!("<p>{said}<!-- never closed <p").into()),
        ("attributes.html", format!("<p {}>{said}</p>", "a=1 ".repeat(100_000)).into()),
        ("deep.md", format!("{} deep\n\n{said}\n", "> ".repeat(50_000)).into()),
        ("brackets.md", format!("{}\n\n{said}\n", "[".repeat(50_000)).into()),
        ("stars.md", format!("{}a\n\n{said}\n", "*_".repeat(50_000)).into()),
        ("controls.txt", format!("{said}\u{1b}[31m\u{7}").into()),
        ("tags.txt", format!("{said}\u{e0041}\u{e0042}\u{202e}").into()),
        ("one-byte.txt", b"x".into()),
    ];
    for (name, bytes) in documents {
        let synced = besieged.test.ingest(name, bytes).await;
        assert!(matches!(synced, Synced::Indexed { passages } if passages > 0), "{name}: {synced:?}");
        if name != "one-byte.txt" {
            let answer = besieged.test.ask("How often does the lamp of Tarnholm turn?").await;
            assert!(answer.contains("nine seconds") && answer.contains(name), "{name}: {answer}");
        }
        besieged.test.delete(name);
        assert_eq!(besieged.test.sync(name).await, Synced::Removed);
    }
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_26_a_name_nobody_should_choose_is_a_name() {
    let besieged = Besieged::with(&[]).await;
    let names = [
        "\u{1f6a2} ships \u{1f642}.txt".to_owned(),
        "\"quoted\" & 'quoted'.txt".to_owned(),
        "<img src=x onerror=alert(1)>.txt".to_owned(),
        "[brackets](javascript:alert(1)).txt".to_owned(),
        "../not-really.txt".replace('/', "\u{2215}"),
        "%2e%2e%2fpercent.txt".to_owned(),
        "\u{202e}txt.reversed".to_owned(),
        "{{template}} ${HOME} `id` $(id) ;id|id.txt".to_owned(),
        "-rf".to_owned(),
        " leading and trailing ".to_owned(),
        format!("{}.txt", "\u{6df1}".repeat(80)),
        format!("{}/long.txt", vec!["folder"; 100].join("/")),
        "a\\b.txt".to_owned(),
        "line\u{2028}separator.txt".to_owned(),
    ];
    for (number, name) in names.iter().enumerate() {
        let synced = besieged.test.ingest(name, format!("Buoy number {number} is painted green.")).await;
        assert_eq!(synced, Synced::Indexed { passages: 1 }, "{name:?}");
        let row = besieged.test.row(name).await.unwrap();
        assert_eq!((row.state, &row.name), (State::Indexed, name));
        let looked = besieged.test.send(get(&format!("/api/documents/{}", row.id))).await;
        assert_eq!(looked.json()["name"], **name);
        let found =
            besieged.test.post("/api/search", &json!({"query": format!("Buoy number {number} painted green")})).await;
        assert!(found.body.contains(&json!(name).to_string()), "{found:?}");
    }
    let listed = besieged.test.send(get("/api/documents?limit=200")).await;
    assert_eq!(listed.json()["documents"].as_array().unwrap().len(), names.len() + 1);
    besieged.stands().await;
}

#[tokio::test]
async fn a_link_that_leads_out_of_the_folder_is_not_followed() {
    let besieged = Besieged::with(&[]).await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.txt"), "The canary of Tarnholm is yellow.").unwrap();
    let link = |name: &str, target: &std::path::Path| {
        std::os::unix::fs::symlink(target, besieged.test.documents().join(name)).unwrap();
    };
    link("file.txt", &outside.path().join("secret.txt"));
    link("folder", outside.path());
    link("passwd.txt", std::path::Path::new("/etc/passwd"));
    link("endless.txt", std::path::Path::new("/dev/zero"));
    link("loop.txt", std::path::Path::new("loop.txt"));
    link("nowhere.txt", std::path::Path::new("not-there"));
    for name in ["file.txt", "folder/secret.txt", "passwd.txt", "endless.txt", "nowhere.txt"] {
        assert_eq!(besieged.test.sync(name).await, Synced::Unchanged, "{name}");
    }
    assert!(besieged.test.app.ingest.sync(&document_name("loop.txt")).await.is_err());
    assert!(!besieged.test.ask("What colour is the canary of Tarnholm?").await.contains("yellow"));
    besieged.stands().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_keeps_no_other_from_being_read() {
    let besieged = Besieged::with(&[]).await;
    // Root may read everything but this.
    std::os::unix::fs::symlink("loop.txt", besieged.test.documents().join("loop.txt")).unwrap();
    besieged.test.write("ferry.txt", "The ferry of Tarnholm leaves at seven.");
    for _ in 0..2 {
        let answer = besieged.test.post("/maintain_index", &json!({"Data": {}})).await;
        assert!(answer.status.is_success() && answer.body.contains("1 failed"), "{answer:?}");
    }
    assert!(besieged.test.ask("When does the ferry of Tarnholm leave?").await.contains("seven"));
    besieged.stands().await;
}
