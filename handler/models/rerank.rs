//! A model that reads a question and a passage together and says how well they fit. What enters is a question with texts,
//! what leaves is a score for each, in their order. The protocol is the one that Cohere began and vLLM, llama.cpp, Infinity
//! and Jina speak: `POST {address}/rerank`. A wrong answer is not believed: it would only be noticed by bad answers.

use std::fmt;

use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::openai::OpenAiSettings;
use super::openai::failure::Failure;
use super::openai::transport::Transport;
use crate::error::Result;

/// Somebody waits. The second attempt makes good a connection that the server had closed meanwhile.
const ATTEMPTS: u32 = 2;
/// Bytes of an answer. Some servers send the texts back with their scores.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Where a reranker is and how much it is asked.
#[derive(Clone, Debug)]
pub struct RerankSettings {
    /// The server and the model. `/rerank` is added to the address.
    pub server: OpenAiSettings,
    /// How many passages it looks at.
    pub passages: usize,
}

/// One reranker on one server. Opening it does nothing on the network and costs next to nothing.
pub struct Reranker {
    transport: Transport,
}

impl fmt::Debug for Reranker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reranker").field(&self.transport.settings).finish()
    }
}

impl Reranker {
    /// Checks the settings. A key that no header can carry is `Misconfigured`.
    pub fn open(server: OpenAiSettings) -> Result<Self> {
        Ok(Self { transport: Transport::open(server)? })
    }

    /// The model as the settings name it.
    pub fn name(&self) -> &str {
        &self.transport.settings.model
    }

    /// How well each of some texts fits a question: a finite number for each, in their order. More is better, and the
    /// numbers compare within one answer alone.
    pub async fn scores(&self, question: &str, texts: &[String], deadline: Instant) -> Result<Vec<f32>> {
        let body = json!({ "model": self.name(), "query": question, "documents": texts, "top_n": texts.len() });
        let body = body.to_string().into_bytes();
        let ask = || async {
            let answer = self.transport.post("/rerank", body.clone(), MAX_ANSWER_BYTES).await?;
            let answer: Answer = serde_json::from_slice(&answer).map_err(|_| Failure::NotUnderstood)?;
            answer.scores(texts.len())
        };
        self.transport.persist(ATTEMPTS, deadline, ask).await.map_err(Failure::into_error)
    }
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Judged>,
}

#[derive(Deserialize)]
struct Judged {
    index: usize,
    relevance_score: f32,
}

impl Answer {
    /// The scores in the order of the texts, if every text has one.
    fn scores(self, expected: usize) -> Result<Vec<f32>, Failure> {
        let wrong = |sentence: String| Err(Failure::Wrong(sentence));
        let mut slots: Vec<Option<f32>> = vec![None; expected];
        for judged in self.results {
            if !judged.relevance_score.is_finite() {
                return wrong("the reranker sent a score that is no number".to_owned());
            }
            match slots.get_mut(judged.index) {
                Some(slot @ None) => *slot = Some(judged.relevance_score),
                _ => return wrong("the reranker's scores cannot be told apart".to_owned()),
            }
        }
        let scores: Vec<f32> = slots.into_iter().flatten().collect();
        if scores.len() != expected {
            return wrong(format!("the reranker sent {} scores for {expected} texts", scores.len()));
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an answer about two texts: the scores, or what is wrong with it.
    fn read(answer: &str) -> Result<Vec<f32>, String> {
        let answer: Answer = serde_json::from_str(answer).map_err(|e| e.to_string())?;
        answer.scores(2).map_err(|failure| failure.to_string())
    }

    #[test]
    fn scores_come_in_the_order_of_the_texts() {
        let cohere =
            r#"{"id":"x","results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":-2}],"meta":{}}"#;
        assert_eq!(read(cohere), Ok(vec![-2.0, 0.9]));
        let texts =
            r#"{"results":[{"index":0,"document":{"text":"a"},"relevance_score":1},{"index":1,"relevance_score":0}]}"#;
        assert_eq!(read(texts), Ok(vec![1.0, 0.0]));
    }

    #[test]
    fn believes_no_wrong_answer() {
        for (answer, expected) in [
            (r#"{"results":[{"index":0,"relevance_score":1}]}"#, "1 scores for 2"),
            (r#"{"results":[]}"#, "0 scores for 2"),
            (r#"{"results":[{"index":0,"relevance_score":1},{"index":0,"relevance_score":1}]}"#, "told apart"),
            (r#"{"results":[{"index":0,"relevance_score":1},{"index":2,"relevance_score":1}]}"#, "told apart"),
            (r#"{"results":[{"index":0,"relevance_score":1e39},{"index":1,"relevance_score":1}]}"#, "number"),
            (r#"{"results":[{"index":0,"relevance_score":null},{"index":1,"relevance_score":1}]}"#, "null"),
            (r#"{"results":[{"index":-1,"relevance_score":1}]}"#, "-1"),
            (r#"[{"index":0,"score":1}]"#, "invalid type"),
        ] {
            let wrong = read(answer).expect_err(answer);
            assert!(wrong.contains(expected), "{answer}: {wrong}");
        }
    }
}
