//! The product on its sample documents: how often the right page is cited, and how often it rightly says that it does not
//! know. A change that makes answers worse fails here.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::support::app::TestApp;

/// Of the questions that have an answer, the share whose cited sources include the right page.
const LEAST_CITED: f64 = 0.95;
/// Of these, the share whose answer holds the expected words.
const LEAST_ANSWERED: f64 = 0.85;

#[derive(Deserialize)]
struct Question {
    question: String,
    document: Option<String>,
    page: Option<u32>,
    answer_contains: Option<String>,
}

#[tokio::test]
async fn sample_questions_are_answered_from_the_right_page() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let folder = samples.join("documents");
    let test = TestApp::with(&[("KNOWLEDGE_WORKER_DOCUMENTS", folder.to_str().unwrap())]);
    let deadline = Instant::now() + Duration::from_secs(120);
    let report = test.app.ingest.reconcile(deadline, &test.app.records).await.unwrap();
    assert_eq!((report.indexed, report.quarantined, report.failed), (20, 0, 0), "{report:?}");

    let (mut answerable, mut cited, mut answered, mut wrong) = (0.0, 0.0, 0.0, Vec::new());
    for line in fs::read_to_string(samples.join("questions.jsonl")).unwrap().lines() {
        let asked: Question = serde_json::from_str(line).unwrap();
        let answer = test.post("/api/chat", &json!({"message": asked.question})).await.json();
        let sources = answer["citations"].as_array().unwrap();
        let Some(document) = &asked.document else {
            assert!(sources.is_empty(), "nobody can know {:?}, yet: {answer}", asked.question);
            continue;
        };
        let right = |source: &serde_json::Value| {
            source["name"] == json!(document) && asked.page.is_none_or(|page| source["page"] == json!(page))
        };
        answerable += 1.0;
        let is_cited = sources.iter().any(right);
        cited += f64::from(is_cited);
        answered +=
            f64::from(flat(&answer["response"].to_string()).contains(&flat(asked.answer_contains.as_deref().unwrap())));
        if !is_cited {
            wrong.push(asked.question);
        }
    }
    println!("{answerable} questions: {cited} cited the right page, {answered} held the expected words");
    assert!(cited / answerable >= LEAST_CITED, "{cited} of {answerable}; wrong: {wrong:#?}");
    assert!(answered / answerable >= LEAST_ANSWERED, "{answered} of {answerable}");
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
