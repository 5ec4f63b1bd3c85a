//! Callers who leave in the middle of an answer, or stay and take nothing of it: nobody goes on paying for it.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::fake_openai::{Ending, FakeOpenAi, Script};
use crate::support::process::{Place, Server, eventually};

/// A thousand callers in all, so many of them at a time that an ordinary limit of open files is enough.
const CALLERS: usize = 200;
const WAVES: usize = 5;
/// How long it may take until the last call of the model is over. It takes milliseconds where nothing else runs.
const LIMIT: Duration = Duration::from_secs(5);

/// A server that has read a document and asks a model.
async fn knowing_of_the_ferry(place: &Place, client: &Client, model: &str, settings: &[(&str, &str)]) -> Server {
    place.write("data/documents/ferry.txt", "The ferry leaves at nine.");
    let asks = [("OPENAI_BASE_URL", model), ("OPENAI_MODEL", "chat")];
    let server = place.serve_the_host(&[asks.as_slice(), settings].concat());
    let envelope = json!({"Data": {"blob": ""}, "Metadata": {"name": "\"ferry.txt\""}});
    let ingested = async || client.post(server.url("/ingest_document")).json(&envelope).send().await.ok();
    assert_eq!(eventually("the document is ingested", ingested).await.status(), 200);
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_12_nobody_pays_for_answers_whose_callers_have_left() {
    let (model, place, client) = (FakeOpenAi::start().await, Place::new(), Client::new());
    let settings = [("CACHE_ANSWER_SECONDS", "0"), ("TOKEN_BUDGET_PER_DAY", "0")];
    let server = knowing_of_the_ferry(&place, &client, &model.url(), &settings).await;
    let question = json!({"messages": [{"role": "user", "content": "When does the ferry leave?"}]});
    for wave in 1..=WAVES {
        (0..CALLERS).for_each(|_| model.push(Script::new(&["The ferry "]).gated().ending(Ending::Hang)));
        // One for the words of each answer, and one for the silence after them.
        model.release(CALLERS * 2);
        let answers = join_all((0..CALLERS).map(|_| async {
            let asked = client.post(server.url("/api/chat/stream")).json(&question).send().await.unwrap();
            let mut answer = asked.bytes_stream();
            // The first line has the passages; the words of the model are on their way.
            answer.next().await.expect("the answer has begun").unwrap();
            answer
        }));
        let answers = answers.await;
        eventually("the model has begun all answers", async || (model.unsent() == 0).then_some(())).await;
        assert_eq!((model.requests().len(), model.departures()), (CALLERS * wave, CALLERS * (wave - 1)));
        let began = Instant::now();
        drop(answers);
        let all_ended = async || (model.departures() == CALLERS * wave).then_some(());
        eventually("all calls of the model end", all_ended).await;
        println!("{CALLERS} callers left; the last call of the model ended after {:?}", began.elapsed());
        assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_12_a_caller_who_takes_nothing_is_left_and_their_place_is_free() {
    let (model, place, client) = (FakeOpenAi::start().await, Place::new(), Client::new());
    let settings = [
        ("MAX_CONCURRENT_REQUESTS", "1"),
        ("WRITE_TIMEOUT_SECONDS", "1"),
        // Nothing else ends an answer here.
        ("TIMEOUT_SECONDS", "230"),
        ("INVOCATION_TIMEOUT_SECONDS", "3600"),
    ];
    let server = knowing_of_the_ferry(&place, &client, &model.url(), &settings).await;
    // More than all buffers between model and caller hold, and no end.
    let words = "The ferry leaves at nine. ".repeat(40);
    model.push(Script::new(&vec![words.as_str(); 6_000]).ending(Ending::Hang));

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let address = server.url("").trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let mut caller = socket.connect(address).await.unwrap();
    let asked = json!({
        "messages": [{"role": "user", "content": "When does the ferry leave?"}],
        "context": {"conversation_id": "c"},
    })
    .to_string();
    let head = "POST /api/chat/stream HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{asked}", asked.len());
    caller.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 1];
    caller.read_exact(&mut first).await.unwrap();

    let question = json!({"query": "ferry"});
    let search = async || client.post(server.url("/api/search")).json(&question).send().await.unwrap().status();
    assert_eq!(search().await, 503, "the one place is taken");
    let began = Instant::now();
    eventually("the call of the model ends", async || (model.departures() == 1).then_some(())).await;
    println!("a caller took one byte; the call of the model ended after {:?}", began.elapsed());
    let turn = async || {
        let looked = client.get(server.url("/api/conversations/c")).send().await.ok()?;
        let conversation: Value = looked.json().await.ok()?;
        (conversation["turns"][0]["state"] == "incomplete").then_some(())
    };
    eventually("the turn is marked as incomplete", turn).await;
    assert_eq!(search().await, 200, "the place is free");
}
