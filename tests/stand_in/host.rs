//! The parts of a running host that every door shares.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::functions::Function;
use super::host_json::HostJson;
use super::log::{HostLog, Invocation, Journal, Level, Outcome};
use super::process::HandlerProcess;
use super::routes::RouteTable;
use super::storage::Storage;
use super::triggers::timer::TimerStatus;

/// A running host.
pub struct Host {
    pub settings: HostJson,
    pub functions: Vec<Function>,
    pub routes: RouteTable,
    pub process: Arc<HandlerProcess>,
    pub storage: Option<Storage>,
    pub invocations: Journal<Invocation>,
    pub log: Arc<HostLog>,
    pub timers: TimerStatus,
    pub keys: Keys,
    pub intervals: Intervals,
    /// Invocations that nobody waits for, such as those of the admin surface.
    pub background: Mutex<JoinSet<()>>,
}

/// The keys that open functions.
#[derive(Clone, Debug)]
pub struct Keys {
    pub function: String,
    pub master: String,
}

/// How often storage is asked, and how long a message stays hidden while it is worked on.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    pub blob_poll: Duration,
    pub queue_poll: Duration,
    pub message_lease: Duration,
}

impl Host {
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name.eq_ignore_ascii_case(name))
    }

    /// Runs `work` until the host stops.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.background.lock().expect("no holder of the task set panics").spawn(work);
    }

    pub fn finish(&self, invocation: Invocation) {
        let (name, id) = (&invocation.function, &invocation.invocation_id);
        match &invocation.outcome {
            Outcome::Succeeded => self.log.host(Level::Information, format!("Executed '{name}' (Succeeded, Id={id})")),
            Outcome::Failed(reason) => {
                self.log.host(Level::Error, format!("Executed '{name}' (Failed, Id={id}): {reason}"));
            }
            Outcome::Disconnected => {
                self.log.host(Level::Information, format!("the client disconnected from '{name}' (Id={id})"));
            }
        }
        self.invocations.push(invocation);
    }

    /// An invocation that has begun, to be filled in and finished.
    pub fn begin(&self, function: &str, subject: &str, attempt: u32) -> Invocation {
        let invocation_id = Uuid::new_v4().to_string();
        self.log.host(Level::Information, format!("Executing '{function}' (Id={invocation_id})"));
        Invocation {
            function: function.to_string(),
            invocation_id,
            subject: subject.to_string(),
            attempt,
            outcome: Outcome::Disconnected,
            logs: Vec::new(),
            status: None,
            outputs: serde_json::Value::Null,
        }
    }
}
