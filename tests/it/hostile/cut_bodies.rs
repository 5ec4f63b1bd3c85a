//! Requests on a real socket that end too early, never end, or are no HTTP at all. Whatever comes back is no success, and
//! the server goes on.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use knowledge_worker::functions;
use knowledge_worker::host::server::{bind, serve};

use super::Besieged;
use super::envelopes::TRIGGERS;

/// The product behind a socket of its own; the server ends with it.
struct Listening {
    besieged: Besieged,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listening {
    async fn new() -> Self {
        let besieged = Besieged::with(&[]).await;
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = functions::host_router(Arc::clone(&besieged.test.app));
        let task = tokio::spawn(serve(listener, router, Duration::from_secs(30), std::future::pending()));
        Self { besieged, address, task }
    }

    /// Sends bytes, breaks off if that is wanted, and returns all that comes back until the server closes.
    async fn say(&self, bytes: Vec<u8>, breaks_off: bool) -> String {
        let address = self.address;
        let talk = move || -> std::io::Result<Vec<u8>> {
            let mut socket = TcpStream::connect(address)?;
            socket.set_read_timeout(Some(Duration::from_secs(20)))?;
            // The server may have refused and closed before it has heard everything.
            let _cut_short = socket.write_all(&bytes);
            if breaks_off {
                let _closed_already = socket.shutdown(Shutdown::Write);
            }
            let mut heard = Vec::new();
            let mut piece = [0; 4096];
            loop {
                match socket.read(&mut piece) {
                    Ok(0) => return Ok(heard),
                    Ok(length) => heard.extend_from_slice(&piece[..length]),
                    Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Ok(heard),
                    Err(e) => return Err(e),
                }
            }
        };
        let heard = tokio::task::spawn_blocking(talk).await.unwrap().expect("the connection comes to an end");
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// Asserts that nothing of what comes back is a success.
    async fn assert_refused(&self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let heard = self.say(bytes, true).await;
        assert!(!heard.contains("HTTP/1.1 2"), "{shown:?} was answered {heard:?}");
    }

    async fn stands(&self) {
        let heard = self.say(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(), false).await;
        assert!(heard.starts_with("HTTP/1.1 200"), "{heard:?}");
        self.besieged.stands().await;
    }
}

fn head(path: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{headers}\r\n\r\n")
}

fn posts() -> impl Iterator<Item = &'static str> {
    TRIGGERS.into_iter().chain(["/api/chat", "/api/chat/stream", "/api/search"])
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_no_invocation() {
    let listening = Listening::new().await;
    // What has come so far would be a whole invocation or a whole question.
    let whole = r#"{"Data": {"timer": {}, "event": "[]"}, "Metadata": {"name": "\"harbour/kept.md\""}}"#;
    for path in posts() {
        let sent = if path.starts_with("/api") { r#"{"message": "How deep?"}"# } else { whole };
        listening.assert_refused(format!("{}{sent}", head(path, "Content-Length: 1000"))).await;
        listening.assert_refused(head(path, "Content-Length: 1000")).await;
        let chunk = format!("{:x}\r\n{sent}\r\n", sent.len());
        listening.assert_refused(format!("{}{chunk}", head(path, "Transfer-Encoding: chunked"))).await;
        listening.assert_refused(format!("{}{:x}\r\n{sent}", head(path, "Transfer-Encoding: chunked"), 5_000)).await;
        listening.assert_refused(format!("{}zz\r\n{sent}\r\n", head(path, "Transfer-Encoding: chunked"))).await;
        let endless_size = "f".repeat(40);
        listening.assert_refused(format!("{}{endless_size}\r\n{sent}", head(path, "Transfer-Encoding: chunked"))).await;
    }
    listening.stands().await;
}

#[tokio::test]
async fn an_upload_that_is_cut_off_is_not_kept() {
    let listening = Listening::new().await;
    let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cut.txt\"\r\n\r\nThe cut rope";
    let head = "POST /api/documents HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n";
    listening.assert_refused(format!("{head}Content-Length: 5000\r\n\r\n{part}")).await;
    let chunk = format!("{:x}\r\n{part}\r\n", part.len());
    listening.assert_refused(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}")).await;
    assert!(!listening.besieged.test.documents().join("cut.txt").exists());
    listening.stands().await;
}

#[tokio::test]
async fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let listening = Listening::new().await;
    let long_header = format!("X-Long: {}", "x".repeat(1 << 20));
    let many_headers = (0..1_000).map(|number| format!("X-{number}: 1\r\n")).collect::<String>();
    let cases: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0; 100],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".into(),
        b"SSH-2.0-OpenSSH_9.9\r\n".into(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        b"POST /api/chat HTTP/9.9\r\n\r\n".into(),
        b"POST /api/chat HTTP/1.1\r\nHost: a".into(),
        b"POST /api/ch at HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        b"POST /api/chat\0 HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        b"P\x00ST /api/chat HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        b"GET /api/health HTTP/1.1\r\nHost : a\r\nBad\x01Header: 1\r\n\r\n".into(),
        head("/api/chat", "Content-Length: -1").into(),
        head("/api/chat", "Content-Length: 99999999999999999999999").into(),
        head("/api/chat", "Content-Length: 1\r\nContent-Length: 2").into(),
        head("/api/chat", "Transfer-Encoding: gzip").into(),
        head("/api/chat", &long_header).into(),
        head("/api/chat", &many_headers).into(),
        [b"GET /".as_slice(), &b"a".repeat(1 << 17), b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat(),
    ];
    for bytes in cases {
        listening.assert_refused(bytes).await;
    }
    listening.stands().await;
}

#[tokio::test]
async fn a_request_hidden_in_a_body_is_only_a_bad_body() {
    let listening = Listening::new().await;
    let hidden = "POST /maintain_index HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n{\"Data\":{}}";
    for path in posts() {
        listening.assert_refused(format!("{}{hidden}", head(path, &format!("Content-Length: {}", hidden.len())))).await;
    }
    listening.stands().await;
}
