//! How much anybody may ask for, requests a minute and at once; and who may call from where.

use axum::body::{Body, HttpBody};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use futures_util::future::join_all;
use http_body_util::BodyExt;
use knowledge_worker::config::settings::find;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fake_openai::{FakeOpenAi, Script};
use crate::support::app::{Answer, TestApp, get, post_json};
use crate::support::redis::RedisServer;

fn question(headers: &[(&str, &str)]) -> Request<Body> {
    of("/api/chat", &json!({"message": "When does the ferry leave?"}), headers)
}

fn of(path: &str, body: &Value, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = post_json(path, body.to_string());
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

fn waits(answer: &Answer) -> u64 {
    answer.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

#[test]
fn a_caller_has_ten_questions_and_sixty_other_requests_a_minute() {
    let default = |name| find(name).unwrap().default;
    assert_eq!(default("CHAT_RATE_LIMIT_PER_MINUTE"), Some("10"));
    assert_eq!(default("RATE_LIMIT_PER_MINUTE"), Some("60"));
}

#[tokio::test]
async fn bad_input_10_no_header_opens_more_places() {
    let test = TestApp::with(&[("CHAT_RATE_LIMIT_PER_MINUTE", "3"), ("FORWARDED_HOPS", "1")]);
    let from = ("x-forwarded-for", "198.51.100.7:50000");
    for left in ["2", "1", "0"] {
        let answer = test.send(question(&[from])).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.headers["ratelimit-policy"], "\"chat\";q=3;w=60");
        assert!(answer.headers["ratelimit"].to_str().unwrap().starts_with(&format!("\"chat\";r={left};t=")));
    }
    for n in 0..100 {
        let forged = format!("10.0.0.{n}");
        let headers = [
            ("x-forwarded-for", forged.as_str()),
            ("forwarded", &format!("for={forged}")),
            ("x-real-ip", &forged),
            ("x-client-ip", &forged),
            ("x-azure-clientip", &forged),
            ("x-azure-socketip", &forged),
            ("X-Forwarded-For", "198.51.100.7:50001"),
        ];
        let refused = test.send(question(&headers)).await;
        refused.assert_problem("too-many-requests");
        assert!((1..=61).contains(&waits(&refused)), "{refused:?}");
    }
    let other = test.send(question(&[("x-forwarded-for", "198.51.100.8")])).await;
    assert_eq!(other.status, StatusCode::OK, "another address has places of its own");
    let search = of("/api/search", &json!({"query": "ferry"}), &[from]);
    assert_eq!(test.send(search).await.status, StatusCode::OK, "what is no question is counted apart");
    let chat = json!({"model": "knowledge-worker", "messages": [{"role": "user", "content": "ferry?"}]});
    let refused = test.send(of("/v1/chat/completions", &chat, &[from])).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("rate_limit_error"))
    );
    assert!(waits(&refused) > 0);
}

#[tokio::test]
async fn an_address_has_a_limit_before_anybody_is_known() {
    let test = TestApp::with(&[("ADDRESS_RATE_LIMIT_PER_MINUTE", "2"), ("FORWARDED_HOPS", "1")]);
    let documents = || {
        let mut request = get("/api/documents");
        request.headers_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
        request
    };
    assert_eq!(test.send(documents()).await.status, StatusCode::OK);
    assert_eq!(test.send(documents()).await.status, StatusCode::OK);
    test.send(documents()).await.assert_problem("too-many-requests");
    assert_eq!(test.send(get("/health/live")).await.status, StatusCode::OK, "health is nobody's share");
}

#[tokio::test]
async fn instances_count_together_and_each_for_itself_without_redis() {
    let mut redis = RedisServer::start(&["default on >s3cret ~* +@all"]).await;
    let address = redis.url();
    let settings = [
        ("REDIS_URL", address.as_str()),
        ("REDIS_PASSWORD", "s3cret"),
        ("CHAT_RATE_LIMIT_PER_MINUTE", "7"),
        ("FORWARDED_HOPS", "1"),
    ];
    let first = TestApp::with(&settings);
    let second = TestApp::of(first.again(&settings), &first);
    let third = TestApp::of(first.again(&settings), &first);
    let admitted = async |from: &str| {
        let all = [&first, &second, &third].into_iter().cycle().take(60);
        let answers = join_all(all.map(|test| test.send(question(&[("x-forwarded-for", from)])))).await;
        answers.iter().filter(|answer| answer.status == StatusCode::OK).count()
    };
    assert_eq!(admitted("192.0.2.1").await, 7, "three instances have one limit");
    redis.kill();
    assert_eq!(admitted("192.0.2.2").await, 21, "each has its own");
}

#[tokio::test]
async fn who_comes_when_all_places_are_taken_is_sent_away_at_once() {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let test = TestApp::with(&[("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "chat"), ("MAX_CONCURRENT_REQUESTS", "1")]);
    test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
    model.push(Script::new(&["The ferry leaves ", "at nine [1]."]).gated());
    let stream = of("/api/chat/stream", &json!({"message": "When does the ferry leave?"}), &[]);
    let mut streaming = test.router().oneshot(stream).await.unwrap().into_body().into_data_stream();
    streaming.next().await.unwrap().unwrap();
    let refused = test.send(get("/api/documents")).await;
    refused.assert_problem("overloaded");
    assert_eq!(waits(&refused), 1);
    assert_eq!(test.send(get("/health/live")).await.status, StatusCode::OK);
    // The caller leaves.
    drop(streaming);
    assert_eq!(test.send(get("/api/documents")).await.status, StatusCode::OK);
    assert_eq!(test.send(get("/api/documents")).await.status, StatusCode::OK, "a place is given back");
}

#[tokio::test]
async fn who_goes_around_the_front_door_is_refused() {
    let test = TestApp::with(&[("FRONT_DOOR_ID", "7f1c")]);
    test.send(get("/api/documents")).await.assert_problem("not-through-front-door");
    let mut request = get("/api/documents");
    request.headers_mut().insert("x-azure-fdid", "7f1c".parse().unwrap());
    assert_eq!(test.send(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn bad_input_13_pages_of_other_sites_get_nothing() {
    let test = TestApp::with(&[("CORS_ORIGINS", "https://intranet.example")]);
    let preflight = async |origin: &str| {
        let request = Request::options("/api/chat")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,authorization");
        test.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    for origin in ["https://evil.example", "null", "https://intranet.example.evil.example", "http://intranet.example"] {
        assert!(!preflight(origin).await.headers().contains_key("access-control-allow-origin"), "{origin}");
        for site in ["cross-site", "same-site"] {
            let refused = test.send(question(&[("origin", origin), ("sec-fetch-site", site)])).await;
            refused.assert_problem("foreign-origin");
        }
    }
    let allowed = preflight("https://intranet.example").await;
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://intranet.example");
    assert!(!allowed.headers().contains_key("access-control-allow-credentials"));
    let answer = test.send(question(&[("origin", "https://intranet.example"), ("sec-fetch-site", "cross-site")])).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://intranet.example");
}

#[tokio::test]
async fn every_answer_tells_browsers_what_it_is_not_for() {
    let test = TestApp::new();
    for path in ["/api/documents", "/api/nothing", "/health", "/"] {
        let answer = test.router().oneshot(get(path)).await.unwrap();
        let (head, body) = answer.into_parts();
        let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(text("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(text("x-frame-options").as_deref(), Some("DENY"), "{path}");
        assert_eq!(text("referrer-policy").as_deref(), Some("no-referrer"), "{path}");
        assert!(text("content-security-policy").unwrap().contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(text("strict-transport-security"), None, "{path}: it did not come over TLS");
        body.collect().await.unwrap();
    }
    let mut encrypted = get("/api/documents");
    encrypted.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
    assert_eq!(test.send(encrypted).await.headers["strict-transport-security"], "max-age=31536000");
}

#[tokio::test]
async fn a_whole_answer_still_tells_its_length() {
    let test = TestApp::new();
    let answer = test.router().oneshot(question(&[])).await.unwrap();
    assert!(answer.body().size_hint().exact().is_some(), "its place is given back as soon as it is made");
}
