//! One HTTP exchange with the handler on its own connection: dropping the exchange cuts the connection, which is how the
//! handler learns that nobody waits any more.

use std::io;
use std::net::Ipv4Addr;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// Version that the host claims in its headers.
pub const HOST_VERSION: &str = "4.1046.0.0";

/// Cuts the connection when dropped.
pub struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The host connects to IPv4 loopback only: a handler bound to ::1 is never reached.
pub async fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request whose URI is path and query, and waits for the head of the answer.
pub async fn send(stream: TcpStream, request: Request<Body>) -> hyper::Result<(Response<Incoming>, Connection)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(async move {
        // An error of the connection reaches the caller through the exchange itself.
        let _ = connection.await;
    });
    let guard = Connection(driver.abort_handle());
    let response = sender.send_request(request).await?;
    Ok((response, guard))
}
