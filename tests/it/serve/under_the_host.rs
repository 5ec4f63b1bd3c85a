//! Started as the Functions host starts it: by a port in the environment and nothing else.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;

use crate::support::process::{Place, Server, eventually};

/// The host's storage, which nobody serves: what must come at once cannot wait for it. Its key is a canary.
const STORAGE: &str = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=cXVva2thbWFybWFsYWRl;\
    BlobEndpoint=http://127.0.0.1:9/devstoreaccount1;QueueEndpoint=http://127.0.0.1:9/devstoreaccount1";
const KEY: &str = "cXVva2thbWFybWFsYWRl";

async fn until_ready(server: &Server) -> reqwest::Response {
    let look = async || Client::new().get(server.url("/")).send().await.ok();
    eventually("the process answers on its port", look).await
}

#[tokio::test]
async fn it_is_ready_at_once_and_for_this_machine_alone() {
    let place = Place::new();
    let mut server = place.serve_the_host(&[("AzureWebJobsStorage", STORAGE), ("LOG_LEVEL", "trace")]);
    assert_eq!(until_ready(&server).await.status(), 200);
    let began = Instant::now();
    assert_eq!(until_ready(&server).await.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(2), "the readiness page waits for nobody: {:?}", began.elapsed());
    // A server on every address would answer here, too.
    let elsewhere = ([127, 0, 0, 2], server.address.port()).into();
    assert!(TcpStream::connect_timeout(&elsewhere, Duration::from_secs(5)).is_err(), "it listens beyond 127.0.0.1");

    // Storage does not answer; that is told without its key.
    let health: Value = Client::new().get(server.url("/api/health")).send().await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], "degraded", "{health}");
    let envelope = serde_json::json!({"Data": {"blob": ""}, "Metadata": {"name": "\"a.txt\""}});
    let address = server.url("/ingest_document");
    let failed = Client::new().post(address).json(&envelope).send().await.unwrap();
    assert_eq!(failed.status(), 503);
    let failed: Value = failed.json().await.unwrap();
    assert_eq!(failed["code"], "store-unavailable", "{failed}");

    server.terminate();
    assert_eq!(server.status().await.code(), Some(200), "the host may start it again without counting an error");
    let all = format!("{health}{failed}{}{}", server.stdout(), server.stderr());
    assert!(!all.contains(KEY) && !all.contains("quokkamarmalade"), "{all}");
    assert!(server.stdout().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", server.stdout());
}

#[tokio::test]
async fn bad_input_30_wrong_settings_are_told_to_every_caller_and_end_nothing() {
    let place = Place::new();
    let wrong = [
        ("MAX_WORKERS", "quokkamarmalade"),
        ("INDEX_LANGUAGE", "quokkamarmalade"),
        ("AzureWebJobsStorage", "AccountKey=cXVva2thbWFybWFsYWRl"),
        ("AZURE_OPENAI_API_KEY", "quokkamarmalade"),
    ];
    let mut server = place.serve_the_host(&wrong);
    assert_eq!(until_ready(&server).await.status(), 200, "the host must not take it for dead");
    let client = Client::new();
    for path in ["/api/chat", "/ingest_document", "/maintain_index", "/api/documents"] {
        let answer = client.post(server.url(path)).body("{}").send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (503, &"application/problem+json".parse().unwrap())
        );
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "misconfigured", "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        for name in ["MAX_WORKERS", "INDEX_LANGUAGE", "AzureWebJobsStorage"] {
            assert!(detail.contains(name), "{detail}");
        }
    }
    let health = client.get(server.url("/api/health")).send().await.unwrap();
    assert_eq!(health.status(), 503);
    assert!(server.ended().is_none(), "three exits would stop the whole host");
    server.terminate();
    assert_eq!(server.status().await.code(), Some(200));
    for name in ["MAX_WORKERS", "INDEX_LANGUAGE", "AzureWebJobsStorage"] {
        assert!(server.stderr().contains(&format!("error: {name} ")), "{}", server.stderr());
    }
    let all = format!("{}{}", server.stdout(), server.stderr());
    assert!(!all.contains("quokkamarmalade") && !all.contains(KEY), "{all}");
}
