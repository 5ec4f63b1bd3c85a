//! `handler privacy`: what is kept about a person, printed or erased, as the law gives them a right to.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::App;
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::reconcile::COLLECT_GRACE;

#[derive(Args)]
pub(super) struct PrivacyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print all that is kept about a person, a JSON line for each thing
    Export(Person),
    /// Erase it: conversations, feedback, actions, reports, and the documents that the person brought
    Erase(EraseArgs),
}

#[derive(Args)]
struct Person {
    /// Who: `TENANT/SUBJECT` as the audit and the list of documents have it, or `anonymous` for all who did not sign in
    #[arg(value_name = "PERSON")]
    person: String,
}

#[derive(Args)]
struct EraseArgs {
    #[command(flatten)]
    who: Person,
    /// Leave the documents that the person brought: they belong to the organisation
    #[arg(long)]
    keep_documents: bool,
    /// Really do it
    #[arg(long)]
    yes: bool,
    /// Delete files of the index that nobody names when they are older than this
    #[arg(long, value_name = "SECONDS", default_value_t = COLLECT_GRACE.as_secs())]
    grace: u64,
}

/// What `--help` adds.
pub(super) const HELP: &str = "\
Examples:
  handler privacy export 72f988bf-86f1-41af-91ab-2d7cd011db47/9a3c… > person.jsonl
  handler privacy erase 72f988bf-86f1-41af-91ab-2d7cd011db47/9a3c… --yes
  handler audit export --json | jq -r .who | sort -u                 who there is

What is not erased: the audit (who did what, without any text; it goes after AUDIT_DAYS), answers that are kept for repeated
questions (they go after CACHE_ANSWER_SECONDS), and backups made before (they go as newer ones come, BACKUP_KEEP). After a
restore from such a backup, erase again: the audit has a `person.erased` for each.";

/// Prints or erases.
pub(super) async fn run(app: &App, args: PrivacyArgs, json: bool) -> Result<ExitCode> {
    let privacy = app.privacy();
    match args.action {
        Action::Export(who) => {
            privacy.export(&who.principal()?, |item| println!("{}", json!(item))).await?;
        }
        Action::Erase(args) => {
            let person = args.who.principal()?;
            if !args.yes {
                let sentence = "this cannot be undone; look with `handler privacy export` first, then add --yes";
                return Err(Error::new(ErrorKind::InvalidRequest, sentence));
            }
            let erased = privacy.erase(&person, args.keep_documents, Duration::from_secs(args.grace)).await?;
            if json {
                println!("{}", json!(erased));
            } else {
                println!(
                    "erased: {} records of conversations, {} of feedback, {} of actions, {} documents; {} segments written anew",
                    erased.conversation_records, erased.feedback, erased.actions, erased.documents, erased.segments
                );
                println!("Backups that were made before hold it until newer ones replace them (BACKUP_KEEP).");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Person {
    fn principal(&self) -> Result<Principal> {
        if self.person == Principal::ANONYMOUS {
            return Ok(Principal::anonymous());
        }
        let named = self.person.split_once('/');
        let (tenant, subject) = named.ok_or_else(|| {
            Error::new(ErrorKind::InvalidRequest, "name the person as TENANT/SUBJECT, or `anonymous`")
        })?;
        Principal::user(tenant, subject, [])
    }
}
