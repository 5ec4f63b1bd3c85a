//! `handler ask`: a question from the terminal. The answer appears as it is made, its sources after it.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use futures_util::StreamExt;
use serde_json::json;

use super::filter::FilterArgs;
use crate::app::App;
use crate::chat::answer::answer;
use crate::chat::question::Question;
use crate::chat::{ChatEvent, ChatRequest, Done};
use crate::document::Principal;
use crate::error::Result;

#[derive(Args)]
pub(super) struct AskArgs {
    /// The question
    #[arg(required = true, num_args = 1.., value_name = "QUESTION")]
    question: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Answers. The status is 0 with an answer and 1 when the documents do not say.
pub(super) async fn run(app: &App, args: AskArgs, json: bool) -> Result<ExitCode> {
    let question = Question::parse(&args.question.join(" "), app.config.max_message_chars)?;
    super::warn_if_empty(app).await?;
    let request = ChatRequest { question, history: Vec::new(), filter: args.filter.filter() };
    let mut events = Box::pin(answer(Arc::clone(&app.chat), Principal::anonymous(), request));
    let mut text = String::new();
    let mut abstained = false;
    while let Some(event) = events.next().await {
        let said = match event? {
            ChatEvent::Text(words) => words,
            ChatEvent::Citation(citation) => format!(" [{}]", citation.number),
            ChatEvent::Done(done) => {
                abstained = done.abstained;
                finish(&text, &done, json);
                continue;
            }
            ChatEvent::Context(_) | ChatEvent::Usage(_) => continue,
        };
        if !json {
            print!("{said}");
            let _flushed = std::io::stdout().flush();
        }
        text.push_str(&said);
    }
    Ok(if abstained { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn finish(text: &str, done: &Done, json: bool) {
    if json {
        println!(
            "{}",
            json!({"answer": text, "abstained": done.abstained, "citations": done.citations, "model": done.model})
        );
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
