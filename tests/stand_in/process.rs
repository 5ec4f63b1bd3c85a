//! The handler's process: started, polled until it answers, watched, restarted or given up on by the host's own rules.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::functions::AppSettings;
use super::log::{HostLog, Level};
use super::{console, readiness};

/// Errors further apart than this do not add up.
const ERROR_WINDOW: Duration = Duration::from_secs(30 * 60);

/// How to start the handler, and when to stop starting it.
pub struct Launch {
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    pub working_directory: PathBuf,
    pub script_root: PathBuf,
    pub settings: AppSettings,
    /// Given to the first start only, so that a planned crash happens once.
    pub first_start_settings: AppSettings,
    pub initialization_timeout: Duration,
    pub error_exits_allowed: usize,
    pub restart_after_exit_zero: bool,
}

/// Where the process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Starting,
    Ready,
    /// Exited with 0: the host believes it is there, and every invocation fails (fact 9).
    Dangling,
    /// The host has given up; the reason.
    Stopped(String),
}

/// What can be seen of the process.
#[derive(Clone, Debug)]
pub struct ProcessState {
    pub phase: Phase,
    pub pid: Option<u32>,
    pub starts: u32,
}

/// A supervised process. Dropping it kills the process.
pub struct HandlerProcess {
    pub port: u16,
    initialization_timeout: Duration,
    state: watch::Sender<ProcessState>,
    orders: mpsc::UnboundedSender<Order>,
    supervisor: tokio::task::AbortHandle,
}

enum Order {
    /// As if the process had crashed: counts as an error.
    Kill(oneshot::Sender<()>),
    /// After a function timeout: does not count.
    Restart(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

impl HandlerProcess {
    pub fn start(launch: Launch, log: Arc<HostLog>) -> Result<Self> {
        // Chosen once and kept over restarts, as the host does.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let port = port.context("find a free port")?.port();
        let state = watch::Sender::new(ProcessState { phase: Phase::Starting, pid: None, starts: 0 });
        let (orders, incoming) = mpsc::unbounded_channel();
        let initialization_timeout = launch.initialization_timeout;
        let supervisor = Supervisor { launch, port, log, state: state.clone(), orders: incoming };
        let supervisor = tokio::spawn(supervisor.run()).abort_handle();
        Ok(Self { port, initialization_timeout, state, orders, supervisor })
    }

    pub fn state(&self) -> ProcessState {
        self.state.borrow().clone()
    }

    /// Told of every change.
    pub fn watch(&self) -> watch::Receiver<ProcessState> {
        self.state.subscribe()
    }

    /// Waits as an invocation does: up to four times the initialization timeout, through restarts too.
    pub async fn ready(&self) -> Result<()> {
        let mut state = self.state.subscribe();
        let waiting = state.wait_for(|state| !matches!(state.phase, Phase::Starting));
        let Ok(reached) = tokio::time::timeout(4 * self.initialization_timeout, waiting).await else {
            bail!("initialization timed out");
        };
        match &reached.context("the process has a supervisor")?.phase {
            Phase::Stopped(reason) => bail!("the host has stopped: {reason}"),
            _ => Ok(()),
        }
    }

    /// SIGKILL; returns when the process is gone.
    pub async fn kill(&self) {
        self.order(Order::Kill).await;
    }

    /// Fact 10: what a function timeout does, to everybody's invocations. Returns when the old process is gone.
    pub async fn restart_after_timeout(&self) {
        self.order(Order::Restart).await;
    }

    /// Fact 11: the host's own end is a SIGKILL for the handler too.
    pub async fn stop(&self) {
        self.order(Order::Stop).await;
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, carried_out) = oneshot::channel();
        if self.orders.send(order(done)).is_ok() {
            // An error means that there is no process any more to do it to.
            let _ = carried_out.await;
        }
    }

    /// The same without waiting, for those who cannot: the child lives in the supervisor's task and dies with it.
    pub fn give_up(&self) {
        self.supervisor.abort();
    }
}

impl Drop for HandlerProcess {
    fn drop(&mut self) {
        self.give_up();
    }
}

struct Supervisor {
    launch: Launch,
    port: u16,
    log: Arc<HostLog>,
    state: watch::Sender<ProcessState>,
    orders: mpsc::UnboundedReceiver<Order>,
}

/// Why one life of the process is over.
enum End {
    Exited(ExitStatus),
    Failed(String),
    TimedOut,
    Stopped(Option<oneshot::Sender<()>>),
}

impl Supervisor {
    async fn run(mut self) {
        let mut errors: Vec<Instant> = Vec::new();
        loop {
            let end = match self.spawn() {
                Ok(child) => self.live(child).await,
                Err(error) => End::Failed(format!("{error:#}")),
            };
            let error = match end {
                End::Stopped(done) => {
                    self.set(Phase::Stopped("asked to".into()), None);
                    done.map(|done| done.send(()));
                    return;
                }
                End::TimedOut => None,
                // Fact 9: 200 is an intended restart, 0 was not restarted by older hosts, all else is an error.
                End::Exited(status) if status.code() == Some(200) => None,
                End::Exited(status) if status.code() == Some(0) => {
                    self.log.host(Level::Information, "handler exited with code 0");
                    if !self.launch.restart_after_exit_zero {
                        self.set(Phase::Dangling, None);
                        self.dangle().await;
                        return;
                    }
                    None
                }
                End::Exited(status) => Some(format!("handler exited: {status}")),
                End::Failed(reason) => Some(reason),
            };
            if let Some(reason) = error {
                self.log.host(Level::Error, reason);
                let now = Instant::now();
                if errors.last().is_some_and(|last| now - *last > ERROR_WINDOW) {
                    errors.clear();
                }
                errors.push(now);
                if errors.len() >= self.launch.error_exits_allowed {
                    let reason = "exceeded handler restart retry count, shutting down the host";
                    self.log.host(Level::Error, reason);
                    self.set(Phase::Stopped(reason.into()), None);
                    return;
                }
            }
            self.set(Phase::Starting, None);
        }
    }

    fn set(&self, phase: Phase, pid: Option<u32>) {
        self.state.send_modify(|state| (state.phase, state.pid) = (phase, pid));
    }

    fn spawn(&mut self) -> Result<Child> {
        let launch = &self.launch;
        let first = self.state.borrow().starts == 0;
        let (port, id) = (self.port.to_string(), Uuid::new_v4().to_string());
        let mut command = Command::new(&launch.executable);
        command.args(&launch.arguments).current_dir(&launch.working_directory).env_clear();
        #[allow(clippy::disallowed_methods, reason = "a child needs these two of the environment, and nothing else")]
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(&launch.settings);
        command.envs(first.then_some(&launch.first_start_settings).into_iter().flatten());
        command.env("FUNCTIONS_CUSTOMHANDLER_PORT", &port).env("FUNCTIONS_HTTPWORKER_PORT", &port);
        command.env("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", &id).env("FUNCTIONS_HTTPWORKER_ID", &id);
        command.env("FUNCTIONS_APP_ROOT_PATH", &launch.script_root);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        self.state.send_modify(|state| state.starts += 1);
        let mut child = command.spawn().with_context(|| format!("start {}", launch.executable.display()))?;
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            tokio::spawn(console::read_lines(stdout, false, self.log.clone()));
            tokio::spawn(console::read_lines(stderr, true, self.log.clone()));
        }
        self.set(Phase::Starting, child.id());
        Ok(child)
    }

    /// One life of the process, from start to end.
    async fn live(&mut self, mut child: Child) -> End {
        let mut ready = false;
        let mut readiness =
            Box::pin(tokio::time::timeout(self.launch.initialization_timeout, readiness::answers(self.port)));
        loop {
            tokio::select! {
                status = child.wait() => return ended(status),
                answered = &mut readiness, if !ready => {
                    if answered.is_err() {
                        let _ = child.kill().await;
                        return End::Failed("handler did not answer within the initialization timeout".into());
                    }
                    ready = true;
                    self.set(Phase::Ready, child.id());
                }
                order = self.orders.recv() => {
                    let _ = child.start_kill();
                    let status = child.wait().await;
                    // Before the caller goes on, so that it does not take the old state for the new one.
                    self.set(Phase::Starting, None);
                    return match order {
                        Some(Order::Kill(done)) => {
                            let _ = done.send(());
                            ended(status)
                        }
                        Some(Order::Restart(done)) => {
                            let _ = done.send(());
                            End::TimedOut
                        }
                        Some(Order::Stop(done)) => End::Stopped(Some(done)),
                        None => End::Stopped(None),
                    };
                }
            }
        }
    }

    /// After exit code 0 nothing happens any more, whatever is asked, until the host itself goes.
    async fn dangle(&mut self) {
        while let Some(order) = self.orders.recv().await {
            match order {
                Order::Kill(done) | Order::Restart(done) => drop(done),
                Order::Stop(done) => {
                    self.set(Phase::Stopped("asked to".into()), None);
                    let _ = done.send(());
                    return;
                }
            }
        }
    }
}

fn ended(status: std::io::Result<ExitStatus>) -> End {
    status.map_or_else(|error| End::Failed(error.to_string()), End::Exited)
}
