//! A stand-in for the Azure Functions host, which cannot be run on a build machine: it starts the handler from a package
//! as the host does, and delivers HTTP requests, queue messages, blobs and timers as the host does. Where it is known
//! to differ, the code says so. "Fact n" in comments names what is most often got wrong; each mention explains itself.
//!
//! Used by the tests as a module, and by `main.rs` as a program.

mod admin;
mod blob_path;
mod clock;
mod console;
mod envelope;
mod forwarding;
mod functions;
mod host;
mod host_json;
mod invoke;
pub mod log;
mod options;
pub mod process;
mod proxy;
mod readiness;
mod routes;
mod server;
pub mod storage;
mod triggers;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use functions::{AppSettings, Function, Trigger};
use host::{Host, Intervals, Keys};
use host_json::{HostJson, HttpMode};
use log::{HostLog, Invocation, Journal, Level, LogLine};
pub use options::Options;
use process::{HandlerProcess, Launch, Phase, ProcessState};
use routes::{Route, RouteTable};
use storage::Storage;

/// A running stand-in. Dropping it kills the handler.
pub struct StandIn {
    host: Arc<Host>,
    address: SocketAddr,
    patience: Duration,
    server: AbortHandle,
}

impl StandIn {
    /// Reads the package, listens, starts the handler and the listeners of its triggers. Returns before the handler is
    /// ready; whatever comes meanwhile waits for it.
    pub async fn start(options: Options) -> Result<Self> {
        let mut settings = HostJson::read(&options.package)?;
        if let Some(timeout) = options.function_timeout {
            settings.function_timeout = Some(timeout);
        }
        let storage = match options.storage {
            Some((blob, queue)) => Some(Storage::new(blob, queue)?),
            None => None,
        };
        let app_settings = app_settings(options.app_settings, storage.as_ref());
        let functions = functions::read_all(&options.package, &app_settings)?;
        ensure!(!functions.is_empty(), "no function found: a host would not start the handler at all");
        let routes = map_routes(&settings, &functions)?;
        let log = Arc::new(HostLog::new(options.echo));
        for (one, other) in routes.ambiguities() {
            log.host(Level::Warning, format!("which of the routes `{one}` and `{other}` answers is an accident"));
        }
        let listener =
            TcpListener::bind(options.listen).await.with_context(|| format!("listen on {}", options.listen))?;
        let address = listener.local_addr().context("ask for the address")?;
        let launch = Launch {
            executable: settings.executable.clone(),
            arguments: settings.arguments.clone(),
            working_directory: settings.working_directory.clone(),
            script_root: options.package.clone(),
            settings: app_settings,
            first_start_settings: options.first_start_settings.into_iter().collect(),
            initialization_timeout: settings.initialization_timeout,
            error_exits_allowed: options.error_exits_allowed,
            restart_after_exit_zero: options.restart_after_exit_zero,
        };
        let process = Arc::new(HandlerProcess::start(launch, log.clone())?);
        let host = Arc::new(Host {
            settings,
            functions,
            routes,
            process,
            storage,
            invocations: Journal::new(),
            log,
            timers: triggers::timer::TimerStatus::default(),
            keys: Keys { function: options.function_key, master: options.master_key },
            intervals: Intervals {
                blob_poll: options.blob_poll_interval,
                queue_poll: options.queue_poll_interval,
                message_lease: options.message_lease,
            },
            background: Mutex::new(JoinSet::new()),
        });
        let server = tokio::spawn(server::listen(host.clone(), listener)).abort_handle();
        triggers::start(&host, options.run_schedules);
        end_with_process(&host, server.clone());
        Ok(Self { host, address, patience: options.patience, server })
    }

    /// `http://127.0.0.1:7071`, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn function_key(&self) -> &str {
        &self.host.keys.function
    }

    pub fn master_key(&self) -> &str {
        &self.host.keys.master
    }

    /// The port that the handler was told to listen on.
    pub fn handler_port(&self) -> u16 {
        self.host.process.port
    }

    pub fn handler_pid(&self) -> Option<u32> {
        self.host.process.state().pid
    }

    /// How often the handler was started again.
    pub fn restarts(&self) -> u32 {
        self.host.process.state().starts.saturating_sub(1)
    }

    pub fn phase(&self) -> Phase {
        self.host.process.state().phase
    }

    /// Waits until the handler answers, or the host has given up on it.
    pub async fn ready(&self) -> Result<()> {
        self.host.process.ready().await
    }

    /// Returns when the host has ended itself because of its handler, or was stopped.
    pub async fn gave_up(&self) {
        let _ = self.host.process.watch().wait_for(|state| matches!(state.phase, Phase::Stopped(_))).await;
    }

    /// Waits until the process is in a state that `wanted` accepts.
    pub async fn process_state(&self, wanted: impl Fn(&ProcessState) -> bool) -> ProcessState {
        let mut changes = self.host.process.watch();
        let reached = tokio::time::timeout(self.patience, changes.wait_for(|state| wanted(state))).await;
        match reached {
            Ok(Ok(state)) => state.clone(),
            _ => panic!("the handler did not get there, it is {:?}\n{}", self.host.process.state(), self.report()),
        }
    }

    /// SIGKILL for the handler, counted by the host as a crash. Returns when the process is gone.
    pub async fn kill_handler(&self) {
        self.host.process.kill().await;
    }

    /// The emulator behind the triggers, to set a scene and to look at what is left.
    pub fn storage(&self) -> &Storage {
        self.host.storage.as_ref().expect("the stand-in was started with storage")
    }

    /// Every finished invocation, in the order of finishing.
    pub fn invocations(&self) -> Vec<Invocation> {
        self.host.invocations.all()
    }

    /// The number of finished invocations, to wait for later ones only.
    pub fn mark(&self) -> usize {
        self.host.invocations.len()
    }

    /// The first finished invocation at or after `mark` that `wanted` accepts, waiting for it. Panics with the log when
    /// patience runs out.
    pub async fn invocation_after(&self, mark: usize, wanted: impl Fn(&Invocation) -> bool) -> Invocation {
        match tokio::time::timeout(self.patience, self.host.invocations.first_after(mark, wanted)).await {
            Ok(found) => found,
            Err(_) => panic!("the expected invocation did not come\n{}", self.report()),
        }
    }

    /// The first success of `function` since the start.
    pub async fn success_of(&self, function: &str) -> Invocation {
        self.invocation_after(0, |one| one.function == function && one.succeeded()).await
    }

    /// The first failure of `function` since the start.
    pub async fn failure_of(&self, function: &str) -> Invocation {
        self.invocation_after(0, |one| one.function == function && one.failed()).await
    }

    /// The host's log so far, the handler's lines included.
    pub fn logs(&self) -> Vec<LogLine> {
        self.host.log.lines.all()
    }

    /// The first line of the log that `wanted` accepts, waiting for it.
    pub async fn log_line(&self, wanted: impl Fn(&LogLine) -> bool) -> LogLine {
        match tokio::time::timeout(self.patience, self.host.log.lines.first_after(0, wanted)).await {
            Ok(found) => found,
            Err(_) => panic!("the expected log line did not come\n{}", self.report()),
        }
    }

    /// Runs a timer function now and gives its result.
    pub async fn run_timer(&self, name: &str) -> Invocation {
        let function = self.host.function(name).unwrap_or_else(|| panic!("there is no function {name}"));
        let run = triggers::timer::run(&self.host, function).await;
        run.unwrap_or_else(|| panic!("{name} is not a timer function"))
    }

    /// Ends the host: listeners and server first, then SIGKILL for the handler, which is all a real host gives it.
    pub async fn stop(&self) {
        self.end_work();
        self.host.process.stop().await;
    }

    fn end_work(&self) {
        self.server.abort();
        self.host.background.lock().expect("no holder of the task set panics").abort_all();
    }

    fn report(&self) -> String {
        let mut report = String::from("invocations:\n");
        for one in self.invocations() {
            report += &format!("  {} {} attempt {}: {:?}\n", one.function, one.subject, one.attempt, one.outcome);
        }
        report += "log:\n";
        for line in self.logs() {
            report += &format!("  {:?} {}\n", line.level, line.text);
        }
        report
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.end_work();
        self.host.process.give_up();
    }
}

/// What the platform sets, unless the caller set it.
fn app_settings(own: Vec<(String, String)>, storage: Option<&Storage>) -> AppSettings {
    let mut settings = AppSettings::from([("FUNCTIONS_WORKER_RUNTIME".to_string(), "custom".to_string())]);
    if let Some(storage) = storage {
        settings.insert("AzureWebJobsStorage".into(), storage.connection_string());
    }
    settings.extend(own);
    settings
}

fn map_routes(settings: &HostJson, functions: &[Function]) -> Result<RouteTable> {
    let mut routes = Vec::new();
    for (index, function) in functions.iter().enumerate() {
        if let Trigger::Http { methods, route, .. } = &function.trigger {
            if settings.http_mode == HttpMode::Envelope {
                bail!(
                    "HTTP in envelopes is not imitated: switch on enableProxyingHttpRequest (fact 12: it alone streams)"
                );
            }
            let route = Route::new(&settings.route_prefix, route, methods.clone(), index);
            routes.push(route.with_context(|| format!("map the route of {}", function.name))?);
        }
    }
    Ok(RouteTable::new(routes))
}

/// A host that gives up on its handler goes itself: nothing is served or polled any more.
fn end_with_process(host: &Arc<Host>, server: AbortHandle) {
    let mut changes = host.process.watch();
    let host = Arc::downgrade(host);
    tokio::spawn(async move {
        let stopped = changes.wait_for(|state| matches!(state.phase, Phase::Stopped(_))).await.is_ok();
        server.abort();
        if let (true, Some(host)) = (stopped, host.upgrade()) {
            host.background.lock().expect("no holder of the task set panics").abort_all();
        }
    });
}
