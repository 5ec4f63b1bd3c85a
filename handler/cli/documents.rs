//! `handler documents`: the ledger, for people and programs.

use std::process::ExitCode;

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::json;

use crate::app::App;
use crate::error::Result;
use crate::ingest::ledger::{LedgerRow, State};
use crate::telemetry::one_line;

#[derive(Args)]
pub(super) struct DocumentsArgs {
    /// Show only documents in this state: queued, processing, indexed, failed, quarantined or deleted
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<State>,
}

/// Lists the documents.
pub(super) async fn run(app: &App, args: DocumentsArgs, json: bool) -> Result<ExitCode> {
    let mut rows = app.ingest.ledger.all().await?;
    rows.retain(|row| args.state.is_none_or(|state| row.state == state));
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    if json {
        println!("{}", json!({ "documents": rows }));
    } else {
        println!("{}", table(&rows));
    }
    Ok(ExitCode::SUCCESS)
}

/// The rows as a table.
pub(super) fn table(rows: &[LedgerRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
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

fn state_name(state: State) -> String {
    json!(state).as_str().unwrap_or_default().to_owned()
}

fn parse_state(raw: &str) -> Result<State, String> {
    serde_json::from_value(json!(raw)).map_err(|_| "there is no such state".to_owned())
}
