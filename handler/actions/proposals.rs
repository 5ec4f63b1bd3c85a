//! Proposing: what a person, a program or a model wants done is checked and kept until somebody decides. Nothing here can do
//! it, so this is all that a chat model is ever given of actions.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::action::{Action, ActionState, ActionType};
use super::parameters::Parameters;
use super::{ActionSettings, KEPT, MOST, OPEN, email, new_id, partition_of};
use crate::audit::{Audit, Event};
use crate::chat::tools::actions::{Proposal, ProposeAction};
use crate::clock::Clock;
use crate::document::{Principal, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::{Precondition, RecordStore};

/// What was proposed, of everybody.
#[derive(Clone)]
pub struct Proposals {
    /// What may be done.
    pub settings: ActionSettings,
    pub(super) records: Arc<dyn RecordStore>,
    pub(super) clock: Clock,
    audit: Audit,
}

impl Proposals {
    /// Proposals in a record store, each noted in the audit.
    pub fn new(settings: ActionSettings, records: Arc<dyn RecordStore>, clock: Clock, audit: Audit) -> Self {
        Self { settings, records, clock, audit }
    }

    /// One tool for each kind of action that is switched on.
    pub fn tools(&self) -> Vec<Arc<dyn ProposeAction>> {
        let tool = |kind: &ActionType| -> Arc<dyn ProposeAction> {
            Arc::new(Proposer { proposals: self.clone(), kind: *kind })
        };
        self.settings.allowed.iter().map(tool).collect()
    }

    /// Proposes an action: checks it and keeps it until it is decided. Nothing is done yet. `ActionNotAllowed` for a kind that
    /// is switched off or a recipient outside of the allowed domains, `InvalidRequest` for parameters that do not fit.
    pub async fn propose(&self, principal: &Principal, action_type: &str, parameters: &Value) -> Result<Action> {
        let action_type = ActionType::parse(action_type)?;
        let checked = self.check(action_type, parameters)?;
        let partition = partition_of(principal);
        if self.records.count(&partition).await? >= MOST {
            let sentence =
                format!("there are {MOST} actions of yours already; those that are decided go after 30 days");
            return Err(Error::new(ErrorKind::QuotaExceeded, sentence));
        }
        let now = self.clock.now();
        let action = Action {
            id: new_id(now.timestamp_millis()),
            action_type,
            state: ActionState::Proposed,
            summary: checked.summary(&self.settings),
            parameters: parameters.clone(),
            dry_run: self.settings.is_dry_run,
            proposed: now,
            expires: now + OPEN,
            decided: None,
            running_until: None,
            finished: None,
            result: None,
            error: None,
        };
        self.note(principal, &action, "action.proposed", "ok").await?;
        self.put(principal, &action, Precondition::IfAbsent).await?;
        Ok(action)
    }

    /// Whether an action may be done as it is; the settings may have changed since it was proposed.
    pub(super) fn check(&self, action_type: ActionType, parameters: &Value) -> Result<Parameters> {
        if !self.settings.allowed.contains(&action_type) {
            let sentence =
                format!("the action `{}` is not switched on here; ACTIONS lists those that are", action_type.name());
            return Err(Error::new(ErrorKind::ActionNotAllowed, sentence));
        }
        Parameters::parse(action_type, parameters, &self.settings)
    }

    pub(super) async fn put(
        &self,
        principal: &Principal,
        action: &Action,
        precondition: Precondition,
    ) -> Result<String> {
        let body = serde_json::to_value(action)
            .map_err(|e| Error::new(ErrorKind::Internal, "a record of an action cannot be written").caused_by(e))?;
        let keep = if action.state == ActionState::Proposed { OPEN } else { KEPT };
        self.records.put(&partition_of(principal), &action.id, &body, precondition, Some(keep)).await
    }

    /// Adds a step to the audit: the parameters as a hash, with what an auditor may see of them.
    pub(super) async fn note(&self, principal: &Principal, action: &Action, what: &str, outcome: &str) -> Result<()> {
        let mut about = json!({
            "action_type": action.action_type,
            "parameters_sha256": content_hash(action.parameters.to_string().as_bytes()),
            "dry_run": action.dry_run,
        });
        if let Some(recipients) = email::recipients(action) {
            about["to"] = recipients;
        }
        self.audit.append(principal, Event { what, subject: &action.id, outcome, about }).await.map(|_| ())
    }
}

/// Proposes actions of one kind for a chat model.
struct Proposer {
    proposals: Proposals,
    kind: ActionType,
}

#[async_trait]
impl ProposeAction for Proposer {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn description(&self) -> &'static str {
        match self.kind {
            ActionType::SendEmail => "Propose an e-mail, when the person asks for one.",
            ActionType::CreateTask => "Propose a task, when the person asks for one.",
            ActionType::GenerateReport => {
                "Propose a report: a file that answers a question from the documents, with its sources, when the person asks for one."
            }
        }
    }

    fn parameters(&self) -> Value {
        let text = json!({"type": "string"});
        let (properties, required) = match self.kind {
            ActionType::SendEmail => (
                json!({"to": {"type": "array", "items": text}, "subject": text, "body": text}),
                json!(["to", "subject", "body"]),
            ),
            ActionType::CreateTask => (
                json!({
                    "title": text,
                    "description": text,
                    "assignee": text,
                    "due": {"type": "string", "format": "date"},
                    "priority": {"type": "string", "enum": ["low", "normal", "high"]},
                }),
                json!(["title", "description"]),
            ),
            ActionType::GenerateReport => (
                json!({
                    "title": text,
                    "query": text,
                    "documents": {"type": "array", "items": text, "description": "names of documents; all when left out"},
                    "format": {"type": "string", "enum": ["markdown", "html", "docx"]},
                }),
                json!(["title", "query"]),
            ),
        };
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    async fn propose(&self, principal: &Principal, arguments: &Map<String, Value>) -> Result<Proposal> {
        let parameters = Value::Object(arguments.clone());
        let action = self.proposals.propose(principal, self.kind.name(), &parameters).await?;
        Ok(Proposal { id: action.id, summary: action.summary, details: action.parameters })
    }
}
