//! The same for Application Insights, by the form in which it takes telemetry: gzipped JSON, posted over TLS to `/v2/track`.

use std::io::Read;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use flate2::read::GzDecoder;
use reqwest::Client;
use serde_json::{Value, json};

use super::{CALLER, TRACE, traceparent};
use crate::fake_azure::identity::FakeIdentity;
use crate::fake_azure::tls::{TlsServer, trusted};
use crate::fake_openai::{FakeOpenAi, Script};
use crate::support::process::{Place, Server, eventually};

const KEY: &str = "0b1d2e3f-0000-4000-8000-quokkaquokka";

/// What was sent, an envelope a piece.
type Taken = Arc<Mutex<Vec<Value>>>;

async fn track(State(taken): State<Taken>, headers: HeaderMap, body: Bytes) -> (StatusCode, &'static str) {
    assert_eq!(headers["content-encoding"], "gzip");
    let mut text = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut text).expect("the body is gzipped text");
    let envelopes: Vec<Value> = serde_json::from_str(&text).expect("the text is a list of envelopes");
    taken.lock().unwrap().extend(envelopes);
    (StatusCode::OK, "{}")
}

/// The envelopes of a kind that belong to the trace.
fn of_trace(taken: &Taken, kind: &str) -> Vec<Value> {
    let fits = |envelope: &&Value| envelope["data"]["baseType"] == kind && envelope["tags"]["ai.operation.id"] == TRACE;
    taken.lock().unwrap().iter().filter(fits).cloned().collect()
}

async fn ask(server: &Server) -> u16 {
    let question = json!({ "message": "Which colour has the quokka lamp?" });
    let asked = Client::new().post(server.url("/api/chat")).json(&question).header("traceparent", traceparent("00"));
    let answer = asked.send().await.expect("the server answers");
    let status = answer.status().as_u16();
    answer.bytes().await.expect("the answer comes whole");
    status
}

#[tokio::test]
async fn application_insights_gets_requests_dependencies_exceptions_and_metrics() {
    let (place, model, taken) = (Place::new(), FakeOpenAi::start().await, Taken::default());
    let insights = TlsServer::start(Router::new().route("/v2/track", post(track)).with_state(Arc::clone(&taken))).await;
    place.write("documents/lamp.txt", "The quokka lamp is green.");
    let (model_url, trusted) = (model.url(), trusted());
    let connection = format!("InstrumentationKey={KEY};IngestionEndpoint={}/", insights.url());
    let mut server = place.serve(&[
        ("OPENAI_BASE_URL", &model_url),
        ("OPENAI_MODEL", "gpt-test"),
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", &connection),
        ("SSL_CERT_FILE", &trusted),
        ("CACHE_SEARCH_SECONDS", "0"),
        ("CACHE_ANSWER_SECONDS", "0"),
    ]);
    let found = async || {
        let search = Client::new().post(server.url("/api/search")).json(&json!({"query": "quokka lamp"}));
        search.send().await.ok()?.text().await.ok()?.contains("lamp.txt").then_some(())
    };
    eventually("the document is found", found).await;
    model.push(Script::new(&["It is green [1]."]));
    assert_eq!(ask(&server).await, 200);
    // Nothing is in line any more.
    assert_eq!(ask(&server).await, 502);

    let both = async || Some(of_trace(&taken, "RequestData")).filter(|requests| requests.len() == 2);
    let requests = eventually("both requests come", both).await;
    let good = &requests[0]["data"]["baseData"];
    assert_eq!(
        (&good["name"], &good["responseCode"], &good["success"]),
        (&json!("POST /api/chat"), &json!("200"), &json!(true))
    );
    let bad = &requests[1]["data"]["baseData"];
    assert_eq!((&bad["responseCode"], &bad["success"]), (&json!("502"), &json!(false)));
    assert_eq!(requests[0]["tags"]["ai.operation.parentId"], CALLER);
    assert_eq!(requests[0]["tags"]["ai.cloud.role"], "knowledge-worker");
    assert_eq!(requests[0]["iKey"], KEY);

    let calls = of_trace(&taken, "RemoteDependencyData");
    let call = calls.iter().map(|call| &call["data"]["baseData"]).find(|call| call["name"] == "model chat").unwrap();
    assert_eq!(call["target"], model_url.trim_start_matches("http://"), "{call}");
    assert_eq!((&call["resultCode"], &call["success"], &call["type"]), (&json!("200"), &json!(true), &json!("HTTP")));
    assert_eq!(call["properties"]["attempts"], "1");
    let exceptions = of_trace(&taken, "ExceptionData");
    assert_eq!(exceptions[0]["data"]["baseData"]["exceptions"][0]["typeName"], "model-failed", "{exceptions:?}");

    server.terminate();
    server.status().await;
    let is_ours = |envelope: &Value| envelope["data"]["baseData"]["metrics"][0]["name"] == "tokens";
    assert!(taken.lock().unwrap().iter().any(is_ours), "tokens are counted");
    let sent = format!("{:?}", taken.lock().unwrap());
    assert!(!sent.contains("quokka lamp") && !sent.contains("lamp.txt") && !sent.contains("colour"));
    assert!(!server.stdout().contains(KEY) && !server.stderr().contains(KEY), "the key is in no log");
}

/// The proofs that came with what was sent.
type Proofs = Arc<Mutex<Vec<String>>>;

async fn guarded_track(State(proofs): State<Proofs>, headers: HeaderMap) -> (StatusCode, &'static str) {
    let proof = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    proofs.lock().unwrap().push(proof.to_owned());
    if proof.starts_with("Bearer ") { (StatusCode::OK, "{}") } else { (StatusCode::UNAUTHORIZED, "{}") }
}

#[tokio::test]
async fn a_resource_that_takes_no_keys_is_sent_a_token() {
    let (place, identity, proofs) = (Place::new(), FakeIdentity::start().await, Proofs::default());
    let routes = Router::new().route("/v2/track", post(guarded_track)).with_state(Arc::clone(&proofs));
    let insights = TlsServer::start(routes).await;
    let connection = format!("InstrumentationKey={KEY};IngestionEndpoint={}/", insights.url());
    let (trusted, platform) = (trusted(), identity.settings());
    let mut settings = vec![
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", connection.as_str()),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=AAD"),
        ("SSL_CERT_FILE", trusted.as_str()),
    ];
    settings.extend(platform.iter().map(|(name, value)| (*name, value.as_str())));
    let server = place.serve_the_host(&settings);
    eventually("it answers", async || Client::new().get(server.url("/")).send().await.ok()).await;
    assert!(identity.asked().is_empty(), "no token is needed before the first request");
    ask(&server).await;
    eventually("something is sent", async || (!proofs.lock().unwrap().is_empty()).then_some(())).await;
    assert!(proofs.lock().unwrap().iter().all(|proof| proof.starts_with("Bearer ")));
    assert!(
        identity.asked().iter().all(|asked| asked.resource == "https://monitor.azure.com/"),
        "{:?}",
        identity.asked()
    );
    assert!(!server.stdout().contains("telemetry could not be sent"), "{}", server.stdout());
}
