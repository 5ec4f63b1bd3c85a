//! An issuer of tokens in the place of Microsoft Entra ID: it has keys, publishes them where Entra does, and signs whatever a
//! test writes, right or wrong. What it does when it is asked for its keys a test may say; how often it was asked it tells.

mod draft;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaPublicKeyComponents};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use draft::{Draft, encode, seal, with_signature};

/// The tenant whose people may come, and one that is somebody else's.
pub const TENANT: &str = "7f1c5a52-4b0e-4a55-9a9a-3f0d9a6c1d11";
pub const OTHER_TENANT: &str = "0c9e1a77-2d7a-4f0b-8f5e-6a1b2c3d4e5f";
/// The product, as its application is registered.
pub const AUDIENCE: &str = "11d7e4c3-9f4e-4d6b-8f5f-0a2b3c4d5e6f";
/// A user, and the client that calls for them.
pub const ALICE: &str = "aaaaaaaa-0000-4000-8000-000000000001";
pub const CLIENT: &str = "cccccccc-0000-4000-8000-000000000001";

/// A key of the issuer.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<RsaKeyPair>,
    pub id: String,
}

impl SigningKey {
    pub fn new(id: &str) -> Self {
        let pair = Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key can be made"));
        Self { pair, id: id.to_owned() }
    }

    /// The public part, as published.
    pub fn jwk(&self) -> Value {
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(self.pair.public_key());
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "RSA", "use": "sig", "kid": self.id, "n": encode(&public.n), "e": encode(&public.e)})
    }

    /// The public part as bytes that somebody may take for a secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    pub fn sign(&self, message: &[u8], with_pss: bool) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let way = if with_pss { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
        self.pair.sign(way, &SystemRandom::new(), message, &mut signature).expect("a key can sign");
        signature
    }
}

/// What the issuer does when it is asked for its keys.
#[derive(Clone)]
pub enum Says {
    /// It gives these.
    Keys(Vec<Value>),
    /// It answers with a status and nothing else.
    Status(u16),
    /// It takes the request and is silent.
    Nothing,
    /// It sends bytes without end.
    Flood,
    /// It points to another place where the same keys are.
    Elsewhere,
}

/// The issuer. It stops when it is dropped.
pub struct FakeEntra {
    address: String,
    pub key: SigningKey,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    says: Mutex<Says>,
    keys: Vec<Value>,
    asked: Mutex<Vec<String>>,
}

impl FakeEntra {
    /// Starts on a free port of the loopback address, with one key.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let key = SigningKey::new("key-1");
        let keys = vec![key.jwk()];
        let shared = Arc::new(Shared { says: Mutex::new(Says::Keys(keys.clone())), keys, asked: Mutex::default() });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task =
            tokio::spawn(async move { axum::serve(listener, routes).await.expect("it runs until it is dropped") });
        Self { address, key, shared, task }
    }

    /// What the product is told of it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AUTH", "entra".to_owned()),
            ("ENTRA_AUTHORITY", self.address.clone()),
            ("ENTRA_TENANT_ID", TENANT.to_owned()),
            ("ENTRA_AUDIENCE", AUDIENCE.to_owned()),
        ]
    }

    /// Its address, where a token may send somebody who believes it.
    pub fn url(&self) -> &str {
        &self.address
    }

    /// The issuer of its tokens of version 2.
    pub fn issuer(&self) -> String {
        format!("{}/{TENANT}/v2.0", self.address)
    }

    /// From now on it does this.
    pub fn set(&self, says: Says) {
        *lock(&self.shared.says) = says;
    }

    /// From now on it has these keys and no others.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.set(Says::Keys(keys.iter().map(|key| key.jwk()).collect()));
    }

    /// The paths that it was asked for.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.shared.asked).clone()
    }
}

impl Drop for FakeEntra {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    lock(&shared.asked).push(path.clone());
    if path == "/elsewhere" {
        return axum::Json(json!({"keys": shared.keys})).into_response();
    }
    if path != format!("/{TENANT}/discovery/v2.0/keys") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let says = lock(&shared.says).clone();
    match says {
        Says::Keys(keys) => axum::Json(json!({"keys": keys})).into_response(),
        Says::Status(status) => StatusCode::from_u16(status).expect("a test names a status").into_response(),
        Says::Nothing => std::future::pending().await,
        Says::Flood => {
            let piece = Ok::<_, Infallible>(vec![b' '; 1 << 16]);
            Body::from_stream(stream::repeat(piece)).into_response()
        }
        Says::Elsewhere => Redirect::temporary("/elsewhere").into_response(),
    }
}

/// How long a day is.
pub const DAY: Duration = Duration::from_secs(86_400);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
