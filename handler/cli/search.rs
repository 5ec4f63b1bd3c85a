//! `handler search`: the passages that fit a query.

use std::process::ExitCode;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde_json::json;

use super::filter::FilterArgs;
use crate::app::App;
use crate::chat::question::Question;
use crate::document::Principal;
use crate::error::Result;

/// Characters of a passage that are shown.
const EXCERPT_CHARS: usize = 240;
/// Passages that are shown at most.
const MOST: u64 = 1_000;

#[derive(Args)]
pub(super) struct SearchArgs {
    /// The query
    #[arg(required = true, num_args = 1.., value_name = "QUERY")]
    query: Vec<String>,
    /// How many passages to show
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST))]
    top: usize,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Finds. The status is 1 when nothing was found.
pub(super) async fn run(app: &App, args: SearchArgs, json: bool) -> Result<ExitCode> {
    let question = Question::parse(&args.query.join(" "), app.config.max_message_chars)?;
    super::warn_if_empty(app).await?;
    let (principal, filter) = (Principal::anonymous(), args.filter.filter());
    let (found, retrieval) = app.retriever.search(&principal, question.as_str(), &filter, args.top).await?;
    if json {
        let passages: Vec<_> =
            found.hits.iter().map(|hit| json!({"source": hit.passage.source(), "passage": hit.passage})).collect();
        println!("{}", json!({"results": passages, "generation": found.generation, "retrieval": retrieval}));
    } else {
        for (number, hit) in found.hits.iter().enumerate() {
            let headings = hit.passage.heading_path.join(" > ");
            println!("{}. {}  {headings}", number + 1, hit.passage.source());
            println!("   {}\n", excerpt(&hit.passage.text));
        }
        if found.hits.is_empty() {
            println!("nothing found");
        }
    }
    Ok(if found.hits.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn excerpt(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}…", &flat[..end]),
        None => flat,
    }
}
