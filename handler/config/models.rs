//! The settings of models. What enters are the names and addresses somebody gave, what leaves is how to call a chat model, an
//! embedding model and a reranker, each of which may be missing. A key goes only to the address it was given with; the
//! identity's token goes only to Azure OpenAI, and never in the clear.

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use url::Url;

use super::source::Reader;
use crate::chat::Prices;
use crate::models::openai::{Authorization, EmbeddingSettings, OpenAiSettings, Server, ServerKind};
use crate::models::rerank::RerankSettings;
use crate::secret::Secret;
use crate::web_address::is_safe_for_secrets;

/// How long connecting to a model may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The names of the settings of one kind of server.
struct Names {
    kind: ServerKind,
    endpoint: &'static str,
    key: &'static str,
    fallback_endpoints: &'static str,
    fallback_keys: &'static str,
    chat: &'static str,
    embedding: &'static str,
    embedding_endpoint: &'static str,
    embedding_key: &'static str,
}

/// Azure goes first where both are set.
const SERVERS: [Names; 2] = [
    Names {
        kind: ServerKind::Azure,
        endpoint: "AZURE_OPENAI_ENDPOINT",
        key: "AZURE_OPENAI_API_KEY",
        fallback_endpoints: "AZURE_OPENAI_FALLBACK_ENDPOINTS",
        fallback_keys: "AZURE_OPENAI_FALLBACK_API_KEYS",
        chat: "AZURE_OPENAI_CHAT_DEPLOYMENT",
        embedding: "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
        embedding_endpoint: "AZURE_OPENAI_EMBEDDING_ENDPOINT",
        embedding_key: "AZURE_OPENAI_EMBEDDING_API_KEY",
    },
    Names {
        kind: ServerKind::Compatible,
        endpoint: "OPENAI_BASE_URL",
        key: "OPENAI_API_KEY",
        fallback_endpoints: "OPENAI_FALLBACK_BASE_URLS",
        fallback_keys: "OPENAI_FALLBACK_API_KEYS",
        chat: "OPENAI_MODEL",
        embedding: "OPENAI_EMBEDDING_MODEL",
        embedding_endpoint: "OPENAI_EMBEDDING_BASE_URL",
        embedding_key: "OPENAI_EMBEDDING_API_KEY",
    },
];

/// An address and the setting that it came from.
type Address<'a> = (&'static str, &'a str);

/// What signs in where there is no key.
pub(super) type Credential<'a> = &'a Arc<dyn TokenCredential>;

/// The chat model. A server that is named for its embeddings alone has none.
pub(super) fn chat(reader: &mut Reader<'_>, credential: Credential<'_>) -> Option<OpenAiSettings> {
    for names in &SERVERS {
        let Some(endpoint) = reader.text(names.endpoint) else { continue };
        match reader.text(names.chat) {
            Some(model) => {
                let key = reader.secret(names.key);
                let first = server(reader, names.kind, (names.endpoint, &endpoint), key, credential);
                let others = fallbacks(reader, names, credential);
                return first.map(|first| settings(reader, names.kind, [vec![first], others].concat(), model));
            }
            None if reader.text(names.embedding).is_some() => {}
            None => {
                check_address(reader, names.endpoint, &endpoint);
                reader.problem(names.chat, format!("must be set with {}", names.endpoint));
                return None;
            }
        }
    }
    None
}

/// The embedding model, on the servers of chat or on one of its own.
pub(super) fn embedding(reader: &mut Reader<'_>, credential: Credential<'_>) -> Option<EmbeddingSettings> {
    let dimensions = reader.text("EMBEDDING_DIMENSIONS").map(|_| reader.number("EMBEDDING_DIMENSIONS", 1, 65_536));
    let dimensions = dimensions.and_then(|dimensions| u32::try_from(dimensions).ok());
    let names = SERVERS.iter().find(|names| reader.text(names.embedding).is_some())?;
    let model = reader.text(names.embedding)?;
    let own = reader.text(names.embedding_endpoint).map(|endpoint| (names.embedding_endpoint, endpoint));
    let shared = reader.text(names.endpoint).map(|endpoint| (names.endpoint, endpoint));
    let is_elsewhere = own.as_ref().is_some_and(|(_, endpoint)| shared.as_ref().is_none_or(|(_, s)| s != endpoint));
    // The key of chat must not reach another server.
    let shared_key = if is_elsewhere { None } else { reader.secret(names.key) };
    let key = reader.secret(names.embedding_key).or(shared_key);
    let Some((setting, endpoint)) = own.or(shared) else {
        reader.problem(names.embedding, format!("needs {} or {}", names.embedding_endpoint, names.endpoint));
        return None;
    };
    let first = server(reader, names.kind, (setting, &endpoint), key, credential);
    // With a server of its own there is no telling whether the others have this model.
    let others = if is_elsewhere { Vec::new() } else { fallbacks(reader, names, credential) };
    let server = settings(reader, names.kind, [vec![first?], others].concat(), model);
    Some(EmbeddingSettings { server, dimensions })
}

/// What a million tokens of embeddings cost.
pub(super) fn embedding_price(reader: &mut Reader<'_>) -> Option<f64> {
    price(reader, "EMBEDDING_PRICE_PER_MILLION")
}

/// What a million tokens of the chat model cost.
pub(super) fn chat_prices(reader: &mut Reader<'_>) -> Prices {
    Prices { input: price(reader, "CHAT_PRICE_INPUT"), output: price(reader, "CHAT_PRICE_OUTPUT") }
}

fn price(reader: &mut Reader<'_>, name: &'static str) -> Option<f64> {
    let text = reader.text(name)?;
    let price = text.parse().ok().filter(|price: &f64| price.is_finite() && *price >= 0.0);
    if price.is_none() {
        reader.problem(name, "must be a number that is not less than 0");
    }
    price
}

/// The reranker.
pub(super) fn rerank(reader: &mut Reader<'_>) -> Option<RerankSettings> {
    let passages = usize::try_from(reader.number("RERANK_PASSAGES", 1, 200)).unwrap_or(usize::MAX);
    let (endpoint, model) = match (reader.text("RERANK_BASE_URL"), reader.text("RERANK_MODEL")) {
        (Some(endpoint), Some(model)) => (endpoint, model),
        (None, None) => return None,
        (Some(_), None) => {
            reader.problem("RERANK_MODEL", "must be set with RERANK_BASE_URL");
            return None;
        }
        (None, Some(_)) => {
            reader.problem("RERANK_BASE_URL", "must be set with RERANK_MODEL");
            return None;
        }
    };
    let key = reader.secret("RERANK_API_KEY");
    let authorization = key.map_or(Authorization::Nothing, Authorization::Key);
    let endpoint = check_address(reader, "RERANK_BASE_URL", &endpoint)?;
    let server = settings(reader, ServerKind::Other, vec![Server { endpoint, authorization }], model);
    Some(RerankSettings { server, passages })
}

fn settings(reader: &Reader<'_>, kind: ServerKind, servers: Vec<Server>, model: String) -> OpenAiSettings {
    let api_version = reader.text("AZURE_OPENAI_API_VERSION");
    OpenAiSettings { servers, model, kind, api_version, connect_timeout: CONNECT_TIMEOUT }
}

/// A server; none when the address will not do. Without a key an Azure resource is shown the identity's token.
fn server(
    reader: &mut Reader<'_>,
    kind: ServerKind,
    (setting, address): Address<'_>,
    key: Option<Secret>,
    credential: Credential<'_>,
) -> Option<Server> {
    let endpoint = check_address(reader, setting, address)?;
    let authorization = match (key, kind) {
        (Some(key), _) => Authorization::Key(key),
        (None, ServerKind::Azure) => Authorization::Identity(Arc::clone(credential)),
        (None, _) => Authorization::Nothing,
    };
    if matches!(authorization, Authorization::Identity(_)) && !is_safe_for_secrets(&endpoint) {
        reader.problem(setting, "must begin with https, because an identity's token is sent there");
        return None;
    }
    Some(Server { endpoint, authorization })
}

/// The servers that serve while the first does not, in order.
fn fallbacks(reader: &mut Reader<'_>, names: &Names, credential: Credential<'_>) -> Vec<Server> {
    let Some(addresses) = reader.text(names.fallback_endpoints) else { return Vec::new() };
    let addresses: Vec<&str> = addresses.split(',').map(str::trim).filter(|address| !address.is_empty()).collect();
    let keys: Vec<Option<Secret>> = match reader.text(names.fallback_keys) {
        Some(keys) => keys.split(',').map(|key| reader.secret_of(names.fallback_keys, key.trim())).collect(),
        None => vec![None; addresses.len()],
    };
    if keys.len() != addresses.len() {
        let problem = format!("must hold one key for each address of {}, in their order", names.fallback_endpoints);
        reader.problem(names.fallback_keys, problem);
        return Vec::new();
    }
    let with_keys = addresses.into_iter().zip(keys);
    with_keys
        .filter_map(|(address, key)| server(reader, names.kind, (names.fallback_endpoints, address), key, credential))
        .collect()
}

fn check_address(reader: &mut Reader<'_>, setting: &'static str, address: &str) -> Option<Url> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        reader.problem(setting, "must be a web address");
    }
    url
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::clock::Clock;
    use crate::config::source::Source;
    use crate::identity::{Identity, SignIn};

    /// An identity that nobody asks for a token.
    fn nobody() -> Arc<dyn TokenCredential> {
        Arc::new(Identity::new(SignIn::DeveloperTools, Clock::system()))
    }

    /// What comes of some settings: address, key and model of chat and of embeddings, and the settings with problems.
    fn check(settings: &[(&str, &str)], chat: &str, embedding: &str, problems: &[&str]) {
        let source = Source::of(settings.iter().copied());
        let mut reader = Reader::new(&source);
        let (found_chat, found_embedding) =
            (super::chat(&mut reader, &nobody()), super::embedding(&mut reader, &nobody()));
        let told = |server: &OpenAiSettings| {
            let one = |server: &Server| {
                let shown = match &server.authorization {
                    Authorization::Nothing => "-",
                    Authorization::Key(Secret::Plain(key)) => key.expose_secret(),
                    Authorization::Key(Secret::InVault(_)) => "vault",
                    Authorization::Identity(_) => "identity",
                };
                format!("{} {shown}", server.endpoint.host_str().unwrap_or_default())
            };
            let servers: Vec<String> = server.servers.iter().map(one).collect();
            format!("{} {}", servers.join(", "), server.model)
        };
        let found_problems: Vec<&str> = reader.finish().err().unwrap_or_default().iter().map(|p| p.name).collect();
        assert_eq!(found_problems, problems, "{settings:?}");
        assert_eq!(found_chat.as_ref().map(told).unwrap_or_default(), chat, "{settings:?}");
        let found_embedding = found_embedding.as_ref().map(|settings| told(&settings.server));
        assert_eq!(found_embedding.unwrap_or_default(), embedding, "{settings:?}");
    }

    #[test]
    fn embeddings_share_the_server_of_chat_or_have_their_own() {
        let azure = [("AZURE_OPENAI_ENDPOINT", "https://a.test"), ("AZURE_OPENAI_API_KEY", "k")];
        let chat = [azure[0], azure[1], ("AZURE_OPENAI_CHAT_DEPLOYMENT", "gpt")];
        let embedding = ("AZURE_OPENAI_EMBEDDING_DEPLOYMENT", "embed");
        check(&chat, "a.test k gpt", "", &[]);
        check(&[chat[0], chat[1], chat[2], embedding], "a.test k gpt", "a.test k embed", &[]);
        check(&[azure[0], azure[1], embedding], "", "a.test k embed", &[]);
        let local = [("OPENAI_EMBEDDING_MODEL", "nomic"), ("OPENAI_EMBEDDING_BASE_URL", "http://b.test/v1")];
        check(&local, "", "b.test - nomic", &[]);
        check(&[chat[0], chat[1], chat[2], local[0], local[1]], "a.test k gpt", "b.test - nomic", &[]);
        let both = [azure[0], azure[1], embedding, ("OPENAI_BASE_URL", "http://c.test"), ("OPENAI_MODEL", "llama")];
        check(&both, "c.test - llama", "a.test k embed", &[]);
    }

    #[test]
    fn azure_without_a_key_is_shown_the_identity_and_never_in_the_clear() {
        let model = ("AZURE_OPENAI_CHAT_DEPLOYMENT", "gpt");
        let at = |address| [("AZURE_OPENAI_ENDPOINT", address), model];
        check(&at("https://a.test"), "a.test identity gpt", "", &[]);
        check(&at("http://127.0.0.1:1"), "127.0.0.1 identity gpt", "", &[]);
        check(&at("http://a.test"), "", "", &["AZURE_OPENAI_ENDPOINT"]);
    }

    #[test]
    fn others_serve_in_order_each_with_its_own_key() {
        let model = ("AZURE_OPENAI_CHAT_DEPLOYMENT", "gpt");
        let endpoints = ("AZURE_OPENAI_FALLBACK_ENDPOINTS", "https://b.test, https://c.test");
        let with = |more: &[(&'static str, &'static str)]| {
            [&[("AZURE_OPENAI_ENDPOINT", "https://a.test"), model, endpoints], more].concat()
        };
        check(&with(&[]), "a.test identity, b.test identity, c.test identity gpt", "", &[]);
        let keys = [("AZURE_OPENAI_API_KEY", "k"), ("AZURE_OPENAI_FALLBACK_API_KEYS", "l, m")];
        let embedding = ("AZURE_OPENAI_EMBEDDING_DEPLOYMENT", "e");
        let all = ["a.test k, b.test l, c.test m gpt", "a.test k, b.test l, c.test m e"];
        check(&with(&[keys[0], keys[1], embedding]), all[0], all[1], &[]);
        let own = [keys[0], keys[1], embedding, ("AZURE_OPENAI_EMBEDDING_ENDPOINT", "https://d.test")];
        check(&with(&own), all[0], "d.test identity e", &[]);
        let one = [keys[0], ("AZURE_OPENAI_FALLBACK_API_KEYS", "l")];
        check(&with(&one), "a.test k gpt", "", &["AZURE_OPENAI_FALLBACK_API_KEYS"]);
    }

    #[test]
    fn the_key_of_chat_goes_nowhere_else() {
        let chat = [("OPENAI_BASE_URL", "http://a.test"), ("OPENAI_API_KEY", "k"), ("OPENAI_MODEL", "llama")];
        let model = ("OPENAI_EMBEDDING_MODEL", "nomic");
        let with = |more: &[(&'static str, &'static str)]| [&chat[..], &[model], more].concat();
        check(&with(&[]), "a.test k llama", "a.test k nomic", &[]);
        check(&with(&[("OPENAI_EMBEDDING_BASE_URL", "http://a.test")]), "a.test k llama", "a.test k nomic", &[]);
        check(&with(&[("OPENAI_EMBEDDING_BASE_URL", "http://b.test")]), "a.test k llama", "b.test - nomic", &[]);
        check(&with(&[("OPENAI_EMBEDDING_API_KEY", "e")]), "a.test k llama", "a.test e nomic", &[]);
    }

    #[test]
    fn what_is_missing_is_named() {
        check(&[("OPENAI_EMBEDDING_MODEL", "nomic")], "", "", &["OPENAI_EMBEDDING_MODEL"]);
        check(&[("OPENAI_BASE_URL", "http://a.test")], "", "", &["OPENAI_MODEL"]);
        let own = [("AZURE_OPENAI_EMBEDDING_DEPLOYMENT", "e"), ("AZURE_OPENAI_EMBEDDING_ENDPOINT", "https://a.test")];
        check(&own, "", "a.test identity e", &[]);
        let bad = [("OPENAI_EMBEDDING_MODEL", "nomic"), ("OPENAI_EMBEDDING_BASE_URL", "over there")];
        check(&bad, "", "", &["OPENAI_EMBEDDING_BASE_URL"]);
        let dimensions = [("EMBEDDING_DIMENSIONS", "0")];
        check(&dimensions, "", "", &["EMBEDDING_DIMENSIONS"]);
    }

    #[test]
    fn a_reranker_has_an_address_and_a_model() {
        let (url, model) = (("RERANK_BASE_URL", "http://r.test/v1"), ("RERANK_MODEL", "bge"));
        let check = |settings: &[(&str, &str)], passages: Option<usize>, problems: &[&str]| {
            let source = Source::of(settings.iter().copied());
            let mut reader = Reader::new(&source);
            let found = super::rerank(&mut reader).map(|settings| settings.passages);
            let named: Vec<&str> = reader.finish().err().unwrap_or_default().iter().map(|p| p.name).collect();
            assert_eq!((found, named.as_slice()), (passages, problems), "{settings:?}");
        };
        check(&[], None, &[]);
        check(&[url, model], Some(30), &[]);
        check(&[url, model, ("RERANK_PASSAGES", "50")], Some(50), &[]);
        check(&[url], None, &["RERANK_MODEL"]);
        check(&[model], None, &["RERANK_BASE_URL"]);
        check(&[("RERANK_BASE_URL", "over there"), model], None, &["RERANK_BASE_URL"]);
        check(&[("RERANK_PASSAGES", "0")], None, &["RERANK_PASSAGES"]);
    }

    #[test]
    fn a_price_is_a_number() {
        for (text, expected) in [("0.02", Some(0.02)), ("0", Some(0.0)), ("-1", None), ("NaN", None), ("cheap", None)] {
            let source = Source::of([("EMBEDDING_PRICE_PER_MILLION", text)]);
            let mut reader = Reader::new(&source);
            assert_eq!(embedding_price(&mut reader), expected, "{text}");
            assert_eq!(reader.finish().is_err(), expected.is_none(), "{text}");
            let source = Source::of([("CHAT_PRICE_INPUT", text), ("CHAT_PRICE_OUTPUT", "10")]);
            let mut reader = Reader::new(&source);
            assert_eq!(chat_prices(&mut reader), Prices { input: expected, output: Some(10.0) }, "{text}");
            assert_eq!(reader.finish().is_err(), expected.is_none(), "{text}");
        }
    }
}
