//! An answer on the terminal: its words as they are made, its sources after it; or one JSON object for programs.

use std::io::Write;

use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};

use crate::chat::{ChatEvent, Done};
use crate::error::{Error, ErrorKind, Result};

/// Tells an answer. With `json` it is one object, to which `more` is added. Whether the documents say.
pub(super) async fn tell(
    events: impl Stream<Item = Result<ChatEvent>>,
    json: bool,
    more: &[(&str, Value)],
) -> Result<bool> {
    let mut events = std::pin::pin!(events);
    let mut text = String::new();
    while let Some(event) = events.next().await {
        let said = match event? {
            ChatEvent::Text(words) => words,
            ChatEvent::Citation(citation) => format!(" [{}]", citation.number),
            ChatEvent::Done(done) => {
                finish(&text, &done, json, more);
                return Ok(!done.abstained);
            }
            ChatEvent::ToolCall(used) => {
                if !json {
                    eprintln!("({})", used.summary);
                }
                continue;
            }
            _ => continue,
        };
        if !json {
            print!("{said}");
            let _flushed = std::io::stdout().flush();
        }
        text.push_str(&said);
    }
    Err(Error::new(ErrorKind::ModelFailed, "the answer ended in the middle"))
}

fn finish(text: &str, done: &Done, json: bool, more: &[(&str, Value)]) {
    if json {
        let mut told =
            json!({"answer": text, "abstained": done.abstained, "citations": done.citations, "model": done.model});
        for (name, value) in more {
            told[*name] = value.clone();
        }
        println!("{told}");
        return;
    }
    println!();
    if !done.citations.is_empty() {
        println!("\nSources");
    }
    for citation in &done.citations {
        println!("  [{}] {}", citation.number, citation.source);
    }
}
