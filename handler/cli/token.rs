//! `handler token`: a token for development and tests, signed with `SECRET_KEY`. Not in production, where whoever signs people in
//! makes tokens.

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::Args;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::access::shared_key::Wanted;
use crate::app::App;
use crate::document::Role;
use crate::error::{Error, ErrorKind, Result};

/// What `--help` adds.
pub(super) const HELP: &str = "\
The program that answers must know the same key: AUTH=shared-key and SECRET_KEY.
  curl -H \"Authorization: Bearer $(handler token --subject alice --group staff)\" http://127.0.0.1:7071/api/documents";

#[derive(Args)]
pub(super) struct TokenArgs {
    /// Whom the token is about
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// A group they are in; may be given more than once
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
    /// What they may do: reader, contributor or operator
    #[arg(long, default_value = "reader", value_parser = role, value_name = "ROLE")]
    role: Role,
    /// How long it is good, up to a day
    #[arg(long, default_value_t = 60, value_name = "MINUTES")]
    minutes: u32,
}

/// Prints the token.
pub(super) async fn run(app: &App, args: TokenArgs, json: bool) -> Result<ExitCode> {
    let refuse = |sentence: &str| Error::new(ErrorKind::Misconfigured, sentence);
    if app.config.is_production {
        return Err(refuse("tokens are not made by this command where ENVIRONMENT is prod"));
    }
    let key = app.access.shared_key().ok_or_else(|| refuse("set AUTH=shared-key and SECRET_KEY first"))?;
    let life = TimeDelta::minutes(i64::from(args.minutes));
    let role = app.access.roles().name(args.role).to_owned();
    let token = key.mint(&Wanted { subject: args.subject, groups: args.groups, role, life }).await?;
    match json {
        true => println!("{}", json!({"token": token.expose_secret(), "role": args.role.word()})),
        false => println!("{}", token.expose_secret()),
    }
    Ok(ExitCode::SUCCESS)
}

fn role(word: &str) -> std::result::Result<Role, String> {
    Role::named(word).ok_or_else(|| "is reader, contributor or operator".to_owned())
}
