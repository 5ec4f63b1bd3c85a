//! Finished spans and figures on their way out: for each place that takes them a queue with bounds, and a task that empties it. Nobody waits for it but
//! who asks to. Whoever takes them may be slow, gone or broken: then spans are dropped and counted, and once a minute the log
//! says so.
//!
//! There is no thread and no timer while nothing waits. The task begins with the first span, and its client with the first
//! request it sends.

mod destination;
mod http;
mod receiver;
mod waiting;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::warn;

use self::destination::{Destination, Opened};
use self::http::Trouble;
pub use self::receiver::{Entry, Receiver, receivers};
use self::waiting::{Load, MEASURE_EVERY, Waiting};
use super::settings::TelemetrySettings;
use super::{metrics, trace};
use crate::reason::Reason;

/// Spans are sent this long after the first of them came.
const SHIP_AFTER: Duration = Duration::from_secs(2);
/// Spans that wait at most; what comes beyond is dropped. A chat with a model makes about ten.
const MOST_WAITING: usize = 2_048;
/// From this many on nothing is waited for.
const MANY: usize = 512;
/// Sending spans, or figures, to one place may take this long with its retries.
const SHIP_TIMEOUT: Duration = Duration::from_secs(5);
/// Trouble is told this often.
const TELL_EVERY: Duration = Duration::from_secs(60);

static SHIPPERS: OnceLock<Vec<Arc<Shipper>>> = OnceLock::new();
/// They live as long as the process, or nothing would be measured.
static PROVIDERS: OnceLock<(SdkTracerProvider, SdkMeterProvider)> = OnceLock::new();

/// What goes to one place. One that is slow or gone does not hold up the other.
pub(super) struct Shipper {
    settings: TelemetrySettings,
    resource: Resource,
    destination: Destination,
    waiting: Mutex<Waiting>,
    /// Something waits.
    work: Notify,
    /// Somebody does not want to wait any longer.
    now: Notify,
    /// Whether the last attempt failed, or took too long for somebody who waited.
    is_failing: AtomicBool,
}

/// One for each place that takes traces and metrics; none when they are off.
pub(super) fn shippers() -> &'static [Arc<Shipper>] {
    SHIPPERS.get().map(Vec::as_slice).unwrap_or_default()
}

/// Has all of them send what waits, and waits for that within `bound`. With `ends` the process has nothing more to say.
pub(super) async fn flush(bound: Duration, ends: bool) {
    join_all(shippers().iter().map(|shipper| shipper.flush(bound, ends))).await;
}

/// Prepares traces and metrics. Does nothing on the network.
pub(super) fn start(settings: TelemetrySettings) -> SdkTracer {
    let resource = resource(&settings);
    let destinations = destination::of(&settings);
    let meters = destinations
        .iter()
        .fold(SdkMeterProvider::builder(), |builder, destination| builder.with_reader(destination.reader.clone()));
    let meters = meters.with_resource(resource.clone()).build();
    let to_shipper = |destination| {
        Arc::new(Shipper {
            settings: settings.clone(),
            resource: resource.clone(),
            destination,
            waiting: Mutex::default(),
            work: Notify::new(),
            now: Notify::new(),
            is_failing: AtomicBool::new(false),
        })
    };
    let shippers: Vec<_> = destinations.into_iter().map(to_shipper).collect();
    let tracers = SdkTracerProvider::builder()
        .with_sampler(trace::Share(settings.sampling))
        .with_span_processor(Enqueue(shippers.clone()))
        .with_resource(resource.clone())
        .build();
    let tracer = tracers.tracer("knowledge-worker");
    metrics::start(&meters.meter("knowledge-worker"));
    let _started_already = SHIPPERS.set(shippers);
    let _started_already = PROVIDERS.set((tracers, meters));
    tracer
}

/// What is seen of this process.
fn resource(settings: &TelemetrySettings) -> Resource {
    Resource::builder_empty()
        .with_service_name(settings.service.clone())
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
        ])
        .build()
}

/// Puts finished spans into the queues.
#[derive(Debug)]
struct Enqueue(Vec<Arc<Shipper>>);

impl SpanProcessor for Enqueue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        if span.span_context.is_sampled() {
            span.events.events.iter_mut().for_each(trace::error_to_exception);
            self.0.iter().for_each(|shipper| shipper.add(span.clone()));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl std::fmt::Debug for Shipper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shipper")
    }
}

impl Shipper {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, span: SpanData) {
        let mut waiting = self.waiting();
        if waiting.spans.len() >= MOST_WAITING {
            waiting.dropped += 1;
            return;
        }
        waiting.spans.push(span);
        let are_many = waiting.spans.len() == MANY;
        self.wake(waiting);
        if are_many {
            self.now.notify_one();
        }
    }

    /// Something was measured.
    pub(super) fn measured(self: &Arc<Self>) {
        let mut waiting = self.waiting();
        if !waiting.measured {
            waiting.measured = true;
            self.wake(waiting);
        }
    }

    /// Wakes the task; begins it where there is a runtime for it.
    fn wake(self: &Arc<Self>, mut waiting: MutexGuard<'_, Waiting>) {
        if !waiting.runs
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            waiting.runs = true;
            runtime.spawn(Arc::clone(self).run());
        }
        drop(waiting);
        self.work.notify_one();
    }

    /// Nobody but the end of the process is made to wait when the last attempt failed.
    async fn flush(self: &Arc<Self>, bound: Duration, ends: bool) {
        let done = {
            let mut waiting = self.waiting();
            waiting.ends |= ends;
            let has_nothing = waiting.spans.is_empty() && !waiting.measured && !waiting.shipping;
            if has_nothing || self.is_failing.load(Ordering::Relaxed) && !ends {
                return;
            }
            let (tell, done) = oneshot::channel();
            waiting.flushes.push(tell);
            self.wake(waiting);
            done
        };
        self.now.notify_one();
        if timeout(bound, done).await.is_err() {
            self.is_failing.store(true, Ordering::Relaxed);
        }
    }

    async fn run(self: Arc<Self>) {
        let mut opened = None;
        let mut told: Option<Instant> = None;
        loop {
            self.until_due().await;
            let load = self.waiting().take();
            let refreshed = Opened::refresh(opened.take(), &self.destination, &self.settings, &self.resource).await;
            let sent = match refreshed {
                Ok(refreshed) => ship(opened.insert(refreshed), &load).await,
                Err(e) => Err((e.chain(), e.reason())),
            };
            metrics::telemetry_lost(load.dropped + if sent.is_err() { load.spans.len() as u64 } else { 0 });
            self.is_failing.store(sent.is_err(), Ordering::Relaxed);
            self.waiting().shipping = false;
            for flush in load.flushes {
                let _nobody_waits_any_more = flush.send(());
            }
            if let Err((cause, _)) = sent
                && told.is_none_or(|told| told.elapsed() >= TELL_EVERY)
            {
                told = Some(Instant::now());
                let to = self.destination.name;
                warn!(to, cause, spans = load.spans.len(), dropped = load.dropped, "telemetry could not be sent");
            }
        }
    }

    /// Waits until there is something to send and it is time for it.
    async fn until_due(&self) {
        loop {
            let (has_spans, figures) = {
                let waiting = self.waiting();
                if waiting.is_due() || !waiting.flushes.is_empty() {
                    return;
                }
                let figures = waiting.sent.filter(|_| waiting.measured).map(|sent| sent + MEASURE_EVERY);
                (!waiting.spans.is_empty(), figures)
            };
            if has_spans {
                tokio::select! {
                    () = sleep(SHIP_AFTER) => {}
                    () = self.now.notified() => {}
                }
                return;
            }
            tokio::select! {
                () = self.work.notified() => {}
                () = sleep_until(figures.unwrap_or_else(Instant::now)), if figures.is_some() => {}
            }
        }
    }
}

/// Sends a load to one place. What is told of a failure holds no address and no key.
async fn ship(to: &Opened, load: &Load) -> Result<(), Trouble> {
    let _of_an_earlier_load = to.client.take_trouble();
    let work = async {
        if !load.spans.is_empty() {
            to.send(load.spans.clone()).await?;
        }
        if load.measured { to.measure().await } else { Ok(()) }
    };
    let failed = match timeout(SHIP_TIMEOUT, work).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(_)) => "it did not take them",
        Err(_) => "it did not answer in time",
    };
    Err(to.client.take_trouble().unwrap_or_else(|| (failed.to_owned(), Some(Reason::TooSlow))))
}
