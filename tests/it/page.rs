//! The page and what it shows of documents: assets that are kept for ever, a policy that lets nothing in, originals that only
//! come down as files, pages drawn behind the fence with the passage marked.

use std::io::Read;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use knowledge_worker::document::DocumentId;
use knowledge_worker::ingest::rights::ALLOWED_USERS;
use knowledge_worker::stores::blobs::{Condition, PutOptions};
use tower::ServiceExt;

use crate::support::app::{Answer, TestApp, document_name, get};

fn with_header(path: &str, name: &str, value: &str) -> Request<Body> {
    Request::get(path).header(name, value).body(Body::empty()).unwrap()
}

/// The addresses of all assets that the page names.
fn assets(page: &str) -> Vec<String> {
    page.split('"').filter(|part| part.starts_with("/assets/")).map(str::to_owned).collect()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/documents/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

async fn of_document(test: &TestApp, name: &str, rest: &str) -> Answer {
    test.send(get(&format!("/api/documents/{}/{rest}", DocumentId::of(&document_name(name))))).await
}

#[tokio::test]
async fn the_page_lets_nothing_in_and_is_asked_for_each_time() {
    let test = TestApp::new();
    let page = test.send(get("/")).await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for part in
        ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    assert_eq!(page.headers["cache-control"], "no-cache");
    let etag = page.headers["etag"].to_str().unwrap();
    let again = test.send(with_header("/", "if-none-match", &format!("\"other\", W/{etag}"))).await;
    assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(test.send(with_header("/", "if-none-match", "\"other\"")).await.status, StatusCode::OK);
    // The browser would refuse what is written into the page itself.
    assert!(!page.body.contains("<style") && !page.body.contains("style=") && !page.body.contains("onclick"));
}

#[tokio::test]
async fn assets_are_kept_for_ever_and_packed() {
    let test = TestApp::new();
    let addresses = assets(&test.send(get("/")).await.body);
    assert!(addresses.len() >= 15, "{addresses:?}");
    let mut packed_bytes = 0;
    for address in &addresses {
        let plain = test.send(get(address)).await;
        assert_eq!(plain.status, StatusCode::OK, "{address}");
        assert_eq!(plain.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(plain.headers["x-content-type-options"], "nosniff");
        let answer = test.router().oneshot(with_header(address, "accept-encoding", "br, gzip")).await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], "gzip", "{address}");
        assert_eq!(answer.headers()["content-type"], plain.headers["content-type"]);
        let packed = answer.into_body().collect().await.unwrap().to_bytes();
        packed_bytes += packed.len();
        let mut unpacked = String::new();
        GzDecoder::new(packed.as_ref()).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain.body, "{address}");
    }
    assert!(packed_bytes < 100_000, "the first load is {packed_bytes} bytes");
    let name = addresses[0].rsplit('/').next().unwrap();
    for wrong in
        [format!("/assets/0000000000000000/{name}"), addresses[0].replace(name, "index.html"), "/assets/".into()]
    {
        test.send(get(&wrong)).await.assert_problem("not-found");
    }
}

#[tokio::test]
async fn an_original_comes_down_as_a_file_and_is_never_a_page() {
    let test = TestApp::new();
    let html = "<p>The lamp on the pier is green.</p><script>alert(1)</script>";
    test.ingest("notes/lamp \"quoted\" ü.html", html).await;
    let original = of_document(&test, "notes/lamp \"quoted\" ü.html", "content").await;
    assert_eq!((original.status, original.body.as_str()), (StatusCode::OK, html));
    assert_eq!(original.headers["content-type"], "application/octet-stream");
    assert_eq!(
        original.headers["content-disposition"],
        "attachment; filename*=UTF-8''lamp%20%22quoted%22%20%C3%BC.html"
    );
    assert_eq!(original.headers["content-security-policy"], "default-src 'none'; sandbox");
    assert_eq!(original.headers["x-content-type-options"], "nosniff");
    assert_eq!(original.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn what_may_not_be_read_has_no_original_and_no_page() {
    let test = TestApp::new();
    test.ingest("rules.pdf", fixture("running-heads.pdf")).await;
    let places = ["content", "pages/1", "passages/0"];
    for place in places {
        assert_eq!(of_document(&test, "rules.pdf", place).await.status, StatusCode::OK, "{place}");
        of_document(&test, "never.pdf", place).await.assert_problem("not-found");
    }
    // Storage says no, and nobody has told the index yet.
    let metadata = [(ALLOWED_USERS.to_owned(), "home/ann".to_owned())].into();
    let options = PutOptions { condition: Condition::Always, metadata };
    test.app.documents.put_with("rules.pdf", fixture("running-heads.pdf").into(), options).await.unwrap();
    for place in ["content", "pages/1"] {
        of_document(&test, "rules.pdf", place).await.assert_problem("not-found");
    }
    test.sync("rules.pdf").await;
    for place in places {
        of_document(&test, "rules.pdf", place).await.assert_problem("not-found");
    }
}

/// How many rectangles there are in the first and in the second layer of marks.
fn marks(svg: &str) -> Vec<usize> {
    let layers = svg.split("mix-blend-mode:multiply").skip(1);
    layers.map(|layer| layer.split("</g>").next().unwrap_or_default().matches("<rect").count()).collect()
}

fn marked_at(headers: &HeaderMap) -> Option<f64> {
    headers.get("x-marked-at").map(|value| value.to_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_page_is_drawn_with_the_passage_marked() {
    let test = TestApp::new();
    test.ingest("rules.pdf", fixture("running-heads.pdf")).await;
    let around = of_document(&test, "rules.pdf", "passages/1").await.json();
    assert_eq!((&around["pages"], &around["passage"]["ordinal"]), (&4.into(), &1.into()));
    assert_eq!(around["before"].as_array().unwrap().len(), 1);
    assert!(!around["after"].as_array().unwrap().is_empty());
    let page = around["passage"]["page"].as_u64().unwrap();

    let bare = of_document(&test, "rules.pdf", &format!("pages/{page}")).await;
    assert_eq!(bare.headers["content-type"], "image/svg+xml");
    assert!(bare.headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    assert!(bare.body.starts_with("<svg") && marks(&bare.body).is_empty() && marked_at(&bare.headers).is_none());
    let marked = of_document(&test, "rules.pdf", &format!("pages/{page}?passage=1&from=0&to=20")).await;
    let [all, core] = marks(&marked.body)[..] else { panic!("two layers") };
    assert!((1..all).contains(&core), "{all} and {core}");
    assert!(marked_at(&marked.headers).is_some_and(|at| (0.0..1.0).contains(&at)), "{:?}", marked.headers);

    for place in ["pages/0", "pages/5", "pages/x", "passages/9999", "passages/-1", "pages/1?passage=9999"] {
        of_document(&test, "rules.pdf", place).await.assert_problem("not-found");
    }
    of_document(&test, "rules.pdf", "pages/1?passage=one").await.assert_problem("invalid-request");
    test.ingest("notes.md", "# Lamps\n\nThe lamp on the pier is green.").await;
    of_document(&test, "notes.md", "pages/1").await.assert_problem("document-unsupported");
}

#[tokio::test]
async fn a_page_that_means_harm_hurts_nobody() {
    let test = TestApp::with(&[("EXTRACT_TIMEOUT_SECONDS", "2"), ("EXTRACT_MEMORY_MB", "192")]);
    test.ingest("notes.md", "The lamp on the pier is green.").await;
    for name in ["time-bomb.pdf", "memory-bomb.pdf", "page-loop.pdf", "cut-off.pdf", "encrypted.pdf"] {
        test.ingest(name, fixture(name)).await;
        let page = of_document(&test, name, "pages/1").await;
        // Of what is damaged, what there is of it may be drawn.
        let is_picture = page.status == StatusCode::OK && page.body.starts_with("<svg");
        let code = if is_picture { String::new() } else { page.json()["code"].as_str().unwrap().to_owned() };
        let expected = match name {
            "time-bomb.pdf" | "memory-bomb.pdf" => code == "document-over-limit",
            "encrypted.pdf" => code == "document-encrypted",
            _ => is_picture || ["document-damaged", "not-found"].contains(&code.as_str()),
        };
        assert!(expected, "{name}: {code}");
    }
    assert!(test.ask("Which lamp is on the pier?").await.contains("green"));
}
