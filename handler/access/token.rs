//! The strict reading of a bearer token. `jsonwebtoken` checks the signature; everything else that makes a token valid is
//! checked in this one file, because the library leaves most of it to whoever calls it. Enters: the text behind `Bearer` and a
//! key. Leaves: claims that can be believed, or one `InvalidToken` with a sentence that says which check failed and repeats
//! nothing of the token.
//!
//! What the library accepts and this file does not: a token without `iss`, `aud`, `nbf` or `iat`, numbers of time that are
//! text, fractions or absurd, an array as issuer, headers with `crit` or `b64`, tokens of another type.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use crate::error::{Error, ErrorKind, Result};

/// Longest token, in bytes. Those of Entra have one to three thousand, with two hundred groups eight thousand.
const MAX_BYTES: usize = 16 << 10;
/// Longest id of a key, in bytes.
const MAX_KEY_ID_BYTES: usize = 256;
/// How far the issuer's clock may be from ours, in seconds.
const LEEWAY: i64 = 60;
/// Longest life of a token, in seconds. Those of Entra last up to 28 hours where access is evaluated continuously.
/// <https://learn.microsoft.com/entra/identity-platform/access-tokens#token-lifetime>
const MAX_LIFETIME: i64 = 30 * 3_600;

/// The algorithms that callers may have used; each has keys of its own kind, so none can be taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// RSA with SHA-256: Entra.
    Rs256,
    /// HMAC with SHA-256: a key that both sides know.
    Hs256,
}

/// A token that is well formed, and nothing more: nobody knows yet who wrote it.
pub struct Unverified<'a> {
    text: &'a str,
    signature: Signature,
    key_id: Option<String>,
    claims: Claims,
}

/// What a token says. Claims of other issuers and other kinds of token are ignored.
#[derive(Debug, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// Until when it is valid, in seconds since 1970.
    pub exp: i64,
    /// From when.
    pub nbf: i64,
    /// When it was issued.
    pub iat: i64,
    /// Whom it is about.
    pub sub: Option<String>,
    /// Entra: the version of its form, `1.0` or `2.0`.
    pub ver: Option<String>,
    /// The tenant.
    pub tid: Option<String>,
    /// Entra: the user or the application, by the id that no other has and that never changes.
    pub oid: Option<String>,
    /// Entra: what the user let the client do, with blanks between.
    pub scp: Option<String>,
    /// The names of the caller's roles.
    pub roles: Option<Vec<String>>,
    /// The caller's groups.
    pub groups: Option<Vec<String>>,
    /// Entra, version 2: the client.
    pub azp: Option<String>,
    /// Entra, version 1: the client.
    pub appid: Option<String>,
    /// Entra: claims that were too long for the token.
    #[serde(rename = "_claim_names", default)]
    pub claims_elsewhere: Option<BTreeMap<String, IgnoredAny>>,
    /// The same of groups, in tokens that came through an address.
    #[serde(rename = "hasgroups", default, deserialize_with = "is_there")]
    pub has_more_groups: bool,
    /// What an ID token has and an access token has not.
    #[serde(default, deserialize_with = "is_there")]
    pub nonce: bool,
    /// The same.
    #[serde(default, deserialize_with = "is_there")]
    pub at_hash: bool,
    /// The same.
    #[serde(default, deserialize_with = "is_there")]
    pub c_hash: bool,
}

/// The header, as far as it matters. Keys and addresses of keys (`jwk`, `jku`, `x5c`, `x5u`) do not: they are an attacker's.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
    #[serde(default, deserialize_with = "is_there")]
    b64: bool,
}

/// Reads a token without believing it.
pub fn read(text: &str) -> Result<Unverified<'_>> {
    if text.len() > MAX_BYTES {
        return Err(invalid("the token is too long"));
    }
    let mut parts = text.split('.');
    let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(invalid("the token does not have three parts"));
    };
    let header: Header = decode(header)?;
    // RFC 7515, 4.1.11: whoever does not understand all that is critical has to refuse. `b64` changes what is signed.
    if header.crit || header.b64 {
        return Err(invalid("the token asks for something that is not supported here"));
    }
    let signature = match header.alg.as_str() {
        "RS256" => Signature::Rs256,
        "HS256" => Signature::Hs256,
        _ => return Err(invalid("the token is signed in a way that is not accepted here")),
    };
    let is_access_token = header.typ.as_deref().is_none_or(is_access_token_type);
    if !is_access_token {
        return Err(invalid("the token is not an access token"));
    }
    if header.kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KEY_ID_BYTES) {
        return Err(invalid("the token names a key that cannot be one"));
    }
    Ok(Unverified { text, signature, key_id: header.kid, claims: decode(claims)? })
}

impl Unverified<'_> {
    /// How it says it is signed.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The key it says it is signed with: something to look up in a map, and nothing else.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// What it says, to find out with whose keys to check it. None of it is true yet.
    pub fn says(&self) -> &Claims {
        &self.claims
    }

    /// Its claims, when one of the keys of the right kind has signed it, and it is valid now, from this issuer, for one of these
    /// audiences.
    pub fn verified<'k>(
        self,
        keys: impl IntoIterator<Item = &'k DecodingKey>,
        issuer: &str,
        audiences: &[String],
        now: DateTime<Utc>,
    ) -> Result<Claims> {
        if !keys.into_iter().any(|key| self.is_signed_with(key)) {
            return Err(invalid("the signature of the token is wrong"));
        }
        let claims = self.claims;
        if claims.iss != issuer {
            return Err(invalid("the token is from another issuer"));
        }
        if !audiences.contains(&claims.aud) {
            return Err(invalid("the token is for somebody else"));
        }
        claims.check_time(now.timestamp())?;
        Ok(claims)
    }

    fn is_signed_with(&self, key: &DecodingKey) -> bool {
        let algorithm = match self.signature {
            Signature::Rs256 => Algorithm::RS256,
            Signature::Hs256 => Algorithm::HS256,
        };
        // The signature alone: times are checked against our own clock, and the rest more strictly than here.
        let mut signature_alone = Validation::new(algorithm);
        signature_alone.validate_exp = false;
        signature_alone.validate_aud = false;
        signature_alone.required_spec_claims.clear();
        jsonwebtoken::decode::<IgnoredAny>(self.text, key, &signature_alone).is_ok()
    }
}

impl Claims {
    fn check_time(&self, now: i64) -> Result<()> {
        if self.iat < 0 || self.nbf < 0 || self.iat > now + LEEWAY {
            return Err(invalid("the token was issued at a time that cannot be"));
        }
        if self.exp.saturating_sub(self.iat) > MAX_LIFETIME || self.exp <= self.nbf {
            return Err(invalid("the token is valid for longer than a token may be, or never"));
        }
        if self.nbf > now + LEEWAY {
            return Err(invalid("the token is not valid yet"));
        }
        if self.exp <= now - LEEWAY {
            return Err(invalid("the token has expired"));
        }
        Ok(())
    }
}

/// The refusal of a token. The sentence says what is wrong with it and holds nothing of it.
pub fn invalid(sentence: &str) -> Error {
    Error::new(ErrorKind::InvalidToken, sentence)
}

/// `JWT` is what Entra writes, the others are RFC 9068's.
fn is_access_token_type(typ: &str) -> bool {
    ["jwt", "at+jwt", "application/at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known))
}

/// One part: base64url without padding, without stray bits, and JSON in which no known name comes twice.
fn decode<T: DeserializeOwned>(part: &str) -> Result<T> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| invalid("the token is not written as tokens are"))?;
    serde_json::from_slice(&bytes).map_err(|_| invalid("the token lacks a claim, or has one of the wrong kind"))
}

/// Whether a member is there at all, be it `null`.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}
