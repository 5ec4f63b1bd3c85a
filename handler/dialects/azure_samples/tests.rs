//! Bodies of frontends in; the shapes that their servers are recorded with out.

use serde_json::{Value, json};

use super::super::tests::{LIMITS, events, lines};
use super::super::{decode, encode_whole};
use super::*;
use crate::error::{Error, ErrorKind};

/// A body as a frontend sends it: with every override it knows of.
fn body(changed: Value) -> Vec<u8> {
    let mut overrides = json!({
        "top": 5, "temperature": 0.3, "retrieval_mode": "hybrid", "semantic_ranker": true, "semantic_captions": false,
        "query_rewriting": false, "reasoning_effort": "low", "minimum_reranker_score": 0, "minimum_search_score": 0,
        "suggest_followup_questions": false, "include_category": null, "exclude_category": null, "prompt_template": null,
        "use_oid_security_filter": false, "use_groups_security_filter": false, "send_text_sources": true, "language": "en",
        "seed": 1,
    });
    for (name, value) in changed.as_object().expect("an object") {
        overrides[name] = value.clone();
    }
    let messages = json!([{"content": "Leave?", "role": "user"}]);
    json!({"messages": messages, "context": {"overrides": overrides}, "session_state": null}).to_string().into_bytes()
}

fn decoded(changed: Value) -> Decoded {
    decode(&body(changed), LIMITS).expect("a request")
}

#[test]
fn overrides_say_where_to_look_and_how_far() {
    let plain = decoded(json!({}));
    assert_eq!((plain.request.passages, plain.request.filter.is_open()), (Some(5), true));
    assert_eq!(plain.echo.dialect, Dialect::AzureSamplesBefore);
    assert_eq!(decoded(json!({"use_agentic_knowledgebase": false})).echo.dialect, Dialect::AzureSamples);
    let filtered = decoded(json!({"include_category": "law", "exclude_category": " tax ", "top": null})).request;
    assert_eq!(filtered.filter.category.as_deref(), Some("law"));
    assert_eq!((filtered.filter.exclude_category.as_deref(), filtered.passages), (Some("tax"), None));
    assert!(decoded(json!({"include_category": "All", "exclude_category": ""})).request.filter.is_open());
    let known = json!({"content": "Leave?", "role": "user"});
    let snake = json!({"messages": [known], "session_state": "s"});
    let snake = decode(snake.to_string().as_bytes(), LIMITS).expect("a request");
    assert_eq!((snake.echo.dialect, snake.echo.session_state), (Dialect::AzureSamplesBefore, json!("s")));
    for camel in [json!({"sessionState": null}), json!({})] {
        let mut body = json!({"messages": [known], "context": {"overrides": {"top": 3}}});
        body.as_object_mut().expect("an object").extend(camel.as_object().expect("an object").clone());
        let decoded = decode(body.to_string().as_bytes(), LIMITS).expect("a request");
        assert_eq!((decoded.echo.dialect, decoded.request.passages), (Dialect::AiChatProtocol, None));
    }
}

#[test]
fn overrides_that_cannot_be_kept_are_refused() {
    let check = |changed: Value, sentence: &str| {
        let refused = decode(&body(changed), LIMITS).expect_err(sentence);
        assert_eq!((refused.kind(), refused.message()), (ErrorKind::InvalidRequest, sentence));
    };
    for top in [json!(0), json!(51), json!(-1), json!(1e9), json!("3"), json!(2.5)] {
        check(json!({"top": top}), "`context.overrides.top` is not a number from 1 to 50");
    }
    check(json!({"include_category": ["x"]}), "`context.overrides.include_category` is not a string");
    check(json!({"exclude_category": 7}), "`context.overrides.exclude_category` is not a string");
}

#[test]
fn a_header_tells_what_the_body_cannot() {
    let named = Dialect::named("azure-samples");
    assert_eq!(Dialect::AzureSamplesBefore.or_its_relative(named), Dialect::AzureSamples);
    assert_eq!(
        Dialect::AzureSamples.or_its_relative(Dialect::named("azure-samples-before-2026-04")),
        Dialect::AzureSamplesBefore
    );
    assert_eq!(Dialect::Simple.or_its_relative(named), Dialect::Simple);
    assert_eq!(Dialect::named("simple"), None);
}

fn echo(dialect: Dialect) -> Echo {
    Echo { dialect, session_state: Value::Null, turn: None }
}

/// The context that both shapes have, with what the one has more, and with or without the step of the answer.
fn context(more_points: Value, is_answered: bool) -> Value {
    let source = "hr/hand%5Bbook%5D.pdf#page=4";
    let id = crate::models::fixture::passage("hr/hand[book].pdf", 3, "", "").id;
    let mut points = json!({"text": [format!("{source}: 25 days of leave.")]});
    points.as_object_mut().expect("an object").extend(more_points.as_object().expect("an object").clone());
    let result = json!({
        "type": "searchIndex", "id": id, "content": "25 days of leave.", "category": null, "sourcepage": source,
        "sourcefile": "hr/hand[book].pdf", "oids": null, "groups": null, "captions": [], "score": null,
        "reranker_score": null, "activity": null, "images": null,
    });
    let how = json!({"top": 1, "retrieval": "lexical", "generation": 9});
    let mut thoughts = vec![
        json!({"title": "Search using generated search query", "description": "Leave?", "props": how}),
        json!({"title": "Search results", "description": [result], "props": null}),
    ];
    if is_answered {
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "reasoning_tokens": 0, "total_tokens": 7});
        let props = json!({"model": "m", "token_usage": usage});
        thoughts.push(json!({"title": "Prompt to generate answer", "description": [], "props": props}));
    }
    json!({"data_points": points, "followup_questions": null, "thoughts": thoughts})
}

fn points() -> Value {
    json!({"images": [], "citations": ["hr/hand%5Bbook%5D.pdf#page=4"], "external_results_metadata": []})
}

#[test]
fn a_whole_answer_has_the_recorded_shape() {
    let now = chrono::DateTime::UNIX_EPOCH;
    let words = "25 days [hr/hand%5Bbook%5D.pdf#page=4].";
    let message = json!({"role": "assistant", "content": words, "function_call": null, "tool_calls": null});
    assert_eq!(
        encode_whole(&echo(Dialect::AzureSamplesBefore), &events(), now),
        json!({"message": message, "context": context(json!({}), true), "session_state": null})
    );
    assert_eq!(
        encode_whole(&echo(Dialect::AzureSamples), &events(), now),
        json!({"output_text": words, "context": context(points(), true), "session_state": null})
    );
}

#[tokio::test]
async fn a_stream_has_the_recorded_lines() {
    let streamed = lines(Dialect::AzureSamplesBefore, events().into_iter().map(Ok).collect()).await;
    let said = |words: &str| json!({"delta": {"content": words, "role": "assistant"}});
    let first = json!({"delta": {"role": "assistant"}, "context": context(json!({}), false), "session_state": "s"});
    assert_eq!(streamed, [first, said("25 days"), said(" [hr/hand%5Bbook%5D.pdf#page=4]"), said(".")]);
    let streamed = lines(Dialect::AzureSamples, events().into_iter().map(Ok).collect()).await;
    let said = |words: &str| json!({"type": "response.output_text.delta", "delta": words});
    let told = |is_answered| json!({"type": "response.context", "context": context(points(), is_answered), "session_state": "s"});
    let expected = [told(false), said("25 days"), said(" [hr/hand%5Bbook%5D.pdf#page=4]"), said("."), told(true)];
    assert_eq!(streamed, expected);
}

#[tokio::test]
async fn a_failure_is_the_last_line() {
    for dialect in [Dialect::AzureSamples, Dialect::AzureSamplesBefore] {
        let failure = Error::new(ErrorKind::ModelBusy, "the model is busy").caused_by("secret");
        let streamed = lines(dialect, vec![Ok(events().remove(0)), Err(failure)]).await;
        assert_eq!(streamed[1..], [json!({"error": "the model is busy"})]);
    }
}

#[test]
fn a_sign_of_life_is_a_line_that_says_nothing() {
    for dialect in [Dialect::AiChatProtocol, Dialect::AzureSamples, Dialect::AzureSamplesBefore] {
        let beat = dialect.heartbeat();
        let line: Value = serde_json::from_slice(beat.strip_suffix(b"\n").expect("a line")).expect("JSON");
        assert!(line["delta"] == json!({}) || line["delta"] == "", "{line}");
        assert!(line.get("context").is_none() && line.get("error").is_none());
    }
    let simple = [&Dialect::Simple.heartbeat()[..], b"{\"success\":true}\n"].concat();
    assert!(serde_json::from_slice::<Value>(&simple).is_ok(), "white space before a value is part of JSON");
}

proptest::proptest! {
    #[test]
    fn any_override_is_answered(name in "(top|include_category|exclude_category|x)", text in ".{0,12}", number in proptest::num::f64::ANY) {
        for value in [json!(text), json!(number), json!([text]), json!({ &text: number }), json!(number as i64)] {
            if let Err(refused) = decode(&body(json!({ &name: value })), LIMITS) {
                proptest::prop_assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
            }
        }
    }
}
