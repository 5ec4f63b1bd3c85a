//! Whether the handler is there: asked over HTTP until it answers anything at all.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;

use super::wire;

/// Fact 8: the handler is asked for `/` this often, and any status means it is ready.
const PING_EVERY: Duration = Duration::from_millis(25);

/// Returns when something speaks HTTP on the port. A handler that accepts and says nothing is not ready.
pub async fn answers(port: u16) {
    loop {
        if let Ok(stream) = wire::connect(port).await {
            let request = Request::get("/").header("host", format!("127.0.0.1:{port}")).body(Body::empty());
            let request = request.expect("a fixed request is well-formed");
            // Only a socket's error means "not yet"; a garbled answer counts as one.
            match wire::send(stream, request).await {
                Ok(_) => return,
                Err(error) if error.is_parse() => return,
                Err(_) => {}
            }
        }
        tokio::time::sleep(PING_EVERY).await;
    }
}
