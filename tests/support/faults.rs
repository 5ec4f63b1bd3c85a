//! A server between the product and one of its dependencies, at the socket. While all is well it passes every byte on to the
//! healthy one; told of a fault, it hangs up on everybody and plays that fault to whoever comes. It counts who came.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use knowledge_worker::clock::Clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::fake_azure::tls;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens at the port.
    Refused,
    /// The connection is reset in the middle of the body.
    ResetMidBody,
    /// The connection is taken, and nothing is ever said.
    BlackHole,
    /// A good beginning, one byte a second.
    Drip,
    /// 429, and when to come back: `retry-after: 1`.
    BusySeconds,
    /// The same as an HTTP date.
    BusyDate,
    /// The same as `retry-after-ms: 200`.
    BusyMilliseconds,
    /// The same, tomorrow.
    BusyTomorrow,
    /// Two answers with 500, then all is well.
    Burst,
    /// 503 to everybody.
    Unavailable,
    /// JSON that ends in the middle, in a body that is whole.
    TruncatedJson,
    /// A page of HTML with status 200.
    WrongType,
    /// A body of a gigabyte.
    Oversized,
    /// A certificate of an authority that nobody trusts.
    BadCertificate,
    /// The name of the server leads nowhere.
    NoSuchName,
    /// A stream of events that is cut in the middle.
    StreamCut,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Refused,
        Self::ResetMidBody,
        Self::BlackHole,
        Self::Drip,
        Self::BusySeconds,
        Self::BusyDate,
        Self::BusyMilliseconds,
        Self::BusyTomorrow,
        Self::Burst,
        Self::Unavailable,
        Self::TruncatedJson,
        Self::WrongType,
        Self::Oversized,
        Self::BadCertificate,
        Self::NoSuchName,
        Self::StreamCut,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::ResetMidBody => "reset in the middle of the body",
            Self::BlackHole => "takes the connection, says nothing",
            Self::Drip => "one byte a second",
            Self::BusySeconds => "429, `retry-after: 1`",
            Self::BusyDate => "429, a date a second ahead",
            Self::BusyMilliseconds => "429, `retry-after-ms: 200`",
            Self::BusyTomorrow => "429, `retry-after: 86400`",
            Self::Burst => "500 twice, then well",
            Self::Unavailable => "503",
            Self::TruncatedJson => "JSON cut off",
            Self::WrongType => "a page of HTML",
            Self::Oversized => "a body of 1 GB",
            Self::BadCertificate => "certificate nobody trusts",
            Self::NoSuchName => "name leads nowhere",
            Self::StreamCut => "stream of events cut off",
        }
    }

    /// Whether it lies in the address, and lasts.
    pub fn is_of_the_address(self) -> bool {
        matches!(self, Self::BadCertificate | Self::NoSuchName)
    }
}

/// What the server does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Healthy,
    Playing(Fault),
    /// Plays nothing but the certificate that nobody trusts.
    Foreign,
}

/// The server. It stops when it is dropped.
pub struct FaultServer {
    address: SocketAddr,
    role: watch::Sender<Role>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    upstream: SocketAddr,
    /// The way in while a fault is played is over TLS.
    acceptor: Option<TlsAcceptor>,
    /// What the healthy one calls itself, and what callers are to call it: as long as each other.
    renamed: Option<(String, String)>,
    calls: AtomicU64,
}

impl FaultServer {
    /// In front of a server without TLS.
    pub async fn before(upstream: SocketAddr) -> Self {
        Self::start(upstream, None, Role::Healthy).await
    }

    /// In front of a server with the TLS certificate that the tests trust.
    pub async fn before_tls(upstream: SocketAddr) -> Self {
        Self::start(upstream, Some(tls::acceptor("server")), Role::Healthy).await
    }

    /// A server whose certificate nobody trusts.
    pub async fn foreign() -> Self {
        Self::start(([127, 0, 0, 1], 9).into(), Some(tls::acceptor("foreign")), Role::Foreign).await
    }

    async fn start(upstream: SocketAddr, acceptor: Option<TlsAcceptor>, role: Role) -> Self {
        let socket = bound(([127, 0, 0, 1], 0).into());
        let address = socket.local_addr().expect("a bound socket has an address");
        let listener = socket.listen(1024).expect("the port is ours");
        let names = (upstream.to_string(), address.to_string());
        let renamed = (names.0.len() == names.1.len()).then_some(names);
        let shared = Arc::new(Shared { upstream, acceptor, renamed, calls: AtomicU64::new(0) });
        let role = watch::Sender::new(role);
        let task = tokio::spawn(listen(listener, address, Arc::clone(&shared), role.subscribe()));
        Self { address, role, shared, task }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hangs up on everybody, and from now on plays a fault; calls are counted anew.
    pub fn play(&self, fault: Fault) {
        self.shared.calls.store(0, Ordering::SeqCst);
        self.role.send_replace(Role::Playing(fault));
    }

    /// Hangs up on everybody, and from now on all is well.
    pub fn heal(&self) {
        self.role.send_replace(Role::Healthy);
    }

    /// The calls since a fault began: requests, or connections where none came of them.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::SeqCst)
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A socket with a port that a second one of ours may take before the first lets it go, and nobody else meanwhile.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.set_reuseport(true).expect("a new socket takes options");
    socket.bind(address).expect("the port is free, or ours");
    socket
}

async fn listen(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>, mut role: watch::Receiver<Role>) {
    let mut listener = Some(listener);
    loop {
        let now = *role.borrow_and_update();
        if now == Role::Playing(Fault::Refused) {
            // A socket that is bound and does not listen: the port stays ours, and connections are refused.
            let socket = bound(address);
            drop(listener.take());
            let Ok(()) = role.changed().await else { return };
            listener = Some(socket.listen(1024).expect("the port is ours"));
            continue;
        }
        let taken = listener.as_ref().expect("it listens unless it refuses");
        tokio::select! {
            changed = role.changed() => if changed.is_err() { return },
            accepted = taken.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let (shared, mut role) = (Arc::clone(&shared), role.clone());
                tokio::spawn(async move {
                    // Whatever is going on ends when the role changes, and the connection with it.
                    tokio::select! {
                        _ = role.changed() => {}
                        _ = serve(socket, now, &shared) => {}
                    }
                });
            }
        }
    }
}

async fn serve(socket: TcpStream, role: Role, shared: &Shared) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    if role == Role::Healthy || role == Role::Playing(Fault::Burst) && shared.calls.load(Ordering::SeqCst) >= 2 {
        return pass_on(socket, shared).await;
    }
    if role == Role::Playing(Fault::ResetMidBody) {
        socket.set_zero_linger()?;
    }
    shared.calls.fetch_add(1, Ordering::SeqCst);
    match &shared.acceptor {
        Some(acceptor) => play(acceptor.accept(socket).await?, role).await,
        None => play(socket, role).await,
    }
}

/// Both ways, until one side is done.
async fn pass_on(socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let upstream = TcpStream::connect(shared.upstream).await?;
    upstream.set_nodelay(true)?;
    let ((mut from_caller, mut to_caller), (mut from_server, mut to_server)) =
        (socket.into_split(), upstream.into_split());
    let there = async { tokio::io::copy(&mut from_caller, &mut to_server).await.map(|_| ()) };
    let back = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = from_server.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            if let Some((own, told)) = &shared.renamed {
                rename(&mut buffer[..length], own.as_bytes(), told.as_bytes());
            }
            to_caller.write_all(&buffer[..length]).await?;
        }
    };
    tokio::select! { ended = there => ended, ended = back => ended }
}

fn rename(bytes: &mut [u8], own: &[u8], told: &[u8]) {
    for at in 0..(bytes.len() + 1).saturating_sub(own.len()) {
        if bytes[at..].starts_with(own) {
            bytes[at..at + own.len()].copy_from_slice(told);
        }
    }
}

async fn play<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, role: Role) -> std::io::Result<()> {
    let Role::Playing(fault) = role else { return Ok(()) };
    read_request(&mut stream).await?;
    let json = "content-type: application/json\r\n";
    let busy = |when: &str| refusal("429 Too Many Requests", when);
    match fault {
        Fault::BlackHole => std::future::pending().await,
        Fault::Drip => {
            let body = " ".repeat(1 << 20);
            let answer = format!("HTTP/1.1 200 OK\r\n{json}content-length: {}\r\n\r\n{body}", body.len());
            for byte in answer.bytes() {
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
                sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        }
        Fault::ResetMidBody => {
            let head = format!("HTTP/1.1 200 OK\r\n{json}content-length: 1000\r\n\r\n{{\"id\": \"he");
            stream.write_all(head.as_bytes()).await?;
            stream.flush().await?;
            // Long enough for the beginning to be read; then the socket goes, and everything with it.
            sleep(Duration::from_millis(20)).await;
            Ok(())
        }
        Fault::StreamCut => {
            let event = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"The ferry"},"finish_reason":null}]}"#;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let piece = format!("data: {event}\n\n");
            stream.write_all(format!("{head}{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await?;
            stream.shutdown().await
        }
        Fault::Oversized => {
            let head = format!("HTTP/1.1 200 OK\r\n{json}content-length: {}\r\n\r\n", 1_u64 << 30);
            stream.write_all(head.as_bytes()).await?;
            let spaces = vec![b' '; 1 << 20];
            for _ in 0..1024 {
                stream.write_all(&spaces).await?;
            }
            stream.shutdown().await
        }
        Fault::BusySeconds => say(stream, &busy("retry-after: 1\r\n")).await,
        Fault::BusyMilliseconds => say(stream, &busy("retry-after-ms: 200\r\nx-ms-retry-after-ms: 200\r\n")).await,
        Fault::BusyTomorrow => say(stream, &busy("retry-after: 86400\r\n")).await,
        Fault::BusyDate => {
            let now = Clock::system().now();
            let date = |time: chrono::DateTime<chrono::Utc>| time.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let later = date(now + Duration::from_secs(1));
            say(stream, &busy(&format!("date: {}\r\nretry-after: {later}\r\n", date(now)))).await
        }
        Fault::Burst => say(stream, &refusal("500 Internal Server Error", "")).await,
        Fault::Unavailable => say(stream, &refusal("503 Service Unavailable", "")).await,
        Fault::TruncatedJson => say(stream, &whole("200 OK", json, "{\"id\": \"x\", \"value\": [{\"a\": ")).await,
        Fault::WrongType => {
            let page = "<html><body>Please sign in to the network.</body></html>";
            say(stream, &whole("200 OK", "content-type: text/html\r\n", page)).await
        }
        Fault::Refused | Fault::BadCertificate | Fault::NoSuchName => Ok(()),
    }
}

fn refusal(status: &str, headers: &str) -> String {
    whole(status, &format!("content-type: application/json\r\n{headers}"), r#"{"error": {"code": "fault"}}"#)
}

fn whole(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn say<S: AsyncWrite + Unpin>(mut stream: S, answer: &str) -> std::io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Reads a request whole, because a connection that is closed before that breaks instead of ending. What is not HTTP is over
/// when nothing more comes for a moment.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<()> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while !is_whole(&bytes) {
        let Ok(read) = timeout(Duration::from_millis(300), stream.read(&mut buffer)).await else { return Ok(()) };
        match read? {
            0 => return Ok(()),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(())
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let is_chunked = head.contains("transfer-encoding: chunked");
    if is_chunked { body.ends_with("0\r\n\r\n") } else { body.len() >= length.unwrap_or(0) }
}
