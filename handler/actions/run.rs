//! The one run of an action that was confirmed. What enters is an action that this process alone has marked as running, what
//! leaves is the action with its end. Nothing here is tried twice.

use serde_json::{Value, json};
use tokio::time::timeout;

use super::action::{Action, ActionState, ActionTrouble};
use super::parameters::Parameters;
use super::{Actions, email, report};
use crate::crash;
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::Precondition;

/// Why an action did not end as done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It was not done.
    NotDone(Error),
    /// It was begun, and may have been done.
    Unknown(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::NotDone(error)
    }
}

impl Actions {
    /// Does an action and notes its end. `etag` is that of the record that says it is running.
    pub(super) async fn run(
        &self,
        principal: &Principal,
        mut action: Action,
        etag: String,
        parameters: Parameters,
    ) -> Result<Action> {
        crash::point("action-running");
        // What nobody could look into afterwards is not done.
        let done = match self.proposals.note(principal, &action, "action.confirmed", "ok").await {
            Ok(()) => self.perform(principal, &action, &parameters).await,
            Err(e) => Err(Trouble::NotDone(e)),
        };
        crash::point("action-done");
        let now = self.proposals.clock.now();
        let outcome = match done {
            Ok(result) => {
                action.end(ActionState::Done, now);
                action.result = Some(result);
                "ok"
            }
            Err(Trouble::NotDone(e)) => fail(&mut action, ActionState::Failed, &e, now),
            Err(Trouble::Unknown(e)) => fail(&mut action, ActionState::Unknown, &e, now),
        };
        if let Err(e) = self.proposals.note(principal, &action, "action.finished", outcome).await {
            tracing::error!(
                error.code = e.kind().row().code,
                action.id,
                outcome,
                "the end of an action is not in the audit"
            );
        }
        // Should this fail, the action is seen as unknown in a while, which it then is.
        self.proposals.put(principal, &action, Precondition::IfMatch(etag)).await?;
        Ok(action)
    }

    async fn perform(&self, principal: &Principal, action: &Action, parameters: &Parameters) -> Result<Value, Trouble> {
        if action.dry_run {
            return Ok(json!({ "dry_run": true, "note": "nothing was sent or written" }));
        }
        let settings = &self.proposals.settings;
        let webhook = || {
            let sentence = "there is no address for it: set ACTION_WEBHOOK_URL or AZURE_FUNCTION_APP_URL";
            settings.webhook.as_ref().ok_or_else(|| Error::new(ErrorKind::Misconfigured, sentence))
        };
        let work = async {
            match parameters {
                Parameters::SendEmail(mail) => match &settings.smtp {
                    Some(smtp) => {
                        let message = email::message(mail, smtp, action, self.proposals.clock.now())?;
                        // It knows better than a time that is over whether anything was sent.
                        smtp.send(&message, mail, settings.timeout.mul_f32(0.9)).await
                    }
                    None => webhook()?.post(action, self.proposals.clock.now()).await,
                },
                Parameters::CreateTask(_) => webhook()?.post(action, self.proposals.clock.now()).await,
                Parameters::GenerateReport(wanted) => {
                    let now = self.proposals.clock.now();
                    let file = report::make(&self.chat, principal, wanted, now).await?;
                    Ok(self.reports.put(principal, &action.id, file).await?)
                }
            }
        };
        let late = || {
            let sentence = format!("it did not end within {} s", settings.timeout.as_secs());
            Trouble::Unknown(Error::new(ErrorKind::DeadlineExceeded, sentence))
        };
        timeout(settings.timeout, work).await.unwrap_or_else(|_| Err(late()))
    }
}

fn fail(action: &mut Action, state: ActionState, error: &Error, now: chrono::DateTime<chrono::Utc>) -> &'static str {
    let code = error.kind().row().code;
    tracing::warn!(error.code = code, cause = %crate::telemetry::one_line(&error.chain()), "an action was not done");
    action.end(state, now);
    action.error = Some(ActionTrouble { code: code.to_owned(), message: error.message().to_owned() });
    if state == ActionState::Unknown { "unknown" } else { code }
}
