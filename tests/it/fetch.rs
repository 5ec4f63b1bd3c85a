//! Fetching from the web: what may be asked and what may not, against a server of the test's own, which only a laboratory
//! makes reachable. Nothing that is refused is ever connected to.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use knowledge_worker::error::ErrorKind;
use knowledge_worker::ingest::fetch::{FetchSettings, Fetcher, Laboratory};
use serde_json::json;

use crate::support::app::TestApp;

const PAGE: &str = "<title>Harbour</title><h1>Harbour</h1><p>The lamp on the pier of Tarnholm is green.</p>";
const MAX_BYTES: u64 = 10_000;

/// This machine, its network and its cloud, in every notation that somebody thought of.
const INTERNAL: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0x0.0x0.0x1",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "0177.0x0.0.01",
    "00000177.0.0.1",
    "127.000.000.001",
    "127.0.0.2",
    "127.255.255.254",
    "0",
    "0.0.0.0",
    "0.0.0.1",
    "0x0",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "3232235521",
    "0xc0a80001",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:a9fe:a9fe]",
    "168.63.129.16",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "inside.test",
    "INSIDE.TEST",
    "mixed.test",
    "mapped.test",
    "nat64.test",
    "ula.test",
    "unspecified.test",
    "rebound.test",
];

/// A web server that counts who comes.
struct Site {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Site {
    async fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/{*path}", get(page))
            .route("/", get(|| async { "root" }))
            .route("/away/{*to}", get(|Path(to): Path<String>| async { away(to) }))
            .route("/hops/{left}", get(|Path(left): Path<u32>| async move { hops(left) }))
            .layer(axum::middleware::map_request_with_state(Arc::clone(&asked), count))
            .with_state(address);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    /// A fetcher that may ask this site under the name `site.test`, and takes its port for one of the usual ones.
    fn fetcher(&self) -> Fetcher {
        let names = [
            ("site.test", vec!["127.0.0.1"]),
            ("inside.test", vec!["10.0.0.1"]),
            ("mixed.test", vec!["1.1.1.1", "127.0.0.2"]),
            ("mapped.test", vec!["::ffff:127.0.0.1"]),
            ("nat64.test", vec!["64:ff9b::7f00:1"]),
            ("ula.test", vec!["fd00::1"]),
            ("unspecified.test", vec!["0.0.0.0"]),
            ("rebound.test", vec!["127.0.0.2"]),
        ];
        let parse = |addresses: Vec<&str>| addresses.iter().map(|address| address.parse().unwrap()).collect();
        let names: BTreeMap<String, Vec<IpAddr>> =
            names.into_iter().map(|(name, addresses)| (name.to_owned(), parse(addresses))).collect();
        Fetcher::new(settings(vec![80, 443, self.address.port()]), Laboratory { names, servers: vec![self.address] })
    }

    /// The same without a laboratory, as the product is made.
    fn strict_fetcher(&self) -> Fetcher {
        Fetcher::new(settings(vec![80, 443, self.address.port()]), Laboratory::default())
    }

    fn url(&self, path: &str) -> String {
        format!("http://site.test:{}{path}", self.address.port())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn settings(ports: Vec<u16>) -> FetchSettings {
    FetchSettings { max_bytes: MAX_BYTES, timeout: Duration::from_secs(1), ports }
}

async fn count(State(asked): State<Arc<AtomicUsize>>, request: axum::extract::Request) -> axum::extract::Request {
    asked.fetch_add(1, Ordering::SeqCst);
    request
}

fn away(to: String) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

fn hops(left: u32) -> Response {
    if left == 0 {
        return "arrived".into_response();
    }
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, format!("/hops/{}", left - 1))]).into_response()
}

async fn page(Path(path): Path<String>) -> Response {
    let endless = |pause: Duration| {
        let pieces = futures_util::stream::repeat(Bytes::from_static(&[b'x'; 1_000])).then(move |piece| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::convert::Infallible>(piece)
        });
        Body::from_stream(pieces).into_response()
    };
    match path.as_str() {
        "large" => vec![b'x'; 10_001].into_response(),
        "exact.txt" => ([(header::CONTENT_TYPE, "text/plain")], vec![b'x'; 10_000]).into_response(),
        "endless" => endless(Duration::ZERO),
        "slow" => endless(Duration::from_millis(300)),
        "silent" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            "late".into_response()
        }
        "packed" => ([(header::CONTENT_ENCODING, "gzip")], "\u{1f}").into_response(),
        "missing" => StatusCode::NOT_FOUND.into_response(),
        "nowhere" => StatusCode::FOUND.into_response(),
        "picture.png" => ([(header::CONTENT_TYPE, "image/png")], "PNG").into_response(),
        _ => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE).into_response(),
    }
}

#[tokio::test]
async fn no_notation_of_an_address_gets_past_the_guard() {
    let site = Site::start().await;
    assert!(INTERNAL.len() >= 60);
    let (fetcher, strict) = (site.fetcher(), site.strict_fetcher());
    for host in INTERNAL {
        for scheme in ["http", "https"] {
            // The laboratory lets its one server through by whatever notation; a strict fetcher has none.
            let fetcher = if host.ends_with("test") || host.ends_with("TEST") { &fetcher } else { &strict };
            let url = format!("{scheme}://{host}:{}/", site.address.port());
            let refused = fetcher.fetch(&url).await.expect_err(&url);
            assert_eq!(refused.kind(), ErrorKind::AddressRefused, "{url}: {}", refused.chain());
        }
    }
    // These names are looked up outside of this test, which may find nothing at all.
    for host in ["localhost", "localhost.", "LOCALHOST", "127.0.0.1.nip.io", "localtest.me"] {
        let url = format!("http://{host}:{}/", site.address.port());
        let refused = strict.fetch(&url).await.expect_err(&url);
        let kinds = [ErrorKind::AddressRefused, ErrorKind::FetchFailed, ErrorKind::DeadlineExceeded];
        assert!(kinds.contains(&refused.kind()), "{url}: {}", refused.chain());
    }
    assert_eq!(site.asked(), 0, "nobody was connected to");
}

#[tokio::test]
async fn what_is_no_plain_web_address_is_refused() {
    let site = Site::start().await;
    let port = site.address.port();
    let urls = [
        String::new(),
        "harbour".to_owned(),
        "http://".to_owned(),
        "http://[::1".to_owned(),
        "http://256.256.256.256/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "ftp://site.test/".to_owned(),
        "gopher://site.test/".to_owned(),
        "data:text/plain,words".to_owned(),
        "javascript:alert(1)".to_owned(),
        "jar:http://site.test!/".to_owned(),
        format!("http://me@site.test:{port}/"),
        format!("http://me:word@site.test:{port}/"),
        format!("http://:word@site.test:{port}/"),
        format!("http://site.test:{port}@127.0.0.2/"),
        format!("http://1.1.1.1@127.0.0.2:{port}/"),
        format!("http://127.0.0.2:{port}#@1.1.1.1/"),
        format!("http://127.0.0.2:{port}\\@1.1.1.1/"),
        "http://1.1.1.1:22/".to_owned(),
        "http://1.1.1.1:8080/".to_owned(),
        "https://1.1.1.1:80443/".to_owned(),
        "http://1.1.1.1:0/".to_owned(),
        format!("http://site.test:{port}/{}", "a".repeat(5_000)),
    ];
    for url in urls {
        let refused = site.fetcher().fetch(&url).await.expect_err(&url);
        assert_eq!(refused.kind(), ErrorKind::AddressRefused, "{url:.80}: {}", refused.chain());
        assert!(refused.message().len() > 20, "{}", refused.message());
    }
    assert_eq!(site.asked(), 0, "nobody was connected to");
}

#[tokio::test]
async fn a_redirect_is_looked_at_like_an_address() {
    let site = Site::start().await;
    let port = site.address.port();
    let targets = [
        format!("http://127.0.0.2:{port}/"),
        format!("http://2130706434:{port}/"),
        format!("//127.0.0.2:{port}/"),
        format!("http://inside.test:{port}/"),
        format!("http://mixed.test:{port}/"),
        format!("http://[::1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        format!("http://me@site.test:{port}/"),
        "http://site.test:22/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "ftp://site.test/".to_owned(),
    ];
    for target in targets {
        let refused = site.fetcher().fetch(&site.url(&format!("/away/{target}"))).await.expect_err(&target);
        assert_eq!(refused.kind(), ErrorKind::AddressRefused, "{target}: {}", refused.chain());
    }
    assert_eq!(site.asked(), 11, "each redirect was asked for, and no target");
    let followed = site.fetcher().fetch(&site.url("/hops/5")).await.unwrap();
    assert_eq!((&followed.bytes[..], followed.url.path()), (&b"arrived"[..], "/hops/0"));
    for path in ["/hops/6", "/hops/4000000000", "/nowhere"] {
        assert_eq!(site.fetcher().fetch(&site.url(path)).await.unwrap_err().kind(), ErrorKind::FetchFailed, "{path}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_or_too_slow_are_left() {
    let site = Site::start().await;
    let began = Instant::now();
    for (path, kind) in [
        ("/large", ErrorKind::DocumentTooLarge),
        ("/endless", ErrorKind::DocumentTooLarge),
        ("/slow", ErrorKind::DeadlineExceeded),
        ("/silent", ErrorKind::DeadlineExceeded),
        ("/packed", ErrorKind::FetchFailed),
        ("/missing", ErrorKind::FetchFailed),
    ] {
        let failed = site.fetcher().fetch(&site.url(path)).await.expect_err(path);
        assert_eq!(failed.kind(), kind, "{path}: {}", failed.chain());
        assert!(!failed.chain().contains("site.test"), "the log learns no address: {}", failed.chain());
    }
    assert!(began.elapsed() < Duration::from_secs(8), "nobody waits longer than the limit");
    assert_eq!(site.fetcher().fetch(&site.url("/exact.txt")).await.unwrap().bytes.len() as u64, MAX_BYTES);
}

#[tokio::test]
async fn a_page_from_the_web_is_answerable() {
    let site = Site::start().await;
    let test = TestApp::with_fetcher(site.fetcher());
    let url = site.url("/harbour/lamps?id=7&token=s3cret");
    let answer = test.post("/api/url", &json!({"url": url, "category": "lamps"})).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let row = answer.json()["documents"][0].clone();
    let name = row["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("site.test/harbour/lamps-") && name.ends_with(".html"), "{name}");
    assert_eq!(row["category"], "lamps");
    test.sync(&name).await;
    let said = test.ask("Which lamp is on the pier of Tarnholm?").await;
    assert!(said.contains("green") && said.contains("site.test/harbour/lamps"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_fetched_is_a_problem_and_leaves_nothing() {
    let site = Site::start().await;
    let test = TestApp::with_fetcher(site.fetcher());
    let cases = [
        (json!({"url": "http://127.0.0.2/"}), "address-refused"),
        (json!({"url": site.url("/missing")}), "fetch-failed"),
        (json!({"url": site.url("/picture.png")}), "document-unsupported"),
        (json!({"url": site.url("/large")}), "document-too-large"),
        (json!({"url": site.url("/slow")}), "deadline-exceeded"),
        (json!({"url": site.url("/"), "category": "x".repeat(101)}), "invalid-request"),
        (json!({"url": 7}), "invalid-request"),
        (json!({"address": "http://site.test/"}), "invalid-request"),
    ];
    for (body, code) in cases {
        test.post("/api/url", &body).await.assert_problem(code);
    }
    let strict = TestApp::new();
    strict
        .post("/api/url", &json!({"url": format!("http://{}/", site.address)}))
        .await
        .assert_problem("address-refused");
    assert!(test.app.ingest.ledger.all().await.unwrap().is_empty());
    assert_eq!(std::fs::read_dir(test.documents()).unwrap().count(), 0);
}
