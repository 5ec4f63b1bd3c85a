//! The fence around parsers. A document's bytes go into a child process of this very binary, its text comes back; what
//! the parser does in between, whether it hangs, fills memory or aborts, ends with the child and becomes an error.
//!
//! The child gets one line of JSON, its task, then the document on standard input; it limits itself before it reads the
//! document and writes one line of JSON, its reply, on standard output. Its environment is empty and it can write no file.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rlimit::Resource;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::document::DocumentName;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::pdf::page::{DrawnPage, PageWanted, draw_page};
use crate::ingest::formats::{self, ExtractLimits, Extracted, blocks::over_text_limit};

/// The hidden subcommand that makes the binary a child: `handler extract`.
pub const CHILD_COMMAND: &str = "extract";

/// How documents are read: by which program, how many at a time, and within which limits.
#[derive(Debug, Clone)]
pub struct ExtractSettings {
    /// The binary to start; this process's own.
    pub program: PathBuf,
    /// Most children at a time.
    pub max_workers: usize,
    /// Most address space of a child.
    pub memory_bytes: u64,
    /// Most seconds of processor time of a child.
    pub cpu_seconds: u64,
    /// Most time from start to answer, whatever the child does.
    pub wall: Duration,
    /// How much of a document is read before it is refused.
    pub limits: ExtractLimits,
}

/// Pages drawn at a time. People wait for them, so they do not queue behind documents.
const MAX_DRAWERS: usize = 2;
/// Most bytes of the picture of a page.
const MOST_PICTURE_BYTES: u64 = 16 << 20;

/// Reads documents in child processes.
#[derive(Debug, Clone)]
pub struct Extractor {
    settings: Arc<ExtractSettings>,
    workers: Arc<Semaphore>,
    drawers: Arc<Semaphore>,
}

impl Extractor {
    /// An extractor that works within these settings. Nothing is started yet.
    pub fn new(settings: ExtractSettings) -> Self {
        let workers = Arc::new(Semaphore::new(settings.max_workers.max(1)));
        Self { settings: Arc::new(settings), workers, drawers: Arc::new(Semaphore::new(MAX_DRAWERS)) }
    }

    /// Reads a document, waiting for a free worker first. Its own trouble has a `Document…` kind and does not pass;
    /// [`ErrorKind::Internal`] means that the child could not do its work. Dropping the future kills the child.
    pub async fn extract(&self, name: &DocumentName, bytes: Bytes) -> Result<Extracted> {
        let _worker = self.workers.acquire().await.expect("the semaphore is never closed");
        match self.ask(name, bytes, None).await? {
            Reply::Ok(extracted) => Ok(extracted),
            _ => Err(broken("understand the reader of documents")),
        }
    }

    /// Draws a page of a PDF, behind the same fence and with the same errors; [`ErrorKind::NotFound`] when there is none of
    /// that number.
    pub async fn draw(&self, name: &DocumentName, bytes: Bytes, wanted: PageWanted) -> Result<DrawnPage> {
        let _drawer = self.drawers.acquire().await.expect("the semaphore is never closed");
        match self.ask(name, bytes, Some(wanted)).await? {
            Reply::Drawn(page) => Ok(page),
            _ => Err(broken("understand the reader of documents")),
        }
    }

    async fn ask(&self, name: &DocumentName, bytes: Bytes, page: Option<PageWanted>) -> Result<Reply> {
        let task = Task {
            name: name.clone(),
            size: bytes.len(),
            memory_bytes: self.settings.memory_bytes,
            cpu_seconds: self.settings.cpu_seconds,
            limits: self.settings.limits.clone(),
            page,
        };
        let mut child = self.start()?;
        let Ok(outcome) = tokio::time::timeout(self.settings.wall, self.converse(&mut child, &task, bytes)).await
        else {
            // An error here means that the child has ended by itself just now.
            let _ = child.kill().await;
            return Err(over_limit("time"));
        };
        let outcome = outcome.map_err(|error| broken("talk to the reader of documents").caused_by(error))?;
        self.judge(&task, outcome).await
    }

    fn start(&self) -> Result<Child> {
        Command::new(&self.settings.program)
            .arg(CHILD_COMMAND)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| broken("start the reader of documents").caused_by(error))
    }

    /// Feeds the child while listening to it, so that neither waits for the other for ever.
    async fn converse(&self, child: &mut Child, task: &Task, bytes: Bytes) -> std::io::Result<Outcome> {
        const MOST_COMPLAINT_BYTES: u64 = 4096;
        let mut stdin = child.stdin.take().expect("standard input is piped");
        let mut stdout = child.stdout.take().expect("standard output is piped").take(self.most_reply_bytes(task) + 1);
        let mut stderr = child.stderr.take().expect("standard error is piped").take(MOST_COMPLAINT_BYTES);
        let mut header = serde_json::to_vec(task)?;
        header.push(b'\n');
        let feed = async move {
            // A child that answers or ends before it has read everything breaks the pipe; its own words tell more.
            if stdin.write_all(&header).await.is_ok() {
                let _ = stdin.write_all(&bytes).await;
            }
        };
        let (mut reply, mut complaint) = (Vec::new(), Vec::new());
        let (_, heard, complained) =
            tokio::join!(feed, stdout.read_to_end(&mut reply), stderr.read_to_end(&mut complaint));
        heard?;
        complained?;
        if self.is_overlong(task, &reply) {
            child.start_kill()?;
        }
        let status = child.wait().await?;
        Ok(Outcome { status, reply, complaint: String::from_utf8_lossy(&complaint).into_owned() })
    }

    /// A text may double in JSON, where quotation marks and line breaks take two bytes, and blocks have a frame.
    fn most_reply_bytes(&self, task: &Task) -> u64 {
        const FRAME_BYTES: u64 = 1024 * 1024;
        match task.page {
            None => self.settings.limits.max_text_bytes as u64 * 2 + FRAME_BYTES,
            Some(_) => MOST_PICTURE_BYTES,
        }
    }

    fn is_overlong(&self, task: &Task, reply: &[u8]) -> bool {
        reply.len() as u64 > self.most_reply_bytes(task)
    }

    async fn judge(&self, task: &Task, outcome: Outcome) -> Result<Reply> {
        if self.is_overlong(task, &outcome.reply) {
            return Err(match task.page {
                None => over_text_limit(self.settings.limits.max_text_bytes),
                Some(_) => over_limit("space for its picture"),
            });
        }
        if !outcome.status.success() {
            return Err(explain(outcome.status, &outcome.complaint));
        }
        // A long text takes milliseconds to parse: too much for a thread that serves requests.
        let reply = tokio::task::spawn_blocking(move || serde_json::from_slice::<Reply>(&outcome.reply)).await;
        match reply {
            Ok(Ok(reply)) if outcome.complaint.is_empty() => reply.into_result(),
            Ok(Ok(reply)) => reply.into_result().map_err(|error| error.caused_by(first_line(&outcome.complaint))),
            Ok(Err(error)) => Err(broken("understand the reader of documents").caused_by(error)),
            Err(_) => Err(broken("parse the text of a document")),
        }
    }
}

/// How a child ended.
struct Outcome {
    status: ExitStatus,
    reply: Vec<u8>,
    /// What it wrote on standard error.
    complaint: String,
}

fn over_limit(limit: &str) -> Error {
    let message = format!("reading the document took more {limit} than the limit allows");
    Error::new(ErrorKind::DocumentOverLimit, message)
}

/// A failure of ours and not of the document: trying again may help.
fn broken(action: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("could not {action}"))
}

/// What a child's death says about the document. A Rust program that runs out of memory or stack aborts, and says so.
fn explain(status: ExitStatus, complaint: &str) -> Error {
    use std::os::unix::process::ExitStatusExt;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    let error = match status.signal() {
        Some(SIGXCPU) => over_limit("time"),
        // Nobody else kills it so hard but the kernel, when the machine is out of memory or the hard limit is passed.
        Some(SIGKILL) => over_limit("memory"),
        Some(_) if complaint.contains("memory allocation") => over_limit("memory"),
        Some(_) if complaint.contains("overflowed its stack") => over_limit("stack"),
        Some(_) => unreadable(),
        None => broken("read a document in the reader's process"),
    };
    error.caused_by(format!("{status}: {}", first_line(complaint)))
}

fn first_line(complaint: &str) -> String {
    complaint.lines().next().unwrap_or_default().to_owned()
}

/// The refusal of a document that a parser failed on without a reason of its own.
fn unreadable() -> Error {
    let message = "the document cannot be read: it is damaged, or it uses something that is not understood";
    Error::new(ErrorKind::DocumentDamaged, message)
}

/// What a child is told before the bytes of the document.
#[derive(Serialize, Deserialize)]
struct Task {
    name: DocumentName,
    size: usize,
    memory_bytes: u64,
    cpu_seconds: u64,
    limits: ExtractLimits,
    /// Draw this page instead of reading all.
    page: Option<PageWanted>,
}

/// What a child answers.
#[derive(Serialize, Deserialize)]
enum Reply {
    Ok(Extracted),
    Drawn(DrawnPage),
    Err { code: String, message: String },
}

impl Reply {
    fn into_result(self) -> Result<Self> {
        match self {
            Self::Err { code, message } => {
                Err(Error::new(ErrorKind::of_code(&code).unwrap_or(ErrorKind::Internal), message))
            }
            told => Ok(told),
        }
    }
}

/// The whole life of a child: reads its task and the document from standard input, answers on standard output. Called by
/// `main` before anything else is set up; the exit code is 0 whenever an answer was given.
pub fn run_child() -> ExitCode {
    // The parent logs what is written on standard error. The message of a panic may quote the document; the place does not,
    // and tells a library's fault from our own.
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            eprintln!("a reader panicked at {place}");
        }
    }));
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> std::io::Result<()> {
    const MOST_TASK_BYTES: u64 = 64 * 1024;
    let mut input = BufReader::new(std::io::stdin().lock());
    let mut line = Vec::new();
    input.by_ref().take(MOST_TASK_BYTES).read_until(b'\n', &mut line)?;
    let task: Task = serde_json::from_slice(&line)?;
    limit_this_process(&task)?;
    let mut bytes = Vec::with_capacity(task.size);
    input.read_to_end(&mut bytes)?;
    if bytes.len() != task.size {
        return Err(std::io::Error::other("the document was cut off on the way"));
    }
    let reply = match parse(task, bytes)? {
        Ok(reply) => reply,
        Err(error) => Reply::Err { code: error.kind().row().code.to_owned(), message: error.message().to_owned() },
    };
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer(&mut output, &reply)?;
    output.flush()
}

/// Takes away what a parser has no need of: memory and time beyond the limits, many open files,
/// files of its own, and dumps of memory.
fn limit_this_process(task: &Task) -> std::io::Result<()> {
    const OPEN_FILES: u64 = 16;
    let limits = [
        (Resource::AS, task.memory_bytes, task.memory_bytes),
        // One second between the two, so that the softer signal comes first and tells time from memory.
        (Resource::CPU, task.cpu_seconds, task.cpu_seconds + 1),
        (Resource::NOFILE, OPEN_FILES, OPEN_FILES),
        (Resource::FSIZE, 0, 0),
        (Resource::CORE, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        let (_, most) = resource.get()?;
        resource.set(soft.min(most), hard.min(most))?;
    }
    Ok(())
}

/// Runs the parser on a thread of its own: with enough stack for the nesting that parsers allow, and so that a panic
/// ends the thread and not the answer.
fn parse(task: Task, bytes: Vec<u8>) -> std::io::Result<Result<Reply>> {
    const STACK_BYTES: usize = 32 * 1024 * 1024;
    let parser = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || match &task.page {
        None => formats::extract(&task.name, &bytes, &task.limits).map(Reply::Ok),
        Some(wanted) => draw_page(&bytes, wanted, &task.limits).map(Reply::Drawn),
    })?;
    Ok(parser.join().unwrap_or_else(|_| Err(unreadable())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_errors_through_the_pipe() {
        for kind in ErrorKind::ALL {
            let reply = Reply::Err { code: kind.row().code.to_owned(), message: "why".to_owned() };
            let wire = serde_json::to_vec(&reply).unwrap();
            let error = serde_json::from_slice::<Reply>(&wire).unwrap().into_result().err().unwrap();
            assert_eq!((error.kind(), error.message()), (*kind, "why"));
        }
    }

    #[test]
    fn tells_causes_of_death_apart() {
        use std::os::unix::process::ExitStatusExt;
        let cases = [
            (24, "", ErrorKind::DocumentOverLimit, "time"),
            (9, "", ErrorKind::DocumentOverLimit, "memory"),
            (6, "memory allocation of 5 bytes failed", ErrorKind::DocumentOverLimit, "memory"),
            (6, "thread 'x' has overflowed its stack", ErrorKind::DocumentOverLimit, "stack"),
            (11, "", ErrorKind::DocumentDamaged, "damaged"),
            (1 << 8, "no limits", ErrorKind::Internal, "reader"),
        ];
        for (raw, complaint, kind, word) in cases {
            let error = explain(ExitStatus::from_raw(raw), complaint);
            assert_eq!(error.kind(), kind, "{raw}");
            assert!(error.message().contains(word), "{error}");
        }
    }

    #[tokio::test]
    async fn a_child_that_cannot_be_started_is_our_trouble() {
        let settings = ExtractSettings {
            program: PathBuf::from("/nowhere/handler"),
            max_workers: 1,
            memory_bytes: 1 << 29,
            cpu_seconds: 5,
            wall: Duration::from_secs(5),
            limits: ExtractLimits::new(1, 100),
        };
        let name = DocumentName::parse("a.txt").unwrap();
        let error = Extractor::new(settings).extract(&name, Bytes::from_static(b"text")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.is_passing());
    }
}
