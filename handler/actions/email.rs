//! The action `send_email`: its parameters, and the message made of them. Text alone; no header holds anything that was not
//! checked to be one line.

use chrono::{DateTime, Utc};
use lettre::Message;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Mailboxes};
use serde::Deserialize;
use serde_json::{Value, json};

use super::action::{Action, ActionType};
use super::parameters::{line, read, text};
use super::run::Trouble;
use super::smtp::Smtp;
use super::{ActionSettings, hosts::MailDomains};
use crate::error::{Error, ErrorKind, Result};

/// People who get one mail.
const MOST_RECIPIENTS: usize = 20;
/// Characters of its text.
const BODY_CHARS: usize = 100_000;

/// A mail.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) to: Vec<String>,
    subject: String,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMail {
    to: OneOrMore,
    subject: String,
    body: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Mail {
    pub(super) fn parse(raw: &Value, settings: &ActionSettings) -> Result<Self> {
        let example =
            "send_email takes {\"to\": \"name@domain\" or a list of such, \"subject\": \"…\", \"body\": \"…\"}";
        let RawMail { to, subject, body } = read(raw, example)?;
        let to = match to {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        };
        if to.is_empty() || to.len() > MOST_RECIPIENTS {
            let sentence = format!("`to` names 1 to {MOST_RECIPIENTS} recipients");
            return Err(Error::new(ErrorKind::InvalidRequest, sentence));
        }
        let domains: &MailDomains = &settings.mail_domains;
        to.iter().try_for_each(|address| domains.check(address))?;
        line(&subject, "subject")?;
        text(&body, "body", BODY_CHARS)?;
        Ok(Self { to, subject, body })
    }

    pub(super) fn summary(&self, settings: &ActionSettings) -> String {
        let way = match (&settings.smtp, &settings.webhook) {
            (Some(smtp), _) => format!("from {} ", smtp.from()),
            (None, Some(webhook)) => format!("through {} ", webhook.host()),
            (None, None) => String::new(),
        };
        let (to, length) = (self.to.join(", "), self.body.chars().count());
        format!("Send a mail {way}to {to} with the subject “{}” and a text of {length} characters.", self.subject)
    }
}

/// Who a mail of an action goes to, for the audit.
pub(super) fn recipients(action: &Action) -> Option<Value> {
    (action.action_type == ActionType::SendEmail).then(|| action.parameters["to"].clone()).filter(|to| !to.is_null())
}

/// The message as it is sent. Its id is that of the action: whoever gets it twice can tell.
pub(super) fn message(mail: &Mail, smtp: &Smtp, action: &Action, now: DateTime<Utc>) -> Result<Message, Trouble> {
    let unfit = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::InvalidRequest, "no message can be made of this mail").caused_by(e)
    };
    let to = mail.to.iter().map(|address| Ok(Mailbox::new(None, address.parse()?)));
    let to: Vec<Mailbox> = to.collect::<Result<_, lettre::address::AddressError>>().map_err(|e| unfit(e.into()))?;
    let from = smtp.from();
    let built = Message::builder()
        .from(from.clone())
        .mailbox(lettre::message::header::To::from(Mailboxes::from(to)))
        .subject(mail.subject.as_str())
        .message_id(Some(format!("<{}@{}>", action.id, from.email.domain())))
        .date(now.into())
        .header(ContentType::TEXT_PLAIN)
        .body(mail.body.clone());
    Ok(built.map_err(|e| unfit(e.into()))?)
}

/// What is told of a mail that the server took.
pub(super) fn taken(mail: &Mail) -> Value {
    json!({ "sent_to": mail.to })
}
