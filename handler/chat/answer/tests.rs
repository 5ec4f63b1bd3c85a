//! The flow after the search, with scripted words in place of a model.

use super::*;
use crate::chat::evidence::question_terms;
use crate::chat::outgoing::allowlist::LinkAllowlist;
use crate::chat::question::Question;
use crate::chat::retriever::Retrieval;
use crate::chat::{ChatSettings, Context};
use crate::index::Token;
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
    let passages = passages
        .into_iter()
        .enumerate()
        .map(|(at, passage)| CitedPassage { number: at + 1, passage: passage.into() })
        .collect();
    let tokens: Vec<Token> =
        fixture::tokens(question).into_iter().map(|(term, start, end)| Token { term, start, end }).collect();
    let terms = question_terms(question, 0, &tokens, &[]);
    let asked = Question::parse(question, 1_000).expect("a question");
    let request = ChatRequest::of(asked);
    (
        request,
        Retrieved {
            context: Context {
                passages,
                generation: 7,
                query: question.to_owned(),
                is_rewritten: false,
                retrieval: Retrieval::Lexical,
            },
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

async fn events(found: &Retrieved, words: Option<Vec<Result<Said>>>) -> Result<Vec<ChatEvent>> {
    events_of(&ChatRequest::of(Question::parse("How many days?", 100)?), found, words).await
}

async fn events_of(
    request: &ChatRequest,
    found: &Retrieved,
    words: Option<Vec<Result<Said>>>,
) -> Result<Vec<ChatEvent>> {
    let support = ChatSettings::default().citation_support;
    let mut checker = CitationChecker::new(request.question.as_str(), &fixture::terms, support);
    checker.add(&found.context.passages, passage_terms(found));
    let words = words.map(|words| stream::iter(words).boxed());
    let links = LinkAllowlist::default();
    let filter = OutgoingFilter::new(&links, Vec::new());
    let outlet = Outlet { checker, filter, follow_ups: FollowUpScanner::new(request.wants_follow_ups) };
    let (analyze, context) = (&fixture::terms, found.context.clone());
    let telling = Telling { model: "scripted", links: &links, prices: PRICES, request, analyze, context, spent: None };
    let events: Vec<Result<ChatEvent>> = told(words, outlet, telling).collect().await;
    events.into_iter().collect()
}

const PRICES: Prices = Prices { input: Some(2.0), output: Some(10.0) };

fn says(text: &str) -> Result<Said> {
    Ok(Said::Words(text.to_owned()))
}

/// The text with citations as `{n}`, and how it ended.
fn summary(events: &[ChatEvent]) -> (String, &Done) {
    let mut text = String::new();
    for event in events {
        match event {
            ChatEvent::Text(more) => text.push_str(more),
            ChatEvent::Citation(citation) => text.push_str(&format!("{{{}}}", citation.number)),
            _ => {}
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
        let words: Vec<Result<Said>> = quoted(&request, &found, &fixture::terms).expect("quotes").collect().await;
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
    assert_eq!(text, Language::English.abstention());
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
        Ok(Said::Spent(usage)),
        Ok(Said::Ended(Finish::Truncated)),
    ];
    let events = events(&found, Some(words)).await.expect("an answer");
    let (text, done) = summary(&events);
    assert_eq!(text, "You get 25 days of annual leave{1}.");
    assert_eq!(events[0], ChatEvent::Text("You get 25 days ".to_owned()));
    assert!(events.contains(&ChatEvent::Usage(usage)));
    assert!(done.truncated && done.model == "scripted");
    assert_eq!(done.cost, Some((9.0 * 2.0 + 3.0 * 10.0) / 1e6));
    assert_eq!(Prices { input: Some(1.0), output: None }.of(usage), None, "half a price is none");
}

#[tokio::test]
async fn says_so_when_nothing_can_be_traced() {
    let (_, found) = found("How many days?");
    let events = events(&found, Some(vec![says("You get 40 days of annual leave [1].")])).await.expect("an answer");
    let (text, done) = summary(&events);
    assert_eq!(text, format!("You get 40 days of annual leave.\n\n{}", Language::English.unsupported()));
    assert_eq!((done.abstained, done.dropped_citations), (false, 1));
}

#[tokio::test]
async fn a_model_may_decline_but_not_be_silent() {
    let (_, found) = found("How many days?");
    let declined = events(&found, Some(vec![says("Die Dokumente sagen es nicht. [0]")])).await.expect("an answer");
    let (text, done) = summary(&declined);
    assert_eq!((text.as_str(), done.abstained), ("Die Dokumente sagen es nicht.", true));
    let bare = events(&found, Some(vec![says("[0]")])).await.expect("an answer");
    assert_eq!(summary(&bare).0, Language::English.abstention());
    assert_eq!(events(&found, Some(Vec::new())).await.expect_err("silence").kind(), ErrorKind::ModelFailed);
}

#[tokio::test]
async fn a_failure_ends_the_answer() {
    let (_, found) = found("How many days?");
    let words = vec![says("You get "), Err(Error::new(ErrorKind::ModelFailed, "cut"))];
    assert_eq!(events(&found, Some(words)).await.expect_err("cut").kind(), ErrorKind::ModelFailed);
}

#[tokio::test]
async fn what_the_product_says_is_in_the_language_of_the_question() {
    let (_, found) = found("How many days?");
    let asked = |question: &str| ChatRequest::of(Question::parse(question, 100).expect("a question"));
    let abstained = events_of(&asked("Wie viele Monde hat der Mars?"), &found, None).await.expect("an answer");
    assert_eq!(summary(&abstained).0, Language::German.abstention());
    let made_up = Some(vec![says("Il y en a quarante.")]);
    let unsupported = events_of(&asked("Combien de jours pour les fêtes ?"), &found, made_up).await.expect("an answer");
    assert!(summary(&unsupported).0.ends_with(Language::French.unsupported()), "{unsupported:?}");
}

#[tokio::test]
async fn questions_to_come_are_told_apart_from_the_answer() {
    let (mut request, found) = found("How many days of annual leave?");
    let words = || Some(vec![says("You get 25 days of annual leave [1].\n<<Who approves "), says("travel [2]?>>\n")]);
    let plain = events_of(&request, &found, words()).await.expect("an answer");
    assert!(summary(&plain).0.contains("<<") || summary(&plain).0.contains("< <"), "nobody asked for them");
    request.wants_follow_ups = true;
    let events = events_of(&request, &found, words()).await.expect("an answer");
    assert_eq!(summary(&events).0, "You get 25 days of annual leave{1}.");
    assert!(events.contains(&ChatEvent::FollowUps(vec!["Who approves travel?".to_owned()])), "{events:?}");
    let declined = Some(vec![says("The documents do not say. [0]\n<<What else?>>")]);
    let declined = events_of(&request, &found, declined).await.expect("an answer");
    assert!(declined.contains(&ChatEvent::FollowUps(Vec::new())), "{declined:?}");
}
