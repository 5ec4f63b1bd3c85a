//! A token in the making: a header and claims that a test may change in any way before something signs them.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{ALICE, AUDIENCE, CLIENT, FakeEntra, SigningKey, TENANT};

/// A token that nobody has signed yet.
#[derive(Clone)]
pub struct Draft {
    pub header: Value,
    pub claims: Value,
}

impl Draft {
    /// What Entra gives the client of a user, in version 2.
    pub fn v2(entra: &FakeEntra, now: i64) -> Self {
        let claims = json!({
            "ver": "2.0", "iss": entra.issuer(), "aud": AUDIENCE, "tid": TENANT, "oid": ALICE, "sub": "pairwise-subject",
            "azp": CLIENT, "scp": "access_as_user openid", "iat": now - 300, "nbf": now - 300, "exp": now + 3_600,
            "name": "Alice", "preferred_username": "alice@example.org",
        });
        Self { header: json!({"typ": "JWT", "alg": "RS256", "kid": entra.key.id, "x5t": entra.key.id}), claims }
    }

    /// The same in version 1.
    pub fn v1(entra: &FakeEntra, now: i64) -> Self {
        let draft = Self::v2(entra, now).without("azp").claim("ver", "1.0").claim("appid", CLIENT);
        draft.claim("iss", format!("https://sts.windows.net/{TENANT}/"))
    }

    /// What the product itself gives for its own key.
    pub fn shared(now: i64) -> Self {
        let claims = json!({
            "iss": "knowledge-worker", "aud": "knowledge-worker", "sub": "alice", "iat": now, "nbf": now, "exp": now + 600,
        });
        Self { header: json!({"typ": "JWT", "alg": "HS256"}), claims }
    }

    /// With another claim, or another value of it.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Without a claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().expect("claims are an object").remove(name);
        self
    }

    /// With another member of the header, or another value of it.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// Without a member of the header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().expect("a header is an object").remove(name);
        self
    }

    /// What is signed.
    pub fn message(&self) -> String {
        format!("{}.{}", encode(self.header.to_string()), encode(self.claims.to_string()))
    }

    /// Signed as Entra signs.
    pub fn signed(&self, key: &SigningKey) -> String {
        let message = self.message();
        let signature = key.sign(message.as_bytes(), false);
        with_signature(&message, &signature)
    }

    /// Signed with the same key in another way.
    pub fn signed_with_pss(&self, key: &SigningKey) -> String {
        let message = self.message();
        let signature = key.sign(message.as_bytes(), true);
        with_signature(&message, &signature)
    }

    /// Signed with a secret.
    pub fn sealed(&self, secret: &[u8]) -> String {
        seal(&self.message(), secret)
    }
}

/// A message signed with a secret.
pub fn seal(message: &str, secret: &[u8]) -> String {
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    with_signature(message, signature.as_ref())
}

/// A message and a signature as a token.
pub fn with_signature(message: &str, signature: &[u8]) -> String {
    format!("{message}.{}", encode(signature))
}

/// Bytes as tokens write them.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
