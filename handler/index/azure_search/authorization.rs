//! How requests to the search service say who sends them: with a token of this process's identity, or with a key.

use std::fmt;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use secrecy::{ExposeSecret, SecretString};

use crate::error::Result;
use crate::identity;
use crate::secret::Secret;

/// What a token for the service is asked for with.
const SCOPE: &str = "https://search.azure.com/.default";

/// What proves that this program may use the service.
#[derive(Clone)]
pub enum Authorization {
    /// An admin key of the service.
    ApiKey(Secret),
    /// An Entra token of the identity that this program runs under.
    Identity(Arc<dyn TokenCredential>),
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
            Self::Identity(_) => f.write_str("Identity"),
        }
    }
}

impl Authorization {
    /// The header of one request. Asked anew for each attempt, because tokens run out, and to be waited for, because
    /// they have to be fetched.
    pub(super) async fn proof(&self) -> Result<Proof> {
        match self {
            Self::ApiKey(key) => Ok(Proof { name: "api-key", value: key.expose().await? }),
            Self::Identity(credential) => {
                let token = identity::token(credential, SCOPE).await?;
                Ok(Proof { name: "authorization", value: format!("Bearer {}", token.expose_secret()).into() })
            }
        }
    }
}
