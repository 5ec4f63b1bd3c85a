//! Embeddings on their way through the product: what ingestion sends and what it need not send again, what it costs, what a
//! change of model does; and questions that get theirs, or do without.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use knowledge_worker::app::App;
use knowledge_worker::chat::retriever::Retrieval;
use knowledge_worker::clock::Clock;
use knowledge_worker::document::{DocumentId, Passage, Principal};
use knowledge_worker::index::filter::Filter;
use knowledge_worker::ingest::ledger::State;
use knowledge_worker::ingest::pipeline::Synced;
use knowledge_worker::ingest::reconcile::Drift;
use serde_json::json;

use crate::fake_openai::{EmbeddingReply, FakeOpenAi, Refusal, Twist};
use crate::support::app::{TestApp, document_name, get};
use crate::support::process::Place;

/// The product with an embedding model, and answers of its own.
fn settings(url: &str) -> Vec<(&str, &str)> {
    vec![("OPENAI_EMBEDDING_BASE_URL", url), ("OPENAI_EMBEDDING_MODEL", "embed-a")]
}

async fn start(more: &[(&str, &str)]) -> (FakeOpenAi, TestApp) {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let test = TestApp::with(&[&settings(&url), more].concat());
    (fake, test)
}

/// A document of so many sections, each a passage of its own.
fn document(sections: usize) -> String {
    let section = |number: usize| format!("# Berth {number}\n\nThe crane at berth{number} lifts crates.\n\n");
    (0..sections).map(section).collect()
}

/// Passages so small that every section has one.
const SMALL: &[(&str, &str)] = &[("CHUNK_TOKENS", "20"), ("CHUNK_OVERLAP_TOKENS", "0")];

async fn passages(app: &App, name: &str) -> Vec<Passage> {
    let id = DocumentId::of(&document_name(name));
    app.index.passages(&Principal::anonymous(), &id).await.unwrap()
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A refusal that nothing but a change of settings helps against.
fn refusal() -> EmbeddingReply {
    EmbeddingReply::Refuse(Refusal::new(401, json!({"error": {"message": "no such key"}})))
}

#[tokio::test]
async fn every_passage_is_sent_with_its_headings_and_paid_once() {
    let (fake, test) = start(&[&[("EMBEDDING_PRICE_PER_MILLION", "2.5")], SMALL].concat()).await;
    test.ingest("a.md", document(40)).await;
    let mut expected: Vec<String> = passages(&test.app, "a.md").await.iter().map(Passage::in_context).collect();
    assert_eq!(expected.len(), 40);
    assert!(expected[7].starts_with("Berth 0\nBerth 7\n") || expected[7].starts_with("Berth 7\n"), "{}", expected[7]);
    let mut sent = fake.embedded_texts();
    expected.sort();
    sent.sort();
    assert_eq!(sent, expected);
    assert_eq!(fake.embedding_requests().len(), 2, "40 texts are two batches");
    let row = test.row("a.md").await.unwrap();
    let tokens: usize = sent.iter().map(|text| text.len().div_ceil(4)).sum();
    assert_eq!(row.embedding_tokens, tokens as u64);
    let cost = row.embedding_cost.unwrap();
    assert!((cost - tokens as f64 * 2.5e-6).abs() < 1e-12, "{cost}");
    assert!(row.phases_ms.contains_key("embed"), "{:?}", row.phases_ms);
    let shown = test.send(get(&format!("/api/documents/{}", row.id))).await.json();
    assert_eq!((&shown["embedding_tokens"], &shown["embedding_cost"]), (&json!(tokens), &json!(cost)));
    let stats = test.send(get("/api/documents/stats")).await.json();
    assert_eq!((&stats["embedding_tokens"], &stats["embedding_cost"]), (&json!(tokens), &json!(cost)));
}

#[tokio::test]
async fn what_is_paid_for_is_not_sent_again() {
    let (fake, test) = start(SMALL).await;
    test.ingest("a.md", document(40)).await;
    let (sent, paid) = (fake.embedded_texts().len(), test.row("a.md").await.unwrap().embedding_tokens);
    // A copy, a document that went and came back, and one cut with other limits for the same passages.
    test.ingest("copy.md", document(40)).await;
    assert_eq!(test.row("copy.md").await.unwrap().embedding_tokens, 0);
    test.delete("a.md");
    assert_eq!(test.sync("a.md").await, Synced::Removed);
    test.ingest("a.md", document(40)).await;
    let url = fake.url();
    let other = test.again(&[&settings(&url)[..], &[("CHUNK_TOKENS", "21"), ("CHUNK_OVERLAP_TOKENS", "0")]].concat());
    let report = other.ingest.reconcile(in_a_minute(), &other.records).await.unwrap();
    assert_eq!(report.indexed, 2, "{report:?}");
    assert_eq!(fake.embedded_texts().len(), sent, "nothing was sent again");
    assert_eq!(test.row("a.md").await.unwrap().embedding_tokens, paid);
    // Of a new version, what is new.
    test.ingest("a.md", format!("{}# Office\n\nThe office opens at eight.\n", document(40))).await;
    let new = fake.embedded_texts().split_off(sent);
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(new[0].contains("opens at eight"));
}

#[tokio::test]
async fn a_text_that_is_repeated_is_sent_once() {
    let (fake, test) = start(SMALL).await;
    let notice = "# Notice\n\nMind the step at the gangway please, everybody.\n\n";
    test.ingest("a.md", notice.repeat(30)).await;
    let texts: Vec<String> = passages(&test.app, "a.md").await.iter().map(Passage::in_context).collect();
    let distinct: std::collections::BTreeSet<&String> = texts.iter().collect();
    assert!(distinct.len() < texts.len(), "the test has no repeated text: {texts:?}");
    assert_eq!(fake.embedded_texts().len(), distinct.len());
}

#[tokio::test]
async fn a_failure_in_the_middle_keeps_what_was_paid_and_the_old_version_answers() {
    let (fake, test) = start(SMALL).await;
    test.ingest("a.md", "The ferry leaves at nine.").await;
    let paid = test.row("a.md").await.unwrap().embedding_tokens;
    // Three batches, one of which is refused, whichever comes last.
    test.write("a.md", document(96));
    for reply in [EmbeddingReply::Good, EmbeddingReply::Good, refusal()] {
        fake.push_embedding(reply);
    }
    let error = test.app.ingest.sync(&document_name("a.md")).await.expect_err("the key is wrong");
    assert!(error.is_passing());
    let row = test.row("a.md").await.unwrap();
    assert_eq!((row.state, row.error.unwrap().code.as_str()), (State::Failed, "model-failed"));
    assert!(row.embedding_tokens > paid, "two batches were paid for");
    assert!(test.ask("When does the ferry leave?").await.contains("nine"), "what could be found still can");
    // The timer tries again, later, and only what is missing is sent.
    let (url, sent) = (fake.url(), fake.embedded_texts().len());
    let later = Clock::manual(test.clock.now() + TimeDelta::minutes(5));
    let later = test.again_at(&later, &[&settings(&url)[..], SMALL].concat());
    let report = later.ingest.reconcile(in_a_minute(), &later.records).await.unwrap();
    assert_eq!((report.drift.get(&Drift::Failed), report.indexed), (Some(&1), 1), "{report:?}");
    assert_eq!(fake.embedded_texts().len() - sent, 32, "the batch that was refused");
}

#[tokio::test]
async fn no_failure_of_a_model_ends_a_document() {
    for status in [400, 401, 404, 429, 500] {
        let (fake, test) = start(&[]).await;
        let body = json!({"error": {"code": "content_filter"}});
        fake.always_embed(EmbeddingReply::Refuse(Refusal::new(status, body).header("retry-after", "0")));
        test.write("a.txt", "The ferry leaves at nine.");
        test.app.ingest.sync(&document_name("a.txt")).await.expect_err("it is to be tried again");
        assert_eq!(test.row("a.txt").await.unwrap().state, State::Failed, "{status}");
        fake.always_embed(EmbeddingReply::Good);
        assert_eq!(test.sync("a.txt").await, Synced::Indexed { passages: 1 }, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_after_paying_does_not_pay_again() {
    let fake = FakeOpenAi::start().await;
    let (url, place) = (fake.url(), Arc::new(Place::new()));
    place.write("papers/a.md", document(40));
    let run = async |settings: Vec<(&'static str, String)>| {
        let place = Arc::clone(&place);
        let ran = tokio::task::spawn_blocking(move || {
            let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
            place.run_with(&settings, &["ingest", "papers"])
        });
        ran.await.unwrap()
    };
    let with_model = vec![("OPENAI_EMBEDDING_BASE_URL", url), ("OPENAI_EMBEDDING_MODEL", "embed-a".to_owned())];
    let dying = [with_model.clone(), vec![("KNOWLEDGE_WORKER_CRASH_AT", "embedded".to_owned())]].concat();
    let died = run(dying).await;
    assert_eq!(died.status, None, "it was killed: {died:?}");
    let sent = fake.embedded_texts().len();
    assert!(sent > 0);
    let ran = run(with_model).await.assert_status(0);
    assert!(ran.stdout.contains("indexed"), "{ran:?}");
    assert_eq!(fake.embedded_texts().len(), sent, "all was paid for already");
}

#[tokio::test]
async fn a_document_made_with_another_model_is_made_anew_by_the_timer() {
    let (fake, test) = start(&[]).await;
    test.ingest("a.txt", "The ferry leaves at nine.").await;
    let url = fake.url();
    for (more, model, dimensions) in [
        (vec![("OPENAI_EMBEDDING_MODEL", "embed-b")], "embed-b", 64),
        (vec![("OPENAI_EMBEDDING_MODEL", "embed-b"), ("EMBEDDING_DIMENSIONS", "32")], "embed-b", 32),
    ] {
        let other = test.again(&[&settings(&url)[..1], &more].concat());
        let search =
            async || other.retriever.search(&Principal::anonymous(), "ferry", &Filter::default(), 5).await.unwrap();
        let (found, retrieval) = search().await;
        assert_eq!((found.hits.len(), retrieval), (1, Retrieval::Lexical), "the old passages answer until then");
        let report = other.ingest.reconcile(in_a_minute(), &other.records).await.unwrap();
        assert_eq!((report.drift.get(&Drift::Outdated), report.indexed), (Some(&1), 1), "{model}: {report:?}");
        let sent = fake.embedding_requests().pop().unwrap().body;
        assert_eq!((&sent["model"], sent["dimensions"].as_u64().unwrap_or(64)), (&json!(model), dimensions));
        assert_eq!(sent["input"], json!(["The ferry leaves at nine."]));
        assert_eq!(search().await.1, Retrieval::Hybrid);
        let again = other.ingest.reconcile(in_a_minute(), &other.records).await.unwrap();
        assert!(again.drift.is_empty(), "{again:?}");
    }
}

#[tokio::test]
async fn without_a_model_all_is_as_before() {
    let test = TestApp::new();
    test.ingest("a.txt", "The ferry leaves at nine.").await;
    let row = test.row("a.txt").await.unwrap();
    assert!(!row.recipe.as_ref().unwrap().contains("embed"), "documents made before stay valid: {row:?}");
    assert!(!row.phases_ms.contains_key("embed") && row.embedding_tokens == 0);
    let shown = test.send(get(&format!("/api/documents/{}", row.id))).await;
    assert!(!shown.body.contains("embedding"), "{shown:?}");
    let found = test.post("/api/search", &json!({"query": "ferry"})).await.json();
    assert_eq!((&found["retrieval"], found["results"].as_array().unwrap().len()), (&json!("lexical"), 1));
    assert_eq!(test.send(get("/health")).await.json()["services"]["retrieval"], "lexical");
}

#[tokio::test]
async fn a_model_that_became_another_one_under_its_name_is_noticed() {
    let (fake, test) = start(SMALL).await;
    test.ingest("a.md", document(10)).await;
    fake.always_embed(EmbeddingReply::Twisted(Twist::Dimensions(16)));
    let sent = fake.embedded_texts().len();
    // One passage is new; what is kept of the others has another length and does not go with it.
    assert!(matches!(test.ingest("a.md", document(11)).await, Synced::Indexed { .. }));
    assert_eq!(fake.embedded_texts().len() - sent, 11);
    // A model that cannot make up its mind is a failure that passes.
    fake.push_embedding(EmbeddingReply::Twisted(Twist::Dimensions(8)));
    test.write("b.md", document(100).replace("crates", "barrels"));
    test.app.ingest.sync(&document_name("b.md")).await.expect_err("two lengths in one document");
    assert_eq!(test.row("b.md").await.unwrap().state, State::Failed);
}

#[tokio::test]
async fn a_question_is_embedded_once_and_said_to_be_hybrid() {
    let (fake, test) = start(&[]).await;
    test.ingest("a.txt", "The ferry leaves at nine.").await;
    let before = fake.embedding_requests().len();
    for _ in 0..3 {
        let found = test.post("/api/search", &json!({"query": "When does the ferry leave?"})).await.json();
        assert_eq!((&found["retrieval"], found["results"].as_array().unwrap().len()), (&json!("hybrid"), 1));
    }
    let messages = json!({"messages": [{"role": "user", "content": "When does the ferry leave?"}]});
    let answer = test.post("/api/chat", &messages).await.json();
    assert_eq!(answer["context"]["thoughts"][0]["props"]["retrieval"], "hybrid");
    assert!(answer["message"]["content"].as_str().unwrap().contains("nine"));
    let questions = fake.embedding_requests().split_off(before);
    assert_eq!(questions.len(), 1, "the others were remembered");
    assert_eq!(questions[0].body["input"], json!(["When does the ferry leave?"]));
    test.post("/api/search", &json!({"query": "When does the boat leave?"})).await;
    assert_eq!(fake.embedding_requests().len(), before + 2, "another question is another one");
    assert_eq!(test.send(get("/health")).await.json()["services"]["retrieval"], "hybrid");
}

#[tokio::test]
async fn a_question_without_a_word_in_common_finds_its_passage() {
    let (fake, test) = start(&[]).await;
    for (name, text) in [
        ("a.txt", "The bakery opens early on Sunday."),
        ("b.txt", "The ferry sails tomorrow."),
        ("c.txt", "Every crane wants oil once a year."),
    ] {
        test.ingest(name, text).await;
    }
    let question = json!({"query": "ship departure", "top_results": 1});
    let found = test.post("/api/search", &question).await.json();
    assert_eq!((&found["retrieval"], &found["results"][0]["source"]), (&json!("hybrid"), &json!("b.txt")), "{found}");
    fake.always_embed(refusal());
    let question = json!({"query": "vessel departure", "top_results": 1});
    let found = test.post("/api/search", &question).await.json();
    assert_eq!((&found["retrieval"], &found["results"]), (&json!("lexical"), &json!([])), "by words it is not there");
}

#[tokio::test]
async fn an_outage_of_the_model_costs_one_question_its_embedding_and_none_its_answer() {
    let (fake, test) = start(&[]).await;
    test.ingest("a.txt", "The ferry leaves at nine.").await;
    let before = fake.embedding_requests().len();
    fake.always_embed(refusal());
    for question in ["When does the ferry leave?", "When does the next ferry leave?", "Does a ferry leave?"] {
        let found = test.post("/api/search", &json!({ "query": question })).await.json();
        assert_eq!((&found["retrieval"], found["results"].as_array().unwrap().len()), (&json!("lexical"), 1));
        assert!(test.ask(question).await.contains("nine"), "{question}");
    }
    assert_eq!(fake.embedding_requests().len(), before + 1, "the model was left alone after it had failed");
}

#[tokio::test]
async fn a_model_that_hangs_holds_nobody_up() {
    let (fake, test) = start(&[]).await;
    test.ingest("a.txt", "The ferry leaves at nine.").await;
    fake.always_embed(EmbeddingReply::Hang);
    let began = Instant::now();
    for question in ["When does the ferry leave?", "When does the next ferry leave?"] {
        let found = test.post("/api/search", &json!({ "query": question })).await.json();
        assert_eq!((&found["retrieval"], found["results"].as_array().unwrap().len()), (&json!("lexical"), 1));
    }
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(1_900), "the model got its chance: {waited:?}");
    assert!(waited < Duration::from_millis(3_900), "one question waited, and not for long: {waited:?}");
}

#[tokio::test]
async fn a_short_answer_time_leaves_room_for_the_answer() {
    let (fake, test) = start(&[("TIMEOUT_SECONDS", "1")]).await;
    test.ingest("a.txt", "The ferry leaves at nine.").await;
    fake.always_embed(EmbeddingReply::Hang);
    assert!(test.ask("When does the ferry leave?").await.contains("nine"));
}

#[tokio::test]
async fn embedding_ends_before_the_invocation_does() {
    let (fake, test) = start(&[("INVOCATION_TIMEOUT_SECONDS", "8")]).await;
    fake.always_embed(EmbeddingReply::Hang);
    test.write("a.txt", "The ferry leaves at nine.");
    // A run that begins nothing after half a second, and itself ends a fifth of the eight seconds later.
    let (began, end) = (Instant::now(), Instant::now() + Duration::from_millis(500));
    let report = test.app.ingest.reconcile(end, &test.app.records).await.unwrap();
    assert_eq!((report.failed, fake.embedding_requests().len()), (1, 1), "{report:?}");
    assert!(began.elapsed() < Duration::from_millis(2_100), "{:?}", began.elapsed());
    let row = test.row("a.txt").await.unwrap();
    assert_eq!((row.state, row.lease_until), (State::Failed, None), "it is not left for dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_set_is_measured_with_the_model() {
    let fake = FakeOpenAi::start().await;
    let (url, place) = (fake.url(), Arc::new(Place::new()));
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/beir").to_str().unwrap().to_owned();
    let evaluate = async |url: String| {
        let (place, set) = (Arc::clone(&place), set.clone());
        let ran = tokio::task::spawn_blocking(move || place.run_with(&settings(&url), &["evaluate", &set, "--json"]));
        ran.await.unwrap()
    };
    let report = evaluate(url).await.assert_status(0).json();
    assert_eq!(report["retrieval"], "hybrid, with embed-a");
    let sent = fake.embedded_texts();
    assert_eq!(sent.len(), 12 + 6, "every entry and every query: {sent:?}");
    fake.always_embed(refusal());
    let failed = evaluate(fake.url()).await.assert_status(1);
    assert!(failed.stderr.contains("key"), "figures without embeddings would be of something else: {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn serving_says_how_it_looks_for_passages() {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let place = Place::new();
    assert!(place.serve(&settings(&url)).stderr().contains("retrieval: hybrid, with embed-a"));
    assert!(place.serve(&[]).stderr().contains("retrieval: lexical"));
}
