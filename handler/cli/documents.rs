//! `handler documents`: the ledger, for people and programs: list, sums, one document, try again, delete.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::app::App;
use crate::document::{DocumentId, DocumentName, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::audited;
use crate::ingest::ledger::{LedgerRow, State};
use crate::ingest::overview::LedgerFilter;
use crate::telemetry::one_line;

/// Columns of a table that is not shown on a terminal.
const UNKNOWN_WIDTH: u16 = 160;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DocumentsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Args)]
struct ListArgs {
    /// Show only documents in this state: queued, processing, indexed, failed, quarantined or deleted
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<State>,
    /// Show only documents of this category
    #[arg(long, value_name = "CATEGORY")]
    category: Option<String>,
}

#[derive(Subcommand)]
enum Action {
    /// List the documents and what became of each; the default
    List(ListArgs),
    /// Show all that is known of one document
    Show(Chosen),
    /// Try a failed or quarantined document again, now
    Retry(Chosen),
    /// Delete a document from storage and index
    Delete(Chosen),
    /// Count documents by state and category, and sum up what they hold
    Stats,
}

#[derive(Args)]
struct Chosen {
    /// The document's id or its name
    #[arg(value_name = "ID")]
    document: String,
}

/// Runs what is asked for. The status is 1 when a document that was tried again cannot be found afterwards.
pub(super) async fn run(app: &App, args: DocumentsArgs, json: bool) -> Result<ExitCode> {
    match args.action {
        None => list(app, args.list, json).await?,
        Some(Action::List(args)) => list(app, args, json).await?,
        Some(Action::Show(chosen)) => show(&json!(row_of(app, &chosen).await?), json),
        Some(Action::Retry(chosen)) => {
            let row = audited::retry(app, &Principal::operator(), &row_of(app, &chosen).await?).await?;
            if json {
                show(&json!(row), json)
            } else {
                println!("{}", table(std::slice::from_ref(&row)))
            }
            return Ok(if row.state == State::Indexed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Some(Action::Delete(chosen)) => {
            let row = row_of(app, &chosen).await?;
            audited::delete(app, &Principal::operator(), &row).await?;
            show(&json!({"id": row.id, "name": row.name, "deleted": true}), json);
        }
        Some(Action::Stats) => show(&json!(app.ingest.ledger.stats(|_| true).await?), json),
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, args: ListArgs, json: bool) -> Result<()> {
    let filter = LedgerFilter { state: args.state, category: args.category };
    let mut rows = app.ingest.ledger.all().await?;
    rows.retain(|row| filter.takes(row));
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    if json {
        println!("{}", json!({ "documents": rows }));
    } else {
        println!("{}", table(&rows));
    }
    Ok(())
}

/// The row of the document somebody names, by id or by name.
async fn row_of(app: &App, chosen: &Chosen) -> Result<LedgerRow> {
    let sentence = format!("there is no document `{}`; `handler documents` lists them", chosen.document);
    let absent = || Error::new(ErrorKind::NotFound, sentence.clone());
    let by_name = DocumentName::parse(&chosen.document).ok().map(|name| DocumentId::of(&name));
    for id in DocumentId::parse(&chosen.document).into_iter().chain(by_name) {
        if let Some(row) = app.ingest.ledger.get(&id).await? {
            return Ok(row);
        }
    }
    Err(absent())
}

/// An object, for a program as one line, for a person as a line for each member that says something.
fn show(object: &Value, json: bool) {
    if json {
        println!("{object}");
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for (name, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(text) => drop(table.add_row([name, text])),
            Value::Object(members) => {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("{name} {value}")).collect();
                table.add_row([name, &members.join(", ")]);
            }
            Value::Array(items) => drop(table.add_row([name, &items.iter().map(line).collect::<Vec<_>>().join("\n")])),
            other => drop(table.add_row([name, &other.to_string()])),
        }
    }
    println!("{table}");
}

/// One item of a list: the values of an object beside each other, anything else as it is.
fn line(item: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match item {
        Value::Object(members) => members.values().map(text).collect::<Vec<_>>().join("  "),
        other => text(other),
    }
}

/// The rows as a table.
pub(super) fn table(rows: &[LedgerRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    fit(&mut table);
    table.set_header(["document", "state", "pages", "passages", "bytes", "trouble"]);
    for row in rows {
        let trouble = row.error.as_ref().map(|error| format!("{}: {}", error.code, error.message)).unwrap_or_default();
        let pages = row.pages.map(|pages| pages.to_string()).unwrap_or_default();
        let state = state_name(row.state);
        table.add_row([
            &one_line(&row.name),
            &state,
            &pages,
            &row.passages.to_string(),
            &row.size_bytes.to_string(),
            &trouble,
        ]);
    }
    for column in 2..=4 {
        table.column_mut(column).into_iter().for_each(|column| {
            column.set_cell_alignment(CellAlignment::Right);
        });
    }
    table
}

/// Gives a table a readable width where there is no terminal to take it from.
pub(super) fn fit(table: &mut Table) {
    if table.width().is_none() {
        table.set_width(UNKNOWN_WIDTH);
    }
}

fn state_name(state: State) -> String {
    json!(state).as_str().unwrap_or_default().to_owned()
}

fn parse_state(raw: &str) -> Result<State, String> {
    let known = "one of queued, processing, indexed, failed, quarantined, deleted";
    serde_json::from_value(json!(raw)).map_err(|_| format!("a state is {known}"))
}
