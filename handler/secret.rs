//! A secret among the settings: the value itself, or its place in a Key Vault, from where it comes with its first use.
//! Whoever holds a secret holds one of these and asks for the value when it is needed.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::key_vault::VaultSecret;

/// A secret.
#[derive(Clone)]
pub enum Secret {
    /// The value.
    Plain(SecretString),
    /// Where the value is.
    InVault(Arc<VaultSecret>),
}

impl Secret {
    /// The value. Asks the vault at the first use, and now and then after that; `StoreUnavailable` when it does not answer.
    pub async fn expose(&self) -> Result<SecretString> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::InVault(secret) => secret.value().await,
        }
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Plain(_) => "the settings".to_owned(),
            Self::InVault(secret) => secret.place(),
        }
    }
}

/// What is made of a secret with its first use, and anew when the secret was replaced.
pub struct Made<T> {
    secret: Secret,
    made: Mutex<Option<(SecretString, Arc<T>)>>,
}

impl<T> Made<T> {
    /// Makes nothing yet.
    pub fn of(secret: Secret) -> Self {
        Self { secret, made: Mutex::new(None) }
    }

    /// What `make` makes of the value as it is now. What the value says wrong is told with the place where it is.
    pub async fn get(&self, make: impl FnOnce(&SecretString) -> Result<T>) -> Result<Arc<T>> {
        let value = self.secret.expose().await?;
        let mut kept = self.made.lock().await;
        if let Some((_, made)) = kept.as_ref().filter(|(of, _)| of.expose_secret() == value.expose_secret()) {
            return Ok(Arc::clone(made));
        }
        let wrong = |e: Error| Error::new(e.kind(), format!("{}: {}", self.place(), e.message()));
        let made = Arc::new(make(&value).map_err(wrong)?);
        *kept = Some((value, Arc::clone(&made)));
        Ok(made)
    }

    /// Where the secret is, for people.
    pub fn place(&self) -> String {
        self.secret.place()
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::Plain(value.into())
    }
}

impl From<SecretString> for Secret {
    fn from(value: SecretString) -> Self {
        Self::Plain(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Secret"),
            Self::InVault(secret) => write!(f, "{secret:?}"),
        }
    }
}
