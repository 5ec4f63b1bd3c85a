//! Embedding models: texts in, vectors out. What enters is any number of texts, what leaves is an embedding for each in the
//! same order, in batches as they come. Servers' limits on requests are kept here; one server's protocol is in `openai/`.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::openai::{OpenAiEmbeddings, Vectors};
use crate::document::{Embedding, EmbeddingSpace};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::{calls, metrics};
use crate::tokens;

/// Texts of one request. OpenAI takes 2,048; Hugging Face's server takes 32 unless told otherwise, and a model that runs on
/// a processor is done with 32 passages in a few seconds.
const BATCH_TEXTS: usize = 32;
/// Estimated tokens of one request. OpenAI takes 300,000; the estimate may be low by a factor of three in dense text.
const BATCH_TOKENS: usize = 100_000;
/// Estimated tokens of one text. OpenAI takes 8,191; the estimate is good to about a fifth in ordinary text, and what is
/// longer in truth is cut again when the server refuses it.
const TEXT_TOKENS: usize = 6_500;
/// Requests under way at once, for all documents together.
const IN_FLIGHT: usize = 4;
/// How often a request for passages is tried. What fails then is tried again by whoever brought the document.
const PASSAGE_ATTEMPTS: u32 = 3;
/// How often a request for a question is tried: somebody is waiting. The second attempt makes good a connection that the
/// server had closed meanwhile.
const QUESTION_ATTEMPTS: u32 = 2;

/// A model that makes embeddings.
#[derive(Debug)]
pub struct EmbeddingModel {
    server: OpenAiEmbeddings,
    in_flight: Semaphore,
}

/// The embeddings of some texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One for each text, in their order, all in the same space.
    pub embeddings: Vec<Embedding>,
    /// What they cost, in tokens as the server counted them.
    pub tokens: u64,
}

/// The embeddings of some of the texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Which texts these are.
    pub texts: Range<usize>,
    /// Their embeddings.
    pub embedded: Embedded,
}

impl EmbeddingModel {
    /// A model behind the OpenAI protocol.
    pub fn open_ai(server: OpenAiEmbeddings) -> Self {
        Self { server, in_flight: Semaphore::new(IN_FLIGHT) }
    }

    /// The model's servers.
    pub fn server(&self) -> &OpenAiEmbeddings {
        &self.server
    }

    /// The model as its server calls it.
    pub fn name(&self) -> &str {
        self.server.name()
    }

    /// A word that is another one for every model and requested length, known without asking the server. Embeddings with
    /// different words are not comparable.
    pub fn word(&self) -> String {
        match self.server.dimensions() {
            Some(dimensions) => format!("{}/{dimensions}", self.name()),
            None => format!("{}/own", self.name()),
        }
    }

    /// The embeddings of all texts. None when one of them fails.
    pub async fn embed(&self, texts: &[String], deadline: Instant) -> Result<Embedded> {
        let mut slots: Vec<Option<Embedding>> = vec![None; texts.len()];
        let mut tokens = 0;
        let mut batches = std::pin::pin!(self.batches(texts, deadline));
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            tokens += batch.embedded.tokens;
            for (slot, embedding) in slots[batch.texts].iter_mut().zip(batch.embedded.embeddings) {
                *slot = Some(embedding);
            }
        }
        Ok(Embedded { embeddings: slots.into_iter().flatten().collect(), tokens })
    }

    /// The embeddings of all texts, batch by batch as they come, so that what is paid for can be kept at once. After a
    /// failure no further request is begun, but what is under way still comes.
    pub fn batches<'a>(
        &'a self,
        texts: &'a [String],
        deadline: Instant,
    ) -> impl Stream<Item = Result<Batch>> + Send + 'a {
        let cut: Vec<&str> = texts.iter().map(|text| fitting(text)).collect();
        let batches = batches_of(&cut);
        let shared = Arc::new((cut, OnceLock::<Arc<EmbeddingSpace>>::new(), AtomicBool::new(false)));
        let ask = move |range: Range<usize>| {
            let shared = Arc::clone(&shared);
            async move {
                let (texts, space, failed) = &*shared;
                if failed.load(Ordering::Relaxed) {
                    return None;
                }
                let batch = self.batch(&texts[range.clone()], space, deadline).await;
                failed.fetch_or(batch.is_err(), Ordering::Relaxed);
                Some(batch.map(|embedded| Batch { texts: range, embedded }))
            }
        };
        futures_util::stream::iter(batches).map(ask).buffer_unordered(IN_FLIGHT).filter_map(std::future::ready)
    }

    /// The embedding of a question, for which somebody waits: no queue, little patience.
    pub async fn question(&self, text: &str, deadline: Instant) -> Result<Embedding> {
        let vectors = self.ask(&[fitting(text)], QUESTION_ATTEMPTS, deadline).await?;
        let mut embeddings = self.in_space(vectors, &OnceLock::new())?.embeddings;
        embeddings.pop().ok_or_else(|| Error::new(ErrorKind::ModelFailed, "the embedding model sent nothing"))
    }

    async fn batch(
        &self,
        texts: &[&str],
        space: &OnceLock<Arc<EmbeddingSpace>>,
        deadline: Instant,
    ) -> Result<Embedded> {
        let too_late =
            |_| Error::new(ErrorKind::DeadlineExceeded, "the embedding model did not have time for all texts");
        let permit = timeout_at(deadline, self.in_flight.acquire()).await.map_err(too_late)?;
        let vectors = self.ask(texts, PASSAGE_ATTEMPTS, deadline).await?;
        drop(permit);
        self.in_space(vectors, space)
    }

    async fn ask(&self, texts: &[&str], attempts: u32, deadline: Instant) -> Result<Vectors> {
        let call = calls::outside("embedding", "embed").with_model(self.name());
        let vectors = call.run(self.server.embed(texts, attempts, deadline)).await?;
        metrics::tokens("embedding", self.name(), vectors.tokens);
        Ok(vectors)
    }

    /// Vectors as embeddings of the one space that all of a call are in.
    fn in_space(&self, vectors: Vectors, space: &OnceLock<Arc<EmbeddingSpace>>) -> Result<Embedded> {
        let length = vectors.values.first().map_or(0, Vec::len);
        let dimensions = u32::try_from(length).unwrap_or(u32::MAX);
        let space = space.get_or_init(|| Arc::new(EmbeddingSpace { model: self.name().to_owned(), dimensions }));
        if space.dimensions != dimensions {
            let sentence =
                format!("the embedding model sent vectors of {dimensions} numbers after some of {}", space.dimensions);
            return Err(Error::new(ErrorKind::ModelFailed, sentence));
        }
        let embeddings = vectors.values.into_iter().map(|values| Embedding { space: Arc::clone(space), values });
        Ok(Embedded { embeddings: embeddings.collect(), tokens: vectors.tokens })
    }
}

/// As much of a text as a model takes: the beginning, up to a whole character.
fn fitting(text: &str) -> &str {
    let mut text = text;
    loop {
        let estimated = tokens::estimate(text);
        if estimated <= TEXT_TOKENS {
            return text;
        }
        // A little less than in proportion, so that this ends soon.
        let kept = (text.len() as f64 * TEXT_TOKENS as f64 / estimated as f64 * 0.95) as usize;
        text = &text[..text.floor_char_boundary(kept)];
    }
}

/// Which texts go together.
fn batches_of(texts: &[&str]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (at, text) in texts.iter().enumerate() {
        let more = tokens::estimate(text);
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_TEXTS && tokens + more <= BATCH_TOKENS => {
                batch.end = at + 1;
                tokens += more;
            }
            _ => {
                batches.push(at..at + 1);
                tokens = more;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_to_both_limits() {
        let short = vec!["word"; 70];
        assert_eq!(batches_of(&short), [0..32, 32..64, 64..70]);
        let long = "word ".repeat(TEXT_TOKENS);
        let long = vec![long.as_str(); 20];
        assert_eq!(batches_of(&long), [0..15, 15..20]);
        assert!(batches_of(&[]).is_empty());
    }

    #[test]
    fn a_long_text_is_cut_at_a_whole_character() {
        assert_eq!(fitting("short"), "short");
        for word in ["word ", "ü", "漢", "a1-"] {
            let long = word.repeat(60_000);
            let cut = fitting(&long);
            let tokens = tokens::estimate(cut);
            assert!(long.starts_with(cut) && (TEXT_TOKENS / 2..=TEXT_TOKENS).contains(&tokens), "{word}: {tokens}");
        }
    }
}
