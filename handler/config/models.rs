//! The settings of models. What enters are the names and addresses somebody gave, what leaves is how to call a chat model, an
//! embedding model and a reranker, each of which may be missing. A key goes only to the address it was given with.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::source::Reader;
use crate::models::openai::{EmbeddingSettings, OpenAiSettings, ServerKind};
use crate::models::rerank::RerankSettings;

/// How long connecting to a model may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The names of the settings of one kind of server.
struct Names {
    kind: ServerKind,
    endpoint: &'static str,
    key: &'static str,
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
        chat: "AZURE_OPENAI_CHAT_DEPLOYMENT",
        embedding: "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
        embedding_endpoint: "AZURE_OPENAI_EMBEDDING_ENDPOINT",
        embedding_key: "AZURE_OPENAI_EMBEDDING_API_KEY",
    },
    Names {
        kind: ServerKind::Compatible,
        endpoint: "OPENAI_BASE_URL",
        key: "OPENAI_API_KEY",
        chat: "OPENAI_MODEL",
        embedding: "OPENAI_EMBEDDING_MODEL",
        embedding_endpoint: "OPENAI_EMBEDDING_BASE_URL",
        embedding_key: "OPENAI_EMBEDDING_API_KEY",
    },
];

/// The chat model. A server that is named for its embeddings alone has none.
pub(super) fn chat(reader: &mut Reader<'_>) -> Option<OpenAiSettings> {
    for names in &SERVERS {
        let Some(endpoint) = reader.text(names.endpoint) else { continue };
        match reader.text(names.chat) {
            Some(model) => {
                let api_key = reader.secret(names.key);
                return server(reader, names.kind, (names.endpoint, &endpoint), (names.key, api_key), model);
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

/// The embedding model, on the server of chat or on one of its own.
pub(super) fn embedding(reader: &mut Reader<'_>) -> Option<EmbeddingSettings> {
    let dimensions = reader.text("EMBEDDING_DIMENSIONS").map(|_| reader.number("EMBEDDING_DIMENSIONS", 1, 65_536));
    let dimensions = dimensions.and_then(|dimensions| u32::try_from(dimensions).ok());
    let names = SERVERS.iter().find(|names| reader.text(names.embedding).is_some())?;
    let model = reader.text(names.embedding)?;
    let own = reader.text(names.embedding_endpoint).map(|endpoint| (names.embedding_endpoint, endpoint));
    let shared = reader.text(names.endpoint).map(|endpoint| (names.endpoint, endpoint));
    let own_key = reader.secret(names.embedding_key);
    // The key of chat must not reach another server.
    let is_elsewhere = own.as_ref().is_some_and(|(_, endpoint)| shared.as_ref().is_none_or(|(_, s)| s != endpoint));
    let (key_name, api_key) = match own_key {
        Some(key) => (names.embedding_key, Some(key)),
        None if is_elsewhere => (names.embedding_key, None),
        None => (names.key, reader.secret(names.key)),
    };
    let Some((setting, endpoint)) = own.or(shared) else {
        reader.problem(names.embedding, format!("needs {} or {}", names.embedding_endpoint, names.endpoint));
        return None;
    };
    let server = server(reader, names.kind, (setting, &endpoint), (key_name, api_key), model)?;
    Some(EmbeddingSettings { server, dimensions })
}

/// What a million tokens of embeddings cost.
pub(super) fn embedding_price(reader: &mut Reader<'_>) -> Option<f64> {
    let text = reader.text("EMBEDDING_PRICE_PER_MILLION")?;
    let price = text.parse().ok().filter(|price: &f64| price.is_finite() && *price >= 0.0);
    if price.is_none() {
        reader.problem("EMBEDDING_PRICE_PER_MILLION", "must be a number that is not less than 0");
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
    let (address, key) = (("RERANK_BASE_URL", endpoint.as_str()), ("RERANK_API_KEY", reader.secret("RERANK_API_KEY")));
    let server = server(reader, ServerKind::Other, address, key, model)?;
    Some(RerankSettings { server, passages })
}

/// A model on a server; none when the address or the key will not do.
fn server(
    reader: &mut Reader<'_>,
    kind: ServerKind,
    (setting, endpoint): (&'static str, &str),
    (key_name, api_key): (&'static str, Option<SecretString>),
    model: String,
) -> Option<OpenAiSettings> {
    if kind == ServerKind::Azure && api_key.is_none() {
        reader.problem(key_name, format!("must be set with {setting}"));
    }
    let endpoint = check_address(reader, setting, endpoint)?;
    let api_version = reader.text("AZURE_OPENAI_API_VERSION");
    Some(OpenAiSettings { endpoint, api_key, model, kind, api_version, connect_timeout: CONNECT_TIMEOUT })
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
    use crate::config::source::Source;

    /// What comes of some settings: address, key and model of chat and of embeddings, and the settings with problems.
    fn check(settings: &[(&str, &str)], chat: &str, embedding: &str, problems: &[&str]) {
        let source = Source::of(settings.iter().copied());
        let mut reader = Reader::new(&source);
        let (found_chat, found_embedding) = (super::chat(&mut reader), super::embedding(&mut reader));
        let told = |server: &OpenAiSettings| {
            let key = server.api_key.as_ref().map_or("-", |key| key.expose_secret());
            format!("{} {key} {}", server.endpoint.host_str().unwrap_or_default(), server.model)
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
        check(&own, "", "a.test - e", &["AZURE_OPENAI_EMBEDDING_API_KEY"]);
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
        }
    }
}
