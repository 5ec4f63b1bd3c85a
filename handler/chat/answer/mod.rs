//! The one flow of answering, for every wire format: search, abstain when the evidence is thin, ask the model or quote,
//! check every citation. What enters is a request, what leaves is a stream of `ChatEvent`s. Dropping the stream ends the
//! model's work: nothing runs on its own.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use futures_util::{Stream, TryFutureExt};
use tokio::time::{Instant, timeout_at};

use crate::chat::citation::{CitationChecker, Piece, Verdict};
use crate::chat::evidence::{Analyze, PassageTerms, coverage};
use crate::chat::outgoing::OutgoingFilter;
use crate::chat::prompt;
use crate::chat::retrieve::{Retrieved, retrieve};
use crate::chat::{Chat, ChatEvent, ChatRequest, CitedPassage, Done};
use crate::document::{Passage, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::models::extractive::{Extract, Material, extract};
use crate::models::{ChatModel, Finish, ModelEvent, ModelRequest};
use crate::telemetry::{calls, metrics};

/// The answer when the documents do not say.
pub const ABSTENTION: &str = "I don't know: the documents I may read do not say.";

/// What follows an answer of a model in which nothing could be traced to a passage.
pub const UNSUPPORTED: &str =
    "\n\n(None of this could be traced to a passage in the documents. Please check it before relying on it.)";

/// Answers a question as `principal`; with what was answered a moment ago, when the same may read the same and nothing has
/// changed since.
pub fn answer(
    chat: Arc<Chat>,
    principal: Principal,
    request: ChatRequest,
) -> impl Stream<Item = Result<ChatEvent>> + Send {
    async_stream::try_stream! {
        let deadline = Instant::now() + chat.settings.timeout;
        let key = match &chat.kept {
            Some(kept) => timeout_at(deadline, kept.key(&chat, &principal, &request)).await.map_err(|_| too_late())??,
            None => None,
        };
        let (Some(kept), Some(key)) = (&chat.kept, key) else {
            for await event in answer_anew(&chat, principal, request, deadline) {
                yield event?;
            }
            return;
        };
        let (turn, known) = timeout_at(deadline, kept.known(&key)).await.map_err(|_| too_late())?;
        if let Some(events) = known {
            for event in events {
                yield event;
            }
            return;
        }
        let mut told: Vec<ChatEvent> = Vec::new();
        for await event in answer_anew(&chat, principal, request, deadline) {
            let event = event?;
            told.push(event.clone());
            yield event;
        }
        // The answer was given. When there is no telling whether the index has changed meanwhile, it is just not kept.
        if let Ok(Err(e)) = timeout_at(deadline, kept.keep(&chat, key, told)).await {
            tracing::debug!(error.code = e.kind().row().code, "an answer could not be kept");
        }
        drop(turn);
    }
}

fn too_late() -> Error {
    Error::new(ErrorKind::DeadlineExceeded, "the search did not answer in time")
}

fn answer_anew(
    chat: &Chat,
    principal: Principal,
    request: ChatRequest,
    deadline: Instant,
) -> impl Stream<Item = Result<ChatEvent>> + Send {
    async_stream::try_stream! {
        let found = timeout_at(deadline, retrieve(&chat.retriever, &principal, &request, &chat.settings));
        let found = found.map_err(|_| too_late()).await??;
        yield ChatEvent::Context(found.context.clone());
        let analyze = |text: &str| -> Vec<String> { chat.retriever.index().analyze(text).into_iter().map(|token| token.term).collect() };
        let terms: Vec<PassageTerms> = found.context.passages.iter().map(|cited| PassageTerms::of(&cited.passage, &analyze)).collect();
        let words = if is_enough(chat, &found, &terms) { words(chat, &request, &found, &analyze, deadline) } else { None };
        let checker = CitationChecker::new(&found.context.passages, &terms, &analyze, chat.settings.citation_support);
        let known = found.context.passages.iter().map(|cited| cited.passage.text.as_str());
        let filter = OutgoingFilter::new(&chat.settings.links, known.collect());
        for await event in told(words, checker, filter, chat.model.name()) {
            yield event?;
        }
    }
}

/// Whether the passages are worth an answer. Where a model words it, they may also say the same as the question in other
/// words, if somebody has said how alike that is; sentences quoted without a model must hold the question's own words.
fn is_enough(chat: &Chat, found: &Retrieved, terms: &[PassageTerms]) -> bool {
    let is_alike = || match (&chat.model, found.similarity, chat.settings.evidence_similarity) {
        (ChatModel::OpenAi(_), Some(similarity), Some(least)) => similarity >= least,
        _ => false,
    };
    coverage(&found.terms, terms) >= chat.settings.evidence_threshold || is_alike()
}

/// The words of the answer as they come, or `None` when there is nothing to quote.
fn words<'a>(
    chat: &'a Chat,
    request: &ChatRequest,
    found: &Retrieved,
    analyze: &Analyze<'_>,
    deadline: Instant,
) -> Option<BoxStream<'a, Result<ModelEvent>>> {
    match &chat.model {
        ChatModel::Extractive => quoted(request, found, analyze),
        ChatModel::OpenAi(model) => {
            let messages = prompt::messages(request, &found.context.passages, &chat.settings, &prompt::random_code());
            let request = ModelRequest { messages, max_answer_tokens: chat.settings.max_answer_tokens, deadline };
            Some(calls::outside("model", "chat").with_model(model.name()).stream(model.stream(request).boxed()))
        }
    }
}

/// The best sentences of the passages, written the way a model is asked to: each followed by its marker.
fn quoted<'a>(
    request: &ChatRequest,
    found: &Retrieved,
    analyze: &Analyze<'_>,
) -> Option<BoxStream<'a, Result<ModelEvent>>> {
    let cited: &[CitedPassage] = &found.context.passages;
    let passages: Vec<&Passage> = cited.iter().map(|cited| &cited.passage).collect();
    let material =
        Material { question: request.question.as_str(), terms: &found.terms.all, passages: &passages, analyze };
    let extracts = extract(&material);
    let last = extracts.len().checked_sub(1)?;
    let write = |(at, extract): (usize, Extract)| {
        let end = if at == last { "" } else { "\n" };
        Ok(ModelEvent::Text(format!("{} [{}]{end}", extract.text, cited[extract.passage].number)))
    };
    let mut events: Vec<Result<ModelEvent>> = extracts.into_iter().enumerate().map(write).collect();
    events.push(Ok(ModelEvent::Finished(Finish::Complete)));
    Some(stream::iter(events).boxed())
}

/// Words into events, every citation checked. No words means that the documents do not say.
fn told<'a>(
    words: Option<BoxStream<'a, Result<ModelEvent>>>,
    mut checker: CitationChecker<'a>,
    mut filter: OutgoingFilter<'a>,
    model: &'a str,
) -> impl Stream<Item = Result<ChatEvent>> + Send + 'a {
    async_stream::try_stream! {
        let has_words = words.is_some();
        let mut finish = Finish::Complete;
        let mut usage = None;
        for await event in words.unwrap_or_else(|| stream::empty().boxed()) {
            match event? {
                ModelEvent::Text(text) => {
                    for event in checker.push(&text).into_iter().flat_map(|piece| outgoing(piece, &mut filter)) {
                        yield event;
                    }
                }
                ModelEvent::Usage(spent) => {
                    metrics::tokens("prompt", model, spent.prompt_tokens.into());
                    metrics::tokens("completion", model, spent.completion_tokens.into());
                    usage = Some(spent);
                }
                ModelEvent::Finished(how) => finish = how,
            }
        }
        let (rest, verdict) = checker.finish();
        let rest = rest.into_iter().flat_map(|piece| outgoing(piece, &mut filter)).collect::<Vec<_>>();
        for event in rest.into_iter().chain(text(filter.finish())) {
            yield event;
        }
        if let Some(ending) = ending(has_words, &verdict)? {
            yield ChatEvent::Text(ending.to_owned());
        }
        if let Some(spent) = usage {
            yield ChatEvent::Usage(spent);
        }
        yield ChatEvent::Done(Done {
            abstained: !has_words || verdict.declined && verdict.citations.is_empty(),
            truncated: finish == Finish::Truncated,
            citations: verdict.citations,
            dropped_citations: verdict.dropped,
            model: model.to_owned(),
        });
    }
}

/// What has to be added to an answer, seen its check. A model that said nothing at all has failed.
fn ending(has_words: bool, verdict: &Verdict) -> Result<Option<&'static str>> {
    match verdict {
        _ if !has_words => Ok(Some(ABSTENTION)),
        Verdict { has_text: false, declined: true, .. } => Ok(Some(ABSTENTION)),
        Verdict { has_text: false, .. } => Err(Error::new(ErrorKind::ModelFailed, "the model gave no answer")),
        Verdict { declined: false, citations, .. } if citations.is_empty() => Ok(Some(UNSUPPORTED)),
        _ => Ok(None),
    }
}

/// A checked part of an answer as it may leave: the words that the filter lets out, and the citation after them.
fn outgoing(piece: Piece, filter: &mut OutgoingFilter<'_>) -> Vec<ChatEvent> {
    match piece {
        Piece::Text(words) => text(filter.push(&words)).into_iter().collect(),
        Piece::Citation(citation) => {
            text(filter.before_citation()).into_iter().chain([ChatEvent::Citation(citation)]).collect()
        }
    }
}

fn text(words: String) -> Option<ChatEvent> {
    (!words.is_empty()).then_some(ChatEvent::Text(words))
}

#[cfg(test)]
mod tests;
