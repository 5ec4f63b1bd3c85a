//! Conversations: kept for whoever asked, in one order whoever writes, with answers that are whole or said not to be; requests
//! that are repeated and count once; and what people say of answers.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::TimeDelta;
use futures_util::StreamExt;
use futures_util::future::join_all;
use knowledge_worker::chat::{ChatRequest, question::Question};
use knowledge_worker::conversations::once::Asked;
use knowledge_worker::conversations::{ConversationId, TurnState};
use knowledge_worker::dialects::{Decoded, Dialect, Echo};
use knowledge_worker::document::Principal;
use knowledge_worker::error::ErrorKind;
use knowledge_worker::functions::answering;
use serde_json::{Value, json};

use crate::fake_openai::{Ending, FakeOpenAi, Script};
use crate::support::app::{Answer, TestApp, get, post_json};
use crate::support::process::eventually;

const QUESTION: &str = "When does the ferry leave?";

async fn with_documents(settings: &[(&str, &str)]) -> TestApp {
    let test = TestApp::with(settings);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine. The ferry costs four crowns.\n").await;
    test
}

async fn ask_in(test: &TestApp, conversation: &str, question: &str) -> Answer {
    test.post("/api/chat", &json!({ "message": question, "conversation_id": conversation })).await
}

async fn look(test: &TestApp, conversation: &str) -> Value {
    test.send(get(&format!("/api/conversations/{conversation}"))).await.json()
}

fn send(method: &str, path: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    request.body(body.to_owned().into()).unwrap()
}

#[tokio::test]
async fn a_conversation_begins_with_its_first_question_and_is_kept() {
    let test = with_documents(&[]).await;
    let first = ask_in(&test, "c-1", QUESTION).await.json();
    assert_eq!((&first["conversation_id"], &first["turn"]), (&json!("c-1"), &json!(1)), "{first}");
    assert_eq!(ask_in(&test, "c-1", "What does the ferry cost?").await.json()["turn"], 2);
    let kept = look(&test, "c-1").await;
    assert_eq!(kept["conversation"]["title"], QUESTION);
    let turns = kept["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 2);
    assert_eq!((&turns[0]["question"], &turns[0]["state"]), (&json!(QUESTION), &json!("complete")));
    assert!(turns[1]["answer"].as_str().unwrap().contains("four crowns"), "{kept}");
    let provenance = &turns[0]["provenance"];
    assert_eq!((&provenance["model"], &provenance["generation"]), (&json!("extractive"), &json!(1)));
    assert_eq!(provenance["passages"].as_array().unwrap().len(), 1);
    assert_eq!(turns[0]["citations"][0]["name"], "ferry.md");
    let listed = test.send(get("/api/conversations")).await.json();
    assert_eq!(listed["conversations"][0]["id"], "c-1");
    let exported = test.send(get("/api/conversations/c-1/export")).await;
    assert!(exported.headers["content-disposition"].to_str().unwrap().contains("conversation-c-1.json"));
    assert_eq!(exported.json()["turns"], kept["turns"]);
}

#[tokio::test]
async fn the_history_comes_from_the_conversation() {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let test = with_documents(&[("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "chat")]).await;
    fake.push(Script::new(&["At nine [1]."]));
    assert_eq!(ask_in(&test, "c", QUESTION).await.status, StatusCode::OK);
    fake.push(Script::new(&["Four crowns [1]."]));
    let body = json!({
        "message": "What does the ferry cost?",
        "conversation_id": "c",
        "conversation_history": [{"role": "user", "content": "forged"}],
    });
    assert_eq!(test.post("/api/chat", &body).await.status, StatusCode::OK);
    let sent = fake.requests().pop().unwrap().body["messages"].to_string();
    assert!(sent.contains("At nine [1]") && sent.contains(QUESTION) && !sent.contains("forged"), "{sent}");
}

#[tokio::test]
async fn it_is_renamed_and_deleted_and_then_as_absent_as_one_that_never_was() {
    let test = with_documents(&[]).await;
    ask_in(&test, "c", QUESTION).await;
    let renamed = test.send(send("PATCH", "/api/conversations/c", r#"{"title": " The\nferry "}"#)).await;
    assert_eq!((renamed.status, &renamed.json()["title"]), (StatusCode::OK, &json!("The ferry")));
    test.send(send("PATCH", "/api/conversations/c", r#"{"title": " "}"#)).await.assert_problem("invalid-request");
    assert_eq!(test.send(send("DELETE", "/api/conversations/c", "")).await.status, StatusCode::NO_CONTENT);
    let (gone, never) = (
        test.send(get("/api/conversations/c")).await.json(),
        test.send(get("/api/conversations/never-there")).await.json(),
    );
    for field in ["status", "code", "detail", "title"] {
        assert_eq!(gone[field], never[field]);
    }
    assert_eq!(gone["status"], 404);
    assert_eq!(test.app.records.count("turns/anonymous/c").await.unwrap(), 0);
    test.send(get("/api/conversations/..%2Fx")).await.assert_problem("invalid-request");
    ask_in(&test, "c'; --", QUESTION).await.assert_problem("invalid-request");
}

#[tokio::test]
async fn nobody_sees_the_conversation_of_somebody_else() {
    let test = with_documents(&[]).await;
    let id = ConversationId::parse("c").unwrap();
    let user = |name: &str| Principal::user("t1", name, []).unwrap();
    test.app.conversations.begin(&user("ann"), &id, "Ann's question").await.unwrap();
    assert!(test.app.conversations.get(&user("ann"), &id).await.is_ok());
    for other in [user("bob"), Principal::anonymous()] {
        let refused = test.app.conversations.get(&other, &id).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        assert!(test.app.conversations.list(&other, None, 10).await.unwrap().conversations.is_empty());
        assert!(test.app.conversations.history(&other, &id, 10).await.unwrap().is_empty());
        assert_eq!(test.app.conversations.delete(&other, &id).await.unwrap_err().kind(), ErrorKind::NotFound);
        let named = test.app.conversations.rename(&other, &id, "mine").await;
        assert_eq!(named.unwrap_err().kind(), ErrorKind::NotFound);
    }
    // The same id is another conversation for somebody else.
    test.app.conversations.begin(&user("bob"), &id, "Bob's question").await.unwrap();
    assert_eq!(test.app.conversations.get(&user("ann"), &id).await.unwrap().1[0].question, "Ann's question");
}

#[tokio::test]
async fn many_who_write_at_once_lose_no_turn() {
    const WRITERS: usize = 60;
    let test = with_documents(&[]).await;
    let asked = join_all((0..WRITERS).map(|number| {
        let test = &test;
        async move { (number, ask_in(test, "c", &format!("When does ferry {number} leave?")).await) }
    }));
    let answers = asked.await;
    let stored = look(&test, "c").await;
    let turns = stored["turns"].as_array().unwrap();
    let (mut kept, mut turned_away) = (0, 0);
    for (number, answer) in &answers {
        match answer.status {
            StatusCode::OK => {
                let turn = answer.json()["turn"].as_u64().unwrap();
                let at = turns.iter().find(|stored| stored["number"] == turn).expect("the turn is kept");
                assert_eq!(at["question"], format!("When does ferry {number} leave?"));
                assert_eq!(at["state"], "complete");
                kept += 1;
            }
            StatusCode::CONFLICT => turned_away += 1,
            other => panic!("{other}: {answer:?}"),
        }
    }
    assert_eq!((kept + turned_away, turns.len()), (WRITERS, kept));
    assert!(kept > WRITERS / 2, "most get through: {kept}");
}

/// The events of an answer in a conversation, as a route begins it.
async fn begin(test: &TestApp, key: Option<&str>) -> Result<answering::Events, ErrorKind> {
    let question = Question::parse(QUESTION, 100).unwrap();
    let decoded = Decoded {
        request: ChatRequest { is_streamed: true, ..ChatRequest::of(question) },
        conversation: Some("c".to_owned()),
        echo: Echo { dialect: Dialect::Simple, session_state: Value::Null, turn: None },
    };
    let mut headers = axum::http::HeaderMap::new();
    if let Some(key) = key {
        headers.insert(answering::KEY_HEADER, key.parse().unwrap());
    }
    let begun = answering::begin(&test.app, Principal::anonymous(), decoded, &headers, b"body").await;
    begun.map(|(_, events)| events).map_err(|e| e.kind())
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_shown_as_whole() {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let test = with_documents(&[("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "chat")]).await;
    fake.push(Script::new(&["The ferry leaves at nine [1]. ", "It"]).ending(Ending::Cut));
    assert!(ask_in(&test, "c", QUESTION).await.status.is_server_error());
    fake.push(Script::new(&["The ferry leaves at nine [1]. ", "It"]).ending(Ending::Hang));
    let mut events = begin(&test, None).await.unwrap();
    while let Some(event) = events.next().await {
        if matches!(event, Ok(knowledge_worker::chat::ChatEvent::Text(_))) {
            break;
        }
    }
    assert_eq!(look(&test, "c").await["turns"][1]["state"], "answering");
    drop(events);
    let turn = async || {
        let turn = look(&test, "c").await["turns"][1].clone();
        (turn["state"] == "incomplete").then_some(turn)
    };
    let left = eventually("the turn is marked", turn).await;
    assert!(left["answer"].as_str().unwrap().starts_with("The ferry"), "{left}");
    assert_eq!(look(&test, "c").await["turns"][0]["state"], "incomplete");
    assert!(
        test.app
            .conversations
            .history(&Principal::anonymous(), &ConversationId::parse("c").unwrap(), 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_turn_whose_process_died_is_incomplete() {
    let test = with_documents(&[]).await;
    let id = ConversationId::parse("c").unwrap();
    let anyone = Principal::anonymous();
    let _never_answered = test.app.conversations.begin(&anyone, &id, QUESTION).await.unwrap();
    let state = async |app: &knowledge_worker::app::App| app.conversations.get(&anyone, &id).await.unwrap().1[0].state;
    assert_eq!(state(&test.app).await, TurnState::Answering);
    let later = knowledge_worker::clock::Clock::manual(test.clock.now() + TimeDelta::minutes(16));
    assert_eq!(state(&test.again_at(&later, &[])).await, TurnState::Incomplete);
}

#[tokio::test]
async fn conversations_end_with_their_time_and_need_not_be_kept() {
    let test = with_documents(&[("CONVERSATION_DAYS", "1")]).await;
    ask_in(&test, "c", QUESTION).await;
    let later = knowledge_worker::clock::Clock::manual(test.clock.now() + TimeDelta::hours(25));
    let later = TestApp::of(test.again_at(&later, &[("CONVERSATION_DAYS", "1")]), &test);
    assert_eq!(later.send(get("/api/conversations/c")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(later.send(get("/api/conversations")).await.json()["conversations"], json!([]));
    let none = with_documents(&[("CONVERSATION_DAYS", "0")]).await;
    let answer = ask_in(&none, "c", QUESTION).await;
    assert_eq!((answer.status, answer.json().get("turn").cloned()), (StatusCode::OK, None));
    assert!(none.app.records.partitions().await.unwrap().iter().all(|name| !name.starts_with("turns")));
}

fn with_key(key: &str, body: &Value) -> Request<Body> {
    let mut request = post_json("/api/chat", body.to_string());
    request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    request
}

#[tokio::test]
async fn bad_input_11_a_repeated_request_is_one_request() {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let settings = [("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "chat"), ("CACHE_ANSWER_SECONDS", "0")];
    let test = with_documents(&settings).await;
    let body = json!({"message": QUESTION, "conversation_id": "c"});
    fake.push(Script::new(&["At nine [1]."]).gated());
    let first = test.send(with_key("k", &body));
    let others = async {
        fake.arrival().await;
        let others = join_all((0..20).map(|_| test.send(with_key("k", &body)))).await;
        fake.release(2);
        others
    };
    let (first, others) = tokio::join!(first, others);
    assert_eq!(first.status, StatusCode::OK);
    others.iter().for_each(|other| other.assert_problem("idempotency-key-in-use"));
    let again = test.send(with_key("k", &body)).await.json();
    for field in ["response", "turn", "citations"] {
        assert_eq!(again[field], first.json()[field], "{field}");
    }
    let other = json!({"message": "What does the ferry cost?", "conversation_id": "c"});
    test.send(with_key("k", &other)).await.assert_problem("idempotency-key-reused");
    assert_eq!(fake.requests().len(), 1, "one call of the model");
    assert_eq!(look(&test, "c").await["turns"].as_array().unwrap().len(), 1, "one turn");
    let long = "k".repeat(256);
    test.send(with_key(&long, &body)).await.assert_problem("invalid-request");
}

#[tokio::test]
async fn a_request_that_failed_may_be_tried_again_with_its_key() {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let test = with_documents(&[("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "chat")]).await;
    let body = json!({"message": QUESTION});
    fake.push(Script::new(&["half "]).ending(Ending::Cut));
    assert!(test.send(with_key("k", &body)).await.status.is_server_error());
    fake.push(Script::new(&["At nine [1]."]));
    let again = async || {
        let answer = test.send(with_key("k", &body)).await;
        (answer.status == StatusCode::OK).then_some(answer)
    };
    eventually("the key is free again", again).await;
}

#[tokio::test]
async fn the_key_of_a_process_that_died_is_free_after_the_longest_answer() {
    let test = with_documents(&[("INVOCATION_TIMEOUT_SECONDS", "60")]).await;
    let events = begin(&test, Some("k")).await.unwrap();
    assert_eq!(begin(&test, Some("k")).await.err(), Some(ErrorKind::KeyInUse));
    let later = knowledge_worker::clock::Clock::manual(test.clock.now() + TimeDelta::seconds(61));
    let later = TestApp::of(test.again_at(&later, &[("INVOCATION_TIMEOUT_SECONDS", "60")]), &test);
    assert!(begin(&later, Some("k")).await.is_ok());
    drop(events);
}

#[tokio::test]
async fn feedback_becomes_rows_for_an_evaluation() {
    let test = with_documents(&[]).await;
    ask_in(&test, "c", QUESTION).await;
    let rate = async |body: Value| test.post("/api/feedback", &body).await;
    let up = json!({"conversation_id": "c", "turn": 1, "rating": "up", "comment": "Good."});
    assert_eq!(rate(up.clone()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(rate(up).await.status, StatusCode::NO_CONTENT);
    rate(json!({"conversation_id": "c", "turn": 2, "rating": "up"})).await.assert_problem("not-found");
    rate(json!({"conversation_id": "other", "turn": 1, "rating": "up"})).await.assert_problem("not-found");
    rate(json!({"conversation_id": "c", "turn": 1, "rating": "great"})).await.assert_problem("invalid-request");
    let said = test.app.conversations.feedback().await.unwrap();
    assert_eq!(said.len(), 1, "said twice is said once");
    let row = said[0].row();
    assert_eq!(
        (&row["question"], &row["document"], &row["rating"]),
        (&json!(QUESTION), &json!("ferry.md"), &json!("up"))
    );
    assert!(!serde_json::to_string(&said).unwrap().contains("anonymous"), "who said it is a hash");
}

#[tokio::test]
async fn a_streamed_answer_names_its_turn_first() {
    let test = with_documents(&[]).await;
    let body = json!({"messages": [{"role": "user", "content": QUESTION}], "context": {"conversation_id": "c"}});
    let streamed = test.post("/api/chat/stream", &body).await;
    let first: Value = serde_json::from_str(streamed.body.lines().next().unwrap()).unwrap();
    assert_eq!((&first["context"]["conversation_id"], &first["context"]["turn"]), (&json!("c"), &json!(1)));
    assert_eq!(look(&test, "c").await["turns"][0]["state"], "complete", "it is kept before the last line is sent");
}

#[tokio::test]
async fn a_request_that_is_repeated_after_its_process_died_is_the_same_turn() {
    let fake = FakeOpenAi::start().await;
    let url = fake.url();
    let settings = [
        ("OPENAI_BASE_URL", url.as_str()),
        ("OPENAI_MODEL", "chat"),
        ("CACHE_ANSWER_SECONDS", "0"),
        ("INVOCATION_TIMEOUT_SECONDS", "60"),
    ];
    let clock = knowledge_worker::clock::Clock::manual("2026-06-01T12:00:00Z".parse().unwrap());
    let test = TestApp::at(&clock, &settings);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine. The ferry costs four crowns.\n").await;
    let body = json!({"message": QUESTION, "conversation_id": "c"});
    let anyone = Principal::anonymous();
    let id = ConversationId::parse("c").unwrap();
    // As a process leaves it that is killed: the turn is begun, and the key is in use.
    let Asked::First(mut leave) =
        test.app.once.ask(&anyone, "k", body.to_string().as_bytes(), Some(&id)).await.unwrap()
    else {
        panic!("nobody has asked before");
    };
    let open = test.app.conversations.begin(&anyone, &id, QUESTION).await.unwrap();
    leave.is_turn(open.number()).await.unwrap();
    std::mem::forget((leave, open));
    test.send(with_key("k", &body)).await.assert_problem("idempotency-key-in-use");
    clock.advance(std::time::Duration::from_secs(61));
    fake.push(Script::new(&["At nine [1]."]));
    let answered = test.send(with_key("k", &body)).await;
    assert_eq!((answered.status, &answered.json()["turn"]), (StatusCode::OK, &json!(1)));
    let turns = look(&test, "c").await["turns"].clone();
    assert_eq!((turns.as_array().unwrap().len(), &turns[0]["state"]), (1, &json!("complete")), "{turns}");
    assert_eq!(fake.requests().len(), 1);
    assert!(test.app.conversations.resume(&anyone, &id, 1).await.unwrap().is_none(), "what has its answer keeps it");
    // One that fails is tried again in its turn, too; with another body it is another request.
    let failing = json!({"message": "What does the ferry cost?", "conversation_id": "c"});
    fake.push(Script::new(&["It costs"]).ending(Ending::Cut));
    assert!(test.send(with_key("f", &failing)).await.status.is_server_error());
    test.send(with_key("f", &body)).await.assert_problem("idempotency-key-reused");
    fake.push(Script::new(&["Four crowns [1]."]));
    assert_eq!(test.send(with_key("f", &failing)).await.json()["turn"], 2);
    let turns = look(&test, "c").await["turns"].clone();
    assert_eq!((turns.as_array().unwrap().len(), &turns[1]["state"]), (2, &json!("complete")), "{turns}");
}

#[tokio::test]
async fn a_key_whose_caller_left_while_the_turn_was_noted_is_free() {
    let test = with_documents(&[]).await;
    let (anyone, id) = (Principal::anonymous(), ConversationId::parse("c").unwrap());
    let ask = async || test.app.once.ask(&anyone, "k", b"body", Some(&id)).await;
    let Ok(Asked::First(left)) = ask().await else { panic!("nobody has asked before") };
    // What was written there, the one who left never learnt.
    let mut unseen = left.clone();
    unseen.is_turn(7).await.unwrap();
    std::mem::forget(unseen);
    assert_eq!(ask().await.err().map(|e| e.kind()), Some(ErrorKind::KeyInUse));
    drop(left);
    let next = eventually("the key is free", async || ask().await.ok()).await;
    let Asked::First(next) = next else { panic!("there is no answer yet") };
    assert_eq!(next.begun(), Some(7));
    // It goes with its conversation from the beginning.
    std::mem::forget(next);
    test.app.conversations.begin(&anyone, &id, QUESTION).await.map(std::mem::forget).unwrap();
    assert!(test.send(send("DELETE", "/api/conversations/c", "")).await.status.is_success());
    assert_eq!(test.app.records.count("once/anonymous").await.unwrap(), 0);
}

#[tokio::test]
async fn a_deleted_conversation_takes_along_what_was_said_of_it_and_what_was_kept_for_repeats() {
    let test = with_documents(&[]).await;
    for conversation in ["gone", "stays"] {
        let body = json!({"message": QUESTION, "conversation_id": conversation});
        assert_eq!(test.send(with_key(conversation, &body)).await.status, StatusCode::OK);
        let rating = json!({"conversation_id": conversation, "turn": 1, "rating": "up", "comment": conversation});
        assert!(test.post("/api/feedback", &rating).await.status.is_success());
    }
    assert!(test.send(send("DELETE", "/api/conversations/gone", "")).await.status.is_success());
    let said = test.app.conversations.feedback().await.unwrap();
    assert_eq!(said.iter().map(|said| said.comment.as_deref()).collect::<Vec<_>>(), [Some("stays")]);
    assert_eq!(
        test.app.records.count("once/anonymous").await.unwrap(),
        1,
        "the answer that is kept is of the other one"
    );
    let again = test.send(with_key("stays", &json!({"message": QUESTION, "conversation_id": "stays"}))).await;
    assert_eq!(again.json()["turn"], 1);
    test.send(send("DELETE", "/api/conversations/gone", "")).await.assert_problem("not-found");
}
