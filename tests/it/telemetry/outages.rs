//! Whoever takes traces and metrics may be slow, gone or broken, and nobody else notices.

use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};

use super::{post, until_told};
use crate::fake_collector::{FakeCollector, Habit};
use crate::support::process::{Place, Server, eventually};

const TOLD: &str = "telemetry could not be sent";

/// How often the log says that something could not be sent.
fn told(server: &Server) -> usize {
    server.stdout().lines().filter(|line| line.contains(TOLD)).count()
}

/// How long an invocation of the timer takes.
async fn invoke(server: &Server) -> Duration {
    let began = Instant::now();
    let timer = json!({"Data": {"timer": {"IsPastDue": false}}, "Metadata": {}});
    assert_eq!(post(server, "/maintain_index", &timer).await.status(), 200);
    began.elapsed()
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_nobody() {
    let place = Place::new();
    let collector = FakeCollector::start(Habit::Hang).await;
    let mut server = place.serve_the_host(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())]);
    eventually("it answers", async || Client::new().get(server.url("/")).send().await.ok()).await;
    // A request gives up on the collector after four seconds, a load after five.
    let bound = Duration::from_secs(3);
    assert!(invoke(&server).await < bound, "the first invocation waits half a second at most");
    for _ in 0..20 {
        let began = Instant::now();
        let asked = Client::new().post(server.url("/api/search")).json(&json!({"query": "anything"}));
        assert_eq!(asked.send().await.unwrap().status(), 200);
        assert!(began.elapsed() < bound);
    }
    eventually("it is in the log", async || (told(&server) == 1).then_some(())).await;
    assert!(collector.connections() > 0, "it was tried");
    assert!(invoke(&server).await < bound, "and nobody waits for it again");
    server.terminate();
    assert_eq!(server.status().await.code(), Some(200));
    assert_eq!(told(&server), 1, "once a minute is enough");
}

#[tokio::test]
async fn trouble_is_told_once_without_address_and_key() {
    let refusing = FakeCollector::start(Habit::Refuse).await;
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/secret-path", listener.local_addr().unwrap())
    };
    for (endpoint, why) in [(refusing.url(), "status 403"), (gone, "it cannot be reached")] {
        let place = Place::new();
        let settings =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=quokka")];
        let server = place.serve(&settings);
        until_told(&server, "Is anybody there?", "I don't know").await;
        eventually("it is in the log", async || (told(&server) > 0).then_some(())).await;
        let line = server.stdout().lines().find(|line| line.contains(TOLD)).unwrap().to_owned();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((line["level"].as_str(), line["cause"].as_str()), (Some("WARN"), Some(why)), "{line}");
        assert!(!server.stdout().contains("quokka") && !server.stdout().contains("secret-path"));
    }
}

#[tokio::test]
async fn switched_off_it_calls_nobody() {
    let collector = FakeCollector::start(Habit::Take).await;
    let endpoint = collector.url();
    let place = Place::new();
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("ENABLE_TELEMETRY", "false")];
    let mut server = place.serve(&settings);
    until_told(&server, "Is anybody there?", "I don't know").await;
    // The last that waits would be sent now.
    server.terminate();
    assert_eq!(server.status().await.code(), Some(0));
    assert_eq!(collector.connections(), 0);
}

#[tokio::test]
async fn the_last_spans_are_sent_before_the_process_ends() {
    let collector = FakeCollector::start(Habit::Take).await;
    let place = Place::new();
    let mut server = place.serve_the_host(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())]);
    eventually("it answers", async || Client::new().get(server.url("/")).send().await.ok()).await;
    let searches = || collector.spans().iter().filter(|span| span.name == "POST /api/search").count();
    post(&server, "/api/search", &json!({"query": "anything"})).await.bytes().await.unwrap();
    eventually("the first is sent", async || (searches() == 1).then_some(())).await;
    // Another one would wait two seconds for company.
    post(&server, "/api/search", &json!({"query": "anything"})).await.bytes().await.unwrap();
    server.terminate();
    assert_eq!(server.status().await.code(), Some(200));
    assert_eq!(searches(), 2);
}
