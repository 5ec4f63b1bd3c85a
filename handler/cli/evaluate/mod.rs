//! `handler evaluate`: how well passages are found and questions answered, measured offline on a set with known answers.
//! Nothing of the data folder is changed; what has to be indexed first goes into a folder that goes away.

pub mod beir;
pub mod least;
pub mod questions;
pub mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;

use self::least::Least;
use self::report::Report;
use crate::app::App;
use crate::cli::ingest::progress;
use crate::clock::Clock;
use crate::config::{BlobHome, Config, RecordHome};
use crate::error::{Error, ErrorKind, Result};

/// Queries that are under way at once.
const IN_FLIGHT: usize = 4;
/// Reading the documents of a set may take this long, and so may embedding a part of it.
const INGEST_TIME: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Args)]
pub(super) struct EvaluateArgs {
    /// A folder in the layout of BEIR (corpus.jsonl, queries.jsonl, qrels/), or a file of questions, each with the document
    /// and page that answer it, one JSON object a line. Such questions are asked of the present index, or of the folder
    /// that --documents names, which is then read into an index of its own
    #[arg(value_name = "SET")]
    set: PathBuf,
    /// How many hits of each query are looked at; a figure that looks deeper is left out
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    top: u16,
    /// Which judgements of a BEIR set are used: qrels/NAME.tsv
    #[arg(long, default_value = "test", value_name = "NAME")]
    split: String,
    /// The worst that a figure may be, such as ndcg@10=0.7, or a file with one such line for each; may be given again
    #[arg(long, value_name = "FIGURE=VALUE|FILE", value_parser = least::parse)]
    least: Vec<Least>,
}

/// Evaluates. The status is 1 when a figure is worse than `--least` allows.
pub(super) async fn run(
    config: Config,
    args: EvaluateArgs,
    documents: Option<PathBuf>,
    json: bool,
) -> Result<ExitCode> {
    let floors = least::floors(&args.least)?;
    let bar = progress(0);
    let report = measure(config, &args, documents, &bar).await;
    bar.finish_and_clear();
    let report = report?;
    if json {
        println!("{}", report.json(&floors));
    } else {
        report.show(&floors);
    }
    Ok(if report.below(&floors).is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(config: Config, args: &EvaluateArgs, documents: Option<PathBuf>, bar: &ProgressBar) -> Result<Report> {
    let top = usize::from(args.top);
    let failed = |e| Error::new(ErrorKind::StoreUnavailable, "cannot make a folder for the index").caused_by(e);
    if args.set.is_dir() {
        let set = beir::Set::read(&args.set, &args.split)?;
        let folder = tempfile::tempdir().map_err(failed)?;
        let app = App::from_config(apart(config, folder.path(), folder.path().join("documents")), Clock::system())?;
        return beir::evaluate(&app, &set, top, bar).await;
    }
    let questions = questions::read(&args.set)?;
    let Some(documents) = documents else {
        let app = App::from_config(config, Clock::system())?;
        return questions::evaluate(&app, &questions, top, bar).await;
    };
    if !documents.is_dir() {
        return Err(Error::new(ErrorKind::InvalidRequest, format!("{} is no folder", documents.display())));
    }
    let folder = tempfile::tempdir().map_err(failed)?;
    let app = App::from_config(apart(config, folder.path(), documents), Clock::system())?;
    let index_ms = ingest(&app, bar).await?;
    let report = questions::evaluate(&app, &questions, top, bar).await?;
    Ok(Report { index_ms, ..report })
}

/// The same settings with everything that is kept in a folder of its own.
fn apart(config: Config, folder: &Path, documents: PathBuf) -> Config {
    let index = BlobHome::Folder(folder.join("index"));
    let backups = BlobHome::Folder(folder.join("backups"));
    let reports = BlobHome::Folder(folder.join("reports"));
    let documents = BlobHome::Folder(documents);
    Config {
        data: folder.to_owned(),
        index,
        search: None,
        records: RecordHome::File,
        backups,
        reports,
        documents,
        ..config
    }
}

/// Reads every document and says how long that took. One that cannot be read is told, and the others are asked.
async fn ingest(app: &App, bar: &ProgressBar) -> Result<u64> {
    bar.set_message("reading the documents");
    let began = Instant::now();
    let found = app.ingest.reconcile(began + INGEST_TIME, &app.records).await?;
    let unread = found.quarantined + found.failed;
    if unread > 0 {
        bar.suspend(|| eprintln!("{unread} of {} documents cannot be read; `handler ingest` says why", found.blobs));
    }
    Ok(elapsed_ms(began))
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
