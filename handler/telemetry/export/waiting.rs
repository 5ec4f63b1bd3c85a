//! What waits to be sent, and when it is time for it.

use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Figures are sent this often while there are new ones. Every time they are as many as they have attributes, and a service
/// charges for each.
pub(super) const MEASURE_EVERY: Duration = Duration::from_secs(30);
/// Whoever waits for what waits to be sent gets figures along that are older than this.
const MEASURE_AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// What waits, and who waits for that.
#[derive(Default)]
pub(super) struct Waiting {
    pub spans: Vec<SpanData>,
    pub dropped: u64,
    pub measured: bool,
    pub shipping: bool,
    pub runs: bool,
    /// When figures were sent last.
    pub sent: Option<Instant>,
    pub ends: bool,
    pub flushes: Vec<oneshot::Sender<()>>,
}

impl Waiting {
    /// Whether it is time to send figures.
    pub(super) fn is_due(&self) -> bool {
        let wait = match (self.ends, self.flushes.is_empty()) {
            (true, _) => Duration::ZERO,
            (false, false) => MEASURE_AT_MOST_EVERY,
            (false, true) => MEASURE_EVERY,
        };
        self.measured && self.sent.is_none_or(|sent| sent.elapsed() >= wait)
    }

    /// Takes what is to be sent now. Figures that are not due stay.
    pub(super) fn take(&mut self) -> Load {
        self.shipping = true;
        let measured = self.is_due();
        if measured {
            (self.measured, self.sent) = (false, Some(Instant::now()));
        }
        Load {
            spans: std::mem::take(&mut self.spans),
            dropped: std::mem::take(&mut self.dropped),
            measured,
            flushes: std::mem::take(&mut self.flushes),
        }
    }
}

/// What the task sends in one go.
pub(super) struct Load {
    pub spans: Vec<SpanData>,
    pub dropped: u64,
    pub measured: bool,
    pub flushes: Vec<oneshot::Sender<()>>,
}
