//! Embeddings. What enters are texts, what leaves is a vector for each, in the same order, with the tokens they cost. Every
//! answer is checked before it is believed: a wrong vector would be found only by bad answers, weeks later.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::endpoint::Endpoint;
use super::failure::Failure;
use super::transport::Transport;
use super::{OpenAiSettings, ServerState};
use crate::error::Result;

/// One request may take this long. A server that needs longer gets fewer texts at once.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Bytes of an answer: 32 vectors of 4,096 numbers written out in full are about 3 MB.
const MAX_ANSWER_BYTES: usize = 32 << 20;
/// A text that a server refuses is halved until it is this short, in bytes; then its length is not what is wrong with it.
const SHORT_BYTES: usize = 256;

/// Where an embedding model is and what it is asked for.
#[derive(Clone, Debug)]
pub struct EmbeddingSettings {
    /// The server and the model.
    pub server: OpenAiSettings,
    /// The length of vectors to ask for; none takes what the model gives. Many models know only one length.
    pub dimensions: Option<u32>,
}

/// One embedding model on one server. Opening it does nothing on the network and costs next to nothing.
pub struct OpenAiEmbeddings {
    transport: Transport,
    dimensions: Option<u32>,
}

impl fmt::Debug for OpenAiEmbeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenAiEmbeddings").field(&self.transport.settings).field(&self.dimensions).finish()
    }
}

/// The vectors of some texts.
#[derive(Debug, Default)]
pub struct Vectors {
    /// One for each text, in their order.
    pub values: Vec<Vec<f32>>,
    /// What they cost, as the server counted.
    pub tokens: u64,
}

impl OpenAiEmbeddings {
    /// Checks the settings. A key that no header can carry is `Misconfigured`.
    pub fn open(settings: EmbeddingSettings) -> Result<Self> {
        Ok(Self { transport: Transport::open(settings.server)?, dimensions: settings.dimensions })
    }

    /// The model, or deployment, as the settings name it.
    pub fn name(&self) -> &str {
        &self.transport.settings.model
    }

    /// What is known of its servers.
    pub fn servers(&self) -> Vec<ServerState> {
        self.transport.servers()
    }

    /// Whether one of its servers lets us in. Costs nothing.
    pub async fn ping(&self) -> Result<()> {
        self.transport.ping().await
    }

    /// The length of vectors that is asked for.
    pub fn dimensions(&self) -> Option<u32> {
        self.dimensions
    }

    /// The vectors of `texts`, each request tried at most `attempts` times. All of them have the same length, and are
    /// finite and not zero. A text that is too long for the model is cut.
    pub async fn embed(&self, texts: &[&str], attempts: u32, deadline: Instant) -> Result<Vectors> {
        let vectors = self.request(texts.to_vec(), attempts, deadline).await.map_err(Failure::into_error)?;
        Ok(vectors)
    }

    /// One request; several when the server refuses it, because it does not say which text is too many or too long. What
    /// is refused alone is cut in half. So a model that takes 512 tokens works beside one that takes 8,191.
    fn request<'a>(
        &'a self,
        texts: Vec<&'a str>,
        attempts: u32,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vectors, Failure>> {
        Box::pin(async move {
            let answered = self.transport.persist(attempts, deadline, |endpoint| self.ask(endpoint, &texts)).await;
            let Err(failure) = answered else { return answered };
            let is_slow = matches!(failure, Failure::TooLate) && Instant::now() < deadline;
            match texts.as_slice() {
                [text] if failure.refuses_the_input() && text.len() > SHORT_BYTES => {
                    tracing::debug!(bytes = text.len(), "cut a text that the embedding model does not take");
                    self.request(vec![first_half(text)], attempts, deadline).await
                }
                [_, _, ..] if failure.refuses_the_input() || is_slow => {
                    let (left, right) = texts.split_at(texts.len() / 2);
                    let mut vectors = self.request(left.to_vec(), attempts, deadline).await?;
                    let more = self.request(right.to_vec(), attempts, deadline).await?;
                    vectors.values.extend(more.values);
                    vectors.tokens += more.tokens;
                    Ok(vectors)
                }
                _ => Err(failure),
            }
        })
    }

    async fn ask(&self, endpoint: Arc<Endpoint>, texts: &[&str]) -> Result<Vectors, Failure> {
        // Base64 is a third of the size of written numbers. The official clients ask for it too, so servers that do not
        // know it pass over it and send numbers.
        let mut body = json!({ "model": self.name(), "input": texts, "encoding_format": "base64" });
        if let Some(dimensions) = self.dimensions {
            body["dimensions"] = json!(dimensions);
        }
        let posted = self.transport.post(&endpoint, "/embeddings", body.to_string().into_bytes(), MAX_ANSWER_BYTES);
        let answer = timeout(REQUEST_TIME, posted).await.map_err(|_| Failure::TooLate)??;
        let answer: Answer = serde_json::from_slice(&answer).map_err(|_| Failure::NotUnderstood)?;
        answer.vectors(texts.len(), self.dimensions)
    }
}

/// The first half of a text, which has more than one character.
fn first_half(text: &str) -> &str {
    &text[..text.floor_char_boundary(text.len() / 2)]
}

/// An answer, of which every part but the vectors may be missing.
#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Numbers,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    Written(Vec<f32>),
    /// Four bytes a number, the least significant first.
    Base64(String),
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: u64,
}

impl Answer {
    /// The vectors in the order of the texts, if they are what was asked for.
    fn vectors(self, expected: usize, dimensions: Option<u32>) -> Result<Vectors, Failure> {
        let wrong = |sentence: String| Err(Failure::Wrong(sentence));
        if self.data.len() != expected {
            return wrong(format!("the embedding model sent {} vectors for {expected} texts", self.data.len()));
        }
        let mut slots: Vec<Option<Vec<f32>>> = vec![None; expected];
        for (at, item) in self.data.into_iter().enumerate() {
            let values = item.embedding.values()?;
            match slots.get_mut(item.index.unwrap_or(at)) {
                Some(slot @ None) => *slot = Some(values),
                _ => return wrong("the embedding model's vectors cannot be told apart".to_owned()),
            }
        }
        let values: Vec<Vec<f32>> = slots.into_iter().flatten().collect();
        let length = values.first().map_or(0, Vec::len);
        if values.iter().any(|vector| vector.len() != length) {
            return wrong("the embedding model sent vectors of different lengths".to_owned());
        }
        if let Some(asked) = dimensions.filter(|asked| *asked as usize != length) {
            return wrong(format!("the embedding model sent vectors of {length} numbers instead of {asked}"));
        }
        let is_sound = |vector: &Vec<f32>| vector.iter().all(|v| v.is_finite()) && vector.iter().any(|v| *v != 0.0);
        if !values.iter().all(is_sound) {
            return wrong("the embedding model sent a vector that has no direction".to_owned());
        }
        Ok(Vectors { values, tokens: self.usage.map_or(0, |usage| usage.prompt_tokens) })
    }
}

impl Numbers {
    fn values(self) -> Result<Vec<f32>, Failure> {
        match self {
            Self::Written(values) => Ok(values),
            Self::Base64(text) => {
                let bytes = STANDARD.decode(text).map_err(|_| Failure::NotUnderstood)?;
                let (numbers, rest) = bytes.as_chunks::<4>();
                if rest.is_empty() {
                    Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
                } else {
                    Err(Failure::NotUnderstood)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an answer to two texts: the vectors, or what is wrong with it.
    fn read(answer: &str, dimensions: Option<u32>) -> Result<Vec<Vec<f32>>, String> {
        let answer: Answer = serde_json::from_str(answer).expect("an answer");
        answer.vectors(2, dimensions).map(|vectors| vectors.values).map_err(|failure| failure.to_string())
    }

    #[test]
    fn takes_numbers_and_base64_in_any_order() {
        // 1.0 and -2.0 are 0000803f and 000000c0 with the least significant byte first.
        let mixed = r#"{"data":[{"index":1,"embedding":[3.5,0]},{"index":0,"embedding":"AACAPwAAAMA="}]}"#;
        assert_eq!(read(mixed, Some(2)), Ok(vec![vec![1.0, -2.0], vec![3.5, 0.0]]));
        let without_index = r#"{"data":[{"embedding":[1]},{"embedding":[2]}],"usage":null}"#;
        assert_eq!(read(without_index, None), Ok(vec![vec![1.0], vec![2.0]]));
    }

    #[test]
    fn believes_no_wrong_answer() {
        let cases = [
            (r#"{"data":[{"index":0,"embedding":[1]}]}"#, "1 vectors for 2 texts"),
            (r#"{"data":[{"index":1,"embedding":[1]},{"index":1,"embedding":[1]}]}"#, "told apart"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[1]}]}"#, "told apart"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]}"#, "different lengths"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[0]}]}"#, "no direction"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1e39]}]}"#, "no direction"),
            (r#"{"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[]}]}"#, "no direction"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AADAfw=="}]}"#, "no direction"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AADA"}]}"#, "not understood"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"?"}]}"#, "not understood"),
        ];
        for (answer, expected) in cases {
            let wrong = read(answer, None).expect_err(answer);
            assert!(wrong.contains(expected), "{answer}: {wrong}");
        }
        let short = r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1]}]}"#;
        assert!(read(short, Some(3)).expect_err("too short").contains("1 numbers instead of 3"));
    }

    #[test]
    fn halves_at_a_whole_character() {
        assert_eq!(first_half("ab"), "a");
        assert_eq!(first_half("äöü"), "ä");
    }
}
