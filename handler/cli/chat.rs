//! `handler chat`: a conversation on the terminal. Each line is a question; what was said before counts. It is kept like any
//! other conversation, and can be gone on with.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use futures_util::StreamExt;
use serde_json::json;
use tokio::time::Instant;

use super::filter::FilterArgs;
use super::told::tell;
use crate::app::App;
use crate::chat::ChatRequest;
use crate::chat::answer::answer;
use crate::chat::question::Question;
use crate::conversations::ConversationId;
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::index::filter::Filter;

#[derive(Args)]
pub(super) struct ChatArgs {
    /// Go on with this conversation [default: a new one]
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// What `--help` adds.
pub(super) const HELP: &str = "\
Each line is a question. An empty line or the end of the input ends the conversation.

Examples:
  handler chat                                 a new conversation
  handler chat --conversation 5f2c…            go on with one
  handler chat --json < questions.txt          a JSON object for each answer";

/// Converses until there is no more to read. A question that fails is told, and the next one may be asked.
pub(super) async fn run(app: &App, args: ChatArgs, json: bool) -> Result<ExitCode> {
    super::warn_if_empty(app).await?;
    let given = args.conversation.as_deref().map(ConversationId::parse).transpose()?;
    let id = given.map_or_else(|| ConversationId::parse(&uuid::Uuid::new_v4().to_string()), Ok)?;
    let filter = args.filter.filter();
    let is_person = std::io::stdin().is_terminal() && !json;
    if is_person && app.conversations.are_kept() {
        eprintln!("conversation {}; an empty line ends it", id.as_str());
    }
    let mut is_well = true;
    while let Some(line) = next_line(is_person).await? {
        if line.trim().is_empty() {
            break;
        }
        if let Err(e) = ask(app, &id, &line, filter.clone(), json).await {
            is_well = false;
            eprintln!("error: {}", e.chain());
        }
        if !json {
            println!();
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn ask(app: &App, id: &ConversationId, line: &str, filter: Filter, json: bool) -> Result<()> {
    let principal = Principal::anonymous();
    let question = Question::parse(line, app.config.max_message_chars)?;
    if !app.conversations.are_kept() {
        let request = ChatRequest { filter, is_streamed: !json, ..ChatRequest::of(question) };
        tell(answer(Arc::clone(&app.chat), principal, request), json, &[]).await?;
        return Ok(());
    }
    let open = app.conversations.begin(&principal, id, question.as_str()).await?;
    let turns = app.chat.settings.history_turns;
    let history = app.conversations.history_before(&principal, id, open.number(), turns).await?;
    let more = [("conversation_id", json!(id.as_str())), ("turn", json!(open.number()))];
    let request = ChatRequest { history, filter, is_streamed: !json, ..ChatRequest::of(question) };
    let deadline = Instant::now() + app.config.answer_timeout;
    let events = open.record(answer(Arc::clone(&app.chat), principal, request).boxed(), deadline);
    tell(events, json, &more).await?;
    Ok(())
}

/// The next line of the input; none at its end.
async fn next_line(is_person: bool) -> Result<Option<String>> {
    let read = tokio::task::spawn_blocking(move || -> std::io::Result<Option<String>> {
        if is_person {
            print!("> ");
            std::io::stdout().flush()?;
        }
        let mut line = String::new();
        Ok((std::io::stdin().lock().read_line(&mut line)? > 0).then_some(line))
    });
    let unreadable = |e: std::io::Error| Error::new(ErrorKind::InvalidRequest, "the input is not text").caused_by(e);
    read.await.map_err(|_| Error::new(ErrorKind::Internal, "reading was interrupted"))?.map_err(unreadable)
}
