//! The tools: one registry, one file for what each does; what the answering model has, too, is in `chat/tools/`. What enters is
//! a name with arguments, what leaves is a result for a model. Arguments that cannot be used and failures on this side are results, too, so that the model learns of them.

mod fetch;
mod search;
mod summarize;

use std::pin::Pin;

use serde_json::{Map, Value, json};

use super::ShownPassage;
use super::Sources;
use super::message::Failure;
use super::methods::Outcome;
use crate::chat;
use crate::chat::tools::arguments::Arguments;
use crate::document::Principal;
use crate::error::Result;

/// What a running tool returns.
type ToolFuture<'a> = Pin<Box<dyn Future<Output = Result<Found>> + Send + 'a>>;

/// What a tool found.
struct Found {
    /// For a model that reads.
    text: String,
    /// For a program.
    structured: Value,
    /// The passages that it is made of.
    shown: Vec<ShownPassage>,
}

/// One tool.
struct Tool {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    input: fn() -> Value,
    output: fn() -> Value,
    run: for<'a> fn(Sources<'a>, &'a Principal, Arguments<'a>) -> ToolFuture<'a>,
}

/// Every tool, in the order in which they are listed.
const TOOLS: [Tool; 4] = [
    Tool {
        name: "search_documents",
        title: "Search the documents",
        description: "Finds the passages of the organisation's documents that fit a question best, with the text of each and \
            its source. Cite a source as it is given.",
        input: search::passages_input,
        output: search::passages_output,
        run: |sources, principal, arguments| Box::pin(search::passages(sources, principal, arguments)),
    },
    Tool {
        name: chat::tools::summarize::NAME,
        title: "Summarize a document",
        description: chat::tools::summarize::DESCRIPTION,
        input: chat::tools::summarize::parameters,
        output: summarize::output,
        run: |sources, principal, arguments| Box::pin(summarize::summarize(sources, principal, arguments)),
    },
    Tool {
        name: "search",
        title: "Search",
        description: "Finds the passages of the organisation's documents that fit a query best: ids, titles and addresses. \
            `fetch` gives the text of one.",
        input: search::hits_input,
        output: search::hits_output,
        run: |sources, principal, arguments| Box::pin(search::hits(sources, principal, arguments)),
    },
    Tool {
        name: "fetch",
        title: "Fetch",
        description: "Gives the text behind an id that `search` or `search_documents` gave: that of a passage, or with the id \
            of a document that of the whole document.",
        input: fetch::input,
        output: fetch::output,
        run: |sources, principal, arguments| Box::pin(fetch::fetch(sources, principal, arguments)),
    },
];

/// The tools as `tools/list` tells them.
pub fn list() -> Vec<Value> {
    let told = |tool: &Tool| {
        json!({
            "name": tool.name,
            "title": tool.title,
            "description": tool.description,
            "inputSchema": (tool.input)(),
            "outputSchema": (tool.output)(),
            "annotations": {"readOnlyHint": true, "openWorldHint": false},
        })
    };
    TOOLS.iter().map(told).collect()
}

/// Runs a tool as `principal`.
pub async fn call(
    sources: Sources<'_>,
    principal: &Principal,
    params: &Map<String, Value>,
) -> std::result::Result<Outcome, Failure> {
    let name = params.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Failure::invalid_params("`name` must be a string"))?;
    let Some(tool) = TOOLS.iter().find(|tool| tool.name == name) else {
        return Err(Failure::invalid_params("Unknown tool; `tools/list` lists what there is"));
    };
    let none = Map::new();
    let arguments = match params.get("arguments") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(Failure::invalid_params("`arguments` must be an object")),
    };
    let ran = match Arguments(arguments).check_names(&(tool.input)()) {
        Err(e) => Err(e),
        Ok(()) => (tool.run)(sources, principal, Arguments(arguments)).await,
    };
    Ok(match ran {
        Ok(found) => {
            let told = json!({
                "content": [{"type": "text", "text": found.text}],
                "structuredContent": found.structured,
                "isError": false,
            });
            Outcome { shown: found.shown, ..told.into() }
        }
        Err(error) => {
            let told = json!({"content": [{"type": "text", "text": error.message()}], "isError": true});
            Outcome { failure: Some(error), ..told.into() }
        }
    })
}
