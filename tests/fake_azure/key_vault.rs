//! A Key Vault, as far as reading secrets goes: `GET /secrets/NAME/` over TLS, refused with a challenge until a token for
//! vaults comes with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::lock;
use super::tls::TlsServer;

/// The vault. It stops when it is dropped.
pub struct FakeKeyVault {
    server: TlsServer,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    secrets: Mutex<BTreeMap<String, String>>,
    refusal: Mutex<Option<u16>>,
    requests: Mutex<Vec<(String, u16)>>,
}

impl FakeKeyVault {
    /// Starts with some secrets.
    pub async fn start(secrets: &[(&str, &str)]) -> Self {
        let shared = Arc::new(Shared::default());
        let routes = Router::new()
            .route("/secrets/{name}", get(answer))
            .route("/secrets/{name}/", get(answer))
            .with_state(Arc::clone(&shared));
        let vault = Self { server: TlsServer::start(routes).await, shared };
        secrets.iter().for_each(|(name, value)| vault.set(name, value));
        vault
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Gives a secret another value.
    pub fn set(&self, name: &str, value: &str) {
        lock(&self.shared.secrets).insert(name.to_owned(), value.to_owned());
    }

    /// From now on every request that has a token is refused with this status, or none any more.
    pub fn refuse(&self, status: Option<u16>) {
        *lock(&self.shared.refusal) = status;
    }

    /// The secrets that were asked for so far, and the status of each answer.
    pub fn requests(&self) -> Vec<(String, u16)> {
        lock(&self.shared.requests).clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let (status, body) = match *lock(&shared.refusal) {
        _ if !has_token(&headers) => (StatusCode::UNAUTHORIZED, refusal("Unauthorized")),
        Some(status) => (StatusCode::from_u16(status).expect("a test names a status"), refusal("Forbidden")),
        None => match lock(&shared.secrets).get(&name) {
            Some(value) => (StatusCode::OK, json!({"value": value, "id": format!("https://vault/secrets/{name}/1")})),
            None => (StatusCode::NOT_FOUND, refusal("SecretNotFound")),
        },
    };
    lock(&shared.requests).push((name, status.as_u16()));
    let challenge = r#"Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net""#;
    (status, [(header::WWW_AUTHENTICATE, challenge)], axum::Json(body)).into_response()
}

fn refusal(code: &str) -> Value {
    json!({"error": {"code": code, "message": "as a test wants it"}})
}

/// Whether a token for vaults came with the request.
fn has_token(headers: &HeaderMap) -> bool {
    let claims = || {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        serde_json::from_slice::<Value>(&claims).ok()
    };
    claims().is_some_and(|claims| claims["aud"] == "https://vault.azure.net")
}
