//! One way to call a model's servers, for chat, for embeddings and for reranking: one connection pool, one bounded layer of
//! retries, one deadline. What enters are calls, what leaves are their answers or one classified error.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, timeout_at};

use super::endpoint::Endpoint;
use super::failure::{Failure, Refusal};
use super::turns::Turns;
use super::{OpenAiSettings, ServerState};
use crate::breaker::Breaker;
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::calls;

/// The servers of a model. Opening them does nothing on the network and costs next to nothing.
pub(in crate::models) struct Transport {
    pub(in crate::models) settings: OpenAiSettings,
    servers: Vec<(Arc<Endpoint>, Breaker)>,
    // Made with the first request: reading the machine's certificates is too slow for the start of the process.
    http: OnceLock<reqwest::Client>,
}

impl Transport {
    /// Checks the settings. A key that no header can carry is `Misconfigured`.
    pub(in crate::models) fn open(settings: OpenAiSettings) -> Result<Self> {
        let open = |server| Ok((Arc::new(Endpoint::new(&settings, server)?), Breaker::default()));
        let servers = settings.servers.iter().map(open).collect::<Result<Vec<_>>>()?;
        Ok(Self { settings, servers, http: OnceLock::new() })
    }

    /// What is known of each server, in their order.
    pub(in crate::models) fn servers(&self) -> Vec<ServerState> {
        let told = self.settings.servers.iter().zip(&self.servers);
        let told = told.map(|(server, (_, breaker))| ServerState {
            host: server.endpoint.host_str().unwrap_or_default().to_owned(),
            state: breaker.word(Instant::now()),
        });
        told.collect()
    }

    /// Whether an early sign of life is worth something: there is another server to ask, or the only one failed last.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.servers.len() > 1 || self.servers.iter().any(|(_, breaker)| breaker.is_in_doubt())
    }

    /// Asks the servers for their list of models, which costs nothing, until one lets us in. The failure of the last when none
    /// does. A server that keeps no such list lets us in, too.
    pub(in crate::models) async fn ping(&self) -> Result<()> {
        let mut last = Failure::LeftAlone;
        for (endpoint, _) in &self.servers {
            let answer = self.send(endpoint, Method::GET, "/models", Bytes::new()).await;
            match answer {
                Ok(_) => return Ok(()),
                Err(failure) if failure.is_unknown_path() => return Ok(()),
                Err(failure) => last = failure,
            }
        }
        Err(last.into_error())
    }

    /// The connections.
    fn http(&self) -> Result<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(self.settings.connect_timeout)
            // A redirect could carry the key and the passages to another server.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Misconfigured, "the client of the model server cannot be made").caused_by(e)
            })?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Makes a call until it succeeds, at most `attempts` times in all and never beyond `deadline`. The servers are asked in
    /// their order; one that failed is asked again only when that may help, after the wait that it asks for.
    pub(in crate::models) async fn persist<T, F>(
        &self,
        attempts: u32,
        deadline: Instant,
        call: impl Fn(Arc<Endpoint>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        // Before any server is said to have answered.
        self.http().map_err(no_client)?;
        let mut turns = Turns::new(self.servers.iter().map(|(_, breaker)| breaker).collect(), deadline);
        let mut last = Failure::LeftAlone;
        for attempt in 1..=attempts {
            let Some(server) = turns.next().await else { break };
            let (endpoint, _) = &self.servers[server];
            let answer = timeout_at(turns.limit(server), call(Arc::clone(endpoint))).await;
            let answer = answer.unwrap_or(Err(Failure::TooLate));
            turns.note(server, &answer);
            match answer {
                Ok(done) => return Ok(done),
                Err(failure) => {
                    tracing::warn!(attempt, server, cause = %failure, "a model server did not answer");
                    last = failure;
                }
            }
        }
        Err(last)
    }

    /// Posts JSON and reads the whole answer, which may have `max_bytes`.
    pub(in crate::models) async fn post(
        &self,
        endpoint: &Endpoint,
        path: &str,
        body: Vec<u8>,
        max_bytes: usize,
    ) -> Result<Vec<u8>, Failure> {
        read(self.send(endpoint, Method::POST, path, body.into()).await?, max_bytes).await
    }

    /// Sends a request; the answer, if it is a success.
    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<reqwest::Response, Failure> {
        let url = endpoint.url(path);
        let mut headers = endpoint.headers();
        endpoint.authorize(&mut headers).await?;
        let request = self.http().map_err(no_client)?.request(method, url).headers(headers);
        calls::trying(endpoint.base().as_str());
        let sent = request.header(CONTENT_TYPE, "application/json").body(body).send().await;
        let response = sent.map_err(Failure::Unreachable)?;
        calls::answered(response.status().as_u16());
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Failure::Refused(Refusal::read(response).await))
    }
}

/// All of an answer, which may have `max_bytes`.
pub(super) async fn read(mut response: reqwest::Response, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut answer = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|_| Failure::Cut)? {
        if answer.len() + piece.len() > max_bytes {
            return Err(Failure::Wrong(format!("the model server's answer has more than {max_bytes} bytes")));
        }
        answer.extend_from_slice(&piece);
    }
    Ok(answer)
}

fn no_client(_: Error) -> Failure {
    Failure::Wrong("the client of the model server cannot be made".to_owned())
}
