//! Those who take what actions send, at the socket: a mail server that speaks as much SMTP as its clients need, and a receiver
//! of webhooks. What enters comes from the real clients, what leaves is what a test wants answered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::fake_azure::tls;

/// What a server does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Takes it.
    Take,
    /// Says no.
    Refuse,
    /// Hangs up where its word is awaited.
    Cut,
    /// Says nothing where its word is awaited.
    Hang,
    /// Says nothing at all.
    Mute,
}

/// A mail as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub text: String,
}

/// A mail server. It stops when it is dropped.
pub struct MailSink {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    task: JoinHandle<()>,
}

impl MailSink {
    pub async fn start(habit: Habit) -> Self {
        Self::listen(habit, None).await
    }

    /// The same over TLS, with the certificate `server` that the tests trust, or with `foreign`.
    pub async fn start_tls(certificate: &str) -> Self {
        Self::listen(Habit::Take, Some(tls::acceptor(certificate))).await
    }

    async fn listen(habit: Habit, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&mails);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mails, acceptor) = (Arc::clone(&shared), acceptor.clone());
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else { return drop(converse(stream, habit, &mails).await) };
                    // A client that does not trust us goes away, as it should.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    drop(converse(stream, habit, &mails).await);
                });
            }
        });
        Self { address, mails, task }
    }

    /// What SMTP_URL says.
    pub fn url(&self) -> String {
        format!("smtp://desk:s3cret@{}", self.address)
    }

    /// The same over TLS.
    pub fn url_over_tls(&self) -> String {
        format!("smtps://desk:s3cret@localhost:{}", self.address.port())
    }

    /// Every mail whose text came to its end.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MailSink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    habit: Habit,
    mails: &Mutex<Vec<Mail>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    if habit == Habit::Mute {
        return std::future::pending().await;
    }
    stream.write_all(b"220 sink\r\n").await?;
    let mut mail = Mail { from: String::new(), to: Vec::new(), text: String::new() };
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let said = line.trim_end();
        let address = || said.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match said.to_ascii_uppercase().split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-sink\r\n250 AUTH PLAIN\r\n",
            // `desk` and `s3cret` with a null before each.
            "AUTH" if said == "AUTH PLAIN AGRlc2sAczNjcmV0" => "235 welcome\r\n",
            "AUTH" => "535 who?\r\n",
            "MAIL" => {
                mail.from = address();
                "250 ok\r\n"
            }
            "RCPT" if habit == Habit::Refuse => "550 nobody of that name, as you could have known\r\n",
            "RCPT" => {
                mail.to.push(address());
                "250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                while !mail.text.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut mail.text).await? == 0 {
                        return Ok(());
                    }
                }
                mails.lock().unwrap_or_else(PoisonError::into_inner).push(mail.clone());
                match habit {
                    Habit::Cut => return Ok(()),
                    Habit::Hang => std::future::pending().await,
                    _ => "250 taken\r\n",
                }
            }
            "QUIT" => "221 bye\r\n",
            _ => "500 what?\r\n",
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Called {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// A receiver of webhooks. It stops when it is dropped.
pub struct HookSink {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Called>>>,
    task: JoinHandle<()>,
}

impl HookSink {
    pub async fn start(habit: Habit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().fallback(take).with_state((habit, Arc::clone(&calls)));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, calls, task }
    }

    /// An address at it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every request.
    pub fn calls(&self) -> Vec<Called> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HookSink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = (Habit, Arc<Mutex<Vec<Called>>>);

async fn take(State((habit, calls)): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    calls.lock().unwrap_or_else(PoisonError::into_inner).push(Called { path: uri.to_string(), headers, body });
    match habit {
        Habit::Take => (StatusCode::CREATED, "{\"id\": \"T-1\", \"more\": \"<script>\"}").into_response(),
        Habit::Refuse => (StatusCode::INTERNAL_SERVER_ERROR, "no").into_response(),
        Habit::Cut => (StatusCode::GATEWAY_TIMEOUT, "nobody answered").into_response(),
        Habit::Hang | Habit::Mute => std::future::pending().await,
    }
}
