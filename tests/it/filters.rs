//! Filters at the doors: what a caller says about where to look acts on search and on answers, over HTTP and on the command
//! line, and what cannot be understood is refused.

use knowledge_worker::document::{DocumentId, Principal};
use knowledge_worker::ingest::intake::Submission;
use serde_json::{Value, json};

use crate::support::app::{TestApp, document_name};
use crate::support::process::Place;

/// Ferries with their departure and the category they are sorted under.
const FERRIES: &[(&str, &str, Option<&str>)] = &[
    ("north/skua.txt", "The ferry Skua leaves at six.", Some("ferries")),
    ("north/tern.txt", "The ferry Tern leaves at seven.", None),
    ("south/gull.txt", "The ferry Gull leaves at eight.", Some("ferries")),
    ("south/rook.txt", "The ferry Rook leaves at ten.", None),
];

async fn harbour() -> TestApp {
    let test = TestApp::new();
    for (name, text, category) in FERRIES {
        let (name, category) = (document_name(name), category.map(str::to_owned));
        let submission = Submission { name, bytes: text.as_bytes().into(), by: Principal::anonymous(), category };
        let row = test.app.ingest.accept(submission).await.unwrap();
        test.sync(row.name.as_str()).await;
    }
    test
}

/// When a document last changed, as a filter says it.
async fn changed(test: &TestApp, name: &str) -> String {
    let entry = test.app.index.entry(&DocumentId::of(&document_name(name))).await.unwrap().unwrap();
    entry.version.modified.to_rfc3339()
}

/// The files that a search with a filter finds, by name.
async fn found(test: &TestApp, filter: &Value) -> Vec<String> {
    let answer = test.post("/api/search", &json!({"query": "When does the ferry leave?", "filter": filter})).await;
    let results = answer.json()["results"].as_array().unwrap_or_else(|| panic!("{filter}: {answer:?}")).clone();
    let mut names: Vec<String> = results.iter().map(|result| result["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_search_keeps_to_its_filter() {
    let test = harbour().await;
    let (skua, tern) = ("north/skua.txt", "north/tern.txt");
    let (gull, rook) = ("south/gull.txt", "south/rook.txt");
    let id = DocumentId::of(&document_name(tern));
    let (from, before) = (changed(&test, tern).await, changed(&test, gull).await);
    for (filter, expected) in [
        (json!(null), vec![skua, tern, gull, rook]),
        (json!({"category": "ferries"}), vec![skua, gull]),
        (json!({"path_prefix": "north/"}), vec![skua, tern]),
        (json!({"documents": [gull, id.as_str()]}), vec![tern, gull]),
        (json!({"modified_from": from}), vec![tern, gull, rook]),
        (json!({"modified_before": before}), vec![skua, tern]),
        (json!({"modified_from": from, "modified_before": before}), vec![tern]),
        (json!({"category": "ferries", "path_prefix": "south/"}), vec![gull]),
        (json!({"category": "trains"}), vec![]),
        (json!({"exclude_category": "ferries"}), vec![tern, rook]),
        (json!({"exclude_category": "trains", "path_prefix": "north/"}), vec![skua, tern]),
        (json!({"category": "ferries", "exclude_category": "ferries"}), vec![]),
    ] {
        assert_eq!(found(&test, &filter).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn an_answer_rests_on_documents_of_its_filter_alone() {
    let test = harbour().await;
    let filter = json!({"documents": ["south/gull.txt"]});
    let question = "When does the ferry leave?";
    let simple = test.post("/api/chat", &json!({"message": question, "filter": filter})).await.json();
    let words = simple["response"].as_str().unwrap();
    assert!(words.contains("eight") && !words.contains("six") && !words.contains("seven"), "{simple}");
    let messages = json!([{"role": "user", "content": question}]);
    let body = json!({"messages": messages, "context": {"filter": filter, "overrides": {"top": 3}}});
    let whole = test.post("/api/chat", &body).await.json();
    assert_eq!(whole["context"]["data_points"]["text"].as_array().unwrap().len(), 1, "{whole}");
    let streamed = test.post("/api/chat/stream", &body).await.body;
    assert!(streamed.contains("Gull") && !streamed.contains("Skua"), "{streamed}");
    let of_a_frontend = async |overrides: Value| {
        let context = json!({"overrides": overrides});
        test.post("/chat", &json!({"messages": messages, "context": context, "session_state": null})).await
    };
    let texts = |answer: &Value| answer["context"]["data_points"]["text"].as_array().unwrap().len();
    assert_eq!(texts(&of_a_frontend(json!({})).await.json()), 4);
    assert_eq!(texts(&of_a_frontend(json!({"top": 3})).await.json()), 3);
    let one = of_a_frontend(json!({"top": 3, "exclude_category": "ferries"})).await.json();
    assert!(texts(&one) == 2 && !one.to_string().contains("Skua"), "{one}");
    let nowhere = json!({"messages": messages, "context": {"filter": {"category": "trains"}}});
    assert_eq!(test.post("/api/chat", &nowhere).await.json()["context"]["abstained"], true);
}

#[tokio::test]
async fn a_filter_that_cannot_be_understood_is_a_problem() {
    let test = TestApp::new();
    for (filter, field) in [
        (json!({"categories": ["secret"]}), "`category`"),
        (json!({"modified_from": "secret week"}), "modified_from"),
        (json!({"documents": []}), "documents"),
        (json!("secret"), "filter"),
    ] {
        for (path, body) in [
            ("/api/search", json!({"query": "ferry", "filter": filter})),
            ("/api/chat", json!({"message": "ferry", "filter": filter})),
            ("/api/chat", json!({"messages": [{"role": "user", "content": "ferry"}], "context": {"filter": filter}})),
        ] {
            let answer = test.post(path, &body).await;
            answer.assert_problem("invalid-request");
            assert_eq!(answer.status, 422, "{answer:?}");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(field) && !detail.contains("secret"), "{detail}");
        }
    }
}

#[test]
fn the_command_line_takes_the_same_conditions() {
    let place = Place::new();
    for (name, text, ..) in FERRIES {
        place.write(&format!("papers/{name}"), text);
    }
    place.run(&["ingest", "papers"]).assert_status(0);
    let found = |options: &[&str]| {
        let ran = place.run(&[&["search", "--json", "When does the ferry leave?"], options].concat());
        let results = ran.json()["results"].as_array().unwrap().clone();
        let mut names: Vec<String> = results.iter().map(|r| r["source"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(found(&[]).len(), 4);
    assert_eq!(found(&["--path", "north/"]).len(), 2);
    let two = found(&["--document", "north/skua.txt", "--document", "south/gull.txt"]);
    assert_eq!(two, ["north/skua.txt", "south/gull.txt"]);
    assert_eq!(found(&["--since", "2026-01-01", "--before", "2100-01-01T00:00:00Z"]).len(), 4);
    assert_eq!(found(&["--before", "2020-01-01"]), Vec::<String>::new());
    assert_eq!(found(&["--category", "ferries"]), Vec::<String>::new());
    let asked = place.run(&["ask", "--document", "south/gull.txt", "When does the ferry leave?"]);
    assert!(asked.stdout.contains("eight") && !asked.stdout.contains("six"), "{asked:?}");
    for (options, hint) in [(["--since", "yesterday"], "2026-05-01"), (["--document", "../x"], "segment")] {
        let refused = place.run(&[&["search", "ferry"], &options[..]].concat()).assert_status(2);
        assert!(refused.stderr.contains(hint), "{refused:?}");
    }
}
