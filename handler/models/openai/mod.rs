//! Models behind the OpenAI protocol: Azure OpenAI, or any compatible server. What enters are requests, what leaves are
//! answers or one classified error; what the server wrote in a failure stays here and is never logged.

mod chat;
mod embeddings;
pub(super) mod endpoint;
mod events;
pub(super) mod failure;
mod tool_calls;
pub(super) mod transport;
mod turns;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use serde::Serialize;
use url::Url;

use crate::secret::Secret;

pub use self::chat::OpenAiModel;
pub use self::embeddings::{EmbeddingSettings, OpenAiEmbeddings, Vectors};

/// Which form of the protocol a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Azure OpenAI: the key travels in `api-key`, the model is the name of a deployment.
    Azure,
    /// OpenAI itself or a server with its interface: the key is a bearer token.
    Compatible,
    /// A server with an interface beside OpenAI's: the key is a bearer token, the address is taken as it is.
    Other,
}

/// What a server is shown with each request.
#[derive(Clone)]
pub enum Authorization {
    /// Nothing: servers on the own machine often want nothing.
    Nothing,
    /// A key.
    Key(Secret),
    /// An Entra token of the identity that this program runs under.
    Identity(Arc<dyn TokenCredential>),
}

/// One server that has the model.
#[derive(Clone)]
pub struct Server {
    /// `https://name.openai.azure.com`, or `http://localhost:11434/v1`. A compatible server's address without a path gets
    /// `/v1`.
    pub endpoint: Url,
    /// What it is shown.
    pub authorization: Authorization,
}

/// What is known of a server, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerState {
    /// Its host.
    pub host: String,
    /// `open`, `busy` (it asked for a pause) or `left alone` (it failed some times in a row).
    pub state: &'static str,
}

/// Where a model is and how to call it.
#[derive(Clone)]
pub struct OpenAiSettings {
    /// The servers that have the model, in the order in which they are asked; at least one. The others serve while the
    /// first does not.
    pub servers: Vec<Server>,
    /// The model; for Azure the deployment.
    pub model: String,
    /// Which form of the protocol the servers speak.
    pub kind: ServerKind,
    /// For Azure: the dated version of the classic interface. Without one the undated `/openai/v1` is called.
    pub api_version: Option<String>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorization = match self.authorization {
            Authorization::Nothing => "nothing",
            Authorization::Key(_) => "key",
            Authorization::Identity(_) => "identity",
        };
        write!(f, "{} with {authorization}", self.endpoint.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for OpenAiSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiSettings")
            .field("servers", &self.servers)
            .field("model", &self.model)
            .field("kind", &self.kind)
            .field("api_version", &self.api_version)
            .finish_non_exhaustive()
    }
}
