//! Whatever is sent in, and whatever the settings hold: each line of the log is one object of JSON, nobody else writes a
//! line of his own, and no secret is in a log, an answer, or what is sent to a collector.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use knowledge_worker::config::settings::SETTINGS;
use knowledge_worker::functions;
use knowledge_worker::host::definition::Binding;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderValue;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::fake_collector::{FakeCollector, Habit, TakenSpan};
use crate::fake_openai::{EmbeddingReply, FakeOpenAi, Refusal};
use crate::support::process::{Place, Server, eventually};

/// Stands in every forged line.
const MARK: &str = "forgedbyacaller";

/// Fifty ways to end a line, to hide or reorder it, or to look like one of ours.
fn forgeries() -> Vec<String> {
    let line = format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","level":"ERROR","message":"{MARK}"}}"#);
    let enders = ["\n", "\r", "\r\n", "\n\n", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}", "\u{0}", "\u{1e}"];
    let hiders = [
        "\u{1b}[2K",
        "\u{1b}[1A",
        "\u{1b}[31m",
        "\u{1b}]0;",
        "\u{9b}2K",
        "\u{8}\u{8}\u{8}",
        "\u{7f}",
        "\u{202e}",
        "\u{202d}",
        "\u{2066}",
        "\u{2067}",
        "\u{2069}",
        "\u{200e}",
        "\u{200f}",
        "\u{200b}",
        "\u{feff}",
        "\u{61c}",
    ];
    let closers = [
        "\"",
        "\"}",
        "\"}\n",
        "\\",
        "\\\"",
        "\\n",
        "\\u000a",
        "%0a",
        "%250a",
        "&#10;",
        "\"},{\"",
        "'",
        "{}",
        "${jndi:x}",
        "\u{fffd}",
        "\t",
        "\\x0a",
        "\\r\\n",
        "+",
        ";",
        "<!--",
        "\u{e000}",
    ];
    let all = enders.iter().chain(&hiders).chain(&closers);
    all.map(|start| format!("{start}{line}")).collect()
}

/// Every method and path that a caller can use, and the forged text in place of what may vary in it.
fn ways_in(forged: &str) -> Vec<(Method, String)> {
    let encoded = utf8_percent_encode(forged, NON_ALPHANUMERIC).to_string();
    let mut ways = BTreeSet::new();
    for (name, definition) in functions::definitions() {
        let (methods, route) = match definition.trigger() {
            Some(Binding::HttpTrigger { methods, route, .. }) => (methods.clone(), route.clone()),
            _ => (vec!["POST".to_owned()], name.to_owned()),
        };
        let path: Vec<&str> =
            route.split('/').map(|part| if part.starts_with('{') { encoded.as_str() } else { part }).collect();
        for method in methods {
            ways.insert((method.to_uppercase(), format!("/{}", path.join("/"))));
        }
    }
    let ways = ways.into_iter().map(|(method, path)| (method.parse().expect("a method"), path));
    ways.chain([(Method::GET, format!("/{encoded}")), (Method::GET, format!("/api/documents/{encoded}"))]).collect()
}

/// Sends the forged text everywhere a request has room for it.
async fn send(client: &Client, server: &Server, method: Method, path: &str, forged: &str) -> String {
    let query = utf8_percent_encode(forged, NON_ALPHANUMERIC);
    let twice = json!(forged).to_string();
    let body = match path {
        "/api/chat" | "/api/chat/stream" => json!({"message": forged}),
        "/api/search" => json!({"query": forged}),
        "/api/url" => json!({"url": forged, "category": forged}),
        _ => json!({
            "Data": {"blob": forged, "event": twice, "message": twice, "timer": {}},
            "Metadata": {"name": twice, "Uri": twice, "InsertionTime": forged},
        }),
    };
    let mut request = client.request(method, server.url(&format!("{path}?after={query}&{query}={query}"))).json(&body);
    // Of the forged text a header can carry what is left of it.
    let fit: Vec<u8> = forged.bytes().filter(|byte| *byte >= 32 && *byte != 127).collect();
    for name in
        ["x-azure-functions-invocationid", "traceparent", "tracestate", "user-agent", "x-forwarded-for", "origin"]
    {
        request = request.header(name, HeaderValue::from_bytes(&fit).expect("only what fits is left"));
    }
    let answer = request.send().await.unwrap_or_else(|e| panic!("{e}: {}", server.stderr()));
    format!("{:?} {}", answer.headers().clone(), answer.text().await.expect("the answer comes whole"))
}

/// Asserts that every line is one object, and that none of them is a caller's.
fn assert_whole(server: &Server) {
    for line in server.stdout().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?}"));
        assert!(line.is_object() && line["target"].is_string(), "{line}");
        assert!(line["message"].as_str().is_some_and(|message| message != MARK), "{line}");
    }
    let unfit =
        |c: &char| c.is_control() && *c != '\n' || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert_eq!(server.stdout().chars().find(unfit), None, "no character hides or reorders a line");
}

#[tokio::test]
async fn whatever_callers_send_a_line_of_the_log_is_one_object_of_json() {
    let place = Place::new();
    let forgeries = forgeries();
    assert_eq!(forgeries.len(), 50);
    let mut server = place.serve_the_host(&[("LOG_LEVEL", "trace")]);
    eventually("it answers", async || Client::new().get(server.url("/")).send().await.ok()).await;
    let client = Client::new();
    let mut sent = 0;
    for forged in &forgeries {
        // A document that cannot be read, under a name that storage may well hold: the log tells of it by name.
        let name = format!("{}.pdf", forged.replace(['/', '\0'], ""));
        place.write(&format!("data/documents/{name}"), "%PDF-1.4 and no more");
        let metadata = json!({"name": json!(name).to_string()});
        let envelope = json!({"Data": {"blob": ""}, "Metadata": metadata});
        client.post(server.url("/ingest_document")).json(&envelope).send().await.unwrap();
        sent += 1;
        for (method, path) in ways_in(forged) {
            send(&client, &server, method, &path, forged).await;
            sent += 1;
        }
    }
    server.terminate();
    server.status().await;
    assert_whole(&server);
    let named = server.stdout().lines().filter(|line| line.contains(r#""document.name""#)).count();
    assert!(named > 10, "{named} lines hold a name");
    let answered = server.stdout().matches(r#""message":"answered""#).count();
    assert!(sent > 800 && answered >= sent, "{answered} of {sent} requests have a line");
}

/// A value that stands nowhere else, for the setting of this number.
fn canary(number: usize) -> String {
    format!("canary{number:02}quokkamarmalade")
}

/// Every secret setting with a canary in it. What must have a certain form gets that.
fn canaries(dead: &str) -> Vec<(&'static str, String)> {
    let secrets = SETTINGS.iter().filter(|setting| setting.secret).enumerate();
    let fill = |(number, name): (usize, &'static str)| {
        let canary = canary(number);
        let value = match name {
            "AZURE_STORAGE_CONNECTION_STRING" | "AzureWebJobsStorage" => {
                let key = BASE64_STANDARD.encode(&canary);
                format!("DefaultEndpointsProtocol=http;AccountName=kw;AccountKey={key};BlobEndpoint={dead}/kw;")
            }
            "APPLICATIONINSIGHTS_CONNECTION_STRING" => {
                format!("InstrumentationKey={canary};IngestionEndpoint=https://127.0.0.1:1/")
            }
            "OTEL_EXPORTER_OTLP_HEADERS" => format!("x-key={canary}"),
            "REDIS_URL" => format!("redis://:{canary}@127.0.0.1:1"),
            "SMTP_URL" => format!("smtp://desk:{canary}@127.0.0.1:1"),
            "ACTION_WEBHOOK_URL" => format!("http://127.0.0.1:1/hook?key={canary}"),
            "AZURE_COSMOS_KEY" => BASE64_STANDARD.encode(&canary),
            _ => canary,
        };
        (name, value)
    };
    secrets.map(|(number, setting)| fill((number, setting.name))).collect()
}

/// Lets a mail and a task be done, as far as that goes, and tells all that was answered.
async fn act(client: &Client, server: &Server) -> String {
    let mut answers = String::new();
    for proposal in [
        json!({"action_type": "send_email", "parameters": {"to": "a@contoso.com", "subject": "s", "body": "b"}}),
        json!({"action_type": "create_task", "parameters": {"title": "t", "description": "d"}}),
    ] {
        let proposed = client.post(server.url("/api/actions")).json(&proposal).send().await.expect("it answers");
        let proposed: Value = proposed.json().await.expect("the answer is JSON");
        let confirm = format!("/api/actions/{}/confirm", proposed["id"].as_str().unwrap_or("none"));
        let confirmed = client.post(server.url(&confirm)).send().await.expect("it answers");
        answers += &format!("{proposed} {}", confirmed.text().await.expect("the answer comes whole"));
    }
    answers
}

#[tokio::test]
async fn no_secret_of_the_settings_is_in_a_log_an_answer_or_a_trace() {
    let (model, collector) = (FakeOpenAi::start().await, FakeCollector::start(Habit::Take).await);
    let (model_url, collector_url) = (model.url(), collector.url());
    let secrets = canaries("http://127.0.0.1:1");
    assert!(secrets.len() >= 10, "{secrets:?}");
    // Services love to repeat a key that they refuse.
    let parrot = || {
        let all: Vec<&str> = secrets.iter().map(|(_, value)| value.as_str()).collect();
        Refusal::new(401, json!({"error": {"code": "invalid_api_key", "message": format!("wrong key: {all:?}")}}))
    };
    let servers = [
        ("OPENAI_BASE_URL", model_url.as_str()),
        ("OPENAI_MODEL", "gpt-test"),
        ("OPENAI_EMBEDDING_MODEL", "embed-test"),
        ("OPENAI_FALLBACK_BASE_URLS", model_url.as_str()),
        ("RERANK_BASE_URL", model_url.as_str()),
        ("RERANK_MODEL", "rerank-test"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector_url.as_str()),
        ("ACTIONS", "send_email,create_task"),
        ("MAIL_FROM", "desk@contoso.com"),
        ("MAIL_ALLOWED_DOMAINS", "contoso.com"),
        ("LOG_LEVEL", "trace"),
        ("CACHE_SEARCH_SECONDS", "0"),
        ("CACHE_ANSWER_SECONDS", "0"),
    ];
    // Once with everything on this machine, so that chat gets as far as the model; once with storage and search elsewhere.
    let elsewhere =
        ["AZURE_STORAGE_CONNECTION_STRING", "AzureWebJobsStorage", "AZURE_SEARCH_API_KEY", "AZURE_COSMOS_KEY"];
    let search = [("AZURE_SEARCH_ENDPOINT", "http://127.0.0.1:1"), ("AZURE_COSMOS_ENDPOINT", "https://127.0.0.1:1")];
    for is_elsewhere in [false, true] {
        let ours = secrets.iter().filter(|(name, _)| is_elsewhere || !elsewhere.contains(name));
        let settings: Vec<(&str, &str)> = ours.map(|(name, value)| (*name, value.as_str())).chain(servers).collect();
        let more = if is_elsewhere { search.as_slice() } else { &[] };
        let settings: Vec<(&str, &str)> = settings.iter().chain(more).copied().collect();
        let place = Place::new();
        place.write("data/documents/lamp.txt", "The lamp on the pier is green.");
        place.write("data/documents/pier.txt", "On the pier stands a lamp, and a bench.");
        let mut server = place.serve_the_host(&settings);
        eventually("it answers", async || Client::new().get(server.url("/")).send().await.ok()).await;
        let client = Client::new();
        let mut answers = String::new();
        model.always_embed(EmbeddingReply::Good);
        let question = "Which colour has the lamp on the pier?";
        answers.push_str(&send(&client, &server, Method::POST, "/maintain_index", question).await);
        model.always_embed(EmbeddingReply::Refuse(parrot()));
        for (method, path) in ways_in("lamp") {
            model.push(parrot());
            answers.push_str(&send(&client, &server, method, &path, question).await);
        }
        answers.push_str(&act(&client, &server).await);
        server.terminate();
        server.status().await;
        assert_whole(&server);
        assert!(server.stdout().lines().count() > 20, "{}", server.stdout());
        for (number, (name, _)) in secrets.iter().enumerate() {
            let canary = canary(number);
            for form in [canary.clone(), BASE64_STANDARD.encode(&canary)] {
                let places = [server.stdout(), server.stderr(), answers.clone()];
                assert!(places.iter().all(|place| !place.contains(&form)), "{name} is told");
                assert!(!collector.holds(&form), "{name} is sent to the collector");
            }
        }
    }
    for system in ["model", "embedding", "rerank", "search", "blob", "cosmos", "redis", "smtp", "webhook"] {
        let failed = |span: &TakenSpan| span.name.starts_with(&format!("{system} ")) && span.status == 2;
        assert!(collector.spans().iter().any(failed), "no call to {system} got as far as its refusal");
    }
    assert!(collector.headers().iter().all(|headers| headers.contains_key("x-key")), "and only there the key belongs");
}
