//! Callers who leave in the middle of an answer: nobody goes on paying for it.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::json;

use crate::fake_openai::{Ending, FakeOpenAi, Script};
use crate::support::process::{Place, eventually};

/// A thousand callers in all, so many of them at a time that an ordinary limit of open files is enough.
const CALLERS: usize = 200;
const WAVES: usize = 5;
/// How long it may take until the last call of the model is over. It takes milliseconds where nothing else runs.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_12_nobody_pays_for_answers_whose_callers_have_left() {
    let (model, place) = (FakeOpenAi::start().await, Place::new());
    place.write("data/documents/ferry.txt", "The ferry leaves at nine.");
    let url = model.url();
    let settings = [
        ("OPENAI_BASE_URL", url.as_str()),
        ("OPENAI_MODEL", "chat"),
        ("CACHE_ANSWER_SECONDS", "0"),
        ("TOKEN_BUDGET_PER_DAY", "0"),
    ];
    let (server, client) = (place.serve_the_host(&settings), Client::new());
    let envelope = json!({"Data": {"blob": ""}, "Metadata": {"name": "\"ferry.txt\""}});
    let ingested = async || client.post(server.url("/ingest_document")).json(&envelope).send().await.ok();
    assert_eq!(eventually("the document is ingested", ingested).await.status(), 200);
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
