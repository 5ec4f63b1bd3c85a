//! Everything that is counted and measured, in one table, and the functions that do it. Without a place to send figures to,
//! each function looks at one flag and returns.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use super::export;

/// How a figure behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// Many measurements, of which number, sum and distribution are kept.
    Histogram,
    /// What is the case now.
    Gauge,
}

/// A figure.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its unit, as UCUM writes it.
    pub unit: &'static str,
    /// What it is told apart by.
    pub labels: &'static [&'static str],
    /// One sentence for a person.
    pub help: &'static str,
}

const REQUESTS: Metric = Metric {
    name: "requests",
    kind: Kind::Counter,
    unit: "{request}",
    labels: &["route", "method", "status"],
    help: "Requests and invocations that are over. `status` is `2xx` to `5xx`, or `left` when the caller left before the answer began.",
};
const REQUEST_DURATION: Metric = Metric {
    name: "http.server.request.duration",
    kind: Kind::Histogram,
    unit: "s",
    labels: &["http.route", "http.request.method", "http.response.status_code"],
    help: "Time from the head of a request to the last byte of its answer.",
};
const OUTSIDE_DURATION: Metric = Metric {
    name: "outside.call.duration",
    kind: Kind::Histogram,
    unit: "s",
    labels: &["system", "operation", "outcome"],
    help: "Time of a call that leaves the process, retries included. `outcome` is `ok`, `cancelled` or the code of an error.",
};
const TOKENS: Metric = Metric {
    name: "tokens",
    kind: Kind::Counter,
    unit: "{token}",
    labels: &["kind", "model"],
    help: "Tokens as the model's server counted them. `kind` is `prompt`, `completion` or `embedding`.",
};
const COST: Metric = Metric {
    name: "cost",
    kind: Kind::Counter,
    unit: "{currency}",
    labels: &["kind"],
    help: "What those tokens cost, where a price is set, in the currency of the price.",
};
const RETRIEVAL: Metric = Metric {
    name: "retrieval.duration",
    kind: Kind::Histogram,
    unit: "s",
    labels: &["retrieval"],
    help: "Time from a question to its passages. `retrieval` says how they were looked for.",
};
const QUEUE_AGE: Metric = Metric {
    name: "queue.age",
    kind: Kind::Histogram,
    unit: "s",
    labels: &["function"],
    help: "Time from an event, or from the change of a blob, to the invocation that handles it.",
};
const DOCUMENTS: Metric = Metric {
    name: "documents",
    kind: Kind::Gauge,
    unit: "{document}",
    labels: &["state"],
    help: "Documents in the ledger by state, as maintenance last saw them.",
};
const INGESTION_PHASE: Metric = Metric {
    name: "ingestion.phase.duration",
    kind: Kind::Histogram,
    unit: "s",
    labels: &["phase"],
    help: "Time of a phase of ingestion: `fetch`, `extract`, `chunk`, `embed`, `index`.",
};
const INGESTED: Metric = Metric {
    name: "ingested",
    kind: Kind::Counter,
    unit: "{document}",
    labels: &["outcome"],
    help: "Documents that were looked at and were not as they should be. `outcome` is `indexed`, `removed` or the code of an error.",
};
const REQUEST_UNITS: Metric = Metric {
    name: "request_units",
    kind: Kind::Counter,
    unit: "{request_unit}",
    labels: &["operation"],
    help: "Request units that Cosmos DB charged.",
};
const TELEMETRY_LOST: Metric = Metric {
    name: "telemetry.lost",
    kind: Kind::Counter,
    unit: "{span}",
    labels: &[],
    help: "Spans that could not be sent and are gone.",
};

/// Every figure, in the order of the documentation.
pub const METRICS: &[Metric] = &[
    REQUESTS,
    REQUEST_DURATION,
    OUTSIDE_DURATION,
    TOKENS,
    COST,
    RETRIEVAL,
    QUEUE_AGE,
    DOCUMENTS,
    INGESTION_PHASE,
    INGESTED,
    REQUEST_UNITS,
    TELEMETRY_LOST,
];

/// Upper bounds of a histogram's buckets, in seconds: from a look into a cache to a long invocation.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 240.0, 3_600.0];

/// The table as Markdown, for the documentation.
pub fn as_markdown() -> String {
    let mut text = String::from("| Metric | Kind | Unit | Told apart by | What it says |\n|---|---|---|---|---|\n");
    for metric in METRICS {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let kind = format!("{:?}", metric.kind).to_lowercase();
        text.push_str(&format!("| `{}` | {kind} | `{}` | {labels} | {} |\n", metric.name, metric.unit, metric.help));
    }
    text
}

static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();

struct Instruments {
    requests: Counter<u64>,
    request_duration: Histogram<f64>,
    outside_duration: Histogram<f64>,
    tokens: Counter<u64>,
    cost: Counter<f64>,
    retrieval: Histogram<f64>,
    queue_age: Histogram<f64>,
    documents: Gauge<u64>,
    ingestion_phase: Histogram<f64>,
    ingested: Counter<u64>,
    request_units: Counter<f64>,
    telemetry_lost: Counter<u64>,
}

/// Makes the instruments. A second call does nothing.
pub(super) fn start(meter: &Meter) {
    let counter = |of: Metric| meter.u64_counter(of.name).with_unit(of.unit).with_description(of.help).build();
    let sum = |of: Metric| meter.f64_counter(of.name).with_unit(of.unit).with_description(of.help).build();
    let histogram = |of: Metric| {
        let builder = meter.f64_histogram(of.name).with_unit(of.unit).with_description(of.help);
        builder.with_boundaries(SECONDS.to_vec()).build()
    };
    let _made_already = INSTRUMENTS.set(Instruments {
        requests: counter(REQUESTS),
        request_duration: histogram(REQUEST_DURATION),
        outside_duration: histogram(OUTSIDE_DURATION),
        tokens: counter(TOKENS),
        cost: sum(COST),
        retrieval: histogram(RETRIEVAL),
        queue_age: histogram(QUEUE_AGE),
        documents: meter.u64_gauge(DOCUMENTS.name).with_unit(DOCUMENTS.unit).with_description(DOCUMENTS.help).build(),
        ingestion_phase: histogram(INGESTION_PHASE),
        ingested: counter(INGESTED),
        request_units: sum(REQUEST_UNITS),
        telemetry_lost: counter(TELEMETRY_LOST),
    });
}

/// Notes a figure, and that there is one to send.
fn note(tell: impl FnOnce(&Instruments)) {
    let Some(instruments) = INSTRUMENTS.get() else { return };
    tell(instruments);
    export::shippers().iter().for_each(|shipper| shipper.measured());
}

/// A request or an invocation is over; status 0 when its caller left before an answer began.
pub(super) fn request(route: &str, method: &'static str, status: u16, took: Duration) {
    note(|to| {
        let class = if status == 0 { "left".to_owned() } else { format!("{}xx", status / 100) };
        let route = route.to_owned();
        let about =
            [KeyValue::new("route", route.clone()), KeyValue::new("method", method), KeyValue::new("status", class)];
        to.requests.add(1, &about);
        let about = [
            KeyValue::new("http.route", route),
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        to.request_duration.record(took.as_secs_f64(), &about);
    });
}

/// A call that left the process is over.
pub(super) fn outside_call(system: &'static str, operation: &'static str, outcome: &'static str, took: Duration) {
    note(|to| {
        let about =
            [KeyValue::new("system", system), KeyValue::new("operation", operation), KeyValue::new("outcome", outcome)];
        to.outside_duration.record(took.as_secs_f64(), &about);
    });
}

/// A model's server counted tokens of a kind: `prompt`, `completion` or `embedding`.
pub fn tokens(kind: &'static str, model: &str, count: u64) {
    note(|to| to.tokens.add(count, &[KeyValue::new("kind", kind), KeyValue::new("model", model.to_owned())]));
}

/// Tokens of a kind cost something, in the currency of the price that is set.
pub fn cost(kind: &'static str, amount: f64) {
    note(|to| to.cost.add(amount, &[KeyValue::new("kind", kind)]));
}

/// Passages were found, in a certain way.
pub fn retrieved(retrieval: &'static str, took: Duration) {
    note(|to| to.retrieval.record(took.as_secs_f64(), &[KeyValue::new("retrieval", retrieval)]));
}

/// An invocation handles an event of this age.
pub fn queue_age(function: &'static str, age: Duration) {
    note(|to| to.queue_age.record(age.as_secs_f64(), &[KeyValue::new("function", function)]));
}

/// So many documents are in a state.
pub fn documents(state: &'static str, count: u64) {
    note(|to| to.documents.record(count, &[KeyValue::new("state", state)]));
}

/// A phase of ingestion took so long.
pub fn ingestion_phase(phase: &str, took: Duration) {
    note(|to| to.ingestion_phase.record(took.as_secs_f64(), &[KeyValue::new("phase", phase.to_owned())]));
}

/// A document was not as it should be, and something was done about it.
pub fn ingested(outcome: &'static str) {
    note(|to| to.ingested.add(1, &[KeyValue::new("outcome", outcome)]));
}

/// Cosmos DB charged for an operation.
pub fn request_units(operation: &'static str, units: f64) {
    note(|to| to.request_units.add(units, &[KeyValue::new("operation", operation)]));
}

/// Spans are gone. Told with the next figures and not by itself, or a lost figure would make another one.
pub(super) fn telemetry_lost(spans: u64) {
    if let Some(instruments) = INSTRUMENTS.get() {
        instruments.telemetry_lost.add(spans, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_table_as_it_is() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, rest) = text.split_once("<!-- metrics -->\n").unwrap();
        let (table, _) = rest.split_once("<!-- /metrics -->").unwrap();
        assert_eq!(table, as_markdown(), "put this between the marks in docs/operations.md:\n{}", as_markdown());
    }
}
