//! An action as it is kept and shown: what was proposed, how far it has come, what came of it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::is_over;
use crate::error::{Error, ErrorKind, Result};

/// No action runs longer.
const LONGEST_RUN: TimeDelta = TimeDelta::hours(1);

/// What kinds of actions there are.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionType {
    /// A mail, to people of the allowed domains.
    SendEmail,
    /// A task, at whatever the webhook leads to.
    CreateTask,
    /// A file made of passages, with where each is from.
    GenerateReport,
}

impl ActionType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SendEmail, Self::CreateTask, Self::GenerateReport];

    /// Its name for callers and in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::SendEmail => "send_email",
            Self::CreateTask => "create_task",
            Self::GenerateReport => "generate_report",
        }
    }

    /// The kind with a name.
    pub fn parse(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        let sentence = "an action_type is send_email, create_task or generate_report";
        known.ok_or_else(|| Error::new(ErrorKind::InvalidRequest, sentence))
    }
}

/// How far an action has come.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionState {
    /// It waits for a decision.
    Proposed,
    /// It was confirmed and is being done.
    Running,
    /// It was done.
    Done,
    /// It was not done, and nothing came of it.
    Failed,
    /// It was begun, and nobody can say whether it was done. It is not begun again.
    Unknown,
    /// It is not to be done.
    Rejected,
}

/// Why an action was not done, or why nobody knows.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionTrouble {
    /// The code of an error.
    pub code: String,
    /// A sentence for a person.
    pub message: String,
}

/// An action.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// 32 hexadecimal digits; newer actions have smaller ones.
    pub id: String,
    /// What kind it is.
    pub action_type: ActionType,
    /// How far it has come.
    pub state: ActionState,
    /// What happens when it is confirmed, in a sentence or two.
    pub summary: String,
    /// All of what was proposed, word by word.
    pub parameters: Value,
    /// Whether nothing is really done.
    pub dry_run: bool,
    /// When it was proposed.
    pub proposed: DateTime<Utc>,
    /// Until when it can be confirmed.
    pub expires: DateTime<Utc>,
    /// When it was confirmed or rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<DateTime<Utc>>,
    /// Until when its end is noted, or never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_until: Option<DateTime<Utc>>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<DateTime<Utc>>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why nothing did, or why nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ActionTrouble>,
}

impl Action {
    /// The action as it is to be seen now: one that was left running is unknown.
    pub(super) fn seen_at(mut self, now: DateTime<Utc>) -> Self {
        if self.state == ActionState::Running
            && self.running_until.is_some_and(|until| is_over(until, now, LONGEST_RUN))
        {
            let sentence = "the process that did it ended before it could say what came of it";
            self.end(ActionState::Unknown, now);
            self.error = Some(ActionTrouble {
                code: ErrorKind::ActionUnknown.row().code.to_owned(),
                message: sentence.to_owned(),
            });
        }
        self
    }

    /// Notes that it came to its end.
    pub(super) fn end(&mut self, state: ActionState, now: DateTime<Utc>) {
        self.state = state;
        self.running_until = None;
        self.finished = Some(now);
    }
}
