//! The keys with which an issuer signs, from its JSON Web Key Set. Enters: the id of a key. Leaves: the key, or that there is
//! none, or `AuthUnavailable` while the issuer has never answered.
//!
//! The set is fetched with the first token, anew after a day, and when somebody comes with a key that is not in it, because
//! issuers change keys; but never more often than the cool-down allows, whatever callers send, and by one of them at a time. An
//! outage of the issuer changes nothing for a week: the last good set stays. A key that is gone from the set is gone with the
//! next fetch.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::calls;

/// A set older than this is fetched anew: "a reasonable frequency" for Entra.
/// <https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-signature>
const FRESH: TimeDelta = TimeDelta::hours(24);
/// A set older than this is not believed any more, however long the issuer has been silent.
const OLDEST: TimeDelta = TimeDelta::days(7);
/// No two fetches are closer together than this, while there is a set.
const COOL_DOWN: TimeDelta = TimeDelta::seconds(60);
/// The same while there is none: callers are told to come back after five seconds.
const COOL_DOWN_WITHOUT: TimeDelta = TimeDelta::seconds(5);
/// A fetch may take this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest set, in bytes. Entra's has about 15,000.
const MAX_BYTES: usize = 256 << 10;
/// Keys of a set that are looked at.
const MAX_KEYS: usize = 100;
/// Lengths of an RSA modulus, in bits.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// A key that signs tokens.
pub struct SigningKey {
    /// The key.
    pub key: DecodingKey,
    /// The issuer it belongs to, where the set says so. `{tenantid}` in it stands for every tenant.
    pub issuer: Option<String>,
}

/// The keys of an issuer.
pub struct KeySet {
    inner: Arc<Inner>,
}

struct Inner {
    url: Url,
    clock: Clock,
    // Made with the first fetch: it reads the machine's certificates, which is too slow for the start of the process.
    http: OnceLock<reqwest::Client>,
    /// Held while the issuer is asked.
    asking: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    keys: Option<Arc<HashMap<String, Arc<SigningKey>>>>,
    fetched: DateTime<Utc>,
    tried: Option<DateTime<Utc>>,
}

/// What is at hand for a key id.
enum AtHand {
    /// The key, from a set that is fresh or cannot be fetched now.
    Key(Arc<SigningKey>),
    /// The key, from a set that should be fetched anew.
    Ageing(Arc<SigningKey>),
    /// No key. Whether the issuer may be asked, unless somebody is asking already.
    Nothing { may_ask: bool },
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({})", self.inner.url)
    }
}

impl KeySet {
    /// The keys at an address. Asks nobody yet.
    pub fn at(url: Url, clock: Clock) -> Self {
        let (http, asking, state) = (OnceLock::new(), Arc::default(), Mutex::default());
        Self { inner: Arc::new(Inner { url, clock, http, asking, state }) }
    }

    /// The key with an id; none when the issuer has no such key, as far as it may be asked now. `AuthUnavailable` when it has
    /// never answered, or not for a week.
    pub async fn key(&self, id: &str) -> Result<Option<Arc<SigningKey>>> {
        let inner = &self.inner;
        match inner.at_hand(id) {
            AtHand::Key(key) => Ok(Some(key)),
            AtHand::Ageing(key) => {
                // One fetches the new set; the others go on with this one.
                let Ok(guard) = Arc::clone(&inner.asking).try_lock_owned() else { return Ok(Some(key)) };
                inner.fetch_anew(guard).await;
                inner.now_known(id)
            }
            AtHand::Nothing { .. } => {
                // Whoever asks now may be about to get it, so they are waited for.
                let guard = Arc::clone(&inner.asking).lock_owned().await;
                if matches!(inner.at_hand(id), AtHand::Nothing { may_ask: true }) {
                    inner.fetch_anew(guard).await;
                }
                inner.now_known(id)
            }
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at_hand(&self, id: &str) -> AtHand {
        let (now, state) = (self.clock.now(), self.state().clone());
        let keys = state.keys.filter(|_| now - state.fetched < OLDEST);
        let pause = if keys.is_some() { COOL_DOWN } else { COOL_DOWN_WITHOUT };
        // A clock that was set back must not stop all fetches until it is as late again, nor one that trembles start many.
        let may_ask = state.tried.is_none_or(|tried| (now - tried).abs() >= pause);
        let is_fresh = now - state.fetched < FRESH;
        match keys.and_then(|keys| keys.get(id).cloned()) {
            Some(key) if is_fresh || !may_ask => AtHand::Key(key),
            Some(key) => AtHand::Ageing(key),
            None => AtHand::Nothing { may_ask },
        }
    }

    /// What there is after a fetch, or after waiting for one.
    fn now_known(&self, id: &str) -> Result<Option<Arc<SigningKey>>> {
        let state = self.state().clone();
        let keys = state.keys.filter(|_| self.clock.now() - state.fetched < OLDEST).ok_or_else(unavailable)?;
        Ok(keys.get(id).cloned())
    }

    /// Fetches the set and keeps it if it is good. A caller who leaves does not stop it: the next would have to begin again.
    async fn fetch_anew(self: &Arc<Self>, guard: tokio::sync::OwnedMutexGuard<()>) {
        self.state().tried = Some(self.clock.now());
        let inner = Arc::clone(self);
        let fetching = tokio::spawn(async move {
            let _guard = guard;
            let fetch = calls::outside("entra", "keys").to(inner.url.as_str()).run(inner.fetch());
            match fetch.await {
                Ok(keys) => {
                    let mut state = inner.state();
                    state.keys = Some(Arc::new(keys));
                    state.fetched = inner.clock.now();
                }
                Err(e) => {
                    tracing::warn!(cause = e.chain(), "the keys that tokens are signed with could not be fetched")
                }
            }
        });
        let _ended = fetching.await;
    }

    async fn fetch(&self) -> Result<HashMap<String, Arc<SigningKey>>> {
        let wrong = |sentence: &str| Error::new(ErrorKind::AuthUnavailable, sentence);
        let asked = self.http()?.get(self.url.clone()).send();
        let mut response = asked.await.map_err(|e| wrong("the issuer of tokens cannot be reached").caused_by(e))?;
        calls::answered(response.status().as_u16());
        if response.status().as_u16() != 200 {
            return Err(wrong("the issuer of tokens does not give its keys").caused_by(response.status().to_string()));
        }
        let mut body = Vec::new();
        while let Some(piece) =
            response.chunk().await.map_err(|e| wrong("the keys of the issuer of tokens ended early").caused_by(e))?
        {
            if body.len() + piece.len() > MAX_BYTES {
                return Err(wrong("the issuer of tokens sends more than keys"));
            }
            body.extend_from_slice(&piece);
        }
        let keys = read(&body);
        if keys.is_empty() {
            return Err(wrong("the issuer of tokens has no key that can be used"));
        }
        Ok(keys)
    }

    fn http(&self) -> Result<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        // A redirect could lead to keys of somebody else.
        let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let client = client.retry(reqwest::retry::never()).build();
        let failed = |e| Error::new(ErrorKind::AuthUnavailable, "the client for keys cannot be made").caused_by(e);
        let client = client.map_err(failed)?;
        Ok(self.http.get_or_init(|| client))
    }
}

/// A member of a set, as RFC 7517 has it.
#[derive(Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    alg: Option<String>,
    key_ops: Option<Vec<String>>,
    n: String,
    e: String,
    issuer: Option<String>,
}

/// The keys of a set that can sign tokens; others are passed over, as RFC 7517 asks.
pub fn read(body: &[u8]) -> HashMap<String, Arc<SigningKey>> {
    let set = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let members = set.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut keys = HashMap::new();
    for member in members.into_iter().take(MAX_KEYS) {
        let Some((id, key)) = serde_json::from_value::<Jwk>(member).ok().and_then(usable) else { continue };
        // Of two keys with one id the first counts.
        keys.entry(id).or_insert_with(|| Arc::new(key));
    }
    keys
}

fn usable(jwk: Jwk) -> Option<(String, SigningKey)> {
    let is_for_tokens = jwk.kty == "RSA"
        && jwk.used_for.is_none_or(|use_for| use_for == "sig")
        && jwk.alg.as_deref().is_none_or(|alg| alg == "RS256");
    let may_verify = jwk.key_ops.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(&jwk.n).ok()?;
    let exponent = BASE64_URL_SAFE_NO_PAD.decode(&jwk.e).ok()?;
    let modulus = &modulus[modulus.iter().position(|byte| *byte != 0)?..];
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    // 65537 and a little more: smaller ones have been attacked, and larger ones make every check slow.
    let is_sane =
        (3..=4).contains(&exponent.len()) && exponent[0] != 0 && exponent.last().is_some_and(|last| last % 2 == 1);
    let is_usable = is_for_tokens && may_verify && MODULUS_BITS.contains(&bits) && is_sane && !jwk.kid.is_empty();
    let key = DecodingKey::from_rsa_raw_components(modulus, &exponent);
    is_usable.then_some((jwk.kid, SigningKey { key, issuer: jwk.issuer }))
}

fn unavailable() -> Error {
    Error::new(ErrorKind::AuthUnavailable, "the issuer of tokens cannot be asked for its keys; try again in a moment")
}
