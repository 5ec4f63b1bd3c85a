//! The way to whoever does what this program cannot: one request with the parameters of an action, signed as Standard Webhooks
//! has it. What leaves is whether it was taken; a request that got no answer is not sent again.
//!
//! Signature: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;
use url::Url;

use super::action::Action;
use super::run::Trouble;
use crate::error::{Error, ErrorKind, Result};
use crate::reason::Reason;
use crate::secret::Secret;
use crate::telemetry::calls;
use crate::web_address::is_safe_for_secrets;

/// How long connecting may take, and all of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer that are looked at.
const MAX_ANSWER: usize = 64 << 10;
/// Characters of a reference in it.
const REFERENCE_CHARS: usize = 200;
/// How a secret of Standard Webhooks begins; base64 follows.
const SECRET_PREFIX: &str = "whsec_";

/// Where the requests go.
#[derive(Clone)]
pub enum Address {
    /// To this address, whatever the action. It may hold a key, so it is a secret.
    Whole(Secret),
    /// To `/api/send_email`, `/api/create_task` and so on of a function app.
    App(Url),
}

/// A receiver of actions.
#[derive(Clone)]
pub struct Webhook {
    address: Address,
    secret: Option<Secret>,
    // Made with the first request: reading the machine's certificates is too slow for the start of the process.
    http: Arc<OnceLock<reqwest::Client>>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest of the address may hold a key.
        f.debug_struct("Webhook").field("host", &self.host()).field("signed", &self.secret.is_some()).finish()
    }
}

impl Webhook {
    /// A receiver at an address, that knows our requests by a secret if there is one.
    pub fn new(address: Address, secret: Option<Secret>) -> Self {
        Self { address, secret, http: Arc::default() }
    }

    /// The host, for people.
    pub(super) fn host(&self) -> String {
        let host = |url: &Url| url.host_str().unwrap_or_default().to_owned();
        match &self.address {
            Address::App(url) => host(url),
            Address::Whole(Secret::Plain(text)) => parse(text).map(|url| host(&url)).unwrap_or_default(),
            Address::Whole(secret) => format!("the address in {}", secret.place()),
        }
    }

    /// Sends an action, once.
    pub(super) async fn post(&self, action: &Action, now: DateTime<Utc>) -> Result<Value, Trouble> {
        let url = self.url(action).await?;
        let body = action.parameters.to_string();
        let mut request = self
            .http()?
            .post(url.clone())
            .header("content-type", "application/json")
            .header("idempotency-key", &action.id)
            .header("x-action-type", action.action_type.name())
            .header("webhook-id", &action.id)
            .header("webhook-timestamp", now.timestamp().to_string());
        if let Some(secret) = &self.secret {
            let secret = secret.expose().await?;
            let signature = signature(secret.expose_secret(), &action.id, now.timestamp(), &body)?;
            request = request.header("webhook-signature", signature);
        }
        let sent = calls::outside("webhook", "post").to(url.as_str()).run(async { send(request.body(body)).await });
        match sent.await {
            Ok((status, answer)) => judge(status, &answer),
            Err(e) if e.kind() == ErrorKind::ActionUnknown => Err(Trouble::Unknown(e)),
            Err(e) => Err(Trouble::NotDone(e)),
        }
    }

    async fn url(&self, action: &Action) -> Result<Url> {
        match &self.address {
            Address::Whole(address) => parse(&address.expose().await?),
            Address::App(app) => app
                .join(&format!("/api/{}", action.action_type.name()))
                .map_err(|e| Error::new(ErrorKind::Misconfigured, "AZURE_FUNCTION_APP_URL is no address").caused_by(e)),
        }
    }

    fn http(&self) -> Result<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A redirect could carry the parameters to another server, and a second try could do it twice.
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|e| Error::new(ErrorKind::Misconfigured, "the client of webhooks cannot be made").caused_by(e))?;
        Ok(self.http.get_or_init(|| http))
    }
}

/// The address of a receiver, which takes a signature and so needs TLS, unless it is on this machine.
pub fn parse(address: &SecretString) -> Result<Url> {
    let url = Url::parse(address.expose_secret()).ok();
    url.filter(|url| is_safe_for_secrets(url) && url.fragment().is_none()).ok_or_else(|| {
        let sentence = "must be a web address, with https unless it is on this machine";
        Error::new(ErrorKind::Misconfigured, sentence)
    })
}

async fn send(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>)> {
    let sent = request.send().await;
    let mut response = sent.map_err(|e| {
        // Nothing leaves before there is a connection. The address may hold a key, so it does not get into the log.
        let (kind, sentence) = match e.is_connect() || e.is_builder() {
            true => (ErrorKind::ActionFailed, "the receiver of the action cannot be reached"),
            false => (ErrorKind::ActionUnknown, "the receiver did not say whether it took the action"),
        };
        let reason = Reason::of_network(&e);
        Error::new(kind, sentence).because(reason).caused_by(e.without_url())
    })?;
    let status = response.status().as_u16();
    calls::answered(status);
    let mut answer = Vec::new();
    // The status has said all that counts; what follows is a reference at best.
    while let Ok(Some(piece)) = response.chunk().await {
        if answer.len() + piece.len() > MAX_ANSWER {
            answer.clear();
            break;
        }
        answer.extend_from_slice(&piece);
    }
    Ok((status, answer))
}

fn judge(status: u16, answer: &[u8]) -> Result<Value, Trouble> {
    match status {
        200..=299 => {
            let mut result = json!({ "status": status });
            if let Some(reference) = reference(answer) {
                result["reference"] = json!(reference);
            }
            Ok(result)
        }
        // A gateway says so when it got no answer from the one that acts.
        502 | 504 => {
            let sentence = format!("a gateway before the receiver answered with status {status}");
            Err(Trouble::Unknown(Error::new(ErrorKind::ActionUnknown, sentence)))
        }
        _ => {
            let sentence = format!("the receiver refused the action with status {status}");
            Err(Trouble::NotDone(Error::new(ErrorKind::ActionFailed, sentence).because(Reason::of_status(status))))
        }
    }
}

/// Under which name the receiver knows what it made: the member `id` of its answer.
fn reference(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let reference = match &answer["id"] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_fit = reference.chars().count() <= REFERENCE_CHARS && reference.chars().all(|c| c.is_ascii_graphic());
    is_fit.then_some(reference)
}

fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> Result<String> {
    let key = match secret.strip_prefix(SECRET_PREFIX) {
        Some(encoded) => BASE64_STANDARD.decode(encoded).map_err(|e| {
            let sentence = "ACTION_WEBHOOK_SECRET begins with whsec_ and is no base64 after it";
            Error::new(ErrorKind::Misconfigured, sentence).caused_by(e)
        })?,
        None => secret.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)
        .map_err(|e| Error::new(ErrorKind::Misconfigured, "ACTION_WEBHOOK_SECRET cannot be used").caused_by(e))?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        // The example of the libraries of Standard Webhooks.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}").unwrap();
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(signature("whsec_!", "a", 1, "").is_err());
    }

    #[test]
    fn an_answer_is_taken_refused_or_open() {
        assert_eq!(judge(201, b"{\"id\": 7}").unwrap(), json!({ "status": 201, "reference": "7" }));
        assert_eq!(judge(204, b"").unwrap(), json!({ "status": 204 }));
        assert_eq!(judge(200, b"{\"id\": \"<b>\\u0007\"}").unwrap(), json!({ "status": 200 }));
        for refused in [301, 400, 401, 404, 429, 500, 503] {
            assert!(matches!(judge(refused, b""), Err(Trouble::NotDone(_))), "{refused}");
        }
        assert!(matches!(judge(504, b""), Err(Trouble::Unknown(_))));
    }
}
