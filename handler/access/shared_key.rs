//! Callers with a token that is signed with a key both sides know (HS256, `SECRET_KEY`): for development, for tests, and for a
//! gateway in front that signs people in itself. Two keys are accepted while one takes the place of the other.

use chrono::TimeDelta;
use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::Identified;
use super::token::{Unverified, invalid};
use crate::clock::Clock;
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// The issuer and the audience of such tokens.
pub const NAME: &str = "knowledge-worker";
/// Shortest key, in bytes: as long as the hash (RFC 7518, 3.2).
pub const MIN_KEY_BYTES: usize = 32;
/// Longest name of a user or a group, in characters.
const MAX_NAME_CHARS: usize = 128;
/// Longest life of a token that is made here.
const MAX_LIFE: TimeDelta = TimeDelta::hours(24);

/// The keys.
#[derive(Clone, Debug)]
pub struct SharedKeySettings {
    /// The one that signs.
    pub current: Secret,
    /// The one before it, still believed.
    pub previous: Option<Secret>,
}

/// The check.
#[derive(Debug)]
pub struct SharedKey {
    settings: SharedKeySettings,
    clock: Clock,
}

/// Whom a token is to be about.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The user.
    pub subject: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Their role, as tokens call it.
    pub role: String,
    /// How long it is good.
    pub life: TimeDelta,
}

impl SharedKey {
    /// With these keys.
    pub fn new(settings: SharedKeySettings, clock: Clock) -> Self {
        Self { settings, clock }
    }

    /// Whom a token is about. Users, groups and roles are names; a tenant is only there if the token says so.
    pub async fn identify(&self, token: Unverified<'_>) -> Result<Identified> {
        let mut keys = vec![decoding_key(&self.settings.current).await?];
        if let Some(previous) = &self.settings.previous {
            keys.push(decoding_key(previous).await?);
        }
        let claims = token.verified(&keys, NAME, &[NAME.to_owned()], self.clock.now())?;
        let unfit = || invalid("the token names a user, a tenant or a group in a way that is not accepted here");
        let subject = claims.sub.filter(|name| is_name(name)).ok_or_else(unfit)?;
        let tenant = claims.tid.unwrap_or_else(|| Principal::HOME_TENANT.to_owned());
        let groups = claims.groups.unwrap_or_default();
        if !is_name(&tenant) || !groups.iter().all(|group| is_name(group)) {
            return Err(unfit());
        }
        let is_at_home = tenant == Principal::HOME_TENANT;
        let roles = claims.roles.unwrap_or_default();
        Ok(Identified { tenant, subject, groups, roles, is_person: true, is_at_home })
    }

    /// Makes a token, signed with the current key.
    pub async fn mint(&self, wanted: &Wanted) -> Result<SecretString> {
        let refuse = |sentence: &str| Err(Error::new(ErrorKind::InvalidRequest, sentence));
        if !is_name(&wanted.subject) || !wanted.groups.iter().all(|group| is_name(group)) {
            return refuse("users and groups have letters, digits and `@ . _ + -`, at most 128 of them");
        }
        if wanted.life < TimeDelta::minutes(1) || wanted.life > MAX_LIFE {
            return refuse("a token is good for one minute to 24 hours");
        }
        let key = long_enough(&self.settings.current).await?;
        let now = self.clock.now();
        let claims = json!({
            "iss": NAME,
            "aud": NAME,
            "sub": wanted.subject,
            "groups": wanted.groups,
            "roles": [wanted.role],
            "iat": now.timestamp(),
            "nbf": now.timestamp(),
            "exp": (now + wanted.life).timestamp(),
        });
        let key = EncodingKey::from_secret(key.expose_secret().as_bytes());
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key);
        let failed = |e| Error::new(ErrorKind::Internal, "the token could not be signed").caused_by(e);
        token.map(SecretString::from).map_err(failed)
    }
}

async fn decoding_key(secret: &Secret) -> Result<DecodingKey> {
    Ok(DecodingKey::from_secret(long_enough(secret).await?.expose_secret().as_bytes()))
}

/// A key from a vault is only known here; one that stands in the settings was looked at before.
async fn long_enough(secret: &Secret) -> Result<SecretString> {
    let unavailable =
        |e: Error| Error::new(ErrorKind::AuthUnavailable, "the key of tokens cannot be read").caused_by(e);
    let key = secret.expose().await.map_err(unavailable)?;
    match weakness(key.expose_secret()) {
        None => Ok(key),
        Some(weakness) => Err(Error::new(ErrorKind::Misconfigured, "the key of tokens is not one").caused_by(weakness)),
    }
}

/// What is wrong with a key: it is too short, or it is what somebody was to put a key in place of.
pub fn weakness(key: &str) -> Option<&'static str> {
    if key.len() < MIN_KEY_BYTES {
        return Some("must have at least 32 bytes; `openssl rand -base64 48` makes one");
    }
    let lower = key.to_ascii_lowercase();
    let placeholders = ["change", "your-", "your_", "placeholder", "example", "secret", "password"];
    let different = key.bytes().collect::<std::collections::BTreeSet<u8>>().len();
    (different < 10 || placeholders.iter().any(|word| lower.contains(word)))
        .then_some("must be a random key; `openssl rand -base64 48` makes one")
}

/// Names hold nothing that lists, marks of readers or addresses give a meaning to.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '+' | '-');
    (1..=MAX_NAME_CHARS).contains(&text.len()) && text.chars().all(is_plain)
}
