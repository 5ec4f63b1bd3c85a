//! Who gets in: tokens good and bad, the ways of signing in, keys that change, roles, and what callers are told who do not get in.

mod issuer;
mod keys;
mod matrix;
mod rights;
mod vectors;
mod ways;

use axum::body::Body;
use axum::http::Request;
use knowledge_worker::clock::Clock;

use crate::fake_entra::FakeEntra;
use crate::support::app::{Answer, TestApp};

/// A key that both sides know.
pub const SECRET: &str = "q3vT9rXw0LmB7sKdE2yUhN5cPzAoJfG8";

/// The product behind an issuer, at a time that only moves when it is told to.
pub struct Lab {
    pub entra: FakeEntra,
    pub test: TestApp,
    pub clock: Clock,
}

impl Lab {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With more settings, which go before those of the issuer.
    pub async fn with(more: &[(&str, &str)]) -> Self {
        let entra = FakeEntra::start().await;
        let clock = Clock::manual("2026-06-01T12:00:00Z".parse().unwrap());
        let test = TestApp::at(&clock, &settings(&entra, more));
        Self { entra, test, clock }
    }

    /// The present second.
    pub fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }

    /// Asks with a token.
    pub async fn ask(&self, token: &str) -> Answer {
        self.test.send(bearer("/api/documents", token)).await
    }
}

/// The settings of an issuer, and more, which go before those.
pub fn settings<'a>(entra: &FakeEntra, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = entra.settings().into_iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    // Tests are short, and a few leaked words are not much.
    let own = own.map(|(name, value)| (name, &*value.leak()));
    own.chain(more.iter().copied()).collect()
}

/// A request without a body, with a token.
pub fn bearer(path: &str, token: &str) -> Request<Body> {
    Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()
}

/// Asserts that a caller was refused in the way that a code stands for, with a challenge that fits.
pub fn assert_refused(answer: &Answer, code: &str, what: &str) {
    let (status, error) = match code {
        "unauthenticated" => (401, None),
        "invalid-token" => (401, Some("invalid_token")),
        "insufficient-scope" | "groups-overage" => (403, Some("insufficient_scope")),
        _ => panic!("{code} is no refusal"),
    };
    assert_eq!(answer.status.as_u16(), status, "{what}: {answer:?}");
    answer.assert_problem(code);
    let challenge = answer.headers.get("www-authenticate").unwrap_or_else(|| panic!("{what}: no challenge"));
    let challenge = challenge.to_str().unwrap();
    assert!(challenge.starts_with("Bearer realm=\"knowledge-worker\""), "{what}: {challenge}");
    let told = error.map(|error| format!("error=\"{error}\""));
    assert!(told.as_ref().is_none_or(|told| challenge.contains(told)), "{what}: {challenge}");
    assert_eq!(challenge.contains("error="), told.is_some(), "{what}: {challenge}");
}
