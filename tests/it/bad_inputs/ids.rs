//! Ids of conversations that are somebody else's, or nobody's, or no ids.

use knowledge_worker::conversations::ConversationId;
use knowledge_worker::document::Principal;
use serde_json::{Value, json};

use super::with_json;
use crate::hostile::Besieged;
use crate::support::app::Answer;

/// What an answer says, without what is another in every answer.
fn said(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    for name in ["requestId", "instance", "traceId"] {
        body.as_object_mut().unwrap().remove(name);
    }
    (answer.status.as_u16(), body)
}

const CALLS: [(&str, &str, &str); 4] =
    [("GET", "", ""), ("GET", "/export", ""), ("PATCH", "", r#"{"title": "mine"}"#), ("DELETE", "", "")];

#[tokio::test]
async fn bad_input_07_somebody_elses_conversation_is_as_absent_as_one_that_never_was() {
    let besieged = Besieged::with(&[]).await;
    let (ann, id) = (Principal::user("t1", "ann", []).unwrap(), ConversationId::parse("hers").unwrap());
    besieged.test.app.conversations.begin(&ann, &id, "Where is the canary?").await.unwrap();
    for (method, part, body) in CALLS {
        let hers = besieged.test.send(with_json(method, &format!("/api/conversations/hers{part}"), body)).await;
        let nobodys = besieged.test.send(with_json(method, &format!("/api/conversations/none{part}"), body)).await;
        hers.assert_problem("not-found");
        assert_eq!(said(&hers), said(&nobodys), "{method} {part}");
    }
    let rated = |id: &str| json!({"conversation_id": id, "turn": 1, "rating": "down"});
    let hers = besieged.test.post("/api/feedback", &rated("hers")).await;
    assert_eq!(said(&hers), said(&besieged.test.post("/api/feedback", &rated("none")).await));
    assert!(besieged.test.app.conversations.get(&ann, &id).await.is_ok(), "it is still hers");
    besieged.stands().await;
}

#[tokio::test]
async fn bad_input_07_what_is_no_id_is_refused() {
    let besieged = Besieged::with(&[]).await;
    let long = "a".repeat(10_000);
    let ids = [
        "..%2Fx",
        "%2e%2e",
        "x%00",
        "'%20or%20'1'%20eq%20'1",
        "a%22;--",
        "id%27)%20or%20(1%20eq%201",
        "%F0%9F%9A%A2",
        "%ff",
        &long,
    ];
    for id in ids {
        for (method, part, body) in CALLS {
            let answer = besieged.test.send(with_json(method, &format!("/api/conversations/{id}{part}"), body)).await;
            assert_eq!(answer.status, 422, "{method} {id:.40}: {answer:?}");
            answer.assert_problem("invalid-request");
        }
    }
    for id in ["../x", "' or '1' eq '1", "a\0", "", &long] {
        let chat = json!({"message": "How deep?", "conversation_id": id});
        besieged.test.post("/api/chat", &chat).await.assert_problem("invalid-request");
        let rated = json!({"conversation_id": id, "turn": 1, "rating": "up"});
        besieged.test.post("/api/feedback", &rated).await.assert_problem("invalid-request");
    }
    besieged.stands().await;
}
