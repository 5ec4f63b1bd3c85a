//! `handler doctor`: whether each thing that the product depends on lets it do what it has to, found out with the very calls
//! that it makes; and when not, what is missing and how to grant it.

mod advice;
mod checks;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::{ContentArrangement, Table, presets};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use indicatif::ProgressBar;
use serde::Serialize;

use self::advice::{Access, Grantee};
use super::documents::fit;
use crate::app::App;
use crate::error::{Error, ErrorKind, Result};
use crate::reason::Reason;

/// What one check may take. The clients' own limits are shorter, so that they say what went wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// One thing to look at.
struct Check<'a> {
    /// What the product uses it for.
    part: &'static str,
    /// Where it is: a folder or an address, never a secret.
    place: String,
    /// What has to let the product in, and how.
    access: Access,
    /// The calls; what they found, in a few words.
    work: BoxFuture<'a, Result<String>>,
}

/// What came of a check.
#[derive(Serialize)]
struct Finding {
    part: &'static str,
    place: String,
    ok: bool,
    /// What was found, or what is wrong.
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// What to do about it.
    advice: Option<String>,
    took_ms: u64,
}

/// Looks at everything at once. The status is 1 when something is missing.
pub(super) async fn run(app: &App, json: bool) -> Result<ExitCode> {
    let grantee = checks::grantee(app).await;
    let checks = checks::all(app);
    let order: Vec<(&str, String)> = checks.iter().map(|check| (check.part, check.place.clone())).collect();
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(checks.len() as u64) };
    bar.set_message("asking");
    let mut running: FuturesUnordered<_> = checks.into_iter().map(|check| look(check, &grantee)).collect();
    let mut findings = Vec::new();
    while let Some(finding) = running.next().await {
        bar.inc(1);
        findings.push(finding);
    }
    bar.finish_and_clear();
    findings
        .sort_by_key(|finding| order.iter().position(|(part, place)| (*part, place) == (finding.part, &finding.place)));
    let ok = findings.iter().all(|finding| finding.ok);
    if json {
        println!("{}", serde_json::json!({"ok": ok, "checks": findings}));
    } else {
        show(&findings);
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn look(check: Check<'_>, grantee: &Grantee) -> Finding {
    let began = Instant::now();
    let too_slow = || Error::new(ErrorKind::DeadlineExceeded, "there was no answer").because(Reason::TooSlow);
    let answer = tokio::time::timeout(PATIENCE, check.work).await.unwrap_or_else(|_| Err(too_slow()));
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (ok, found, advice) = match answer {
        Ok(found) => (true, found, None),
        Err(e) => (false, advice::what(&e), advice::how(&e, &check.access, grantee)),
    };
    Finding { part: check.part, place: check.place, ok, found, advice, took_ms }
}

fn show(findings: &[Finding]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    fit(&mut table);
    table.set_header(["", "part", "where", "what was found", "ms"]);
    for finding in findings {
        let mark = if finding.ok { "ok" } else { "NO" };
        table.add_row([mark, finding.part, &finding.place, &finding.found, &finding.took_ms.to_string()]);
    }
    println!("{table}");
    // Beside the table, whole: these are commands to copy.
    for finding in findings {
        if let Some(advice) = &finding.advice {
            println!("\n{}: {advice}", finding.part);
        }
    }
}
