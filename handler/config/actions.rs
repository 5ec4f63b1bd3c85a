//! What actions may do, and the servers that do it. What enters are the names and addresses somebody gave; an action that
//! could not be done is a problem at the start, not when somebody confirms it.

use std::time::Duration;

use super::source::Reader;
use crate::actions::hosts::MailDomains;
use crate::actions::smtp::Smtp;
use crate::actions::webhook::{self, Address, Webhook};
use crate::actions::{ActionSettings, ActionType};
use crate::secret::Secret;

/// What sending a mail or calling a webhook may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the settings. A report takes as long as an answer and then some.
pub(super) fn settings(reader: &mut Reader<'_>, answer_timeout: Duration, question_chars: usize) -> ActionSettings {
    let settings = ActionSettings {
        allowed: allowed(reader),
        is_dry_run: is_dry_run(reader),
        mail_domains: mail_domains(reader),
        smtp: smtp(reader),
        webhook: receiver(reader),
        timeout: CALL_TIMEOUT.max(answer_timeout + Duration::from_secs(10)),
        question_chars,
    };
    let is_allowed = |kind| settings.allowed.contains(&kind);
    if is_allowed(ActionType::SendEmail) && settings.mail_domains.is_empty() {
        reader.problem("MAIL_ALLOWED_DOMAINS", "must be set for send_email; `*` lets mail go anywhere");
    }
    if is_allowed(ActionType::SendEmail) && settings.smtp.is_none() && settings.webhook.is_none() {
        reader.problem("SMTP_URL", "must be set for send_email, or ACTION_WEBHOOK_URL or AZURE_FUNCTION_APP_URL");
    }
    if is_allowed(ActionType::CreateTask) && settings.webhook.is_none() {
        reader.problem("ACTION_WEBHOOK_URL", "must be set for create_task, or AZURE_FUNCTION_APP_URL");
    }
    settings
}

fn allowed(reader: &mut Reader<'_>) -> Vec<ActionType> {
    let text = reader.text("ACTIONS").unwrap_or_default();
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let kinds: Result<Vec<_>, _> = names.map(ActionType::parse).collect();
    kinds.unwrap_or_else(|_| {
        reader
            .problem("ACTIONS", "must be some of send_email, create_task and generate_report with commas between them");
        Vec::new()
    })
}

fn is_dry_run(reader: &mut Reader<'_>) -> bool {
    match reader.text("ACTIONS_DRY_RUN").as_deref() {
        Some("true") => true,
        Some("false") => false,
        _ => {
            reader.problem("ACTIONS_DRY_RUN", "must be true or false");
            true
        }
    }
}

fn mail_domains(reader: &mut Reader<'_>) -> MailDomains {
    MailDomains::parse(&reader.text("MAIL_ALLOWED_DOMAINS").unwrap_or_default()).unwrap_or_else(|problem| {
        reader.problem("MAIL_ALLOWED_DOMAINS", problem);
        MailDomains::default()
    })
}

fn smtp(reader: &mut Reader<'_>) -> Option<Smtp> {
    let address = reader.secret("SMTP_URL")?;
    let Some(from) = reader.text("MAIL_FROM") else {
        reader.problem("MAIL_FROM", "must be set with SMTP_URL");
        return None;
    };
    Smtp::new(address, &from).map_err(|(name, problem)| reader.problem(name, problem)).ok()
}

fn receiver(reader: &mut Reader<'_>) -> Option<Webhook> {
    let secret = reader.secret("ACTION_WEBHOOK_SECRET");
    if let Some(address) = reader.secret("ACTION_WEBHOOK_URL") {
        if let Secret::Plain(text) = &address {
            reader.accept("ACTION_WEBHOOK_URL", webhook::parse(text))?;
        }
        return Some(Webhook::new(Address::Whole(address), secret));
    }
    let app = reader.text("AZURE_FUNCTION_APP_URL")?;
    let app = reader.accept("AZURE_FUNCTION_APP_URL", webhook::parse(&app.into()))?;
    Some(Webhook::new(Address::App(app), secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    /// The names of the settings with a problem.
    fn check(settings_given: &[(&str, &str)], expected: &[&str]) {
        let source = Source::of(settings_given.iter().copied());
        let mut reader = Reader::new(&source);
        let read = settings(&mut reader, Duration::from_secs(30), 1_000);
        let named = reader.finish().err().unwrap_or_default();
        let named: Vec<&str> = named.iter().map(|problem| problem.name).collect();
        assert_eq!(named, expected, "{settings_given:?} {read:?}");
    }

    #[test]
    fn what_could_not_be_done_is_told_at_the_start() {
        let (mail, task) = (("ACTIONS", "send_email"), ("ACTIONS", " create_task,generate_report,"));
        let domains = ("MAIL_ALLOWED_DOMAINS", "contoso.com");
        let (smtp, from) = (("SMTP_URL", "smtps://mail.contoso.com"), ("MAIL_FROM", "Desk <desk@contoso.com>"));
        let hook = ("ACTION_WEBHOOK_URL", "https://hooks.contoso.com/a?key=k");
        check(&[], &[]);
        check(&[("ACTIONS", "generate_report")], &[]);
        check(&[("ACTIONS", "delete_all")], &["ACTIONS"]);
        check(&[("ACTIONS_DRY_RUN", "yes")], &["ACTIONS_DRY_RUN"]);
        check(&[mail], &["MAIL_ALLOWED_DOMAINS", "SMTP_URL"]);
        check(&[mail, domains, smtp], &["MAIL_FROM", "SMTP_URL"]);
        check(&[mail, domains, smtp, from], &[]);
        check(&[mail, domains, hook], &[]);
        check(&[mail, domains, ("SMTP_URL", "mail.contoso.com"), from, hook], &["SMTP_URL"]);
        check(&[task], &["ACTION_WEBHOOK_URL"]);
        check(&[task, ("AZURE_FUNCTION_APP_URL", "https://app.azurewebsites.net")], &[]);
        check(
            &[task, ("ACTION_WEBHOOK_URL", "http://hooks.contoso.com")],
            &["ACTION_WEBHOOK_URL", "ACTION_WEBHOOK_URL"],
        );
        check(&[("MAIL_ALLOWED_DOMAINS", "a b")], &["MAIL_ALLOWED_DOMAINS"]);
    }
}
