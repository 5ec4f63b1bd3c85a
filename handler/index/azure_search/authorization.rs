//! How requests to the search service say who sends them. A token of a managed identity becomes a second variant here,
//! with its scope `https://search.azure.com/.default`; nothing else has to know of it.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::error::Result;

/// What proves that this program may use the service.
#[derive(Clone)]
pub enum Authorization {
    /// An admin key of the service.
    ApiKey(SecretString),
}

/// The header to send.
pub(super) struct Proof {
    /// Its name.
    pub name: &'static str,
    /// Its value; secret.
    pub value: SecretString,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey(_) => f.write_str("ApiKey"),
        }
    }
}

impl Authorization {
    /// The header of one request. Asked anew for each attempt, because tokens run out, and to be waited for, because
    /// they have to be fetched.
    pub(super) async fn proof(&self) -> Result<Proof> {
        match self {
            Self::ApiKey(key) => Ok(Proof { name: "api-key", value: key.expose_secret().into() }),
        }
    }
}
