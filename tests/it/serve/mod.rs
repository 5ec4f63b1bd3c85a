//! `handler serve` as a process of its own: what happens in the folder can be asked over HTTP, answers come as they are
//! made, and the order to stop lets nobody's request down.

mod logs;
mod under_the_host;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::process::{Place, Server, eventually};

/// Only what the watcher sees counts: the sweep that makes good for it comes tomorrow.
const WATCHING: [(&str, &str); 1] = [("SWEEP_SECONDS", "86400")];

async fn post(server: &Server, path: &str, body: &Value) -> reqwest::Response {
    Client::new().post(server.url(path)).json(body).send().await.expect("the server answers")
}

/// The words of an answer.
async fn ask(server: &Server, question: &str) -> String {
    let answer = post(server, "/api/chat", &json!({ "message": question })).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.expect("an answer is JSON");
    answer["response"].as_str().expect("an answer has words").to_owned()
}

/// The names of the documents that have passages for a query.
async fn found(server: &Server, query: &str) -> Vec<String> {
    let answer: Value = post(server, "/api/search", &json!({ "query": query })).await.json().await.expect("JSON");
    let results = answer["results"].as_array().expect("there are results");
    results.iter().map(|result| result["name"].as_str().expect("a result has a name").to_owned()).collect()
}

/// Waits until an answer holds some words.
async fn until_told(server: &Server, question: &str, words: &str) {
    let what = format!("`{words}` is the answer");
    eventually(&what, async || ask(server, question).await.contains(words).then_some(())).await;
}

/// Waits until exactly these documents have passages for a query.
async fn until_found(server: &Server, query: &str, names: &[&str]) {
    let what = format!("{names:?} are found");
    let look = async || {
        let mut found = found(server, query).await;
        found.sort_unstable();
        (found == names).then_some(())
    };
    eventually(&what, look).await;
}

#[tokio::test]
async fn pages_of_other_sites_are_turned_away() {
    let place = Place::new();
    let server = place.serve(&[]);
    let question = json!({"message": "When does the ferry leave?"});
    let asked_by = |name: &'static str, value: &'static str| {
        let request = Client::new().post(server.url("/api/chat")).json(&question).header(name, value);
        async move { request.send().await.expect("the server answers").status().as_u16() }
    };
    assert_eq!(asked_by("origin", "https://evil.example").await, 403);
    assert_eq!(asked_by("host", "evil.example").await, 403);
    assert_eq!(asked_by("accept", "*/*").await, 200);
}

#[tokio::test]
async fn it_says_where_it_answers_and_answers_there() {
    let place = Place::new();
    let server = place.serve(&[]);
    assert!(server.address.ip().is_loopback() && server.address.port() != 0);
    let page = Client::new().get(server.url("/")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("<!doctype html>"));
    let health = Client::new().get(server.url("/api/health")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let health: Value = health.json().await.unwrap();
    assert_eq!(health["status"], "healthy", "{health}");
    // The ways in that only the Functions host has are closed.
    for trigger in ["ingest_document", "document_events", "document_poison", "maintain_index", "backup"] {
        let answer = post(&server, &format!("/{trigger}"), &json!({"Data": {}})).await;
        assert_eq!(answer.status(), 404, "{trigger}");
    }
}

#[tokio::test]
async fn a_file_that_comes_changes_and_goes_is_followed() {
    let place = Place::new();
    place.write("documents/before.txt", "The lighthouse keeper is called Ragnhild.");
    let server = place.serve(&WATCHING);
    until_told(&server, "What is the lighthouse keeper called?", "Ragnhild").await;

    place.write("documents/harbour/crane.md", "# Crane\n\nThe quay crane lifts 40 tonnes.");
    until_told(&server, "How many tonnes does the quay crane lift?", "40 tonnes").await;
    assert!(ask(&server, "How many tonnes does the quay crane lift?").await.contains("[harbour/crane.md]"));

    place.write("documents/harbour/crane.md", "# Crane\n\nThe quay crane lifts 55 tonnes since the repair.");
    until_told(&server, "How many tonnes does the quay crane lift?", "55 tonnes").await;
    assert!(!ask(&server, "How many tonnes does the quay crane lift?").await.contains("40"));
    assert_eq!(found(&server, "quay crane").await, ["harbour/crane.md"]);

    fs::remove_file(place.path("documents/harbour/crane.md")).unwrap();
    until_found(&server, "quay crane", &[]).await;
    assert!(!ask(&server, "How many tonnes does the quay crane lift?").await.contains("tonnes."));
    assert!(ask(&server, "What is the lighthouse keeper called?").await.contains("Ragnhild"));
}

#[tokio::test]
async fn a_file_that_goes_is_followed_whatever_the_container_is_called() {
    let place = Place::new();
    place.write("documents/rope.txt", "The spare rope hangs in shed four.");
    let server = place.serve(&[("SWEEP_SECONDS", "86400"), ("DOCUMENTS_CONTAINER", "papers")]);
    until_told(&server, "Where does the spare rope hang?", "shed four").await;
    fs::remove_file(place.path("documents/rope.txt")).unwrap();
    until_found(&server, "spare rope", &[]).await;
}

#[tokio::test]
async fn a_folder_that_is_moved_in_and_out_takes_its_files_with_it() {
    let place = Place::new();
    for number in 1..=3 {
        place.write(&format!("outside/deep/{number}.txt"), format!("Buoy {number} is painted orange."));
    }
    let server = place.serve(&WATCHING);
    fs::rename(place.path("outside"), place.path("documents/buoys")).unwrap();
    let names = ["buoys/deep/1.txt", "buoys/deep/2.txt", "buoys/deep/3.txt"];
    until_found(&server, "buoy painted orange", &names).await;

    fs::rename(place.path("documents/buoys"), place.path("documents/marks")).unwrap();
    until_found(
        &server,
        "buoy painted orange",
        &names.map(|name| name.replace("buoys", "marks")).each_ref().map(String::as_str),
    )
    .await;

    fs::rename(place.path("documents/marks"), place.path("outside")).unwrap();
    until_found(&server, "buoy painted orange", &[]).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_listed_with_its_reason() {
    let place = Place::new();
    let server = place.serve(&WATCHING);
    place.write("documents/broken.pdf", "these are no pages");
    let row = eventually("the broken file is quarantined", async || {
        let listed: Value = Client::new().get(server.url("/api/documents")).send().await.ok()?.json().await.ok()?;
        let row = listed["documents"].as_array()?.iter().find(|row| row["name"] == "broken.pdf")?.clone();
        (row["state"] == "quarantined").then_some(row)
    })
    .await;
    assert_eq!(row["error"]["code"], "document-unsupported");
    assert!(row["error"]["message"].as_str().unwrap().contains("PDF"), "{row}");
}

#[tokio::test]
async fn an_upload_is_answered_at_once_and_answerable_soon() {
    let place = Place::new();
    let server = place.serve(&WATCHING);
    let part = reqwest::multipart::Part::text("The winch is oiled on Mondays.").file_name("winch.txt");
    let form = reqwest::multipart::Form::new().part("file", part);
    let taken = Client::new().post(server.url("/api/documents")).multipart(form).send().await.unwrap();
    assert_eq!(taken.status(), 202);
    let taken: Value = taken.json().await.unwrap();
    until_told(&server, "When is the winch oiled?", "Mondays").await;
    let id = taken["documents"][0]["id"].as_str().unwrap();
    let gone = Client::new().delete(server.url(&format!("/api/documents/{id}"))).send().await.unwrap();
    assert_eq!(gone.status(), 200);
    assert!(!place.path("documents/winch.txt").exists());
    assert_eq!(
        found(&server, "winch oiled").await,
        Vec::<String>::new(),
        "deleting takes effect before it is answered"
    );
}

#[tokio::test]
async fn a_streamed_answer_is_one_json_object_a_line() {
    let place = Place::new();
    place.write("documents/tide.md", "# Tide\n\nHigh water stands for 25 minutes. The gate closes at dusk.");
    let server = place.serve(&WATCHING);
    until_told(&server, "How long does high water stand?", "25 minutes").await;
    let question =
        json!({"messages": [{"role": "user", "content": "How long does high water stand?"}], "sessionState": "mine"});
    let answer = post(&server, "/api/chat/stream", &question).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/jsonl".parse().unwrap())
    );
    let mut body = String::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        body.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    assert!(body.ends_with('\n'));
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 3 && lines.iter().all(Value::is_object), "{body}");
    assert_eq!((&lines[0]["delta"]["role"], &lines[0]["sessionState"]), (&"assistant".into(), &"mine".into()));
    let words: String = lines.iter().filter_map(|line| line["delta"]["content"].as_str()).collect();
    assert!(words.contains("25 minutes") && words.contains("[tide.md]"), "{words}");
    assert_eq!(lines.last().unwrap()["context"]["citations"][0]["source"], "tide.md");
}

#[tokio::test]
async fn the_order_to_stop_lets_a_running_request_finish() {
    let place = Place::new();
    let mut server = place.serve(&[]);
    let patience = Some(Duration::from_secs(60));
    // A caller who keeps the connection, and one who is in the middle of asking.
    let mut idle = BufReader::new(TcpStream::connect(server.address).unwrap());
    idle.get_ref().set_read_timeout(patience).unwrap();
    idle.get_mut().write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut line = String::new();
    idle.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    let mut asking = BufReader::new(TcpStream::connect(server.address).unwrap());
    asking.get_ref().set_read_timeout(patience).unwrap();
    let body = r#"{"message": "Who keeps the light?"}"#;
    let head = format!(
        "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    );
    asking.get_mut().write_all(head.as_bytes()).unwrap();
    // The server asks for the body: the request runs.
    line.clear();
    asking.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");

    server.terminate();
    // Who only keeps the connection sees it close.
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    eventually("nobody new is let in", async || TcpStream::connect(server.address).err()).await;
    assert!(server.ended().is_none(), "somebody is still asking");
    asking.get_mut().write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    asking.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 200") && answer.contains("\"response\""), "{answer}");
    assert_eq!(server.status().await.code(), Some(0), "{}", server.stderr());
}
