//! The endpoint of a managed identity, as a Function App or a Container App has it: `GET IDENTITY_ENDPOINT` with a resource
//! and the secret header. Its tokens are well formed and signed by nobody, which is all that Azurite looks at.
//! Contract: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use knowledge_worker::clock::Clock;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::lock;

/// What the platform puts into `IDENTITY_HEADER`.
pub const HEADER: &str = "a-secret-of-the-platform";

/// The endpoint. It stops when it is dropped.
pub struct FakeIdentity {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    lifetime: Mutex<Duration>,
    refusal: Mutex<Option<u16>>,
    asked: Mutex<Vec<Asked>>,
}

/// One request for a token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Asked {
    /// The service that the token is for.
    pub resource: String,
    /// Which of the app's identities.
    pub client_id: Option<String>,
    #[serde(rename = "api-version")]
    version: String,
}

impl FakeIdentity {
    /// Starts on a free port of the loopback address. Its tokens last a day.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let lifetime = Mutex::new(Duration::from_secs(86_400));
        let shared = Arc::new(Shared { lifetime, refusal: Mutex::default(), asked: Mutex::default() });
        let app = Router::new().route("/msi/token", get(answer)).with_state(Arc::clone(&shared));
        let task =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("the server runs until it is dropped") });
        Self { address, shared, task }
    }

    /// What the platform puts into an app's environment.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        let endpoint = format!("http://{}/msi/token", self.address);
        [("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", HEADER.to_owned())]
    }

    /// From now on tokens last this long.
    pub fn set_lifetime(&self, lifetime: Duration) {
        *lock(&self.shared.lifetime) = lifetime;
    }

    /// From now on every request is refused with this status, or none any more.
    pub fn refuse(&self, status: Option<u16>) {
        *lock(&self.shared.refusal) = status;
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }
}

impl Drop for FakeIdentity {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let is_of_this_app = headers.get("x-identity-header").is_some_and(|value| value == HEADER);
    lock(&shared.asked).push(asked.clone());
    if let Some(status) = *lock(&shared.refusal) {
        let status = StatusCode::from_u16(status).expect("a test names a status");
        return (status, Json(json!({"error": "a test wants it so"}))).into_response();
    }
    if !is_of_this_app || asked.version != "2019-08-01" {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "unauthorized_client"}))).into_response();
    }
    let (token, ends) = unsigned_token(&asked.resource, *lock(&shared.lifetime));
    let answer = json!({
        "access_token": token,
        "expires_on": ends.to_string(),
        "resource": asked.resource,
        "token_type": "Bearer",
        "client_id": asked.client_id.unwrap_or_else(|| "system".to_owned()),
    });
    Json(answer).into_response()
}

/// A well-formed token for a service that nobody has signed, and the second in which it ends.
pub fn unsigned_token(resource: &str, lifetime: Duration) -> (String, i64) {
    let now = Clock::system().now().timestamp();
    let ends = now + i64::try_from(lifetime.as_secs()).expect("a test's tokens end");
    let claims = json!({
        "iss": "https://sts.windows.net/11111111-1111-1111-1111-111111111111/",
        "aud": resource,
        "iat": now - 300,
        "nbf": now - 300,
        "exp": ends,
        "oid": "22222222-2222-2222-2222-222222222222",
        "sub": "22222222-2222-2222-2222-222222222222",
        "tid": "11111111-1111-1111-1111-111111111111",
    });
    let encode = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = encode(json!({"alg": "RS256", "typ": "JWT"}).to_string());
    (format!("{header}.{}.{}", encode(claims.to_string()), encode("signed by nobody".to_owned())), ends)
}

/// An identity within this process, which makes such tokens itself.
#[derive(Debug)]
pub struct UnsignedTokens;

#[async_trait]
impl TokenCredential for UnsignedTokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let resource = scopes[0].trim_end_matches("/.default");
        let (token, ends) = unsigned_token(resource, Duration::from_secs(3_600));
        Ok(AccessToken::new(token, OffsetDateTime::from_unix_timestamp(ends).expect("it is a moment")))
    }
}
