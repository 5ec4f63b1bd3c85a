//! The address and headers of a model server. What enters are the settings, what leaves is where a request goes and what it
//! carries. What proves who asks is marked as secret, so that no debug output of a request shows it.

use std::fmt;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::failure::Failure;
use super::{Authorization, OpenAiSettings, Server, ServerKind};
use crate::error::{Error, ErrorKind, Result};
use crate::identity;
use crate::secret::Secret;
use crate::telemetry::calls;

/// What a token for Azure OpenAI is asked for with.
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// Where requests go, and what they carry.
#[derive(Clone)]
pub(in crate::models) struct Endpoint {
    base: Url,
    api_version: Option<String>,
    /// A key from the settings travels here.
    headers: HeaderMap,
    kind: ServerKind,
    /// What is fetched for each request, because it changes in time: a key from a vault, or a token.
    fetched: Option<Fetched>,
}

#[derive(Clone)]
enum Fetched {
    Key(Secret),
    Token(Arc<dyn TokenCredential>),
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Puts address and headers together. A key that no header can carry is `Misconfigured`.
    pub(super) fn new(settings: &OpenAiSettings, server: &Server) -> Result<Self> {
        let mut headers = HeaderMap::new();
        let mut fetched = None;
        match &server.authorization {
            Authorization::Nothing => {}
            Authorization::Key(Secret::Plain(key)) => headers.extend([key_header(settings.kind, key)?]),
            Authorization::Key(key) => fetched = Some(Fetched::Key(key.clone())),
            Authorization::Identity(credential) => fetched = Some(Fetched::Token(Arc::clone(credential))),
        }
        let api_version = settings.api_version.clone().filter(|_| settings.kind == ServerKind::Azure);
        let unusable = |_| Error::new(ErrorKind::Misconfigured, "the address of the model server cannot be used");
        let base = Url::parse(&base(settings, server)).map_err(unusable)?;
        Ok(Self { base, api_version, headers, kind: settings.kind, fetched })
    }

    /// Adds what has to be fetched to the headers of one request, where the server wants such a thing.
    pub(super) async fn authorize(&self, headers: &mut HeaderMap) -> Result<(), Failure> {
        let (name, value) = match &self.fetched {
            None => return Ok(()),
            Some(Fetched::Key(key)) => {
                let key = key.expose().await.map_err(Failure::NoToken)?;
                key_header(self.kind, &key).map_err(Failure::NoToken)?
            }
            Some(Fetched::Token(credential)) => {
                let token = identity::token(credential, SCOPE).await.map_err(Failure::NoToken)?;
                key_header(ServerKind::Compatible, &token).map_err(Failure::NoToken)?
            }
        };
        headers.insert(name, value);
        Ok(())
    }

    /// The headers of a request, but for what has to be fetched.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(Ok(traceparent)) = calls::traceparent().map(HeaderValue::try_from) {
            headers.insert("traceparent", traceparent);
        }
        headers
    }

    /// What all addresses begin with.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The address of a path, with the version of the protocol where requests have to name one.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if let Some(version) = &self.api_version {
            url.query_pairs_mut().append_pair("api-version", version);
        }
        url
    }
}

fn key_header(kind: ServerKind, key: &SecretString) -> Result<(HeaderName, HeaderValue)> {
    let (name, text) = match kind {
        ServerKind::Azure => (HeaderName::from_static("api-key"), key.expose_secret().to_owned()),
        ServerKind::Compatible | ServerKind::Other => (AUTHORIZATION, format!("Bearer {}", key.expose_secret())),
    };
    let unfit = |_| {
        Error::new(ErrorKind::Misconfigured, "the key of the model server holds characters that no header can carry")
    };
    let mut value = HeaderValue::from_str(&text).map_err(unfit)?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn base(settings: &OpenAiSettings, server: &Server) -> String {
    let given = server.endpoint.as_str().trim_end_matches('/');
    let has_path = !server.endpoint.path().trim_matches('/').is_empty();
    match (settings.kind, &settings.api_version) {
        (ServerKind::Azure, Some(_)) => {
            let root = given.strip_suffix("/openai/v1").unwrap_or(given);
            format!("{root}/openai/deployments/{}", settings.model)
        }
        (ServerKind::Azure, None) if given.ends_with("/openai/v1") => given.to_owned(),
        (ServerKind::Azure, None) => format!("{given}/openai/v1"),
        (ServerKind::Compatible, _) if has_path => given.to_owned(),
        (ServerKind::Other, _) => given.to_owned(),
        (ServerKind::Compatible, _) => format!("{given}/v1"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(kind: ServerKind, endpoint: &str, api_version: Option<&str>) -> OpenAiSettings {
        OpenAiSettings {
            servers: vec![Server {
                endpoint: endpoint.parse().expect("a test's address"),
                authorization: Authorization::Key("k3y".into()),
            }],
            model: "gpt".to_owned(),
            kind,
            api_version: api_version.map(str::to_owned),
            connect_timeout: Duration::from_secs(1),
        }
    }

    fn opened(settings: &OpenAiSettings) -> Result<Endpoint> {
        Endpoint::new(settings, &settings.servers[0])
    }

    fn check(kind: ServerKind, endpoint: &str, api_version: Option<&str>, expected: &str) {
        let endpoint = opened(&settings(kind, endpoint, api_version)).expect("good settings");
        assert_eq!(endpoint.url("/chat/completions").as_str(), expected);
    }

    #[test]
    fn each_kind_has_its_address() {
        use ServerKind::{Azure, Compatible, Other};
        check(Azure, "https://a.openai.azure.com", None, "https://a.openai.azure.com/openai/v1/chat/completions");
        check(
            Azure,
            "https://a.openai.azure.com/openai/v1/",
            None,
            "https://a.openai.azure.com/openai/v1/chat/completions",
        );
        let classic = "https://a.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21";
        check(Azure, "https://a.openai.azure.com/", Some("2024-10-21"), classic);
        check(Compatible, "http://localhost:11434", None, "http://localhost:11434/v1/chat/completions");
        check(Other, "http://localhost:8080", None, "http://localhost:8080/chat/completions");
        check(Other, "https://x.test/v2/", Some("ignored"), "https://x.test/v2/chat/completions");
        check(Compatible, "https://x.test/api/v3/", Some("ignored"), "https://x.test/api/v3/chat/completions");
    }

    #[test]
    fn the_key_is_secret_and_must_fit_a_header() {
        let mut with_key = settings(ServerKind::Azure, "https://a.test", None);
        let endpoint = opened(&with_key).expect("good settings");
        assert_eq!(endpoint.headers()["api-key"], "k3y");
        assert!(!format!("{endpoint:?} {with_key:?} {:?}", endpoint.headers()).contains("k3y"));
        with_key.servers[0].authorization = Authorization::Key("line\nbreak".into());
        assert_eq!(opened(&with_key).expect_err("unfit").kind(), ErrorKind::Misconfigured);
    }
}
