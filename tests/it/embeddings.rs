//! The embedding model's client against a server at the socket: what is sent, how it is divided, and what is not believed.

use std::time::Duration;

use futures_util::StreamExt;
use knowledge_worker::document::Embedding;
use knowledge_worker::error::{Error, ErrorKind};
use knowledge_worker::models::embedding::{Embedded, EmbeddingModel};
use knowledge_worker::models::openai::{
    Authorization, EmbeddingSettings, OpenAiEmbeddings, OpenAiSettings, Server, ServerKind,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fake_openai::{EmbeddingReply, FakeOpenAi, Refusal, Twist};

/// Longer than anything here takes; what would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

fn model_of(fake: &FakeOpenAi, kind: ServerKind, api_version: Option<&str>, dimensions: Option<u32>) -> EmbeddingModel {
    let server = OpenAiSettings {
        servers: vec![Server {
            endpoint: fake.url().parse().expect("an address"),
            authorization: Authorization::Key("s3cret".into()),
        }],
        model: "embed-test".to_owned(),
        kind,
        api_version: api_version.map(str::to_owned),
        connect_timeout: Duration::from_secs(5),
    };
    let settings = EmbeddingSettings { server, dimensions };
    EmbeddingModel::open_ai(OpenAiEmbeddings::open(settings).expect("good settings"))
}

fn model(fake: &FakeOpenAi) -> EmbeddingModel {
    model_of(fake, ServerKind::Compatible, None, None)
}

async fn embed(model: &EmbeddingModel, texts: &[String]) -> Result<Embedded, Error> {
    model.embed(texts, Instant::now() + PATIENCE).await
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("passage number {number} about berth{number}")).collect()
}

/// How alike two embeddings are, from -1 to 1.
fn cosine(a: &Embedding, b: &Embedding) -> f32 {
    assert_eq!(a.space, b.space);
    a.values.iter().zip(&b.values).map(|(a, b)| a * b).sum()
}

/// What becomes of three texts when the server answers so; the failure and how many requests it took.
async fn failure(replies: Vec<EmbeddingReply>) -> (Error, usize) {
    let fake = FakeOpenAi::start().await;
    replies.into_iter().for_each(|reply| fake.push_embedding(reply));
    let error = embed(&model(&fake), &texts(3)).await.expect_err("the model should have failed");
    for secret in ["s3cret", "slow down", "berth", "invalid input"] {
        assert!(!error.chain().contains(secret), "{}", error.chain());
    }
    (error, fake.embedding_requests().len())
}

#[tokio::test]
async fn asks_each_kind_of_server_in_its_way() {
    let fake = FakeOpenAi::start().await;
    let kinds = [
        (ServerKind::Compatible, None, None, "/v1/embeddings", "authorization", "Bearer s3cret"),
        (ServerKind::Azure, None, Some(8), "/openai/v1/embeddings", "api-key", "s3cret"),
        (
            ServerKind::Azure,
            Some("2024-10-21"),
            None,
            "/openai/deployments/embed-test/embeddings?api-version=2024-10-21",
            "api-key",
            "s3cret",
        ),
    ];
    for (at, (kind, version, dimensions, uri, header, key)) in kinds.into_iter().enumerate() {
        let model = model_of(&fake, kind, version, dimensions);
        let embedded = embed(&model, &["How many days?".to_owned()]).await.expect("an embedding");
        let length = dimensions.unwrap_or(64);
        let space = &embedded.embeddings[0].space;
        assert_eq!((space.model.as_str(), space.dimensions), ("embed-test", length));
        assert_eq!((embedded.embeddings[0].values.len(), embedded.tokens), (length as usize, 4));
        let sent = &fake.embedding_requests()[at];
        assert_eq!((sent.uri.as_str(), sent.headers[header].to_str().expect("text")), (uri, key));
        assert_eq!(sent.body["model"], "embed-test");
        assert_eq!(sent.body["input"], json!(["How many days?"]));
        assert_eq!(sent.body["dimensions"], dimensions.map_or(Value::Null, |dimensions| json!(dimensions)));
        assert_eq!(sent.body["encoding_format"], "base64");
        assert_eq!(sent.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn the_word_of_a_model_is_known_without_asking() {
    let fake = FakeOpenAi::start().await;
    assert_eq!(model(&fake).word(), "embed-test/own");
    assert_eq!(model_of(&fake, ServerKind::Azure, None, Some(256)).word(), "embed-test/256");
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn many_texts_go_in_batches_and_come_back_in_order() {
    let fake = FakeOpenAi::start().await;
    let texts = texts(100);
    let alone = embed(&model(&fake), &texts[77..78]).await.expect("an embedding");
    // The first batch in the wrong order, the second written out; whatever comes first, each text gets its own.
    fake.push_embedding(EmbeddingReply::Twisted(Twist::Reversed));
    fake.push_embedding(EmbeddingReply::Twisted(Twist::Written));
    let all = embed(&model(&fake), &texts).await.expect("embeddings");
    assert_eq!(all.embeddings.len(), 100);
    assert!(cosine(&all.embeddings[77], &alone.embeddings[0]) > 0.999);
    for (at, embedding) in all.embeddings.iter().enumerate() {
        let own = embed(&model(&fake), &texts[at..=at]).await.expect("an embedding");
        assert!(cosine(embedding, &own.embeddings[0]) > 0.999, "text {at}");
    }
    let sent = fake.embedding_requests();
    let sizes = sent[1..5].iter().map(|sent| sent.body["input"].as_array().expect("texts").len());
    let mut sizes: Vec<usize> = sizes.collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [4, 32, 32, 32]);
    let expected: usize = texts.iter().map(|text| text.len().div_ceil(4)).sum();
    assert_eq!(all.tokens, expected as u64);
}

#[tokio::test]
async fn no_text_needs_no_request() {
    let fake = FakeOpenAi::start().await;
    let embedded = embed(&model(&fake), &[]).await.expect("nothing");
    assert!(embedded.embeddings.is_empty() && fake.requests().is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_not_believed() {
    for (twist, sentence) in [
        (Twist::OneMissing, "2 vectors for 3 texts"),
        (Twist::Zero, "no direction"),
        (Twist::Garbled, "cannot be understood"),
        (Twist::Huge, "more than 33554432 bytes"),
    ] {
        let (error, requests) = failure(vec![EmbeddingReply::Twisted(twist)]).await;
        assert_eq!((error.kind(), requests), (ErrorKind::ModelFailed, 1), "{twist:?}");
        assert!(error.message().contains(sentence), "{twist:?}: {}", error.message());
    }
    let fake = FakeOpenAi::start().await;
    let model = model_of(&fake, ServerKind::Compatible, None, Some(32));
    fake.push_embedding(EmbeddingReply::Twisted(Twist::Dimensions(16)));
    let error = embed(&model, &texts(3)).await.expect_err("another length than asked for");
    assert!(error.message().contains("16 numbers instead of 32"), "{}", error.message());
}

#[tokio::test]
async fn a_length_that_changes_in_the_middle_is_a_failure() {
    let fake = FakeOpenAi::start().await;
    fake.push_embedding(EmbeddingReply::Twisted(Twist::Dimensions(16)));
    let error = embed(&model(&fake), &texts(100)).await.expect_err("two lengths");
    let sentence = error.message();
    assert!(sentence.contains("16") && sentence.contains("64"), "{sentence}");
}

#[tokio::test]
async fn passing_trouble_is_waited_for_and_lasting_trouble_is_not() {
    let busy = || EmbeddingReply::Refuse(Refusal::busy("retry-after-ms", "1"));
    let fake = FakeOpenAi::start().await;
    [busy(), EmbeddingReply::Refuse(Refusal::new(503, json!("overloaded")).header("retry-after", "0"))]
        .into_iter()
        .for_each(|reply| fake.push_embedding(reply));
    embed(&model(&fake), &texts(3)).await.expect("embeddings in the end");
    assert_eq!(fake.embedding_requests().len(), 3);
    let (error, requests) = failure(vec![busy(); 5]).await;
    assert_eq!((error.kind(), requests), (ErrorKind::ModelBusy, 3));
    let quota = Refusal::new(429, json!({"error": {"code": "insufficient_quota"}}));
    let (error, requests) = failure(vec![EmbeddingReply::Refuse(quota)]).await;
    assert_eq!((error.kind(), requests), (ErrorKind::ModelBusy, 1));
    let (error, requests) = failure(vec![EmbeddingReply::Refuse(Refusal::new(401, json!({})))]).await;
    assert_eq!((error.kind(), requests), (ErrorKind::ModelFailed, 1));
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_does_not_go_beyond_the_deadline() {
    let fake = FakeOpenAi::start().await;
    fake.push_embedding(EmbeddingReply::Refuse(Refusal::busy("retry-after", "3600")));
    let began = std::time::Instant::now();
    let error = embed(&model(&fake), &texts(1)).await.expect_err("there is no time");
    assert_eq!(error.kind(), ErrorKind::ModelBusy);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_server_that_hangs_costs_no_more_than_the_deadline() {
    let fake = FakeOpenAi::start().await;
    fake.always_embed(EmbeddingReply::Hang);
    let error =
        model(&fake).embed(&texts(3), Instant::now() + Duration::from_millis(150)).await.expect_err("no answer");
    assert_eq!((error.kind(), fake.embedding_requests().len()), (ErrorKind::DeadlineExceeded, 1));
}

#[tokio::test]
async fn a_server_that_takes_less_gets_less() {
    let fake = FakeOpenAi::start().await;
    fake.always_embed(EmbeddingReply::Twisted(Twist::Inputs(8)));
    assert_eq!(embed(&model(&fake), &texts(40)).await.expect("embeddings").embeddings.len(), 40);
    let fake = FakeOpenAi::start().await;
    fake.always_embed(EmbeddingReply::Twisted(Twist::Window(1_000)));
    let mut texts = texts(4);
    texts[2] = "Überfahrt zum Leuchtturm. ".repeat(200);
    let embedded = embed(&model(&fake), &texts).await.expect("the long text is cut");
    assert_eq!(embedded.embeddings.len(), 4);
    let longest = fake.embedded_texts().into_iter().filter(|text| text.len() <= 1_000).max_by_key(String::len);
    assert!(longest.is_some_and(|text| text.len() > 500 && texts[2].starts_with(&text)), "no more than needed is cut");
}

#[tokio::test]
async fn what_no_length_satisfies_ends_soon() {
    let fake = FakeOpenAi::start().await;
    fake.always_embed(EmbeddingReply::Refuse(Refusal::new(400, json!({"error": {"message": "unknown field"}}))));
    let mut texts = texts(32);
    texts[0] = "word ".repeat(2_000);
    let error = embed(&model(&fake), &texts).await.expect_err("nothing is taken");
    assert_eq!(error.kind(), ErrorKind::ModelFailed);
    assert!(fake.embedding_requests().len() <= 12, "{} requests", fake.embedding_requests().len());
}

#[tokio::test]
async fn after_a_failure_nothing_more_is_begun() {
    let fake = FakeOpenAi::start().await;
    fake.always_embed(EmbeddingReply::Refuse(Refusal::new(401, json!({}))));
    let (model, texts) = (model(&fake), texts(32 * 20));
    // Who goes on listening gets what was under way, and no more.
    let heard: Vec<_> = model.batches(&texts, Instant::now() + PATIENCE).collect().await;
    assert!(!heard.is_empty() && heard.iter().all(Result::is_err));
    assert!(fake.embedding_requests().len() <= 8, "{} requests", fake.embedding_requests().len());
}

#[tokio::test]
async fn the_fake_means_something() {
    let fake = FakeOpenAi::start().await;
    let texts = ["When does the boat depart?", "The ferry sails.", "How much salary is due for an automobile?"];
    let embedded = embed(&model(&fake), &texts.map(str::to_owned)).await.expect("embeddings").embeddings;
    let (near, far) = (cosine(&embedded[0], &embedded[1]), cosine(&embedded[0], &embedded[2]));
    assert!(near > 0.9 && far < 0.5, "{near} {far}: tests of retrieval by meaning rest on this");
}
