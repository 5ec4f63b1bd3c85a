//! A secret among the settings: the value itself, or its place in a Key Vault, from where it comes with its first use.
//! Whoever holds a secret holds one of these and asks for the value when it is needed.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

use crate::error::Result;
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
