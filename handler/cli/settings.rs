//! `handler settings`: every setting, its value and where that came from; and what is wrong with them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::EXIT_CONFIG;
use super::documents::fit;
use crate::config::Config;
use crate::config::settings;
use crate::config::source::{Origin, Source};

#[derive(Args)]
pub(super) struct SettingsArgs {
    /// Print the table of the README instead
    #[arg(long)]
    markdown: bool,
}

/// Shows the settings. The status tells whether they are right.
pub(super) fn run(args: &SettingsArgs, source: &Source, program: PathBuf, json: bool) -> ExitCode {
    if args.markdown {
        print!("{}", settings::as_markdown());
        return ExitCode::SUCCESS;
    }
    let problems = Config::from_source(source, program).err().unwrap_or_default();
    if json {
        println!("{}", json!({"settings": source.shown(), "problems": problems}));
    } else {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        fit(&mut table);
        table.set_header(["setting", "value", "from", "what it is for"]);
        for shown in source.shown() {
            let origin = match shown.origin {
                Origin::CommandLine => "command line",
                Origin::Environment => "environment",
                Origin::Default => "default",
                Origin::Unset => "not set",
            };
            table.add_row([shown.name, shown.value.as_deref().unwrap_or("—"), origin, shown.help]);
        }
        println!("{table}");
    }
    for problem in &problems {
        eprintln!("error: {} {}", problem.name, problem.problem);
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) }
}
