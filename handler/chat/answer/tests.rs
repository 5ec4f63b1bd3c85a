//! The flow after the search, with scripted words in place of a model.

use super::*;
use crate::chat::evidence::question_terms;
use crate::chat::outgoing::allowlist::LinkAllowlist;
use crate::chat::question::Question;
use crate::chat::retriever::Retrieval;
use crate::chat::{ChatSettings, Context};
use crate::index::Token;
use crate::index::filter::Filter;
use crate::models::Usage;
use crate::models::fixture::{self, passage};

fn found(question: &str) -> (ChatRequest, Retrieved) {
    let passages = [
        passage(
            "handbook.pdf",
            0,
            "Annual leave",
            "Rest matters. Every employee gets 25 days of annual leave. Ask early.[3]",
        ),
        passage("travel.md", 0, "", "The director approves travel above 1,000 euros."),
    ];
    let passages =
        passages.into_iter().enumerate().map(|(at, passage)| CitedPassage { number: at + 1, passage }).collect();
    let tokens: Vec<Token> =
        fixture::tokens(question).into_iter().map(|(term, start, end)| Token { term, start, end }).collect();
    let terms = question_terms(question, 0, &tokens, &[]);
    let asked = Question::parse(question, 1_000).expect("a question");
    let request = ChatRequest { question: asked, history: Vec::new(), filter: Filter::default(), passages: None };
    (
        request,
        Retrieved {
            context: Context { passages, generation: 7, query: question.to_owned(), retrieval: Retrieval::Lexical },
            terms,
            similarity: None,
        },
    )
}

fn passage_terms(found: &Retrieved) -> Vec<PassageTerms> {
    found.context.passages.iter().map(|cited| PassageTerms::of(&cited.passage, &fixture::terms)).collect()
}

fn covers(found: &Retrieved) -> bool {
    coverage(&found.terms, &passage_terms(found)) >= ChatSettings::default().evidence_threshold
}

async fn events(found: &Retrieved, words: Option<Vec<Result<ModelEvent>>>) -> Result<Vec<ChatEvent>> {
    let terms = passage_terms(found);
    let checker = CitationChecker::new(
        &found.context.passages,
        &terms,
        &fixture::terms,
        ChatSettings::default().citation_support,
    );
    let words = words.map(|words| stream::iter(words).boxed());
    let links = LinkAllowlist::default();
    let filter = OutgoingFilter::new(&links, Vec::new());
    let events: Vec<Result<ChatEvent>> = told(words, checker, filter, "scripted").collect().await;
    events.into_iter().collect()
}

fn says(text: &str) -> Result<ModelEvent> {
    Ok(ModelEvent::Text(text.to_owned()))
}

/// The text with citations as `{n}`, and how it ended.
fn summary(events: &[ChatEvent]) -> (String, &Done) {
    let mut text = String::new();
    for event in events {
        match event {
            ChatEvent::Text(more) => text.push_str(more),
            ChatEvent::Citation(citation) => text.push_str(&format!("{{{}}}", citation.number)),
            ChatEvent::Context(_) | ChatEvent::Usage(_) | ChatEvent::Done(_) => {}
        }
    }
    let done = events.last().and_then(|event| match event {
        ChatEvent::Done(done) => Some(done),
        _ => None,
    });
    let done = done.expect("an answer ends with done");
    (text, done)
}

#[tokio::test]
async fn quotes_pass_the_check_that_models_have_to_pass() {
    for question in [
        "How many days of annual leave do I get?",
        "Who approves travel?",
        "Tell me about rest, annual leave and travel",
    ] {
        let (request, found) = found(question);
        assert!(covers(&found), "{question}");
        let words: Vec<Result<ModelEvent>> = quoted(&request, &found, &fixture::terms).expect("quotes").collect().await;
        let events = events(&found, Some(words)).await.expect("an answer");
        let (text, done) = summary(&events);
        assert!(done.dropped_citations == 0 && !done.citations.is_empty() && !done.abstained, "{text}");
    }
}

#[tokio::test]
async fn abstains_without_words_and_cites_nothing() {
    let (request, found) = found("What is the capital of Mongolia?");
    assert!(!covers(&found));
    assert!(quoted(&request, &found, &fixture::terms).is_none());
    let events = events(&found, None).await.expect("an answer");
    let (text, done) = summary(&events);
    assert_eq!(text, ABSTENTION);
    assert!(done.abstained && done.citations.is_empty());
}

#[tokio::test]
async fn passes_words_on_and_ends_with_cost_and_verdict() {
    let (_, found) = found("How many days?");
    let usage = Usage { prompt_tokens: 9, completion_tokens: 3 };
    let words = vec![
        says("You get 25 days of "),
        says("annual leave [1"),
        says("]."),
        Ok(ModelEvent::Usage(usage)),
        Ok(ModelEvent::Finished(Finish::Truncated)),
    ];
    let events = events(&found, Some(words)).await.expect("an answer");
    let (text, done) = summary(&events);
    assert_eq!(text, "You get 25 days of annual leave{1}.");
    assert_eq!(events[0], ChatEvent::Text("You get 25 days ".to_owned()));
    assert!(events.contains(&ChatEvent::Usage(usage)));
    assert!(done.truncated && done.model == "scripted");
}

#[tokio::test]
async fn says_so_when_nothing_can_be_traced() {
    let (_, found) = found("How many days?");
    let events = events(&found, Some(vec![says("You get 40 days of annual leave [1].")])).await.expect("an answer");
    let (text, done) = summary(&events);
    assert_eq!(text, format!("You get 40 days of annual leave.{UNSUPPORTED}"));
    assert_eq!((done.abstained, done.dropped_citations), (false, 1));
}

#[tokio::test]
async fn a_model_may_decline_but_not_be_silent() {
    let (_, found) = found("How many days?");
    let declined = events(&found, Some(vec![says("Die Dokumente sagen es nicht. [0]")])).await.expect("an answer");
    let (text, done) = summary(&declined);
    assert_eq!((text.as_str(), done.abstained), ("Die Dokumente sagen es nicht.", true));
    let bare = events(&found, Some(vec![says("[0]")])).await.expect("an answer");
    assert_eq!(summary(&bare).0, ABSTENTION);
    assert_eq!(events(&found, Some(Vec::new())).await.expect_err("silence").kind(), ErrorKind::ModelFailed);
}

#[tokio::test]
async fn a_failure_ends_the_answer() {
    let (_, found) = found("How many days?");
    let words = vec![says("You get "), Err(Error::new(ErrorKind::ModelFailed, "cut"))];
    assert_eq!(events(&found, Some(words)).await.expect_err("cut").kind(), ErrorKind::ModelFailed);
}
