//! `handler ask`: a question from the terminal. The answer appears as it is made, its sources after it.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::filter::FilterArgs;
use super::told::tell;
use crate::app::App;
use crate::chat::ChatRequest;
use crate::chat::answer::answer;
use crate::chat::question::Question;
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
    let request = ChatRequest { filter: args.filter.filter(), is_streamed: !json, ..ChatRequest::of(question) };
    let events = answer(Arc::clone(&app.chat), Principal::anonymous(), request);
    Ok(if tell(events, json, &[]).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
