//! A real Redis over TLS, a process of its own on a free port, with users as Azure Managed Redis has them: the name is an
//! object id, the passwords are tokens. It ends with the test, or when it is told to.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::process::eventually;
use crate::fake_azure::tls;

/// Redis, running or not.
pub struct RedisServer {
    port: u16,
    folder: TempDir,
    users: String,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts it with users, each a line of its access control list: `default on >password ~* +@all`.
    pub async fn start(users: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let folder = tempfile::tempdir().expect("a folder can be made");
        let users = users.iter().map(|user| format!("user {user}\n")).collect();
        let mut server = Self { port: free.expect("there is a free port").port(), folder, users, process: None };
        server.restart().await;
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }

    /// Kills it. What it held is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
        }
    }

    /// Starts it again with other users.
    pub async fn restart_with(&mut self, users: &[&str]) {
        self.users = users.iter().map(|user| format!("user {user}\n")).collect();
        self.restart().await;
    }

    /// Starts it, again if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        let certificates = tls::folder();
        let path = |name: &str| certificates.join(name).display().to_string();
        let mut configuration = format!("port 0\nbind 127.0.0.1\ntls-port {}\nsave \"\"\n", self.port);
        configuration += &format!("tls-cert-file {}\ntls-key-file {}\n", path("server.pem"), path("server.key"));
        configuration += &format!("tls-ca-cert-file {}\ntls-auth-clients no\n", path("ca.pem"));
        configuration += &self.users;
        let file = self.folder.path().join("redis.conf");
        std::fs::write(&file, configuration).expect("a file can be written");
        let mut command = Command::new("redis-server");
        command.arg(file).current_dir(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("redis-server is installed; ./scripts/test does it"));
        let address = ("127.0.0.1", self.port);
        eventually("Redis answers", async || tokio::net::TcpStream::connect(address).await.ok()).await;
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
