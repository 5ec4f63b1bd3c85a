//! What is kept about a person can be given out whole, and erased so that nothing of it is left in any file; and nobody
//! else's is touched.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use futures_util::StreamExt;
use knowledge_worker::app::App;
use knowledge_worker::chat::answer::answer;
use knowledge_worker::chat::question::Question;
use knowledge_worker::chat::{ChatEvent, ChatRequest};
use knowledge_worker::conversations::ConversationId;
use knowledge_worker::conversations::feedback::Rating;
use knowledge_worker::document::Principal;
use knowledge_worker::ingest::intake::Submission;
use serde_json::json;

use crate::support::app::{TestApp, document_name};
use crate::support::process::Place;

/// Somebody uploads, asks, rates and proposes; each time the mark is in the words.
async fn live(test: &TestApp, who: &Principal, mark: &str) {
    let app = &test.app;
    let (name, text) = (format!("{mark}.md"), format!("# Harbour\n\nThe pilot of the harbour is called {mark}.\n"));
    let submission =
        Submission { name: document_name(&name), bytes: Bytes::from(text), by: who.clone(), category: None };
    app.ingest.accept(submission).await.unwrap();
    test.sync(&name).await;
    let words = format!("Is the pilot of the harbour called {mark}?");
    let id = ConversationId::parse("harbour").unwrap();
    let open = app.conversations.begin(who, &id, &words).await.unwrap();
    let question = Question::parse(&words, 1_000).unwrap();
    let request = ChatRequest::of(question);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let events = open.record(answer(Arc::clone(&app.chat), who.clone(), request).boxed(), deadline);
    let events: Vec<ChatEvent> = events.map(|event| event.unwrap()).collect().await;
    assert!(matches!(events.last(), Some(ChatEvent::Done(done)) if !done.abstained), "{events:?}");
    app.conversations.rate(who, &id, 1, Rating::Up, Some(format!("{mark} indeed"))).await.unwrap();
    let task = json!({"title": format!("Call {mark}"), "description": "Ask for the tide."});
    app.actions.propose(who, "create_task", &task).await.unwrap();
}

async fn kinds(app: &App, who: &Principal) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    app.privacy().export(who, |item| kinds.push(item.kind)).await.unwrap();
    kinds
}

/// Files under a folder that hold some bytes.
fn holding(folder: &Path, mark: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            holding(&path, mark, found);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(mark.len()).any(|window| window == mark.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
}

#[tokio::test]
async fn everything_of_a_person_comes_out_and_nothing_stays_and_others_are_left_alone() {
    let test = TestApp::with(&[
        ("ACTIONS", "create_task"),
        ("ACTION_WEBHOOK_URL", "http://127.0.0.1:9/"),
        ("CACHE_ANSWER_SECONDS", "0"),
        ("CACHE_SEARCH_SECONDS", "0"),
        ("INDEX_REFRESH_SECONDS", "0"),
    ]);
    let ann = Principal::user("home", "ann", []).unwrap();
    let bob = Principal::user("home", "bob", []).unwrap();
    live(&test, &ann, "Quokkamarmalade").await;
    live(&test, &bob, "Wombatchutney").await;
    // All in one segment, as after a while.
    for n in 0..8 {
        test.ingest(&format!("{n}.md"), format!("# Note {n}\n\nNothing of anybody.\n")).await;
    }
    test.app.index.tidy(Duration::ZERO, Instant::now() + Duration::from_secs(60)).await.unwrap();
    assert_eq!(test.app.index.status().await.unwrap().segments, 1);
    let all = ["conversation", "feedback", "action", "document", "audit"];
    assert_eq!(kinds(&test.app, &ann).await, all);
    let mut before = Vec::new();
    holding(&test.data(), "Quokkamarmalade", &mut before);
    assert!(before.iter().any(|file| file.contains("records.db")), "{before:?}");

    let erased = test.app.privacy().erase(&ann, false, Duration::ZERO).await.unwrap();
    assert_eq!((erased.feedback, erased.actions, erased.documents, erased.segments), (1, 1, 1, 1), "{erased:?}");
    assert!(erased.conversation_records >= 2);
    assert_eq!(kinds(&test.app, &ann).await, ["audit"], "the audit stays, and holds no words");
    assert_eq!(kinds(&test.app, &bob).await, all);
    assert!(test.ask("Is the pilot of the harbour called Wombatchutney?").await.contains("Wombatchutney"));
    let mut after = Vec::new();
    holding(&test.documents(), "Quokkamarmalade", &mut after);
    holding(&test.data().join("index").join("segments"), "quokkamarmalade", &mut after);
    for said in ["called Quokkamarmalade", "Quokkamarmalade indeed", "Call Quokkamarmalade"] {
        holding(&test.data(), said, &mut after);
    }
    assert_eq!(after, Vec::<String>::new(), "what was written, asked, said and proposed is in no file");

    let again = test.app.privacy().erase(&ann, false, Duration::ZERO).await.unwrap();
    assert_eq!(again, Default::default(), "a second time there is nothing to do");
}

#[test]
fn the_command_asks_before_it_erases() {
    let place = Place::new();
    let refused = place.run(&["privacy", "erase", "home/ann"]).assert_status(1);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    let erased = place.run(&["privacy", "erase", "home/ann", "--yes", "--json"]).assert_status(0);
    assert_eq!(erased.json()["documents"], 0);
    place.run(&["privacy", "export", "ann"]).assert_status(1);
    let audit = place.run(&["audit", "export", "--json"]).assert_status(0);
    assert!(audit.stdout.contains("person.erased") && !audit.stdout.contains("ann"), "{}", audit.stdout);
}
