//! The command line: one file for each command. The same domain calls as behind HTTP, with bars and tables for people and
//! `--json` for programs.

pub mod ask;
mod audit;
pub mod backup;
pub mod chat;
pub mod doctor;
pub mod documents;
pub mod evaluate;
pub mod feedback;
mod filter;
pub mod host;
pub mod index;
pub mod ingest;
pub mod maintain;
pub mod privacy;
pub mod search;
pub mod serve;
pub mod settings;
pub mod stop;
pub mod token;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::source::{Problem, Source};
use crate::error::{Error, ErrorKind};
use crate::telemetry::{self, LogReader};

/// Wrong settings end the process with this status, as sysexits.h has it.
const EXIT_CONFIG: u8 = 78;
/// How long the end of the process may wait for its last traces and metrics to be sent.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// Chat over an organisation's own documents.
#[derive(Parser)]
#[command(name = "handler", version, about, after_help = AFTER_HELP, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "\
Examples:
  handler serve --documents ./papers           watch a folder and answer over HTTP on 127.0.0.1:7071
  handler ingest report.pdf notes/             add files and folders
  handler ask \"When does the warranty end?\"    ask from the terminal
  handler settings                             every setting, its value and where that came from

Settings are environment variables; `handler settings` lists them. `handler ask` ends with status 1 when nobody knows.";

/// Options of every command.
#[derive(Args, Clone)]
struct Shared {
    /// Folder of everything the embedded forms keep [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the documents [default: documents in the data folder]
    #[arg(long, global = true, value_name = "DIR")]
    documents: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Answer over HTTP, watch the documents folder, run the schedules
    Serve(serve::ServeArgs),
    /// Add files and folders, and make them answerable
    Ingest(ingest::IngestArgs),
    /// Ask a question and get an answer with its sources
    Ask(ask::AskArgs),
    /// Converse: each line is a question, and what was said before counts
    #[command(after_help = chat::HELP)]
    Chat(chat::ChatArgs),
    /// Find the passages that fit a query
    Search(search::SearchArgs),
    /// List the documents and what became of each
    Documents(documents::DocumentsArgs),
    /// Print what people said of answers, as questions for an evaluation
    #[command(after_help = feedback::HELP)]
    Feedback(feedback::FeedbackArgs),
    /// Print who did what, from the records of the audit
    #[command(after_help = audit::HELP)]
    Audit(audit::AuditArgs),
    /// Measure how well questions with known answers are answered
    Evaluate(evaluate::EvaluateArgs),
    /// Compare storage with the index now, and repair what differs
    Maintain(maintain::MaintainArgs),
    /// Look at the index, check it, tidy it, make it anew, export it
    Index(index::IndexArgs),
    /// Copy index and records to where backups are kept; list or check backups
    #[command(after_help = backup::BACKUP_HELP)]
    Backup(backup::BackupArgs),
    /// Put back index and records from a backup
    #[command(after_help = backup::RESTORE_HELP)]
    Restore(backup::RestoreArgs),
    /// Print or erase what is kept about a person
    #[command(after_help = privacy::HELP)]
    Privacy(privacy::PrivacyArgs),
    /// See whether everything that is depended on lets this program in, and how to grant what is missing
    Doctor,
    /// Make a token for development: who somebody is, signed with SECRET_KEY
    #[command(after_help = token::HELP)]
    Token(token::TokenArgs),
    /// Show every setting, its value and where it came from
    Settings(settings::SettingsArgs),
}

/// Runs the command that the arguments name and says with what status the process ends.
pub fn run(program: PathBuf) -> ExitCode {
    let cli = Cli::parse();
    let source = source(&cli.shared);
    if cli.command.as_ref().is_some_and(Command::only_shows) {
        end_quietly_when_nobody_reads();
    }
    if let Some(Command::Settings(args)) = &cli.command {
        return settings::run(args, &source, program, cli.shared.json);
    }
    let config = match Config::from_source(&source, program) {
        Ok(config) => config,
        Err(problems) => return misconfigured(&source, &problems),
    };
    #[cfg(feature = "crash-points")]
    crate::config::crash_point(&source).into_iter().for_each(crate::crash::arm);
    let Some(command) = cli.command else {
        let Some(port) = config.host_port else {
            let _printed = <Cli as clap::CommandFactory>::command().print_help();
            return ExitCode::from(2);
        };
        telemetry::start(config.log_level, LogReader::Machine, config.telemetry.clone());
        return block_on(async move { host::run(open(config)?, port).await });
    };
    let is_server = matches!(command, Command::Serve(_));
    let log_level = match command {
        Command::Serve(_) => config.log_level,
        // It tells every failure itself.
        Command::Doctor => config.log_level.min(tracing::Level::ERROR),
        _ => config.log_level.min(tracing::Level::WARN),
    };
    // A command is watched by the person who runs it.
    let (reader, traces) =
        if is_server { (LogReader::Machine, config.telemetry.clone()) } else { (LogReader::Person, None) };
    telemetry::start(log_level, reader, traces);
    let json = cli.shared.json;
    if let Command::Evaluate(args) = command {
        // It opens what it needs itself: a set may come with an index of its own.
        return block_on(evaluate::run(config, args, cli.shared.documents, json));
    }
    block_on(async move {
        let app = open(config)?;
        match command {
            Command::Serve(args) => serve::run(app, args).await,
            Command::Ingest(args) => ingest::run(&app, args, json).await,
            Command::Ask(args) => ask::run(&app, args, json).await,
            Command::Chat(args) => chat::run(&app, args, json).await,
            Command::Feedback(args) => feedback::run(&app, args).await,
            Command::Search(args) => search::run(&app, args, json).await,
            Command::Audit(args) => audit::run(&app, args, json).await,
            Command::Privacy(args) => privacy::run(&app, args, json).await,
            Command::Documents(args) => documents::run(&app, args, json).await,
            Command::Maintain(args) => maintain::run(&app, args, json).await,
            Command::Index(args) => index::run(&app, args, json).await,
            Command::Backup(args) => backup::run(&app, args, json).await,
            Command::Restore(args) => backup::restore(&app, args, json).await,
            Command::Doctor => doctor::run(&app, json).await,
            Command::Token(args) => token::run(&app, args, json).await,
            Command::Settings(_) | Command::Evaluate(_) => unreachable!("handled before the parts were opened"),
        }
    })
}

impl Command {
    /// Whether the command does nothing but show something. Such a one starts no child process and takes no connection.
    fn only_shows(&self) -> bool {
        match self {
            Self::Ask(_)
            | Self::Search(_)
            | Self::Settings(_)
            | Self::Feedback(_)
            | Self::Audit(_)
            | Self::Token(_) => true,
            Self::Index(args) => args.only_shows(),
            _ => false,
        }
    }
}

/// Lets `handler settings | head` end as other programs do when their reader leaves, instead of with a panic.
fn end_quietly_when_nobody_reads() {
    #[expect(
        unsafe_code,
        reason = "a call into the C library that sets a signal back to its default, before any thread"
    )]
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

fn source(shared: &Shared) -> Source {
    let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    Source::environment()
        .with_override("KNOWLEDGE_WORKER_DATA", text(&shared.data))
        .with_override("KNOWLEDGE_WORKER_DOCUMENTS", text(&shared.documents))
}

fn open(config: Config) -> Result<Arc<App>, Error> {
    App::from_config(config, Clock::system()).map(Arc::new)
}

fn block_on(work: impl Future<Output = Result<ExitCode, Error>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let ended = work.await;
            telemetry::finish(LAST_FLUSH).await;
            ended
        }),
        Err(e) => Err(Error::new(ErrorKind::Internal, "cannot start the runtime").caused_by(e)),
    };
    ended.unwrap_or_else(|e| {
        eprintln!("error: {}", e.chain());
        ExitCode::FAILURE
    })
}

/// Tells whoever asks an empty index that this is why nobody knows.
async fn warn_if_empty(app: &App) -> Result<(), Error> {
    if app.index.status().await?.documents == 0 {
        let place = app.config.data.display();
        eprintln!(
            "there are no documents in {place} yet; add some with `handler ingest PATH`, or name another folder with --data"
        );
    }
    Ok(())
}

/// Says what is wrong with the settings. Under the Functions host the process stays up, because three exits would stop the
/// whole host: it answers every call with the names of the settings instead.
fn misconfigured(source: &Source, problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("error: {} {}", problem.name, problem.problem);
    }
    match host::port_of(source) {
        Some(port) => {
            telemetry::start(tracing::Level::INFO, LogReader::Machine, None);
            let names: Vec<&str> = problems.iter().map(|problem| problem.name).collect();
            let sentence = format!("these settings need attention: {}", names.join(", "));
            block_on(async move { host::run_misconfigured(sentence, port).await })
        }
        None => ExitCode::from(EXIT_CONFIG),
    }
}
