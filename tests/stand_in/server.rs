//! The host's public door: a request is routed, its key checked, and handed to the handler; or it is the host's own.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::form_urlencoded;

use super::functions::{AuthLevel, Trigger};
use super::host::{Host, Keys};
use super::host_json::HttpMode;
use super::log::Level;
use super::{admin, forwarding, proxy};

/// Serves until dropped, and takes every open connection along then: a host that ends leaves none behind.
pub async fn listen(host: Arc<Host>, listener: TcpListener) {
    let service = TowerToHyperService::new(Router::new().fallback(serve).with_state(host.clone()));
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                host.log.host(Level::Warning, format!("accept a connection: {error}"));
                continue;
            }
        };
        // Without it the small pieces of a stream would wait for each other.
        let _ = stream.set_nodelay(true);
        // A connection's error is its client's: it went away, or spoke no HTTP.
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(State(host): State<Arc<Host>>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    let root = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if root.eq_ignore_ascii_case("admin") || root.eq_ignore_ascii_case("runtime") {
        return admin::answer(host, request).await;
    }
    let Some(index) = host.routes.find(request.method().as_str(), path) else {
        return status(StatusCode::NOT_FOUND);
    };
    let function = host.functions[index].clone();
    let Trigger::Http { auth, .. } = function.trigger else {
        return status(StatusCode::NOT_FOUND);
    };
    let access = Access::of(&request, &host.keys);
    // The host answers this itself; the handler never hears of it.
    if !access.allows(auth) {
        return status(StatusCode::UNAUTHORIZED);
    }
    if function.disabled && access != Access::Master {
        return status(StatusCode::NOT_FOUND);
    }
    if declared_length(request.headers()) > proxy::BODY_LIMIT as u64 {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match host.settings.http_mode {
        HttpMode::Forwarding => forwarding::forward(host, &function.name, request).await,
        HttpMode::Proxying | HttpMode::Envelope => proxy::forward(host, &function.name, request).await,
    }
}

/// An answer without a body.
pub fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// What a request's key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Nothing,
    Functions,
    Master,
}

impl Access {
    /// From the header x-functions-key, else from the query's `code`; a wrong header is not made good by the query.
    pub fn of(request: &Request<Body>, keys: &Keys) -> Self {
        let header =
            request.headers().get("x-functions-key").map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
        let query = request.uri().query().unwrap_or_default();
        let code = || form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code");
        match header.or_else(|| code().map(|(_, value)| value.into_owned())) {
            Some(key) if key == keys.master => Self::Master,
            Some(key) if key == keys.function => Self::Functions,
            _ => Self::Nothing,
        }
    }

    fn allows(self, level: AuthLevel) -> bool {
        match level {
            AuthLevel::Anonymous => true,
            AuthLevel::Function => self != Self::Nothing,
            AuthLevel::Admin => self == Self::Master,
        }
    }
}

fn declared_length(headers: &HeaderMap) -> u64 {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_wins_over_the_query() {
        let keys = Keys { function: "f".into(), master: "m".into() };
        let request = |header: Option<&str>, uri: &str| {
            let mut request = Request::get(uri).body(Body::empty()).expect("a request");
            if let Some(key) = header {
                request.headers_mut().insert("x-functions-key", key.parse().expect("a header value"));
            }
            Access::of(&request, &keys)
        };
        assert_eq!(request(None, "/"), Access::Nothing);
        assert_eq!(request(None, "/?code=f"), Access::Functions);
        assert_eq!(request(Some("m"), "/?code=f"), Access::Master);
        assert_eq!(request(Some("wrong"), "/?code=f"), Access::Nothing);
        assert!(!Access::Functions.allows(AuthLevel::Admin));
    }
}
