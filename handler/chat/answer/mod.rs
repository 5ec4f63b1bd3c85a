//! The one flow of answering, for every wire format: search, abstain when the evidence is thin, ask the model or quote,
//! check every citation. What enters is a request, what leaves is a stream of `ChatEvent`s. Dropping the stream ends the
//! model's work: nothing runs on its own.

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::chat::agent::{self, Said, Task};
use crate::chat::citation::{CitationChecker, Piece, Verdict};
use crate::chat::evidence::coverage;
use crate::chat::follow_ups::FollowUpScanner;
use crate::chat::language::Language;
use crate::chat::outgoing::OutgoingFilter;
use crate::chat::outgoing::allowlist::LinkAllowlist;
use crate::chat::passage_terms::{Analyze, PassageTerms};
use crate::chat::retrieve::{Retrieved, retrieve};
use crate::chat::rewrite::Rewritten;
use crate::chat::{Chat, ChatEvent, ChatRequest, CitedPassage, Context, Done, Prices, Turn};
use crate::chat::{budget, prompt};
use crate::deadline::within;
use crate::document::{Passage, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::models::extractive::{Extract, Material, extract};
use crate::models::{ChatModel, Finish, Usage};
use crate::telemetry::metrics;
use crate::tokens::estimate;

/// What an answer waits for before its first word.
const SEARCH: &str = "the search";

/// The part of the room for passages and history that is kept for tools.
const TOOL_PART: usize = 3;

/// Answers a question as `principal`; with what was answered a moment ago, when the same may read the same and nothing has
/// changed since.
pub fn answer(
    chat: Arc<Chat>,
    principal: Principal,
    request: ChatRequest,
) -> impl Stream<Item = Result<ChatEvent>> + Send {
    let deadline = Instant::now() + chat.settings.timeout;
    answer_until(deadline, chat, principal, request)
}

/// The same for those who have begun already, and so have less time.
pub fn answer_until(
    deadline: Instant,
    chat: Arc<Chat>,
    principal: Principal,
    request: ChatRequest,
) -> impl Stream<Item = Result<ChatEvent>> + Send {
    async_stream::try_stream! {
        let key = match &chat.kept {
            Some(kept) => within(deadline, SEARCH, kept.key(&chat, &principal, &request)).await?,
            None => None,
        };
        let (Some(kept), Some(key)) = (&chat.kept, key) else {
            for await event in answer_anew(&chat, principal, request, deadline) {
                yield event?;
            }
            return;
        };
        let (turn, known) = within(deadline, SEARCH, async { Ok(kept.known(&key, request.is_fresh).await) }).await?;
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

fn answer_anew(
    chat: &Chat,
    principal: Principal,
    request: ChatRequest,
    deadline: Instant,
) -> impl Stream<Item = Result<ChatEvent>> + Send {
    async_stream::try_stream! {
        let rewritten = rewritten(chat, &request).await;
        let query = rewritten.as_ref().map(|rewritten| rewritten.query.as_str());
        let found = retrieve(&chat.retriever, &principal, &request, query, &chat.settings);
        let mut found = within(deadline, SEARCH, found).await?;
        let (history, tokens) = shown(chat, &request, &mut found);
        yield ChatEvent::Context(found.context.clone());
        let analyze = |text: &str| chat.retriever.index().terms(text);
        let terms: Vec<PassageTerms> = found.context.passages.iter().map(|cited| chat.retriever.terms_of(&cited.passage)).collect();
        let is_enough = is_enough(chat, &found, &terms);
        let words = words(chat, &principal, &request, history, tokens, &found, is_enough, &analyze, deadline);
        let mut checker = CitationChecker::new(request.question.as_str(), &analyze, chat.settings.citation_support);
        checker.add(&found.context.passages, terms);
        let known = found.context.passages.iter().map(|cited| cited.passage.text.as_str());
        let outlet = Outlet {
            checker,
            filter: OutgoingFilter::new(&chat.settings.links, known.collect()),
            follow_ups: FollowUpScanner::new(request.wants_follow_ups),
        };
        let telling = Telling {
            model: chat.model.name(),
            links: &chat.settings.links,
            prices: chat.settings.prices,
            request: &request,
            analyze: &analyze,
            context: found.context.clone(),
            spent: rewritten.and_then(|rewritten| rewritten.usage),
        };
        for await event in told(words, outlet, telling) {
            yield event?;
        }
    }
}

/// The question in the words of a model, where there is one and the question has a history.
async fn rewritten(chat: &Chat, request: &ChatRequest) -> Option<Rewritten> {
    match &chat.model {
        ChatModel::OpenAi(model) if chat.settings.rewrites => {
            chat.rewriter.rewrite(model, chat.retriever.index(), request).await
        }
        _ => None,
    }
}

/// The history that a model is shown, and the tokens of all that it is shown. Passages that find no room are taken out of what
/// was found, so that nothing is cited that the model has not seen.
fn shown<'a>(chat: &Chat, request: &'a ChatRequest, found: &mut Retrieved) -> (&'a [Turn], usize) {
    if matches!(chat.model, ChatModel::Extractive) {
        return (&[], 0);
    }
    let fixed = prompt::tokens(request) + estimate(request.question.as_str());
    let room = budget::room(&chat.settings, fixed);
    let history = budget::history(request, &chat.settings, room);
    // What tools say needs room, too.
    let room = if chat.settings.tool_rounds > 0 { room - room / TOOL_PART } else { room };
    let taken = budget::fit(&mut found.context.passages, history, room);
    (history, fixed + taken)
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

/// The words of the answer as they come, or `None` when there is nothing to quote. A model that has tools may look for more
/// where too little was found.
#[expect(clippy::too_many_arguments, reason = "all of it is of one question")]
fn words<'a>(
    chat: &'a Chat,
    principal: &'a Principal,
    request: &'a ChatRequest,
    history: &'a [Turn],
    tokens: usize,
    found: &Retrieved,
    is_enough: bool,
    analyze: &Analyze<'_>,
    deadline: Instant,
) -> Option<BoxStream<'a, Result<Said>>> {
    match &chat.model {
        ChatModel::Extractive if is_enough => quoted(request, found, analyze),
        ChatModel::OpenAi(model) if is_enough || chat.settings.tool_rounds > 0 && model.takes_tools() => {
            let passages = found.context.passages.clone();
            let task = Task { chat, principal, request, history, passages, tokens, is_enough, deadline };
            Some(agent::run(model, task).boxed())
        }
        _ => None,
    }
}

/// The best sentences of the passages, written the way a model is asked to: each followed by its marker.
fn quoted<'a>(request: &ChatRequest, found: &Retrieved, analyze: &Analyze<'_>) -> Option<BoxStream<'a, Result<Said>>> {
    let cited: &[CitedPassage] = &found.context.passages;
    let passages: Vec<&Passage> = cited.iter().map(|cited| &*cited.passage).collect();
    let material =
        Material { question: request.question.as_str(), terms: &found.terms.all, passages: &passages, analyze };
    let extracts = extract(&material);
    let last = extracts.len().checked_sub(1)?;
    let write = |(at, extract): (usize, Extract)| {
        let end = if at == last { "" } else { "\n" };
        Ok(Said::Words(format!("{} [{}]{end}", extract.text, cited[extract.passage].number)))
    };
    let mut events: Vec<Result<Said>> = extracts.into_iter().enumerate().map(write).collect();
    events.push(Ok(Said::Ended(Finish::Complete)));
    Some(stream::iter(events).boxed())
}

/// What the words of a model pass on their way out.
struct Outlet<'a> {
    follow_ups: FollowUpScanner,
    checker: CitationChecker<'a>,
    filter: OutgoingFilter<'a>,
}

impl Outlet<'_> {
    /// Passages that the words may cite from now on.
    fn add(&mut self, passages: &[CitedPassage], analyze: &Analyze<'_>) {
        self.checker.add(passages, passages.iter().map(|cited| PassageTerms::of(&cited.passage, analyze)).collect());
        passages.iter().for_each(|cited| self.filter.know(&cited.passage.text));
    }

    fn push(&mut self, words: &str) -> Vec<ChatEvent> {
        let words = self.follow_ups.push(words);
        let pieces = self.checker.push(&words);
        pieces.into_iter().flat_map(|piece| outgoing(piece, &mut self.filter)).collect()
    }

    /// What was still held back, the verdict on the whole, and the questions that could come next.
    fn finish(mut self, links: &LinkAllowlist) -> (Vec<ChatEvent>, Verdict, Vec<String>) {
        let held = self.follow_ups.finish();
        let mut pieces = self.checker.push(&held);
        let (last, verdict) = self.checker.finish();
        pieces.extend(last);
        let mut events: Vec<ChatEvent> =
            pieces.into_iter().flat_map(|piece| outgoing(piece, &mut self.filter)).collect();
        events.extend(text(self.filter.finish()));
        (events, verdict, self.follow_ups.questions(links))
    }
}

/// What an answer is told with.
struct Telling<'a> {
    model: &'a str,
    links: &'a LinkAllowlist,
    prices: Prices,
    request: &'a ChatRequest,
    analyze: &'a Analyze<'a>,
    /// What was found first.
    context: Context,
    /// What was spent before the first word.
    spent: Option<Usage>,
}

/// Words into events, every citation checked. No words means that the documents do not say.
fn told<'a>(
    words: Option<BoxStream<'a, Result<Said>>>,
    mut outlet: Outlet<'a>,
    mut telling: Telling<'a>,
) -> impl Stream<Item = Result<ChatEvent>> + Send + 'a {
    async_stream::try_stream! {
        let model = telling.model;
        let mut has_words = words.is_some();
        let mut finish = Finish::Complete;
        let mut usage = telling.spent;
        let (mut names, mut text) = (Vec::new(), String::new());
        for await said in words.unwrap_or_else(|| stream::empty().boxed()) {
            match said? {
                Said::Words(words) => {
                    if !names.is_empty() {
                        text.push_str(&words);
                    }
                    for event in outlet.push(&words) {
                        yield event;
                    }
                }
                Said::Spent(spent) => usage = Some(usage.unwrap_or_default().plus(spent)),
                Said::Used(tool) => yield ChatEvent::ToolCall(tool),
                Said::Found(more) => {
                    outlet.add(&more, telling.analyze);
                    telling.context.passages.extend(more);
                    yield ChatEvent::FoundMore(telling.context.clone());
                }
                Said::Named(more) => names.extend(more),
                Said::Nothing => has_words = false,
                Said::Ended(how) => finish = how,
            }
        }
        if let Some(spent) = usage {
            metrics::tokens("prompt", model, spent.prompt_tokens.into());
            metrics::tokens("completion", model, spent.completion_tokens.into());
        }
        let (rest, verdict, follow_ups) = outlet.finish(telling.links);
        for event in rest {
            yield event;
        }
        let is_of_a_list = names.iter().any(|name| text.contains(name.as_str()));
        if let Some(ending) = ending(has_words, is_of_a_list, &verdict, telling.request)? {
            yield ChatEvent::Text(ending);
        }
        if let Some(spent) = usage {
            yield ChatEvent::Usage(spent);
        }
        let is_abstention = !has_words || verdict.declined && verdict.citations.is_empty();
        if telling.request.wants_follow_ups {
            yield ChatEvent::FollowUps(if is_abstention { Vec::new() } else { follow_ups });
        }
        yield ChatEvent::Done(Done {
            abstained: is_abstention,
            truncated: finish == Finish::Truncated,
            citations: verdict.citations,
            dropped_citations: verdict.dropped,
            model: model.to_owned(),
            cost: usage.and_then(|usage| telling.prices.of(usage)),
        });
    }
}

/// What has to be added to an answer, seen its check, in the language of the question. One that tells documents of a list needs
/// no passage. A model that said nothing at all has failed.
fn ending(has_words: bool, is_of_a_list: bool, verdict: &Verdict, request: &ChatRequest) -> Result<Option<String>> {
    let language = Language::of(request.question.as_str()).unwrap_or(Language::English);
    match verdict {
        _ if !has_words => Ok(Some(language.abstention().to_owned())),
        Verdict { has_text: false, declined: true, .. } => Ok(Some(language.abstention().to_owned())),
        Verdict { has_text: false, .. } => Err(Error::new(ErrorKind::ModelFailed, "the model gave no answer")),
        Verdict { declined: false, citations, .. } if citations.is_empty() && !is_of_a_list => {
            Ok(Some(format!("\n\n{}", language.unsupported())))
        }
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
