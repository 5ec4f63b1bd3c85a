//! One trace for one request, from the host's part of it to the calls that it makes.

use reqwest::Client;
use serde_json::{Value, json};

use super::{CALLER, TRACE, post, span, traceparent, until_told};
use crate::fake_collector::{FakeCollector, Habit};
use crate::fake_openai::{FakeOpenAi, Refusal, Script};
use crate::support::process::{Place, Server, eventually};

const QUESTION: &str = "Which colour has the quokka lamp?";
const PAPER: &str = "The quokka lamp is green.";

/// A server with a document, a model and a collector.
async fn serve(place: &Place, model: &FakeOpenAi, collector: &FakeCollector, more: &[(&str, &str)]) -> Server {
    place.write("documents/lamp.txt", PAPER);
    let (model, collector) = (model.url(), collector.url());
    let settings = [
        ("OPENAI_BASE_URL", model.as_str()),
        ("OPENAI_MODEL", "gpt-test"),
        ("OPENAI_EMBEDDING_MODEL", "embed-test"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()),
        // The same question is to be answered anew.
        ("CACHE_SEARCH_SECONDS", "0"),
        ("CACHE_ANSWER_SECONDS", "0"),
    ];
    let settings: Vec<_> = settings.iter().chain(more).copied().collect();
    let server = place.serve(&settings);
    let found = async || {
        let search = Client::new().post(server.url("/api/search")).json(&json!({"query": "quokka lamp"}));
        search.send().await.ok()?.text().await.ok()?.contains("lamp.txt").then_some(())
    };
    eventually("the document is found", found).await;
    server
}

#[tokio::test]
async fn a_chat_is_one_trace_that_the_caller_began() {
    let (place, model) = (Place::new(), FakeOpenAi::start().await);
    let collector = FakeCollector::start(Habit::Take).await;
    let headers = [("OTEL_EXPORTER_OTLP_HEADERS", "x-team=weather%20buoys")];
    let mut server = serve(&place, &model, &collector, &headers).await;
    model.push(Script::new(&["It is green [1]."]));
    let answer = post(&server, "/api/chat", &json!({ "message": QUESTION })).await;
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(answer.text().await.unwrap().contains("green"));

    let request = span(&collector, "POST /api/chat").await;
    assert_eq!((request.parent.as_str(), request.kind, request.status), (CALLER, 2, 0), "{request:?}");
    let about = &request.attributes;
    assert_eq!(about["http.route"], "/api/chat");
    assert_eq!(about["http.response.status_code"], "200");
    assert_eq!(about["faas.invocation_id"], id);

    let retrieve = span(&collector, "retrieve").await;
    assert_eq!((retrieve.parent, retrieve.kind), (request.id.clone(), 1));
    let embedded = span(&collector, "embedding embed").await;
    assert_eq!((embedded.parent, embedded.kind), (retrieve.id, 3));
    let chat = span(&collector, "model chat").await;
    assert_eq!((chat.parent.as_str(), chat.kind, chat.status), (request.id.as_str(), 3, 1), "{chat:?}");
    assert_eq!(chat.attributes["server.address"], "127.0.0.1");
    assert_eq!(model.url(), format!("http://127.0.0.1:{}", chat.attributes["server.port"]));
    assert_eq!(chat.attributes["gen_ai.request.model"], "gpt-test");
    assert_eq!(chat.attributes["http.response.status_code"], "200");
    assert_eq!(chat.attributes["attempts"], "1");
    assert!(chat.took_ms <= request.took_ms);
    let asked = model.requests().into_iter().find(|asked| asked.uri.ends_with("/chat/completions")).unwrap();
    assert_eq!(asked.headers["traceparent"], format!("00-{TRACE}-{}-01", chat.id));

    server.terminate();
    server.status().await;
    let requests = [("route", "/api/chat"), ("method", "POST"), ("status", "2xx")];
    assert_eq!(collector.value("requests", &requests), Some(1.0));
    for kind in ["prompt", "completion", "embedding"] {
        assert!(collector.value("tokens", &[("kind", kind)]).is_some_and(|tokens| tokens > 0.0), "{kind}");
    }
    assert!(collector.value("retrieval.duration", &[("retrieval", "hybrid")]).is_some());
    assert!(collector.value("outside.call.duration", &[("system", "model"), ("outcome", "ok")]).is_some());
    assert!(collector.value("ingested", &[("outcome", "indexed")]).is_some());
    assert!(collector.value("ingestion.phase.duration", &[("phase", "embed")]).is_some());
    assert!(collector.headers().iter().all(|headers| headers["x-team"] == "weather buoys"));
    for word in ["quokka", "colour", "lamp.txt"] {
        assert!(!collector.holds(word), "`{word}` is nobody's business");
    }
    let logged = server.stdout().lines().any(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["message"] == "answered" && line["span"]["trace.id"] == TRACE && line["span"]["request.id"] == id.as_str()
    });
    assert!(logged, "the log names the trace");
}

#[tokio::test]
async fn each_retry_is_seen_and_a_failure_tells_its_kind() {
    let (place, model) = (Place::new(), FakeOpenAi::start().await);
    let collector = FakeCollector::start(Habit::Take).await;
    let server = serve(&place, &model, &collector, &[]).await;
    model.push(Refusal::new(503, json!({"error": {"message": QUESTION}})).header("retry-after-ms", "1"));
    model.push(Script::new(&["It is green [1]."]));
    post(&server, "/api/chat", &json!({ "message": QUESTION })).await.bytes().await.unwrap();
    let chat = span(&collector, "model chat").await;
    assert_eq!((chat.status, chat.attributes["attempts"].as_str()), (1, "2"), "{chat:?}");
    let (name, about) = &chat.events[0];
    assert_eq!((name.as_str(), about["earlier_status"].as_str()), ("retry", "503"));

    // Nothing is in line any more, so the model answers 500 until nobody asks again.
    let refused = post(&server, "/api/chat", &json!({ "message": QUESTION })).await;
    assert!(refused.status().is_server_error());
    let failed = async || collector.trace(TRACE).into_iter().find(|span| span.name == "model chat" && span.status == 2);
    let failed = eventually("the failure comes", failed).await;
    assert_eq!(failed.attributes["http.response.status_code"], "500");
    assert!(!failed.attributes["error.type"].is_empty());
    let request =
        async || collector.trace(TRACE).into_iter().find(|span| span.name == "POST /api/chat" && span.status == 2);
    let request = eventually("the failed request comes", request).await;
    let (name, about) = &request.events[0];
    assert_eq!((name.as_str(), about["exception.type"].as_str()), ("exception", "model-failed"), "{request:?}");
    assert!(!collector.holds("quokka"));
}

#[tokio::test]
async fn a_streamed_answer_belongs_to_its_request_to_the_last_line() {
    let (place, model) = (Place::new(), FakeOpenAi::start().await);
    let collector = FakeCollector::start(Habit::Take).await;
    let server = serve(&place, &model, &collector, &[]).await;
    model.push(Script::new(&["It is ", "green [1]."]).gated());
    let question = json!({"messages": [{"role": "user", "content": QUESTION}]});
    let answer = post(&server, "/api/chat/stream", &question).await;
    assert!(collector.trace(TRACE).iter().all(|span| span.name != "POST /api/chat/stream"), "it goes on");
    model.release(3);
    answer.bytes().await.unwrap();
    let request = span(&collector, "POST /api/chat/stream").await;
    let chat = span(&collector, "model chat").await;
    assert_eq!(chat.parent, request.id);

    // Somebody who leaves ends the call to the model, and both say so.
    model.push(Script::new(&["It is ", "green [1]."]).gated());
    let answer = post(&server, "/api/chat/stream", &question).await;
    model.arrival().await;
    drop(answer);
    let left = async || {
        collector.trace(TRACE).into_iter().find(|span| {
            span.name == "model chat" && span.attributes.get("error.type").is_some_and(|kind| kind == "cancelled")
        })
    };
    eventually("the call that was left comes", left).await;
}

#[tokio::test]
async fn what_an_invocation_did_is_sent_before_the_host_has_its_answer() {
    let place = Place::new();
    let collector = FakeCollector::start(Habit::Take).await;
    place.write("data/documents/lamp.txt", PAPER);
    let mut server = place.serve_the_host(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())]);
    let ready = async || server.stdout().contains("ready for the Functions host").then_some(());
    eventually("it is ready", ready).await;
    assert_eq!(collector.connections(), 0, "nothing is on the network before the first request");
    let metadata = json!({"name": "\"lamp.txt\"", "Properties": {"LastModified": "2026-01-08T10:00:00+00:00"}});
    let answer = post(&server, "/ingest_document", &json!({"Data": {"blob": ""}, "Metadata": metadata})).await;
    assert_eq!(answer.status(), 200);

    let names: Vec<String> = collector.trace(TRACE).into_iter().map(|span| span.name).collect();
    for name in ["POST /ingest_document", "ingest", "extract", "index"] {
        assert!(names.iter().any(|sent| sent == name), "{name} is not in {names:?}");
    }
    let ingest = span(&collector, "ingest").await;
    assert_eq!(ingest.attributes["document.id"].len(), 32, "{ingest:?}");
    assert!(collector.value("queue.age", &[("function", "ingest_document")]).is_some());
    let timer = json!({"Data": {"timer": {"IsPastDue": false}}, "Metadata": {}});
    post(&server, "/maintain_index", &timer).await.bytes().await.unwrap();
    assert!(!collector.holds("lamp.txt"));
    let logged = server.stdout().lines().any(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["message"] == "indexed a document"
            && line["span"]["function"] == "ingest_document"
            && line["span"]["trace.id"] == TRACE
            && line["span"]["request.id"].is_string()
    });
    assert!(logged, "{}", server.stdout());
    server.terminate();
    assert_eq!(server.status().await.code(), Some(200));
    assert_eq!(collector.value("documents", &[("state", "indexed")]), Some(1.0));
}

#[tokio::test]
async fn a_share_of_traces_is_kept_and_whoever_keeps_one_is_followed() {
    let place = Place::new();
    let collector = FakeCollector::start(Habit::Take).await;
    let endpoint = collector.url();
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let mut server = place.serve(&settings);
    until_told(&server, "Is anybody there?", "I don't know").await;
    post(&server, "/api/search", &json!({"query": "anything"})).await.bytes().await.unwrap();
    let kept = Client::new().get(server.url("/api/health")).header("traceparent", traceparent("01"));
    kept.send().await.unwrap();
    span(&collector, "GET /api/health").await;
    server.terminate();
    server.status().await;
    assert_eq!(collector.value("requests", &[("route", "/api/search")]), Some(1.0), "metrics count everything");
    assert!(collector.spans().iter().all(|span| span.name == "GET /api/health"), "{:?}", collector.spans());
}
