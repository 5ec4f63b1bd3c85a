//! How a stand-in is to behave; the defaults are the real host's, but for the polling intervals.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// Everything that can be chosen. Make one with [`Options::for_package`] and change what the test is about.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder with host.json, the function folders and the executable.
    pub package: PathBuf,
    /// Port 0: any free one.
    pub listen: SocketAddr,
    /// Blob and queue endpoints of the emulator. None: no queue and no blob trigger fires.
    pub storage: Option<(Url, Url)>,
    /// Settings of the app, seen by the host and by the handler.
    pub app_settings: Vec<(String, String)>,
    /// Settings of the first start only, so that a planned crash happens once.
    pub first_start_settings: Vec<(String, String)>,
    pub function_key: String,
    pub master_key: String,
    /// In place of the functionTimeout of host.json.
    pub function_timeout: Option<Duration>,
    /// False: timers run only when asked. The real host runs them.
    pub run_schedules: bool,
    /// The error exit with this number ends the host.
    pub error_exits_allowed: usize,
    /// Hosts before 4.1046 do not restart a handler that exits with 0 (fact 9).
    pub restart_after_exit_zero: bool,
    pub blob_poll_interval: Duration,
    pub queue_poll_interval: Duration,
    /// How long a message stays hidden while it is worked on; renewed at half-time. Shorten it where a test ends one
    /// host and wants the next to get the message.
    pub message_lease: Duration,
    /// How long the waiting methods wait before they panic.
    pub patience: Duration,
    /// Print the log.
    pub echo: bool,
}

impl Options {
    pub fn for_package(package: impl Into<PathBuf>) -> Self {
        Self {
            package: package.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            storage: None,
            app_settings: Vec::new(),
            first_start_settings: Vec::new(),
            function_key: "stand-in-function-key".into(),
            master_key: "stand-in-master-key".into(),
            function_timeout: None,
            run_schedules: true,
            error_exits_allowed: 3,
            restart_after_exit_zero: false,
            blob_poll_interval: Duration::from_millis(200),
            queue_poll_interval: Duration::from_millis(100),
            message_lease: Duration::from_secs(600),
            patience: Duration::from_secs(60),
            echo: false,
        }
    }
}
