//! The second look at the best passages, through the product: the reranker's order, and the first order when it fails, hangs
//! or says what cannot be believed.

use std::time::{Duration, Instant};

use knowledge_worker::chat::retriever::Retrieval;
use knowledge_worker::document::Principal;
use knowledge_worker::index::filter::Filter;
use serde_json::{Value, json};

use crate::fake_openai::FakeOpenAi;
use crate::fake_reranker::{FakeReranker, RerankReply};
use crate::support::app::{TestApp, get};
use crate::support::process::Place;

const QUESTION: &str = "When does the ferry leave?";

fn settings(url: &str) -> Vec<(&str, &str)> {
    vec![("RERANK_BASE_URL", url), ("RERANK_MODEL", "judge"), ("RERANK_API_KEY", "s3cret")]
}

/// The product with a reranker that likes the ferry Tern, and four ferries, of which the words of the question prefer others.
async fn harbour(more: &[(&str, &str)]) -> (FakeReranker, TestApp) {
    let fake = FakeReranker::start("Tern").await;
    let url = fake.url();
    let test = TestApp::with(&[&settings(&url), more].concat());
    for (name, text) in [
        ("skua.md", "# Ferry\n\nWhen does the ferry leave? The ferry leaves at six."),
        ("gull.md", "# Ferry\n\nThe ferry Gull leaves at eight."),
        ("rook.md", "# Ferry\n\nThe ferry Rook leaves the north pier at ten."),
        ("tern.md", "# Sailings\n\nThe Tern is a ferry of the other company in town, and goes at seven every morning."),
    ] {
        test.ingest(name, text).await;
    }
    (fake, test)
}

/// The sources that a search finds, best first, and how it looked.
async fn search(test: &TestApp, question: &str, top: usize) -> (Vec<String>, String) {
    let found = test.post("/api/search", &json!({"query": question, "top_results": top})).await.json();
    let results = found["results"].as_array().unwrap_or_else(|| panic!("no results in {found}"));
    let sources = results.iter().map(|result| result["source"].as_str().unwrap().to_owned()).collect();
    (sources, found["retrieval"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_rerankers_order_counts() {
    let (fake, test) = harbour(&[]).await;
    fake.push(RerankReply::Refuse(401));
    let (first, retrieval) = search(&test, QUESTION, 4).await;
    assert_eq!((first.last().map(String::as_str), retrieval.as_str()), (Some("tern.md"), "lexical"), "{first:?}");
    // Opened anew, it has not failed yet.
    let (url, sent) = (fake.url(), fake.requests().len());
    let fresh = test.again(&settings(&url));
    let limited = fresh.retriever.search(&Principal::anonymous(), QUESTION, &Filter::default(), 2).await.unwrap();
    let names: Vec<&str> = limited.0.hits.iter().map(|hit| hit.passage.name.as_str()).collect();
    assert_eq!(names, ["tern.md", first[0].as_str()], "the liked one, and then the first order");
    assert_eq!(limited.1, Retrieval::LexicalReranked);
    let (headers, body) = fake.requests().split_off(sent).remove(0);
    assert_eq!(headers["authorization"], "Bearer s3cret");
    assert_eq!((&body["model"], &body["query"], &body["top_n"]), (&json!("judge"), &json!(QUESTION), &json!(4)));
    let texts = body["documents"].as_array().unwrap();
    assert!(texts.len() == 4 && texts.iter().any(|t| t.as_str().unwrap().starts_with("Sailings\n")), "{body}");
}

#[tokio::test]
async fn only_the_best_passages_are_looked_at() {
    let (fake, test) = harbour(&[("RERANK_PASSAGES", "2")]).await;
    let (sources, retrieval) = search(&test, QUESTION, 4).await;
    assert_eq!((sources.len(), retrieval.as_str()), (4, "lexical+reranked"));
    assert_eq!(sources[3], "tern.md", "it was not looked at");
    assert_eq!(fake.requests()[0].1["documents"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn nothing_is_asked_about_one_passage_or_none() {
    let (fake, test) = harbour(&[]).await;
    assert_eq!(search(&test, "company", 5).await, (vec!["tern.md".to_owned()], "lexical+reranked".to_owned()));
    assert_eq!(search(&test, "zeppelin", 5).await.0, Vec::<String>::new());
    assert!(fake.requests().is_empty(), "{:?}", fake.requests());
}

#[tokio::test]
async fn an_answer_rests_on_the_reranked_passages_and_says_so() {
    let (_fake, test) = harbour(&[("CHAT_PASSAGES", "1")]).await;
    let messages = json!({"messages": [{"role": "user", "content": QUESTION}]});
    let answer = test.post("/api/chat", &messages).await.json();
    assert_eq!(answer["context"]["thoughts"][0]["props"]["retrieval"], "lexical+reranked");
    let texts = answer["context"]["data_points"]["text"].as_array().unwrap();
    assert!(texts.len() == 1 && texts[0].as_str().unwrap().starts_with("tern.md"), "{answer}");
    assert_eq!(test.send(get("/health")).await.json()["services"]["retrieval"], "lexical+reranked");
}

#[tokio::test]
async fn both_models_are_told_apart_when_one_fails() {
    let (embeddings, reranker) = (FakeOpenAi::start().await, FakeReranker::start("Tern").await);
    let (e, r) = (embeddings.url(), reranker.url());
    let model = [("OPENAI_EMBEDDING_BASE_URL", e.as_str()), ("OPENAI_EMBEDDING_MODEL", "embed-a")];
    let test = TestApp::with(&[&settings(&r)[..], &model].concat());
    test.ingest("a.txt", "The ferry Tern leaves at nine.").await;
    test.ingest("b.txt", "The bakery on the pier opens at four.").await;
    assert_eq!(search(&test, "When does the boat sail?", 5).await.1, "hybrid+reranked");
    reranker.always(RerankReply::Refuse(401));
    assert_eq!(search(&test, "When does the vessel sail?", 5).await.1, "hybrid");
}

#[tokio::test]
async fn a_reranker_that_cannot_be_believed_changes_nothing() {
    let judged = |index: Value, score: Value| json!({"index": index, "relevance_score": score});
    let all = |score: f64| (0..4).map(|at| judged(json!(at), json!(score))).collect::<Vec<_>>();
    let with = |at: usize, other: Value| {
        let mut results = all(0.5);
        results[at] = other;
        RerankReply::Say(json!({ "results": results }))
    };
    for (reply, attempts) in [
        (RerankReply::Refuse(401), 1),
        (RerankReply::Refuse(503), 2),
        (RerankReply::Huge, 1),
        (RerankReply::Say(json!("no")), 1),
        (RerankReply::Say(json!({"results": []})), 1),
        (RerankReply::Say(json!({"results": all(0.5)[..3]})), 1),
        (with(0, judged(json!(4), json!(1.0))), 1),
        (with(0, judged(json!(1), json!(1.0))), 1),
        (with(0, judged(json!(0), json!(1e300))), 1),
        (with(0, judged(json!(0), json!(null))), 1),
    ] {
        let (fake, test) = harbour(&[]).await;
        fake.always(reply.clone());
        let (sources, retrieval) = search(&test, QUESTION, 4).await;
        assert_eq!((sources.len(), retrieval.as_str()), (4, "lexical"), "{reply:?}");
        assert_eq!(sources[3], "tern.md", "{reply:?}");
        assert_eq!(fake.requests().len(), attempts, "{reply:?}");
        assert!(test.ask(QUESTION).await.contains("six"), "{reply:?}");
        assert_eq!(fake.requests().len(), attempts, "it is left alone after a failure: {reply:?}");
    }
}

#[tokio::test]
async fn a_second_attempt_makes_good_what_passes() {
    let (fake, test) = harbour(&[]).await;
    fake.push(RerankReply::Refuse(503));
    let (sources, retrieval) = search(&test, QUESTION, 4).await;
    assert_eq!((sources[0].as_str(), retrieval.as_str()), ("tern.md", "lexical+reranked"));
}

#[tokio::test]
async fn a_reranker_that_hangs_holds_nobody_up() {
    let (fake, test) = harbour(&[]).await;
    fake.always(RerankReply::Hang);
    let began = Instant::now();
    for question in [QUESTION, "Does the ferry leave at six?"] {
        assert_eq!(search(&test, question, 4).await.1, "lexical");
    }
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(1_900), "it got its chance: {waited:?}");
    assert!(waited < Duration::from_millis(3_900), "one question waited, and not for long: {waited:?}");
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_set_is_measured_with_the_reranker() {
    let fake = FakeReranker::start("mooring").await;
    let (url, place) = (fake.url(), std::sync::Arc::new(Place::new()));
    let set = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/beir");
    let evaluate = async || {
        let (place, url) = (std::sync::Arc::clone(&place), url.clone());
        let ran = tokio::task::spawn_blocking(move || place.run_with(&settings(&url), &["evaluate", set, "--json"]));
        ran.await.unwrap()
    };
    let report = evaluate().await.assert_status(0).json();
    assert_eq!(report["retrieval"], "lexical; reranked, with judge");
    assert!(!fake.requests().is_empty());
    fake.always(RerankReply::Refuse(401));
    let failed = evaluate().await.assert_status(1);
    assert!(failed.stderr.contains("second look"), "figures of half an order would be of something else: {failed:?}");
}
