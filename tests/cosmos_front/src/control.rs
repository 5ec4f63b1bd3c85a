//! What a test can ask for besides the service: faults, and counts of calls, both of one container, so that tests beside each
//! other do not meet.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Front;

/// What becomes of the next calls that read, write or query records of a container.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Whose calls.
    container: String,
    /// How many of them.
    times: u32,
    /// Which operation ([`Call::operation`]); all without it.
    #[serde(default)]
    operation: Option<String>,
    /// How long they wait.
    #[serde(default)]
    delay_ms: u64,
    /// The status they are answered with; none for the emulator's own answer.
    #[serde(default)]
    status: Option<u16>,
    /// The service's finer status.
    #[serde(default)]
    substatus: Option<u16>,
    /// When to come again, as the service says it.
    #[serde(default)]
    retry_after_ms: Option<u64>,
    /// How many items a page has at most, however large the caller wants it.
    #[serde(default)]
    pub page: Option<u32>,
    /// Whether the connection breaks in the middle of the answer.
    #[serde(default)]
    cut: bool,
    /// Whether what was asked for is done all the same, and only its answer gets lost.
    #[serde(default)]
    pub late: bool,
}

impl Fault {
    /// Waits as long as the fault says.
    pub async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
    }

    /// The answer instead of the emulator's.
    pub fn answer(&self) -> Option<Response<Body>> {
        if self.cut {
            let broken = stream::iter([Ok("{\"id\": \"he"), Err(io::Error::other("cut off"))]);
            return Some(Response::new(Body::from_stream(broken)));
        }
        let mut answer = Response::builder().status(self.status?).header("content-type", "application/json");
        if let Some(substatus) = self.substatus {
            answer = answer.header("x-ms-substatus", substatus);
        }
        if let Some(ms) = self.retry_after_ms {
            answer = answer.header("x-ms-retry-after-ms", ms);
        }
        let body = json!({"code": self.status?.to_string(), "message": "a fault that a test asked for"});
        Some(answer.body(Body::from(body.to_string())).unwrap_or_default())
    }
}

/// A call about records.
pub struct Call {
    container: String,
    /// `create`, `upsert`, `read`, `replace`, `delete` or `query`.
    pub operation: &'static str,
}

impl Call {
    /// What a request asks for, when it is about records.
    pub fn of(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let (_dbs, _database, _colls, container) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next()? != "docs" {
            return None;
        }
        let is = |name: &str| headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        let operation = match *method {
            Method::GET => "read",
            Method::PUT => "replace",
            Method::DELETE => "delete",
            Method::POST if is("x-ms-documentdb-isquery") || is("x-ms-documentdb-query") => "query",
            Method::POST if is("x-ms-cosmos-is-query-plan-request") => "plan",
            Method::POST if is("x-ms-documentdb-is-upsert") => "upsert",
            _ => "create",
        };
        Some(Self { container: container.to_owned(), operation })
    }
}

/// Calls that were answered, by operation, and what they cost by the emulator's reckoning.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Calls {
    operations: BTreeMap<String, u64>,
    request_units: f64,
}

/// What is waiting to go wrong and what was counted.
#[derive(Default)]
pub struct Control {
    faults: Mutex<Vec<Fault>>,
    calls: Mutex<BTreeMap<String, Calls>>,
}

impl Control {
    /// Takes one of the faults that wait for such a call.
    pub fn fault_for(&self, call: &Call) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |fault: &&mut Fault| {
            fault.container == call.container
                && fault.times > 0
                && fault.operation.as_deref().is_none_or(|operation| operation == call.operation)
        };
        let fault = faults.iter_mut().find(fits)?;
        fault.times -= 1;
        let fault = fault.clone();
        faults.retain(|fault| fault.times > 0);
        Some(fault)
    }

    /// Counts a call about records.
    pub fn count(&self, call: Option<&Call>, operation: &str, request_units: f64) {
        let Some(call) = call else { return };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = calls.entry(call.container.clone()).or_default();
        *calls.operations.entry(operation.to_owned()).or_default() += 1;
        calls.request_units += request_units;
    }
}

/// `POST /_control/faults`
pub async fn add_fault(State(front): State<Arc<Front>>, Json(fault): Json<Fault>) -> StatusCode {
    front.control.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    StatusCode::NO_CONTENT
}

/// `DELETE /_control/faults/CONTAINER`
pub async fn forget_faults(State(front): State<Arc<Front>>, Path(container): Path<String>) -> StatusCode {
    let mut faults = front.control.faults.lock().unwrap_or_else(PoisonError::into_inner);
    faults.retain(|fault| fault.container != container);
    StatusCode::NO_CONTENT
}

/// `GET /_control/calls/CONTAINER`
pub async fn calls(State(front): State<Arc<Front>>, Path(container): Path<String>) -> Json<Calls> {
    let calls = front.control.calls.lock().unwrap_or_else(PoisonError::into_inner);
    Json(calls.get(&container).cloned().unwrap_or_default())
}

/// `DELETE /_control/calls/CONTAINER`
pub async fn forget_calls(State(front): State<Arc<Front>>, Path(container): Path<String>) -> StatusCode {
    front.control.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&container);
    StatusCode::NO_CONTENT
}
