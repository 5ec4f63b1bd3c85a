//! The parameters of an action, read from what somebody proposed. What leaves is a value that can be done as it is, and the
//! sentence that says what would be done; or one sentence saying what does not fit. Nothing of what was sent is in that one.

use chrono::NaiveDate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ActionSettings;
use super::action::ActionType;
use super::email::Mail;
use super::report::ReportWanted;
use crate::error::{Error, ErrorKind, Result};

/// Characters of a line: a title, a subject, a name.
const LINE_CHARS: usize = 200;
/// Characters of a description.
const TEXT_CHARS: usize = 20_000;

/// Parameters that fit.
#[derive(Debug)]
pub(super) enum Parameters {
    SendEmail(Mail),
    CreateTask(Task),
    GenerateReport(ReportWanted),
}

/// A task. It goes to the webhook as it was proposed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    title: String,
    description: String,
    assignee: Option<String>,
    due: Option<NaiveDate>,
    priority: Option<Priority>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Priority {
    Low,
    Normal,
    High,
}

impl Parameters {
    /// Reads the parameters of a kind.
    pub(super) fn parse(action_type: ActionType, raw: &Value, settings: &ActionSettings) -> Result<Self> {
        match action_type {
            ActionType::SendEmail => Mail::parse(raw, settings).map(Self::SendEmail),
            ActionType::CreateTask => Task::parse(raw).map(Self::CreateTask),
            ActionType::GenerateReport => ReportWanted::parse(raw, settings.question_chars).map(Self::GenerateReport),
        }
    }

    /// What happens when this is confirmed.
    pub(super) fn summary(&self, settings: &ActionSettings) -> String {
        let told = match self {
            Self::SendEmail(mail) => mail.summary(settings),
            Self::CreateTask(task) => {
                let place = settings
                    .webhook
                    .as_ref()
                    .map_or_else(|| "nowhere, as no webhook is set".to_owned(), |webhook| webhook.host());
                task.summary(&place)
            }
            Self::GenerateReport(wanted) => wanted.summary(),
        };
        if settings.is_dry_run { format!("{told} (Dry run: nothing is really done.)") } else { told }
    }
}

impl Task {
    fn parse(raw: &Value) -> Result<Self> {
        let example = "create_task takes {\"title\": \"…\", \"description\": \"…\"} and, if wanted, \"assignee\", \"due\" \
                       (2026-05-01) and \"priority\" (low, normal or high)";
        let task: Self = read(raw, example)?;
        line(&task.title, "title")?;
        text(&task.description, "description", TEXT_CHARS)?;
        task.assignee.iter().try_for_each(|assignee| line(assignee, "assignee"))?;
        Ok(task)
    }

    fn summary(&self, place: &str) -> String {
        let mut told = format!("Create the task “{}” at {place}", self.title);
        self.assignee.iter().for_each(|assignee| told += &format!(", for {assignee}"));
        self.due.iter().for_each(|due| told += &format!(", due {due}"));
        if let Some(Priority::High) = self.priority {
            told += ", of high priority";
        }
        format!("{told}, with a description of {} characters.", self.description.chars().count())
    }
}

/// Parameters of a known shape; `example` is the sentence when they have another.
pub(super) fn read<T: DeserializeOwned>(raw: &Value, example: &str) -> Result<T> {
    // The cause would quote what was sent.
    T::deserialize(raw).map_err(|_| Error::new(ErrorKind::InvalidRequest, example))
}

/// Checks a line of text: something to see, nothing that ends it or hides in it.
pub(super) fn line(text: &str, name: &str) -> Result<()> {
    let is_fit = !text.trim().is_empty() && text.chars().count() <= LINE_CHARS && !text.chars().any(is_unfit);
    let sentence = format!("`{name}` has 1 to {LINE_CHARS} characters, none of them a line break or control character");
    is_fit.then_some(()).ok_or_else(|| Error::new(ErrorKind::InvalidRequest, sentence))
}

/// Checks a text of several lines.
pub(super) fn text(text: &str, name: &str, most: usize) -> Result<()> {
    let is_fit = !text.trim().is_empty()
        && text.chars().count() <= most
        && !text.chars().any(|c| is_unfit(c) && !matches!(c, '\n' | '\r' | '\t'));
    let sentence = format!("`{name}` has 1 to {most} characters, none of them a control character");
    is_fit.then_some(()).ok_or_else(|| Error::new(ErrorKind::InvalidRequest, sentence))
}

/// Control characters, other ends of lines, and marks that turn text around: what a person would not see as it is.
fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
