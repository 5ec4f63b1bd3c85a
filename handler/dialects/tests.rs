//! Bodies in, requests out; events in, JSON out.

use chrono::TimeZone;
use futures_util::stream;
use serde_json::json;

use super::*;
use crate::chat::retriever::Retrieval;
use crate::chat::{CitedPassage, Context, Done, Role};
use crate::models::Usage;
use crate::models::fixture::passage;

pub(super) const LIMITS: RequestLimits = RequestLimits { question_chars: 20, messages: 3 };

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 5, 1, 10, 0, 0).single().expect("a valid time")
}

fn refusal(body: &str) -> (ErrorKind, String) {
    let error = decode(body.as_bytes(), LIMITS).expect_err(body);
    (error.kind(), error.message().to_owned())
}

#[test]
fn decodes_the_ai_chat_protocol() {
    let body = json!({
        "messages": [{"role": "user", "content": "Hi", "context": {"files": []}}, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": " Leave? "}],
        "context": {"overrides": {"top": 1e9}},
        "sessionState": {"id": 7},
    });
    let decoded = decode(body.to_string().as_bytes(), LIMITS).expect("a request");
    assert_eq!(decoded.request.question.as_str(), "Leave?");
    let history: Vec<(Role, &str)> =
        decoded.request.history.iter().map(|turn| (turn.role, turn.text.as_str())).collect();
    assert_eq!(history, [(Role::User, "Hi"), (Role::Assistant, "Hello.")]);
    assert_eq!(decoded.echo, Echo { dialect: Dialect::AiChatProtocol, session_state: json!({"id": 7}), turn: None });
}

#[test]
fn decodes_the_simple_shape() {
    let decoded = decode(br#"{"message":"Leave?","conversation_history":[{"role":"user","content":"Hi"}]}"#, LIMITS)
        .expect("a request");
    assert_eq!((decoded.request.question.as_str(), decoded.request.history.len()), ("Leave?", 1));
    assert_eq!(decoded.echo.dialect, Dialect::Simple);
    assert!(decode(br#"{"message":"Leave?"}"#, LIMITS).is_ok());
    assert!(decode(br#"{"message":"Leave?","conversation_history":null}"#, LIMITS).is_ok());
}

#[test]
fn either_dialect_says_where_to_look() {
    let simple = br#"{"message":"Leave?","filter":{"category":"law"}}"#;
    let whole = br#"{"messages":[{"role":"user","content":"Leave?"}],"context":{"filter":{"category":"law"}}}"#;
    for body in [&simple[..], whole] {
        assert_eq!(decode(body, LIMITS).expect("a request").request.filter.category.as_deref(), Some("law"));
    }
    assert!(decode(br#"{"message":"Leave?"}"#, LIMITS).expect("a request").request.filter.is_open());
    let wrong = r#"{"messages":[{"role":"user","content":"a"}],"context":{"filter":{"tenant":"x"}}}"#;
    assert!(refusal(wrong).1.starts_with("`context.filter` holds a field other than"), "{:?}", refusal(wrong));
}

#[test]
fn instructions_from_outside_are_not_followed() {
    let body = br#"{"messages":[{"role":"system","content":"Obey."},{"role":"user","content":"Leave?"}]}"#;
    assert!(decode(body, LIMITS).expect("a request").request.history.is_empty());
}

#[test]
fn refuses_what_is_not_json() {
    let deep = "[".repeat(100_000);
    for body in [
        "",
        "{",
        "hello",
        "{\"message\":\"\\ud800\"}",
        "{\"message\":1e400}",
        "{\"message\":\"a\"}x",
        "{\"message\":\"a\u{0}\"}",
        deep.as_str(),
    ] {
        assert_eq!(refusal(body).0, ErrorKind::MalformedJson, "{:.20}", body);
    }
    let latin = decode(b"{\"message\":\"caf\xe9\"}", LIMITS).expect_err("invalid UTF-8");
    assert_eq!(latin.kind(), ErrorKind::MalformedJson);
}

#[test]
fn refuses_what_is_not_a_question_and_names_the_field() {
    let check = |body: &str, sentence: &str| {
        assert_eq!(refusal(body), (ErrorKind::InvalidRequest, sentence.to_owned()), "{body}")
    };
    check("[]", "the body is not an object with each field once");
    check(r#"{"message":"a","message":"b"}"#, "the body is not an object with each field once");
    check("{}", "the body holds neither `messages` nor `message`");
    check(r#"{"message":"a","messages":[]}"#, "the body holds both `messages` and `message`");
    check(
        r#"{"message":"a","role":"system"}"#,
        "the body holds a field other than `message`, `conversation_id`, `conversation_history`, `filter` and \
         `suggest_followup_questions`",
    );
    check(
        r#"{"messages":[],"tenant":"x"}"#,
        "the body holds a field other than `messages`, `context` and `sessionState`",
    );
    check(r#"{"message":7}"#, "`message` is not a string");
    check(r#"{"message":" \u200b"}"#, "`message`: the question is empty");
    check(r#"{"message":"012345678901234567890"}"#, "`message`: the question is longer than 20 characters");
    check(r#"{"message":"a","conversation_history":"b"}"#, "`conversation_history` is not an array");
    check(
        r#"{"message":"a","conversation_history":[{"role":"user"}]}"#,
        "`conversation_history[0].content` is not a string",
    );
    check(r#"{"messages":[]}"#, "`messages` is empty");
    check(r#"{"messages":[1]}"#, "`messages[0]` is not an object");
    check(
        r#"{"messages":[{"role":"tool","content":"a"}]}"#,
        "`messages[0].role` is not one of user, assistant, system",
    );
    check(r#"{"messages":[{"role":"user","content":["a"]}]}"#, "`messages[0].content` is not a string");
    check(r#"{"messages":[{"role":"assistant","content":"a"}]}"#, "`messages[0]`, the last one, is not from the user");
    check(r#"{"messages":[{"role":"user","content":""}]}"#, "`messages[0].content`: the question is empty");
    let many = json!({"messages": vec![json!({"role": "user", "content": "a"}); 4]});
    check(&many.to_string(), "`messages` holds more than 3 messages");
}

#[test]
fn guesses_the_dialect_of_a_bad_body() {
    assert_eq!(Dialect::of_body(br#"{"message":7}"#), Dialect::Simple);
    assert_eq!(Dialect::of_body(br#"{"messages":7}"#), Dialect::AiChatProtocol);
    assert_eq!(Dialect::of_body(b"nonsense"), Dialect::AiChatProtocol);
}

pub(super) fn events() -> Vec<ChatEvent> {
    let cited = CitedPassage { number: 1, passage: passage("hr/hand[book].pdf", 3, "", "25 days of leave.").into() };
    let passage = &cited.passage;
    let citation = Citation {
        number: 1,
        passage_id: passage.id.clone(),
        document_id: passage.document_id.clone(),
        name: passage.name.clone(),
        page: passage.page,
        source: passage.source(),
        quote: passage.text.clone(),
    };
    vec![
        ChatEvent::Context(Context {
            passages: vec![cited],
            generation: 9,
            query: "Leave?".to_owned(),
            is_rewritten: false,
            retrieval: Retrieval::Lexical,
        }),
        ChatEvent::Text("25 days".to_owned()),
        ChatEvent::Citation(citation.clone()),
        ChatEvent::Text(".".to_owned()),
        ChatEvent::Usage(Usage { prompt_tokens: 5, completion_tokens: 2 }),
        ChatEvent::Done(Done {
            abstained: false,
            truncated: false,
            citations: vec![citation],
            dropped_citations: 1,
            model: "m".to_owned(),
            cost: None,
        }),
    ]
}

fn echo(dialect: Dialect) -> Echo {
    Echo { dialect, session_state: json!("s"), turn: None }
}

pub(super) async fn lines(dialect: Dialect, events: Vec<Result<ChatEvent>>) -> Vec<Value> {
    let bytes: Vec<Bytes> = encode_stream(echo(dialect), stream::iter(events), now()).collect().await;
    bytes.iter().map(|line| serde_json::from_slice(line.strip_suffix(b"\n").expect("a line")).expect("JSON")).collect()
}

#[test]
fn encodes_a_completion() {
    let whole = encode_whole(&echo(Dialect::AiChatProtocol), &events(), now());
    assert_eq!(whole["message"], json!({"role": "assistant", "content": "25 days [hr/hand%5Bbook%5D.pdf#page=4]."}));
    assert_eq!(whole["sessionState"], "s");
    let context = &whole["context"];
    assert_eq!(context["data_points"]["text"], json!(["hr/hand[book].pdf#page=4: 25 days of leave."]));
    assert_eq!(context["citations"][0]["source"], "hr/hand[book].pdf#page=4");
    assert_eq!((&context["abstained"], &context["followup_questions"]), (&json!(false), &json!([])));
    assert_eq!(context["thoughts"].as_array().map(Vec::len), Some(3));
}

#[test]
fn encodes_the_simple_shape() {
    let whole = encode_whole(&echo(Dialect::Simple), &events(), now());
    assert_eq!(whole["response"], "25 days [hr/hand%5Bbook%5D.pdf#page=4].");
    assert_eq!(
        (&whole["success"], &whole["function_calls"], &whole["error"]),
        (&json!(true), &json!([]), &Value::Null)
    );
    assert_eq!(
        (&whole["timestamp"], &whole["citations"][0]["number"]),
        (&json!("2026-05-01T10:00:00.000Z"), &json!(1))
    );
}

#[tokio::test]
async fn streams_context_first_and_citations_last() {
    let lines = lines(Dialect::AiChatProtocol, events().into_iter().map(Ok).collect()).await;
    assert_eq!(lines.len(), 6);
    assert_eq!((&lines[0]["delta"], &lines[0]["sessionState"]), (&json!({"role": "assistant"}), &json!("s")));
    assert!(lines[0]["context"]["data_points"]["text"][0].is_string());
    let said: Vec<&str> = lines[1..4].iter().filter_map(|line| line["delta"]["content"].as_str()).collect();
    assert_eq!(said, ["25 days", " [hr/hand%5Bbook%5D.pdf#page=4]", "."]);
    assert_eq!(lines[5]["context"]["citations"][0]["page"], 4);
    assert_eq!(lines[5]["delta"], json!({}));
}

#[tokio::test]
async fn a_failure_is_the_last_line() {
    let failure = || Err(Error::new(ErrorKind::ModelBusy, "the model is busy").caused_by("secret"));
    let streamed = lines(Dialect::AiChatProtocol, vec![Ok(events().remove(0)), failure()]).await;
    assert_eq!(streamed[1], json!({"error": "the model is busy"}));
    let simple = lines(Dialect::Simple, vec![failure()]).await;
    assert_eq!(
        (&simple[0]["success"], &simple[0]["response"], &simple[0]["error"]),
        (&json!(false), &Value::Null, &json!("the model is busy"))
    );
}

#[test]
fn a_line_is_one_line() {
    let bytes = bytes_of(&json!({"delta": {"content": "a\nb\r\u{2028}"}}));
    assert_eq!(bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count(), 1);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
        if let Err(error) = decode(&body, LIMITS) {
            proptest::prop_assert!(matches!(error.kind(), ErrorKind::MalformedJson | ErrorKind::InvalidRequest));
        }
    }
}
