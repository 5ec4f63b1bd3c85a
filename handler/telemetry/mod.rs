//! What is told to whoever runs the product: logs, traces and metrics. Everybody may use it, it uses nobody.
//!
//! Logs are always there. Traces and metrics are, when settings name somebody who takes them; otherwise every call here
//! looks at one flag and does nothing else. Code that is observed knows three words: [`calls::outside`] around a call that
//! leaves the process, a function of [`metrics`] where something is counted, and [`requests::begin`] at the door.

pub mod azure;
pub mod calls;
mod export;
mod log;
pub mod metrics;
pub mod requests;
pub mod settings;
pub mod steps;
mod trace;

use std::time::Duration;

pub use self::export::{Entry, Receiver, receivers};
pub use self::log::{LogReader, one_line, place_in_json, without_secrets};
use self::settings::TelemetrySettings;

/// Starts logging at `level`, and traces and metrics when `settings` say where to. Does nothing on the network, and makes
/// no client: that waits for the first request. A second call does nothing.
pub fn start(level: tracing::Level, reader: LogReader, settings: Option<TelemetrySettings>) {
    let traces = settings.map(export::start);
    log::start(level, reader, traces.map(trace::layer));
}

/// Sends what waits, and waits for that for as long as `bound` at most; not at all for somebody who did not take it in time
/// when this was last tried.
pub async fn flush(bound: Duration) {
    export::flush(bound, false).await;
}

/// The same when the process ends: all figures go along, however short ago the last ones were sent.
pub async fn finish(bound: Duration) {
    export::flush(bound, true).await;
}

/// Whether traces and metrics go anywhere.
fn is_on() -> bool {
    !export::shippers().is_empty()
}
