//! Clients that others wrote, unmodified, talking to `handler serve` over HTTP. What enters is a small program in the
//! client's language that uses it as its documentation says; what leaves is what that program understood, as JSON.

mod ai_chat_protocol;
mod mcp;
mod openai;

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::process::{Place, Server, eventually};

/// What the document says, with its source.
const ANSWER: &str = "The basin of Tarnholm is 14 metres deep at low water. [harbour.md]";

/// The product with one document in it that can be found.
async fn served(settings: &[(&str, &str)]) -> (Place, Server) {
    let place = Place::new();
    place.write("documents/harbour.md", "# Harbour\n\nThe basin of Tarnholm is 14 metres deep at low water.\n");
    let server = tokio::task::block_in_place(|| place.serve(settings));
    let look = async || {
        let asked = reqwest::Client::new().post(server.url("/api/search")).json(&json!({"query": "basin Tarnholm"}));
        let found: Value = asked.send().await.ok()?.json().await.ok()?;
        found["results"].get(0).map(|_| ())
    };
    eventually("the document is found", look).await;
    (place, server)
}

/// Runs a program in Python with the clients installed, and returns what it prints.
async fn python(program: &str, arguments: &[&str]) -> Value {
    // They are installed here when the script that runs the tests has not done it.
    let install = "need_python_packages chat-clients chat_clients.txt";
    run(&format!("{install}; exec python -B tests/python/{program} \"$@\""), arguments).await
}

/// Runs a program in JavaScript with the clients installed, and returns what it prints.
async fn node(program: &str, arguments: &[&str]) -> Value {
    run(&format!("need_node_packages; exec node tests/npm/{program} \"$@\""), arguments).await
}

async fn run(command: &str, arguments: &[&str]) -> Value {
    let output = Command::new("bash")
        .args(["-c", &format!("set -e; source scripts/lib/prepare; {command}"), "bash"])
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output();
    let output = output.await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}"))
}
