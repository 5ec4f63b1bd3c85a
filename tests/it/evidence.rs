//! When passages are worth an answer: by the words of the question, and, where a model words the answer and somebody has said
//! how alike is alike, by its meaning.

use serde_json::{Value, json};

use crate::fake_openai::{EmbeddingReply, FakeOpenAi, Refusal, Script};
use crate::support::app::TestApp;

/// Without a word of the passage, and yet about it.
const OTHER_WORDS: &str = "Ship departure?";

/// With too few words of the passage, but enough to quote it.
const FEW_WORDS: &str = "Does the ferry sail past the lighthouse with zebras and an orchestra?";

/// The product with an embedding model, and one document.
async fn start(fake: &FakeOpenAi, more: &[(&str, &str)]) -> TestApp {
    let url = fake.url();
    let embedding = [("OPENAI_EMBEDDING_BASE_URL", url.as_str()), ("OPENAI_EMBEDDING_MODEL", "embed-a")];
    let test = TestApp::with(&[&embedding[..], more].concat());
    test.ingest("ferry.txt", "The ferry sails tomorrow.").await;
    test
}

/// The same with a chat model that has no tools to look further with.
async fn start_with_chat(fake: &FakeOpenAi, more: &[(&str, &str)]) -> TestApp {
    let url = fake.url();
    start(fake, &[&[("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "scripted"), ("TOOLS", "off")], more].concat())
        .await
}

async fn ask(test: &TestApp, question: &str) -> Value {
    test.post("/api/chat", &json!({"messages": [{"role": "user", "content": question}]})).await.json()
}

fn chat_requests(fake: &FakeOpenAi) -> usize {
    fake.requests().iter().filter(|recorded| recorded.uri.ends_with("/chat/completions")).count()
}

#[tokio::test]
async fn a_passage_in_other_words_is_enough_for_a_model_when_it_is_alike() {
    let fake = FakeOpenAi::start().await;
    let test = start_with_chat(&fake, &[("EVIDENCE_SIMILARITY", "0.7")]).await;
    fake.push(Script::new(&["The ferry sails tomorrow [1]."]));
    let answer = ask(&test, OTHER_WORDS).await;
    assert_eq!(answer["context"]["abstained"], false, "{answer}");
    assert_eq!(answer["message"]["content"], "The ferry sails tomorrow [ferry.txt].");
    // About something else it is not, and the model is not even asked.
    let answer = ask(&test, "Zebra crossing?").await;
    assert_eq!((&answer["context"]["abstained"], chat_requests(&fake)), (&json!(true), 1), "{answer}");
}

#[tokio::test]
async fn without_the_setting_or_the_likeness_words_alone_decide() {
    for more in [&[][..], &[("EVIDENCE_SIMILARITY", "0.95")]] {
        let fake = FakeOpenAi::start().await;
        let test = start_with_chat(&fake, more).await;
        let answer = ask(&test, OTHER_WORDS).await;
        assert_eq!((&answer["context"]["abstained"], chat_requests(&fake)), (&json!(true), 0), "{more:?}: {answer}");
        fake.push(Script::new(&["The ferry sails tomorrow [1]."]));
        assert_eq!(ask(&test, "When does the ferry sail?").await["context"]["abstained"], false, "{more:?}");
    }
}

#[tokio::test]
async fn quoted_answers_need_the_words_of_the_question() {
    let fake = FakeOpenAi::start().await;
    let test = start(&fake, &[("EVIDENCE_SIMILARITY", "0.1")]).await;
    for question in [OTHER_WORDS, FEW_WORDS] {
        assert_eq!(ask(&test, question).await["context"]["abstained"], true, "{question}");
    }
    assert_eq!(ask(&test, "When does the ferry sail?").await["context"]["abstained"], false);
}

#[tokio::test]
async fn without_an_embedding_nothing_is_alike() {
    let fake = FakeOpenAi::start().await;
    let test = start_with_chat(&fake, &[("EVIDENCE_SIMILARITY", "0.1")]).await;
    fake.always_embed(EmbeddingReply::Refuse(Refusal::new(401, json!({"error": {}}))));
    let answer = ask(&test, FEW_WORDS).await;
    assert_eq!((&answer["context"]["abstained"], chat_requests(&fake)), (&json!(true), 0), "{answer}");
}
