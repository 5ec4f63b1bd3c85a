//! Forwarding, the older way: a rebuilt and buffered copy of the request, with everything the copy is known to lose.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Request, Response, request};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use url::form_urlencoded;

use super::host::Host;
use super::log::Outcome;
use super::proxy::{BODY_LIMIT, OpenInvocation, without_hop_by_hop};
use super::wire::{self, HOST_VERSION};

/// Content headers that do not survive the copy.
const LOST: [&str; 9] = [
    "allow",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-md5",
    "content-range",
    "expires",
    "last-modified",
];

/// Passes a copy of `request` on for `function`.
pub async fn forward(host: Arc<Host>, function: &str, request: Request<Body>) -> Response<Body> {
    let subject = format!("{} {}", request.method(), request.uri().path());
    let mut open = OpenInvocation::begin(&host, function, &subject);
    match exchange(&host, &open.invocation.invocation_id, request).await {
        Ok(response) => {
            open.invocation.status = Some(response.status().as_u16());
            // A 5xx of the handler counts as success here too (fact 12).
            open.finish(Outcome::Succeeded);
            response
        }
        Err(error) => open.fail(&format!("{error:#}")),
    }
}

async fn exchange(host: &Host, invocation_id: &str, request: Request<Body>) -> Result<Response<Body>> {
    host.process.ready().await?;
    let (head, body) = request.into_parts();
    let body = read_body(&head, body).await?;
    let path = format!("{}{}", head.uri.path(), rebuilt_query(head.uri.query()));
    let mut outgoing = Request::builder().method(head.method.clone()).uri(path).body(Body::from(body))?;
    *outgoing.headers_mut() = copied_headers(&head.headers, invocation_id)?;
    let (response, _connection) = wire::send(wire::connect(host.process.port).await?, outgoing).await?;
    let (head, body) = response.into_parts();
    // The whole answer is gathered before the first byte goes back: no streaming.
    let body = body.collect().await.context("read the handler's answer")?.to_bytes();
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = head.status;
    *answer.headers_mut() = without_hop_by_hop(&head.headers);
    Ok(answer)
}

/// A body of unknown length is dropped.
async fn read_body(head: &request::Parts, body: Body) -> Result<Bytes> {
    if !head.headers.contains_key(CONTENT_LENGTH) {
        return Ok(Bytes::new());
    }
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    Ok(body.map_err(|error| anyhow::anyhow!("read the request: {error}"))?.to_bytes())
}

/// A key that comes twice ends up once, its values joined by a comma.
fn rebuilt_query(query: Option<&str>) -> String {
    let mut joined: Vec<(String, String)> = Vec::new();
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match joined.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => joined.push((key.into_owned(), value.into_owned())),
        }
    }
    if joined.is_empty() {
        return String::new();
    }
    format!("?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(joined).finish())
}

fn copied_headers(headers: &HeaderMap, invocation_id: &str) -> Result<HeaderMap> {
    let mut copy = without_hop_by_hop(headers);
    for name in LOST {
        copy.remove(name);
    }
    let known_agent = copy.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent = format!("{} Azure-Functions-Host/{HOST_VERSION}", known_agent.unwrap_or_default());
    copy.insert(USER_AGENT, HeaderValue::from_str(agent.trim())?);
    copy.insert("x-azure-functions-hostversion", HeaderValue::from_static(HOST_VERSION));
    // Added, not replaced: what a client sent under this name goes along.
    copy.append("x-azure-functions-invocationid", HeaderValue::from_str(invocation_id)?);
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_keys_are_joined() {
        assert_eq!(rebuilt_query(Some("a=1&b=x&a=2")), "?a=1%2C2&b=x");
        assert_eq!(rebuilt_query(None), "");
    }
}
