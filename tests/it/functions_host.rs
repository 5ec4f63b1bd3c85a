//! The product as a Function App, from outside: triggers by storage, requests by HTTP, everything through the host.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use knowledge_worker::crash;
use reqwest::Method;
use serde_json::{Value, json};

use crate::access::SECRET;
use crate::fake_entra::Draft;
use crate::fake_openai::{FakeOpenAi, Script};
use crate::support::functions_app::FunctionsApp;

#[tokio::test]
async fn a_blob_is_answered_replaced_and_forgotten() {
    for app in FunctionsApp::each().await {
        app.upload("notes/harbour.txt", "The harbour master of Lindesvik is called Oda Strand.").await;
        let answer = app.ask("Who is the harbour master of Lindesvik?").await;
        assert!(answer.contains("Oda Strand") && answer.contains("[notes/harbour.txt]"), "{answer}");

        app.upload("notes/harbour.txt", "The harbour master of Lindesvik is called Pelle Holm.").await;
        let answer = app.ask("Who is the harbour master of Lindesvik?").await;
        assert!(answer.contains("Pelle Holm") && !answer.contains("Oda"), "{answer}");

        app.delete("notes/harbour.txt").await;
        app.event("BlobDeleted", "notes/harbour.txt").await;
        let answer = app.ask("Who is the harbour master of Lindesvik?").await;
        assert!(answer.contains("don't know") && !answer.contains("Pelle"), "{answer}");
    }
}

#[tokio::test]
async fn a_blob_that_is_renamed_moves_with_its_event() {
    // No blob trigger comes to help: of the new name only the event tells.
    let app = FunctionsApp::start_with(|options| options.blob_poll_interval = Duration::from_secs(3_600)).await;
    let text = "The pilot of Lindesvik is called Runa Dahl.";
    app.put("notes/pilot.txt", text).await;
    app.event("BlobCreated", "notes/pilot.txt").await;
    assert!(app.ask("Who is the pilot of Lindesvik?").await.contains("[notes/pilot.txt]"));

    app.put("archive/the pilot.txt", text).await;
    app.delete("notes/pilot.txt").await;
    app.renamed("notes/pilot.txt", "archive/the%20pilot.txt").await;
    let answer = app.ask("Who is the pilot of Lindesvik?").await;
    assert!(answer.contains("Runa Dahl") && answer.contains("[archive/the pilot.txt]"), "{answer}");
    assert!(!answer.contains("notes/pilot.txt"), "{answer}");
    let rows = app.ledger().await;
    let state = |name: &str| rows.iter().find(|row| row["name"] == name).map(|row| row["state"].clone());
    assert_eq!(state("archive/the pilot.txt"), Some(json!("indexed")), "{rows:?}");
    assert_eq!(state("notes/pilot.txt"), Some(json!("deleted")), "{rows:?}");
}

#[tokio::test]
async fn what_storage_says_of_a_blob_decides_who_finds_it() {
    for app in FunctionsApp::each().await {
        app.upload("open.txt", "The harbour master of Lindesvik is called Oda Strand.").await;
        for (name, metadata) in [
            ("crew.txt", [("allowed_groups", "t1/crew"), ("category", "harbour")]),
            ("nobody.txt", [("allowed_users", ""), ("owner", "anonymous")]),
        ] {
            let mark = app.host.mark();
            let content = format!("The harbour master of Lindesvik is called Pelle Holm, says {name}.").into_bytes();
            app.host.storage().put_blob(&app.documents, name, "text/plain", &metadata, content).await.unwrap();
            app.host.invocation_after(mark, |done| done.function == "ingest_document" && done.succeeded()).await;
        }
        let answer = app.ask("Who is the harbour master of Lindesvik?").await;
        assert!(answer.contains("Oda Strand") && !answer.contains("Pelle"), "{answer}");
        assert_eq!(app.ledger().await.len(), 1, "what may not be read is not listed");
        let stats =
            app.request(Method::GET, "/api/documents/stats").send().await.unwrap().json::<Value>().await.unwrap();
        assert_eq!((&stats["documents"], &stats["by_category"]), (&json!(1), &json!({})));
        // The same bytes for everybody: storage says so, and the trigger brings it.
        let mark = app.host.mark();
        let content = b"The harbour master of Lindesvik is called Pelle Holm, says crew.txt.".to_vec();
        app.host
            .storage()
            .put_blob(&app.documents, "crew.txt", "text/plain", &[("category", "harbour")], content)
            .await
            .unwrap();
        app.host.invocation_after(mark, |done| done.function == "ingest_document" && done.succeeded()).await;
        assert_eq!(app.ledger().await.len(), 2);
        app.host.run_timer("maintain_index").await;
        let report =
            app.request(Method::GET, "/api/maintenance/report").send().await.unwrap().json::<Value>().await.unwrap();
        assert_eq!((&report["blobs"], &report["drift"]), (&json!(3), &json!({})), "listing and events agree: {report}");
    }
}

#[tokio::test]
async fn events_ten_times_and_in_the_wrong_order_leave_one_version() {
    for app in FunctionsApp::each().await {
        app.upload("tide.txt", "High tide is at seven.").await;
        app.upload("tide.txt", "High tide is at eight.").await;
        for kind in ["BlobDeleted", "BlobCreated", "BlobCreated", "BlobDeleted", "BlobCreated"].iter().cycle().take(10)
        {
            app.event(kind, "tide.txt").await;
        }
        let answer = app.ask("When is high tide?").await;
        assert!(answer.contains("eight") && !answer.contains("seven"), "{answer}");
        let rows = app.ledger().await;
        assert_eq!(
            (rows.len(), &rows[0]["state"], &rows[0]["attempts"]),
            (1, &json!("indexed"), &json!(1)),
            "{rows:?}"
        );
    }
}

#[tokio::test]
async fn the_handler_killed_at_any_step_of_ingestion_converges() {
    // One of the steps is there only with an embedding model.
    let model = FakeOpenAi::start().await;
    let embedding = [("OPENAI_EMBEDDING_BASE_URL", model.url()), ("OPENAI_EMBEDDING_MODEL", "embed".to_owned())];
    for point in crash::POINTS.iter().filter(|point| **point != "removed") {
        let app = FunctionsApp::start_with(|options| {
            options.app_settings.extend(embedding.clone().map(|(name, value)| (name.to_owned(), value)));
            options.first_start_settings = vec![("KNOWLEDGE_WORKER_CRASH_AT".to_owned(), (*point).to_owned())];
        })
        .await;
        app.upload("a.txt", "The lamp on the north pier is green.").await;
        assert_eq!(app.host.restarts(), 1, "{point} stopped the handler once");
        let answer = app.ask("Which colour has the lamp on the north pier?").await;
        assert!(answer.contains("green"), "{point}: {answer}");
        let rows = app.ledger().await;
        assert_eq!((rows.len(), &rows[0]["state"]), (1, &json!("indexed")), "{point}: {rows:?}");
        app.host.run_timer("maintain_index").await;
        assert!(app.ask("Which colour has the lamp on the north pier?").await.contains("green"), "{point}");
    }
}

#[tokio::test]
async fn the_handler_killed_while_it_replaces_and_while_it_removes_converges() {
    for point in ["extracted", "segment-stored", "swapped", "removed"] {
        let app = FunctionsApp::start().await;
        app.upload("a.txt", "The lamp on the north pier is green.").await;
        // The same app, started anew on what is in storage, with the point armed for the first start.
        let app = app.restart_with(&[("KNOWLEDGE_WORKER_CRASH_AT", point)]).await;
        // A host that starts anew delivers what it finds; there is nothing to do.
        app.host.success_of("ingest_document").await;
        if point == "removed" {
            app.delete("a.txt").await;
            app.event("BlobDeleted", "a.txt").await;
            assert!(app.ask("Which colour has the lamp on the north pier?").await.contains("don't know"));
        } else {
            app.upload("a.txt", "The lamp on the north pier is white.").await;
            let answer = app.ask("Which colour has the lamp on the north pier?").await;
            assert!(answer.contains("white") && !answer.contains("green"), "{point}: {answer}");
        }
        assert!(app.host.restarts() >= 1, "{point} stopped the handler");
    }
}

#[tokio::test]
async fn the_timer_finds_what_no_event_told() {
    for app in FunctionsApp::each().await {
        app.upload("kept.txt", "The ferry leaves at nine.").await;
        app.upload("lost.txt", "The bakery opens at six.").await;
        app.delete("lost.txt").await;
        assert!(app.ask("When does the bakery open?").await.contains("six"), "nobody was told yet");
        let run = app.host.run_timer("maintain_index").await;
        assert!(run.succeeded() && run.logs[0].contains("1 removed"), "{run:?}");
        assert!(app.ask("When does the bakery open?").await.contains("don't know"));
        assert!(app.ask("When does the ferry leave?").await.contains("nine"));
        let again = app.host.run_timer("maintain_index").await;
        assert!(again.logs[0].contains("0 indexed, 0 removed"), "a second run finds nothing to do: {again:?}");
    }
}

#[tokio::test]
async fn a_lost_ledger_is_written_anew_from_storage_and_index() {
    for app in FunctionsApp::each().await {
        app.upload("a.txt", "The ferry leaves at nine.").await;
        app.host.stop().await;
        std::fs::remove_dir_all(app.data()).unwrap();
        let app = app.restart_with(&[]).await;
        assert!(app.ask("When does the ferry leave?").await.contains("nine"), "the index is in storage");
        app.host.run_timer("maintain_index").await;
        let rows = app.ledger().await;
        assert_eq!((rows.len(), &rows[0]["state"], &rows[0]["passages"]), (1, &json!("indexed"), &json!(1)));
    }
}

#[tokio::test]
async fn the_first_word_reaches_the_caller_before_the_last_is_made() {
    let (model, app) = with_a_scripted_model().await;
    model.push(Script::new(&["The ferry to Lindesvik ", "leaves at nine [1]."]).gated());
    let asked = ask_for_a_stream(&app).await;
    assert_eq!(asked.headers()["content-type"], "application/jsonl");
    let mut body = asked.bytes_stream();
    model.release(1);
    let mut seen = String::new();
    while !seen.contains("The ferry to Lindesvik") || !seen.contains("\"delta\":{\"content\"") {
        seen.push_str(&text(body.next().await.unwrap().unwrap()));
    }
    // Only now may the model go on: the first words have been read.
    assert!(!seen.contains("at nine [ferry.txt]"));
    model.release(2);
    while let Some(part) = body.next().await {
        seen.push_str(&text(part.unwrap()));
    }
    let lines: Vec<Value> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: String = lines.iter().filter_map(|line| line["delta"]["content"].as_str()).collect();
    assert_eq!(said, "The ferry to Lindesvik leaves at nine [ferry.txt].");
    assert!(lines[0]["context"]["data_points"]["text"][0].as_str().unwrap().starts_with("ferry.txt: "));
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_model() {
    let (model, app) = with_a_scripted_model().await;
    model.push(Script::new(&["The ferry ", "leaves"]).gated());
    let asked = ask_for_a_stream(&app).await;
    let mut body = asked.bytes_stream();
    body.next().await.unwrap().unwrap();
    model.arrival().await;
    drop(body);
    model.departure().await;
}

#[tokio::test]
async fn nothing_from_outside_reaches_a_trigger() {
    let app = FunctionsApp::start().await;
    app.host.ready().await.unwrap();
    for name in ["ingest_document", "document_events", "document_poison", "maintain_index", "backup"] {
        for path in [
            format!("/{name}"),
            format!("/api/{name}"),
            format!("//{name}"),
            format!("/{name}/"),
            format!("/%2e/{name}"),
        ] {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let forged = app
                    .request(method.clone(), &path)
                    .header("x-azure-functions-invocationid", "7")
                    .json(&json!({"Data": {}}));
                let status = forged.send().await.unwrap().status().as_u16();
                assert!([404, 405].contains(&status), "{method} {path} was answered {status}");
            }
        }
        assert!(app.host.invocations().iter().all(|done| done.function != name), "{name} ran");
    }
}

#[tokio::test]
async fn the_host_lets_everybody_through_and_the_handler_lets_in_who_signed_in() {
    let app = FunctionsApp::start_with(|options| {
        let settings = [("AUTH", "shared-key"), ("SECRET_KEY", SECRET)];
        options.app_settings.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    })
    .await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", app.host.base_url());
    for path in ["/api/chat", "/api/chat/stream", "/api/search", "/api/documents", "/api/upload", "/api/url"] {
        // The host's key is nobody's way in.
        let answer = app.request(Method::POST, path).json(&json!({})).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer "), "{path}");
    }
    for path in ["/api/documents/stats", "/api/maintenance/report"] {
        assert_eq!(client.get(url(path)).send().await.unwrap().status(), 401, "{path}");
    }
    let token = Draft::shared(knowledge_worker::clock::Clock::system().now().timestamp()).sealed(SECRET.as_bytes());
    let signed_in = client.get(url("/api/documents")).header("authorization", format!("Bearer {token}"));
    assert_eq!(signed_in.send().await.unwrap().status(), 200);
    assert_eq!(client.get(url("/api/health")).send().await.unwrap().status(), 200);
    let page = client.get(url("/")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    let script = page.split('"').find(|part| part.starts_with("/assets/") && part.ends_with("/main.js")).unwrap();
    let script = client.get(url(script)).send().await.unwrap();
    assert_eq!(script.status(), 200, "what the page is made of comes through the catch-all");
    assert!(script.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let with_code = client.get(url(&format!("/api/documents?code={}", app.host.function_key()))).send().await.unwrap();
    assert_eq!(with_code.status(), 401);
    let key = app.host.function_key();
    assert!(app.host.logs().iter().all(|line| !line.text.contains(key)), "the key is in the log");
}

#[tokio::test]
async fn a_blob_the_host_gives_up_on_is_in_the_ledger() {
    let app = FunctionsApp::start_on_the_poison_queue().await;
    app.upload("good.txt", "The ferry leaves at nine.").await;
    let storage = app.host.storage();
    let manifest = storage.get_blob(&app.index, "manifest.json").await.unwrap().unwrap();
    storage.put_blob(&app.index, "manifest.json", "application/json", &[], b"damaged".to_vec()).await.unwrap();
    let mark = app.host.mark();
    app.put("bad.txt", "The bakery opens at six.").await;
    app.host.invocation_after(mark, |done| done.function == "document_poison" && done.succeeded()).await;
    let failed = app.host.invocations().into_iter().filter(|done| done.function == "ingest_document" && done.failed());
    assert_eq!(failed.count(), 5, "the host tried five times");
    let rows = app.ledger().await;
    let row = rows.iter().find(|row| row["name"] == "bad.txt").unwrap();
    assert_eq!((&row["state"], &row["error"]["code"]), (&json!("quarantined"), &json!("index-damaged")), "{row}");
    storage.put_blob(&app.index, "manifest.json", "application/json", &[], manifest.to_vec()).await.unwrap();
    assert!(app.ask("When does the ferry leave?").await.contains("nine"), "what was indexed is still there");
}

/// An app whose model says what the test lets it say, with one document.
async fn with_a_scripted_model() -> (FakeOpenAi, FunctionsApp) {
    let model = FakeOpenAi::start().await;
    let url = model.url();
    let app = FunctionsApp::start_with(|options| {
        let settings = [("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "scripted")];
        options.app_settings.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    })
    .await;
    app.upload("ferry.txt", "The ferry to Lindesvik leaves at nine.").await;
    (model, app)
}

async fn ask_for_a_stream(app: &FunctionsApp) -> reqwest::Response {
    let question = json!({"messages": [{"role": "user", "content": "When does the ferry to Lindesvik leave?"}]});
    app.request(Method::POST, "/api/chat/stream").json(&question).send().await.unwrap()
}

fn text(bytes: Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn every_protocol_comes_through_a_host_that_streams_and_one_that_does_not() {
    for is_streaming in [true, false] {
        let app = FunctionsApp::start_with(|options| {
            let path = options.package.join("host.json");
            let text = std::fs::read_to_string(&path).unwrap();
            let on = "\"enableProxyingHttpRequest\": true";
            assert!(text.contains(on));
            let wanted = format!("\"enableProxyingHttpRequest\": {is_streaming}");
            std::fs::write(&path, text.replace(on, &wanted)).unwrap();
        })
        .await;
        app.upload("tide.txt", "High tide is at seven.").await;
        let post = async |path: &str, body: Value| {
            let answer = app.request(Method::POST, path).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            answer.text().await.unwrap()
        };
        let messages = json!([{"role": "user", "content": "When is high tide?"}]);
        let asked = json!({"model": "knowledge-worker", "messages": messages, "stream": true});
        let chunks = post("/v1/chat/completions", asked).await;
        assert!(chunks.contains("seven") && chunks.ends_with("data: [DONE]\n\n"), "{chunks}");
        let of_a_frontend = json!({"messages": messages, "session_state": null});
        for path in ["/chat/stream", "/api/chat/stream"] {
            let lines = post(path, of_a_frontend.clone()).await;
            let said: String = lines
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .filter_map(|line| line["delta"]["content"].as_str().map(str::to_owned))
                .collect();
            assert!(said.contains("seven") && said.contains("[tide.txt]"), "{said}");
        }
        assert!(post("/chat", of_a_frontend).await.contains("[tide.txt]"));
        let call = json!({"name": "search_documents", "arguments": {"query": "When is high tide?"}});
        let called = post("/mcp", json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})).await;
        assert!(called.contains("[tide.txt]"), "{called}");
        let models = app.request(Method::GET, "/v1/models").send().await.unwrap().text().await.unwrap();
        let model = app.request(Method::GET, "/v1/models/knowledge-worker").send().await.unwrap();
        assert!(models.contains("knowledge-worker") && model.status() == 200, "{models}");
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(app.request(method, "/mcp").send().await.unwrap().status(), 405);
        }
    }
}
