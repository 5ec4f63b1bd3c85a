//! Redis, for what instances share. It is never needed: when it does not answer, callers are told so at once, go on without it,
//! and one of them tries again after a while. Nothing is connected before the first call.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::Stream;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::auth::{BasicAuth, StreamingCredentialsProvider};
use redis::{Client, ErrorKind as RedisErrorKind, IntoConnectionInfo, RedisError, RedisResult};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::reason::Reason;
use crate::secret::Secret;
use crate::telemetry::calls::outside;
use crate::telemetry::one_line;
use crate::web_address::is_this_machine;

/// A call may take this long, connecting included. A question waits for it.
const CALL_TIME: Duration = Duration::from_millis(500);
/// An address and a password that are in a vault may take this long to come from there, once.
const PASSWORD_TIME: Duration = Duration::from_secs(3);
/// After a failure nobody calls for this long.
const REST: Duration = Duration::from_secs(5);
/// What a token for Azure Managed Redis is asked for with.
const SCOPE: &str = "https://redis.azure.com/.default";
/// A connection shows the next token this long before the last one ends.
const AHEAD: Duration = Duration::from_secs(300);
/// And looks for a next one no more often than this.
const PAUSE: Duration = Duration::from_secs(30);

/// How to sign in at an address.
#[derive(Clone)]
pub enum RedisAccess {
    /// Nobody asks who we are.
    Open,
    /// With a password, and the name of a user where it is not the default one.
    Password {
        /// The user.
        user: Option<String>,
        /// The password or access key.
        password: Secret,
    },
    /// With tokens of the identity that this program runs under.
    Identity {
        /// The user: the identity's object id. Without one it is read from the token.
        user: Option<String>,
        /// What gives the tokens.
        credential: Arc<dyn TokenCredential>,
    },
}

/// Where Redis is.
#[derive(Clone)]
pub struct RedisSettings {
    /// `rediss://host:port`, or `redis://` on this machine. It may hold a password.
    pub address: Secret,
    /// A user other than the default one; with an identity, its object id.
    pub user: Option<String>,
    /// A password or access key, where it is not in the address.
    pub password: Option<Secret>,
    /// What gives the tokens where there is no password.
    pub credential: Arc<dyn TokenCredential>,
}

impl RedisSettings {
    /// Checks an address.
    pub fn parse(address: &SecretString) -> Result<Url> {
        let wrong = |sentence| Error::new(ErrorKind::Misconfigured, sentence);
        let url = Url::parse(address.expose_secret()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host());
        let url = url.ok_or_else(|| wrong("must be an address like rediss://name.redis.azure.net:10000"))?;
        match url.scheme() == "rediss" || is_this_machine(&url) {
            true => Ok(url),
            false => Err(wrong("must begin with rediss, unless it is on this machine")),
        }
    }

    /// How to sign in at the address.
    pub fn access(&self, address: &Url) -> RedisAccess {
        let user = self.user.clone();
        match &self.password {
            Some(password) => RedisAccess::Password { user, password: password.clone() },
            None if address.password().is_some() || address.scheme() == "redis" => RedisAccess::Open,
            None => RedisAccess::Identity { user, credential: Arc::clone(&self.credential) },
        }
    }

    /// The address, where it is known without asking a Key Vault.
    pub fn known(&self) -> Option<Url> {
        match &self.address {
            Secret::Plain(text) => Self::parse(text).ok(),
            Secret::InVault(_) => None,
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(address) = self.known() else { return f.write_str(&self.address.place()) };
        let access = match self.access(&address) {
            RedisAccess::Open => "nothing",
            RedisAccess::Password { .. } => "password",
            RedisAccess::Identity { .. } => "identity",
        };
        write!(f, "{} with {access}", address.host_str().unwrap_or_default())
    }
}

/// A Redis that may be there.
pub struct Redis {
    settings: RedisSettings,
    /// Where its calls go, for their spans; none as long as only a Key Vault knows.
    known: Option<Url>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<ConnectionManager>,
    rests_until: Option<Instant>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.settings).finish()
    }
}

impl Redis {
    /// Connects nowhere yet.
    pub fn new(settings: RedisSettings) -> Self {
        Self { known: settings.known(), settings, state: Mutex::default() }
    }

    /// A value with the time it has left.
    pub async fn get(&self, key: &str) -> Option<(Vec<u8>, Duration)> {
        let mut both = redis::pipe();
        both.get(key).pttl(key);
        let answer = self.call("get", async |connection| both.query_async(connection).await).await.ok()?;
        let (value, left): (Option<Vec<u8>>, i64) = answer;
        // Negative: it ended between the two, or somebody has set it without an end.
        let left = u64::try_from(left).ok().filter(|left| *left > 0)?;
        Some((value?, Duration::from_millis(left)))
    }

    /// Sets a value for `time`. When it cannot be set, it is not there.
    pub async fn put(&self, key: &str, value: &[u8], time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut set = redis::cmd("SET");
        set.arg(key).arg(value).arg("PX").arg(milliseconds);
        let _set: Result<()> = self.call("set", async |connection| set.query_async(connection).await).await;
    }

    /// Runs a script on one key.
    pub async fn run<T: redis::FromRedisValue>(&self, script: &redis::Script, key: &str, numbers: &[u64]) -> Result<T> {
        let mut call = script.key(key);
        numbers.iter().for_each(|number| _ = call.arg(number));
        self.call("script", async |connection| call.invoke_async(connection).await).await
    }

    /// Whether it answers. `StoreUnavailable` with the reason when it does not.
    pub async fn ping(&self) -> Result<()> {
        self.call("ping", async |connection| redis::cmd("PING").query_async(connection).await).await
    }

    /// Where it is, for people.
    pub fn location(&self) -> String {
        format!("{:?}", self.settings)
    }

    /// Makes one call. A failure is told once, and then nobody calls for a while.
    async fn call<T>(
        &self,
        operation: &'static str,
        call: impl AsyncFnOnce(&mut ConnectionManager) -> RedisResult<T>,
    ) -> Result<T> {
        if !self.may_call() {
            return Err(unavailable("left alone for a moment after a failure".to_owned()));
        }
        let outside = outside("redis", operation);
        let outside = match &self.known {
            Some(address) => outside.to(address.as_str()),
            None => outside,
        };
        outside.run(self.try_once(call)).await
    }

    async fn try_once<T>(&self, call: impl AsyncFnOnce(&mut ConnectionManager) -> RedisResult<T>) -> Result<T> {
        let work = async {
            let mut connection = timeout(PASSWORD_TIME, self.connection()).await.map_err(|_| late(PASSWORD_TIME))??;
            timeout(CALL_TIME, call(&mut connection)).await.map_err(|_| late(CALL_TIME))?
        };
        let failed = match work.await {
            Ok(answer) => {
                self.state().rests_until = None;
                return Ok(answer);
            }
            Err(e) => e,
        };
        let (reason, failed) = (reason(&failed), failed.to_string());
        tracing::warn!(cause = %one_line(&failed), "going on without Redis for a moment");
        let mut state = self.state();
        state.rests_until = Some(Instant::now() + REST);
        state.connection = None;
        Err(unavailable(failed).because(reason))
    }

    /// Whether a call is worth it. After a failure nobody calls for a while, and then one tries for all.
    fn may_call(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        match state.rests_until {
            Some(until) if now < until => return false,
            Some(_) => state.rests_until = Some(now + REST),
            None => {}
        }
        true
    }

    /// The connection, made when there is none. Of two that are made at once one stays.
    async fn connection(&self) -> RedisResult<ConnectionManager> {
        if let Some(connection) = &self.state().connection {
            return Ok(connection.clone());
        }
        let connection = connect(&self.settings).await?;
        Ok(self.state().connection.get_or_insert(connection).clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reason(error: &RedisError) -> Reason {
    match error.kind() {
        RedisErrorKind::AuthenticationFailed => Reason::NotKnown,
        _ if error.is_timeout() => Reason::TooSlow,
        _ => Reason::of_network(error),
    }
}

fn unavailable(cause: String) -> Error {
    Error::new(ErrorKind::StoreUnavailable, "Redis does not answer").caused_by(cause)
}

fn late(limit: Duration) -> RedisError {
    RedisError::from((RedisErrorKind::Io, "too late", format!("no answer within {} ms", limit.as_millis())))
}

/// A connection that connects with its first call, and again when it was lost.
async fn connect(settings: &RedisSettings) -> RedisResult<ConnectionManager> {
    let mut config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(CALL_TIME))
        .set_response_timeout(Some(CALL_TIME));
    let unusable = |e: Error| (RedisErrorKind::InvalidClientConfig, "no address", e.chain());
    let address = settings.address.expose().await.map_err(unusable)?;
    let address = RedisSettings::parse(&address).map_err(unusable)?;
    let mut info = address.clone().into_connection_info()?;
    match settings.access(&address) {
        RedisAccess::Open => {}
        RedisAccess::Password { user, password } => {
            let no_password = |e: Error| (RedisErrorKind::AuthenticationFailed, "no password", e.chain());
            let password = password.expose().await.map_err(no_password)?;
            let mut login = info.redis_settings().clone().set_password(password.expose_secret());
            if let Some(user) = user {
                login = login.set_username(user);
            }
            info = info.set_redis_settings(login);
        }
        RedisAccess::Identity { user, credential } => {
            config = config.set_credentials_provider(Tokens { user, credential });
        }
    }
    ConnectionManager::new_lazy_with_config(Client::open(info)?, config)
}

/// Shows a connection a token, and the next one before that runs out.
struct Tokens {
    user: Option<String>,
    credential: Arc<dyn TokenCredential>,
}

type Shown = Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send + 'static>>;

impl StreamingCredentialsProvider for Tokens {
    fn subscribe(&self) -> Shown {
        let (user, credential) = (self.user.clone(), Arc::clone(&self.credential));
        Box::pin(async_stream::stream! {
            let mut last = String::new();
            loop {
                let pause = match credential.get_token(&[SCOPE], None).await {
                    Ok(token) => {
                        let secret = token.token.secret();
                        if secret != last {
                            secret.clone_into(&mut last);
                            yield login(user.as_deref(), secret);
                        }
                        time_until(token.expires_on).saturating_sub(AHEAD)
                    }
                    Err(e) => {
                        yield Err(RedisError::from((RedisErrorKind::AuthenticationFailed, "no token", e.to_string())));
                        PAUSE
                    }
                };
                sleep(pause.max(PAUSE)).await;
            }
        })
    }
}

/// What a connection shows: the token as the password of the object it was made for.
fn login(user: Option<&str>, token: &str) -> RedisResult<BasicAuth> {
    let user = user.map(str::to_owned).or_else(|| object_id(token));
    let user = user.ok_or((RedisErrorKind::AuthenticationFailed, "the token names no object: set REDIS_USERNAME"))?;
    Ok(BasicAuth::new(user, token.to_owned()))
}

/// The `oid` of a token. Nothing is decided by it: Redis checks the token.
fn object_id(token: &str) -> Option<String> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(claims["oid"].as_str()?.to_owned())
}

fn time_until(end: azure_core::time::OffsetDateTime) -> Duration {
    Duration::try_from(end - azure_core::time::OffsetDateTime::now_utc()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_the_object_of_the_token_unless_one_is_named() {
        let token = format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(r#"{"oid":"0b1e"}"#));
        assert_eq!(login(None, &token).expect("a login").username(), "0b1e");
        assert_eq!(login(Some("me"), &token).expect("a login").username(), "me");
        assert!(login(None, "no token at all").is_err() && login(None, "e30.e30.x").is_err());
    }
}
