//! The product as a process of its own: the very binary, with an empty environment and a folder that goes away with it.
//! What enters are arguments and settings, what leaves is what a person or the Functions host would see of it.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::app::{UNLIMITED, program};

/// How long anything may take that has to come about by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often one looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks again and again until there is something to see; fails, saying what was waited for, when patience ends.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not within {} s", PATIENCE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A folder with the product's data, the documents, and whatever a test puts beside them.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::create_dir(folder.path().join("documents")).expect("a folder can be made");
        Self { folder }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        std::fs::write(path, content).expect("a file can be written");
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(&[], arguments)
    }

    /// Runs a command that reads a file of this place as its input.
    pub fn run_reading(&self, file: &str, arguments: &[&str]) -> Ran {
        let input = std::fs::File::open(self.path(file)).expect("the file is there");
        let output = self.command(&[], arguments).stdin(input).output().expect("the program can be started");
        Ran::of(output)
    }

    /// Runs a command with some settings.
    pub fn run_with(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let output = self.command(settings, arguments).output().expect("the program can be started");
        Ran::of(output)
    }

    /// Starts `handler serve` on a free port and waits until it says where.
    pub fn serve(&self, settings: &[(&str, &str)]) -> Server {
        let documents = self.path("documents");
        let documents = documents.to_str().expect("the path is text");
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--documents", documents];
        let mut server = Server::start(self.command(settings, &arguments), SocketAddr::from(([0, 0, 0, 0], 0)));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = server.stderr();
            if let Some((_, rest)) = said.split_once("http://") {
                let address = rest.split('/').next().unwrap_or_default();
                server.address = address.parse().unwrap_or_else(|e| panic!("{e} in {said}"));
                return server;
            }
            assert!(Instant::now() < deadline && server.ended().is_none(), "it does not serve: {said}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Starts it as the Functions host does: without arguments, on a port that it is told.
    pub fn serve_the_host(&self, settings: &[(&str, &str)]) -> Server {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.expect("there is a free port");
        let port = address.port().to_string();
        let mut command = self.command(settings, &[]);
        command.env("FUNCTIONS_CUSTOMHANDLER_PORT", port).env("KNOWLEDGE_WORKER_DATA", self.path("data"));
        Server::start(command, address)
    }

    fn command(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.envs(UNLIMITED).envs(settings.iter().copied());
        if !arguments.is_empty() {
            command.arg("--data").arg(self.path("data"));
        }
        command.stdin(Stdio::null());
        command
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("it prints text"),
            stderr: String::from_utf8(output.stderr).expect("it prints text"),
        }
    }

    /// What it printed, as one value of JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// Asserts how it ended.
    pub fn assert_status(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:?}");
        self
    }
}

/// A process that serves. Dropping it kills it.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Server {
    fn start(mut command: Command, address: SocketAddr) -> Self {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the program can be started");
        let stdout = collect(child.stdout.take().expect("standard output is piped"));
        let stderr = collect(child.stderr.take().expect("standard error is piped"));
        Self { address, child, stdout, stderr }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it has written on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no holder of this lock panics").clone()
    }

    /// What it has written on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no holder of this lock panics").clone()
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be asked")
    }

    /// Orders it to stop, as a container or an init system does.
    pub fn terminate(&self) {
        let killed = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(killed.expect("kill can be started").success());
    }

    /// Waits until it has ended and all it has written is here.
    pub async fn status(&mut self) -> ExitStatus {
        let status =
            eventually("the process ends", async || self.child.try_wait().expect("a child can be asked")).await;
        let collected =
            async || (Arc::strong_count(&self.stdout) == 1 && Arc::strong_count(&self.stderr) == 1).then_some(());
        eventually("all it wrote is read", collected).await;
        status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Reads a stream to its end, on a thread of its own, line by line.
fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let collected = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&collected);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            shared.lock().expect("no holder of this lock panics").push_str(&line);
            line.clear();
        }
    });
    collected
}

/// Copies one of the sample documents.
pub fn sample(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/documents").join(name);
    std::fs::read(path).expect("the sample is there")
}
