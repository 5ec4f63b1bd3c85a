//! The identity this process has towards the services of Azure: one chain, and one store of tokens, for all of them. Enters:
//! what the platform offers, and the scope of a service. Leaves: a token for it. Nobody is asked before the first request
//! that needs a token, and no error holds one.
//!
//! The official credentials keep tokens too (the Azure CLI's does not), but a renewal that fails takes the old token with
//! it, and a slow one holds up those who could go on. So what they gave last is kept here beside its time.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as ClientErrorKind;
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions};
use azure_identity::{
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use tokio::time::timeout;

use crate::bounded;
use crate::breaker::Breaker;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::reason::{Reason, innermost};

/// A token is renewed this long before its end, as the official clients do it.
const AHEAD: TimeDelta = TimeDelta::seconds(300);
/// A token this close to its end is not used any more: it has to last for the way to the service.
const SPARE: TimeDelta = TimeDelta::seconds(10);
/// Nobody is asked for the next token more often than this while the one at hand is good.
const PAUSE: TimeDelta = TimeDelta::seconds(30);
/// A token may take this long to come. The login of a developer starts a program.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most bytes of an answer with a token.
const MOST_BYTES: u64 = 1 << 20;
/// While the one at hand is good it may take this part of the time.
const PART_AHEAD: u32 = 10;

/// How this process signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// With the proof that a Kubernetes cluster puts into a file.
    Workload {
        /// The file.
        token_file: PathBuf,
        /// The application's client id.
        client_id: String,
        /// Its tenant.
        tenant_id: String,
    },
    /// With the managed identity of a Function App, an App Service or a Container App.
    Managed {
        /// The client id of an identity that was assigned by a user; without one, the system's.
        client_id: Option<String>,
    },
    /// With the login of `az` or `azd` on a developer's machine.
    DeveloperTools,
}

/// The identity of this process. Makes tokens for every service; made once, and asks nobody until then.
pub struct Identity {
    sign_in: SignIn,
    clock: Clock,
    patience: Duration,
    // Made with the first token: it reads the machine's certificates, which is too slow for the start of the process.
    source: OnceLock<Arc<dyn TokenCredential>>,
    tokens: Mutex<HashMap<String, Arc<Kept>>>,
    /// Whether whoever gives tokens is worth asking.
    breaker: Breaker,
}

/// The token of one scope.
#[derive(Default)]
struct Kept {
    /// Held by the one who asks for a token.
    asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<AccessToken>,
    /// When the next one may be asked for while this one is good.
    not_before: DateTime<Utc>,
    /// How often one was asked for.
    asked: u64,
    /// Why the last time brought none.
    failure: Option<String>,
}

/// What is at hand.
enum AtHand {
    Good(AccessToken),
    Ageing(AccessToken),
    Nothing { asked: u64 },
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("sign_in", &self.sign_in).finish_non_exhaustive()
    }
}

impl Identity {
    /// An identity that signs in in this way.
    pub fn new(sign_in: SignIn, clock: Clock) -> Self {
        let (source, tokens, breaker) = (OnceLock::new(), Mutex::default(), Breaker::default());
        Self { sign_in, clock, patience: PATIENCE, source, tokens, breaker }
    }

    /// The same on top of another credential, which signs in in some way of its own.
    pub fn on(source: Arc<dyn TokenCredential>, clock: Clock) -> Self {
        Self { source: OnceLock::from(source), ..Self::new(SignIn::DeveloperTools, clock) }
    }

    /// The same with another time that a token may take to come.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How it signs in, for people.
    pub fn describe(&self) -> String {
        match &self.sign_in {
            SignIn::Workload { client_id, .. } => format!("workload identity {client_id}"),
            SignIn::Managed { client_id: Some(client_id) } => format!("managed identity {client_id}"),
            SignIn::Managed { client_id: None } => "managed identity of the app".to_owned(),
            SignIn::DeveloperTools => "login of az or azd".to_owned(),
        }
    }

    /// A good token of a scope, from here or from the service that gives them.
    async fn token_of(&self, scope: &str) -> Result<AccessToken, String> {
        let kept = Arc::clone(self.tokens().entry(scope.to_owned()).or_default());
        match kept.at_hand(self.clock.now()) {
            AtHand::Good(token) => Ok(token),
            AtHand::Ageing(token) => {
                // One asks for the next token; the others go on with this one.
                let Ok(_asking) = kept.asking.try_lock() else { return Ok(token) };
                Ok(self.ask(&kept, scope, self.patience / PART_AHEAD).await.unwrap_or(token))
            }
            AtHand::Nothing { asked } => {
                let _asking = kept.asking.lock().await;
                match kept.at_hand(self.clock.now()) {
                    AtHand::Good(token) | AtHand::Ageing(token) => Ok(token),
                    // Whoever was waited for got none either: that is the answer for all who waited.
                    AtHand::Nothing { asked: by_now } => {
                        let failure = kept.state().failure.clone().filter(|_| by_now > asked);
                        match failure {
                            Some(failure) => Err(failure),
                            None => self.ask(&kept, scope, self.patience).await,
                        }
                    }
                }
            }
        }
    }

    /// Asks for a token and keeps what comes of it. The caller holds the lock of asking.
    async fn ask(&self, kept: &Kept, scope: &str, patience: Duration) -> Result<AccessToken, String> {
        let answer = match self.source() {
            Ok(source) => {
                let asked = async {
                    match timeout(patience, source.get_token(&[scope], None)).await {
                        Ok(answer) => answer.map_err(|e| (is_of_the_service(&e), without_tokens(&e))),
                        Err(_) => Err((true, format!("no answer within {patience:?}"))),
                    }
                };
                let answer = self.breaker.call(asked, |(is_of_the_service, _)| *is_of_the_service).await;
                let left_alone = || Err((false, "left alone for a moment after failures".to_owned()));
                answer.unwrap_or_else(left_alone).map_err(|(_, cause)| cause)
            }
            Err(e) => Err(without_tokens(&e)),
        };
        let mut state = kept.state();
        state.asked += 1;
        state.not_before = self.clock.now() + PAUSE;
        match answer {
            Ok(token) => {
                state.failure = None;
                state.token = Some(token.clone());
                Ok(token)
            }
            Err(cause) => {
                let failure = format!("{}: {cause}", self.advice(scope));
                tracing::warn!(scope, cause = failure, has_token = state.token.is_some(), "no token could be had");
                state.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    fn source(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        if let Some(source) = self.source.get() {
            return Ok(Arc::clone(source));
        }
        let source: Arc<dyn TokenCredential> = match &self.sign_in {
            SignIn::Workload { token_file, client_id, tenant_id } => {
                let options = WorkloadIdentityCredentialOptions {
                    client_id: Some(client_id.clone()),
                    tenant_id: Some(tenant_id.clone()),
                    token_file_path: Some(token_file.clone()),
                    ..Default::default()
                };
                WorkloadIdentityCredential::new(Some(options))?
            }
            SignIn::Managed { client_id } => {
                let options = ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options: self.client_options(),
                };
                ManagedIdentityCredential::new(Some(options))?
            }
            SignIn::DeveloperTools => DeveloperToolsCredential::new(None)?,
        };
        Ok(Arc::clone(self.source.get_or_init(|| source)))
    }

    /// A request makes three attempts at most, and they end while somebody waits.
    fn client_options(&self) -> ClientOptions {
        let retry = RetryOptions::exponential(ExponentialRetryOptions { max_retries: 2, ..Default::default() });
        ClientOptions { retry, transport: Some(bounded::transport(MOST_BYTES)), ..Default::default() }
    }

    /// What a person can do when there is no token.
    fn advice(&self, scope: &str) -> String {
        let resource = scope.trim_end_matches("/.default");
        let way = match &self.sign_in {
            SignIn::Workload { .. } => {
                "check the federated credential of the workload identity and the pod's service account".to_owned()
            }
            SignIn::Managed { client_id: Some(client_id) } => {
                format!("assign the identity with client id {client_id} to this app, or change AZURE_CLIENT_ID")
            }
            SignIn::Managed { client_id: None } => "turn on the identity of this app (`az functionapp identity \
                assign`), or name one that is assigned to it in AZURE_CLIENT_ID"
                .to_owned(),
            SignIn::DeveloperTools => "sign in with `az login`, or give the service's key".to_owned(),
        };
        format!("no token for {resource}; {way}")
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Arc<Kept>>> {
        self.tokens.lock().expect("no holder of this lock panics")
    }
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn at_hand(&self, now: DateTime<Utc>) -> AtHand {
        let state = self.state();
        let good = state.token.as_ref().map(|token| (token, ends(token))).filter(|(_, ends)| *ends > now + SPARE);
        match good {
            Some((token, ends)) if ends > now + AHEAD || now < state.not_before => AtHand::Good(token.clone()),
            Some((token, _)) => AtHand::Ageing(token.clone()),
            None => AtHand::Nothing { asked: state.asked },
        }
    }
}

#[async_trait]
impl TokenCredential for Identity {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        // Each of our services has one scope, and a managed identity takes no more.
        let [scope] = scopes else {
            let sentence = "a token is asked for with exactly one scope";
            return Err(azure_core::Error::with_message(ClientErrorKind::Credential, sentence));
        };
        self.token_of(scope).await.map_err(|e| azure_core::Error::with_message(ClientErrorKind::Credential, e))
    }
}

/// A token of a scope such as `https://search.azure.com/.default`, for a client of our own. `StoreUnavailable` when none
/// can be had, because that may pass; the cause says what a person can do.
pub async fn token(credential: &Arc<dyn TokenCredential>, scope: &str) -> Result<SecretString> {
    let failed = |cause: String| {
        Error::new(ErrorKind::StoreUnavailable, "no token of this process's identity can be had")
            .because(Reason::NoToken)
            .caused_by(cause)
    };
    // Longer than the wait of the identity itself, whose error says more.
    let patience = PATIENCE + PATIENCE / PART_AHEAD;
    match timeout(patience, credential.get_token(&[scope], None)).await {
        Ok(Ok(token)) => Ok(token.token.secret().into()),
        Ok(Err(e)) => Err(failed(without_tokens(&e))),
        Err(_) => Err(failed(format!("no answer within {patience:?}"))),
    }
}

/// Whether a failure shows that whoever gives tokens does not work: it says nothing, or says so itself.
fn is_of_the_service(error: &azure_core::Error) -> bool {
    error.http_status().is_none_or(|status| matches!(u16::from(status), 408 | 500..))
}

fn ends(token: &AccessToken) -> DateTime<Utc> {
    DateTime::from_timestamp(token.expires_on.unix_timestamp(), 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Somebody else's words about a failure, on one line, not too many, and without anything that looks like a token.
fn without_tokens(error: &azure_core::Error) -> String {
    let text = innermost(error).to_string();
    // The library points to its manual after each cause.
    let text = text.split(" To troubleshoot").next().unwrap_or_default();
    let words = text.split_whitespace().map(|word| if word.contains("eyJ") { "…" } else { word });
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars().take(400).collect()
}
