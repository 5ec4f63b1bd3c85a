//! `cosmos-front PORT`: Microsoft's in-memory emulator of Cosmos DB on a port of this machine, over HTTP/1.1 or HTTP/2.
//!
//! At start it has the database `knowledge-worker`, as an operator would have made it; containers are made by whoever needs
//! one, with the service's own call. It keeps nothing, asks for no key, and never lets a record expire. Below `/_control` it
//! can be told to fail ([`control::Fault`]) and asked what it was asked ([`control::Calls`]).

mod control;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use axum::routing::{delete, get, post};
use azure_core::http::headers::{HeaderName, HeaderValue};
use azure_core::http::{Request, Url};
use azure_data_cosmos_driver::in_memory_emulator::{
    ConsistencyLevel, InMemoryEmulatorHttpClient, VirtualAccountConfig, VirtualRegion,
};
use tokio::net::TcpListener;

use control::{Call, Control};

/// The database that is there at start.
const DATABASE: &str = "knowledge-worker";
/// Larger than anything the service takes, so that it is the emulator who refuses.
const MAX_BODY: usize = 8 << 20;

/// The emulator and what it was told.
pub struct Front {
    emulator: InMemoryEmulatorHttpClient,
    address: Url,
    control: Control,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: cosmos-front PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address: Url = format!("http://{}/", listener.local_addr()?).parse()?;
    let account = VirtualAccountConfig::new(vec![VirtualRegion::new("East US", address.clone())])?
        .with_consistency(ConsistencyLevel::Session);
    let emulator = InMemoryEmulatorHttpClient::try_new(account)?;
    emulator.store().create_database(DATABASE);
    let front = Arc::new(Front { emulator, address: address.clone(), control: Control::default() });
    let router = Router::new()
        .route("/_control/faults", post(control::add_fault))
        .route("/_control/faults/{container}", delete(control::forget_faults))
        .route("/_control/calls/{container}", get(control::calls).delete(control::forget_calls))
        .fallback(serve)
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
        .with_state(front);
    println!("{address}");
    axum::serve(listener, router).await?;
    Ok(())
}

/// Any request that is the service's.
async fn serve(
    State(front): State<Arc<Front>>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let call = Call::of(&method, uri.path(), &headers);
    let fault = call.as_ref().and_then(|call| front.control.fault_for(call));
    if let Some(fault) = &fault {
        fault.wait().await;
        if let Some(answer) = fault.answer().filter(|_| !fault.late) {
            front.control.count(call.as_ref(), "faults", 0.0);
            return answer;
        }
        if let Some(page) = fault.page {
            headers.insert("x-ms-max-item-count", page.into());
        }
    }
    let answer = execute(&front, &method, &uri, &headers, body).await;
    let answer = answer.unwrap_or_else(|e| {
        let mut refused = Response::new(Body::from(e.to_string()));
        *refused.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        refused
    });
    let charge = answer.headers().get("x-ms-request-charge").and_then(|charge| charge.to_str().ok()?.parse().ok());
    if let Some(call) = &call {
        front.control.count(Some(call), call.operation, charge.unwrap_or(0.0));
    }
    fault.and_then(|fault| fault.answer()).unwrap_or(answer)
}

/// Hands a request to the emulator as the driver's transport would.
async fn execute(
    front: &Front,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, Failure> {
    // The official Python client ends some paths with a slash, which the service takes and the emulator does not.
    let mut url = front.address.join(uri.path().trim_end_matches('/').trim_start_matches('/'))?;
    url.set_query(uri.query());
    let mut request = Request::new(url, method.as_str().parse()?);
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        request.headers_mut().insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value));
    }
    request.set_body(body.to_vec());
    let answer = front.emulator.execute_request(&request).await?.try_into_raw_response().await?;
    let mut response = Response::builder().status(u16::from(answer.status()));
    for (name, value) in answer.headers().iter() {
        response = response.header(name.as_str(), value.as_str());
    }
    Ok(response.body(Body::from(answer.body().as_ref().to_vec()))?)
}
