//! The one way to whoever takes traces and metrics: a client that is made with the first request, because reading the
//! machine's certificates is too slow for the start of the process.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use opentelemetry_application_insights::HttpClient;
use secrecy::ExposeSecret;

use crate::error::{Error, ErrorKind};
use crate::identity;
use crate::reason::Reason;

/// What a token for Application Insights is asked for with; the two slashes belong there.
const SCOPE: &str = "https://monitor.azure.com//.default";
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// The most of an answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// A client for one destination. It remembers what went wrong last, in words that hold neither an address nor a key.
#[derive(Clone)]
pub(super) struct LazyClient(Arc<Inner>);

struct Inner {
    identity: Option<Arc<dyn TokenCredential>>,
    client: OnceLock<reqwest::Client>,
    trouble: Mutex<Option<Trouble>>,
}

/// What went wrong, in words that hold neither an address nor a key, and why, as far as that can be told.
pub(super) type Trouble = (String, Option<Reason>);

impl fmt::Debug for LazyClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LazyClient")
    }
}

impl LazyClient {
    /// A client that signs in with an identity, where there is one.
    pub(super) fn new(identity: Option<Arc<dyn TokenCredential>>) -> Self {
        Self(Arc::new(Inner { identity, client: OnceLock::new(), trouble: Mutex::default() }))
    }

    /// What went wrong last, if anything did since this was last asked.
    pub(super) fn take_trouble(&self) -> Option<Trouble> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn failed(&self, what: String, why: Option<Reason>) -> Box<dyn std::error::Error + Send + Sync> {
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some((what.clone(), why));
        what.into()
    }

    fn client(&self) -> Result<&reqwest::Client, reqwest::Error> {
        if let Some(client) = self.0.client.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // A redirect could carry a key to another server.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(self.0.client.get_or_init(|| client))
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
        let mut response = self.client()?.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() <= MAX_ANSWER_BYTES {
                body.extend_from_slice(&piece);
            }
        }
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        Ok(answer)
    }
}

#[async_trait]
impl HttpClient for LazyClient {
    async fn send_bytes(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        if let Some(identity) = &self.0.identity {
            let signed_in = authorize(identity, &mut request).await;
            signed_in.map_err(|e| self.failed(e.message().to_owned(), e.reason()))?;
        }
        match self.send(request).await {
            Ok(answer) => {
                if !answer.status().is_success() {
                    let status = answer.status().as_u16();
                    self.failed(format!("status {status}"), Reason::of_status(status));
                }
                Ok(answer)
            }
            Err(e) => Err(self.failed(why(&e).to_owned(), Some(Reason::of_network(&e)))),
        }
    }
}

async fn authorize(identity: &Arc<dyn TokenCredential>, request: &mut Request<Bytes>) -> Result<(), Error> {
    let token = identity::token(identity, SCOPE).await?;
    let unfit = |_| Error::new(ErrorKind::StoreUnavailable, "the token of the identity fits no header");
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(unfit)?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

fn why(e: &reqwest::Error) -> &'static str {
    match e {
        e if e.is_timeout() => "it did not answer in time",
        e if e.is_connect() => "it cannot be reached",
        _ => "the connection broke",
    }
}
