//! Reports: real files made of what their reader may read, with where each part is from, for their reader alone.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use knowledge_worker::actions::{Action, ActionState};
use knowledge_worker::document::Principal;
use knowledge_worker::error::ErrorKind;
use serde_json::{Value, json};

use super::{propose, step};
use crate::fake_openai::{FakeOpenAi, Script};
use crate::support::app::{Answer, TestApp, get};

const SETTINGS: &[(&str, &str)] = &[("ACTIONS", "generate_report"), ("FOLDER_RIGHTS", "hr/=user:ann")];

async fn with_documents() -> TestApp {
    let test = TestApp::with(SETTINGS);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine. The ferry costs four crowns.\n").await;
    test.ingest("hr/pay.md", "# Pay\n\nThe ferry captain earns 4711 crowns.\n").await;
    test
}

async fn confirmed(test: &TestApp, parameters: Value) -> Value {
    let action = propose(test, &json!({"action_type": "generate_report", "parameters": parameters})).await;
    step(test, &action, "confirm").await.json()
}

async fn download(test: &TestApp, done: &Value) -> Answer {
    test.send(get(done["result"]["url"].as_str().unwrap_or_else(|| panic!("{done}")))).await
}

#[tokio::test]
async fn a_report_answers_a_question_with_its_sources_in_every_format() {
    let test = with_documents().await;
    for (format, extension, kind) in [
        ("markdown", "md", "text/markdown; charset=utf-8"),
        ("html", "html", "text/html; charset=utf-8"),
        ("docx", "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ] {
        let wanted = json!({"title": "Fähre / heute", "query": "When does the ferry leave?", "format": format});
        let done = confirmed(&test, wanted).await;
        assert_eq!((&done["state"], &done["result"]["format"]), (&json!("done"), &json!(format)), "{done}");
        let report = download(&test, &done).await;
        assert_eq!((report.status, &report.headers["content-type"]), (StatusCode::OK, &kind.parse().unwrap()));
        let disposition = report.headers["content-disposition"].to_str().unwrap();
        assert_eq!(disposition, format!("attachment; filename*=UTF-8''F%C3%A4hre%20-%20heute.{extension}"));
        assert!(report.headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
        // What the product itself reads out of the file.
        let path = format!("read/{format}.{extension}");
        let kept = test.app.actions.reports().get(&Principal::anonymous(), done["id"].as_str().unwrap()).await.unwrap();
        assert_eq!(kept.bytes.len() as u64, done["result"]["size_bytes"].as_u64().unwrap());
        test.ingest(&path, &kept.bytes).await;
        let row = test.row(&path).await.unwrap();
        let passages = test.app.index.passages(&Principal::anonymous(), &row.id).await.unwrap();
        let text: String =
            passages.iter().map(|passage| format!("{}\n{}\n", passage.heading_path.join("/"), passage.text)).collect();
        for expected in ["When does the ferry leave?", "The ferry leaves at nine. [1]", "[1] ferry.md", "four crowns"] {
            assert!(text.contains(expected), "{format}: {expected} in {text}");
        }
        assert!(!text.contains("4711"), "{text}");
        test.delete(&path);
        test.sync(&path).await;
    }
}

#[tokio::test]
async fn a_report_holds_what_its_reader_may_read_and_is_theirs_alone() {
    let test = with_documents().await;
    let actions = &test.app.actions;
    let (ann, bob) = (Principal::user("home", "ann", []).unwrap(), Principal::user("home", "bob", []).unwrap());
    let wanted = json!({"title": "Pay", "documents": ["hr/pay.md", "ferry.md"]});
    let made = async |who: &Principal| -> Action {
        let proposed = actions.propose(who, "generate_report", &wanted).await.unwrap();
        actions.confirm(who, &proposed.id).await.unwrap()
    };
    let (of_ann, of_bob) = (made(&ann).await, made(&bob).await);
    let text = async |who: &Principal, id: &str| -> String {
        String::from_utf8(actions.reports().get(who, id).await.unwrap().bytes.to_vec()).unwrap()
    };
    assert!(text(&ann, &of_ann.id).await.contains("4711"));
    let for_bob = text(&bob, &of_bob.id).await;
    assert!(!for_bob.contains("4711") && !for_bob.contains("pay") && for_bob.contains("ferry\\.md"), "{for_bob}");
    let theirs = actions.reports().get(&bob, &of_ann.id).await.unwrap_err();
    assert_eq!(theirs.kind(), ErrorKind::NotFound);
    assert_eq!(actions.reports().delete(&bob, &of_ann.id).await.unwrap_err().kind(), ErrorKind::NotFound);
    for id in [of_ann.id.as_str(), "never", "..%2f..%2frecords.db", "%ff"] {
        let answer = test.send(get(&format!("/api/reports/{id}"))).await;
        answer.assert_problem("not-found");
        assert_eq!(answer.json()["detail"], "there is no such report");
    }
    // A document that one may not read is as absent as one that is not there.
    for documents in [json!(["hr/pay.md"]), json!(["nowhere.md"])] {
        let wanted = json!({"title": "Pay", "documents": documents});
        let proposed = actions.propose(&bob, "generate_report", &wanted).await.unwrap();
        let ended = actions.confirm(&bob, &proposed.id).await.unwrap();
        assert_eq!((ended.state, ended.error.unwrap().code.as_str()), (ActionState::Failed, "not-found"));
    }
}

#[tokio::test]
async fn a_report_is_deleted_and_then_gone() {
    let test = with_documents().await;
    let done =
        confirmed(&test, json!({"title": "Ferry", "documents": ["ferry.md"], "query": "What does the ferry cost?"}))
            .await;
    let delete = || Request::delete(done["result"]["url"].as_str().unwrap()).body(Body::empty()).unwrap();
    assert_eq!(test.send(delete()).await.status, StatusCode::NO_CONTENT);
    download(&test, &done).await.assert_problem("not-found");
    test.send(delete()).await.assert_problem("not-found");
}

#[tokio::test]
async fn a_report_about_nothing_is_refused() {
    let test = with_documents().await;
    for parameters in [
        json!({"title": "Ferry"}),
        json!({"title": "Ferry", "query": "  "}),
        json!({"title": "Two\nlines", "query": "x"}),
        json!({"title": "Ferry", "query": "x", "format": "exe"}),
        json!({"title": "Ferry", "documents": vec!["a"; 51]}),
        json!({"title": "Ferry", "query": "x".repeat(1_001)}),
    ] {
        let proposal = json!({"action_type": "generate_report", "parameters": parameters});
        test.post("/api/actions", &proposal).await.assert_problem("invalid-request");
    }
    let bad = json!({"action_type": "generate_report", "parameters": {"title": "Ferry", "documents": ["../x"]}});
    test.post("/api/actions", &bad).await.assert_problem("invalid-name");
}

#[tokio::test]
async fn the_answer_of_a_report_counts_against_the_tokens_of_a_day() {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let settings = |budget| {
        let model = [("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "chat"), ("TOKEN_BUDGET_PER_DAY", budget)];
        [SETTINGS, &model].concat()
    };
    let (poor, rich) = (TestApp::with(&settings("10")), TestApp::with(&settings("100000")));
    let parameters = json!({"title": "Ferry", "query": "When does the ferry leave?"});
    let proposal = json!({"action_type": "generate_report", "parameters": parameters});
    let action = propose(&poor, &proposal).await;
    step(&poor, &action, "confirm").await.assert_problem("token-budget-used");
    let path = format!("/api/actions/{}", action["id"].as_str().unwrap());
    assert_eq!(poor.send(get(&path)).await.json()["state"], "proposed", "it can be confirmed tomorrow");
    assert!(fake.requests().is_empty());
    rich.ingest("ferry.md", "The ferry leaves at nine.").await;
    fake.push(Script::new(&["It leaves at nine [1]."]));
    let action = propose(&rich, &proposal).await;
    let done = step(&rich, &action, "confirm").await.json();
    assert!(done["result"]["tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{done}");
    assert_eq!(fake.requests().len(), 1);
}
