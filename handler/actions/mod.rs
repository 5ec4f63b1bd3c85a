//! What an assistant may do beyond answering: send mail, make a task, write a report. Nobody but a person lets it happen: an
//! action is proposed, which changes nothing but shows what would happen; whoever it was proposed for confirms it; then it
//! runs once. What enters is a principal with a proposal or a decision, what leaves is the action as it stands.
//!
//! An action is one record, and each step replaces it by compare-and-swap, so of many who confirm at once one runs it. What
//! was begun is never begun again: when a process dies in between, or a server does not say whether it did what it was asked,
//! the action ends as unknown and a person decides. Somebody else's action is as absent as one that never was.

pub mod action;
mod email;
pub mod hosts;
mod parameters;
pub mod proposals;
pub mod report;
mod run;
pub mod smtp;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

pub use self::action::{Action, ActionState, ActionType};
use self::hosts::MailDomains;
use self::proposals::Proposals;
use self::report::Reports;
use self::smtp::Smtp;
use self::webhook::Webhook;
use crate::chat::Chat;
use crate::document::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::{Precondition, Record, clear};

/// How long a proposal waits to be decided.
const OPEN: Duration = Duration::from_secs(3_600);
/// How long an action that was decided can be looked at, and a repeated confirmation finds what came of it.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How much longer than its own limit a running action may take to note its end.
const GRACE: Duration = Duration::from_secs(30);
/// Actions of one principal that are kept at once.
const MOST: u64 = 1_000;
/// How often a step is tried while others take theirs.
const TRIES: u32 = 20;

/// What actions may do and whom they reach.
#[derive(Clone, Debug)]
pub struct ActionSettings {
    /// The kinds that may be proposed; none: the feature is off.
    pub allowed: Vec<ActionType>,
    /// Whether nothing is really done.
    pub is_dry_run: bool,
    /// Where mail may go.
    pub mail_domains: MailDomains,
    /// Who mail is from, and the server that takes it. Without one it goes to the webhook.
    pub smtp: Option<Smtp>,
    /// Where tasks go.
    pub webhook: Option<Webhook>,
    /// How long an action may take.
    pub timeout: Duration,
    /// Characters of a question that a report answers.
    pub question_chars: usize,
}

/// One page of actions.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Serialize)]
pub struct ActionPage {
    /// The newest first.
    pub actions: Vec<Action>,
    /// Pass it back as `after` to get the next page; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// All actions.
#[derive(Clone)]
pub struct Actions {
    /// What was proposed, and what may be.
    pub proposals: Proposals,
    chat: Arc<Chat>,
    reports: Reports,
}

impl Actions {
    /// Actions that were proposed, with the chat that finds what reports are made of, and where reports are kept.
    pub fn new(proposals: Proposals, chat: Arc<Chat>, reports: Reports) -> Self {
        Self { proposals, chat, reports }
    }

    /// See [`Proposals::propose`].
    pub async fn propose(&self, principal: &Principal, action_type: &str, parameters: &Value) -> Result<Action> {
        self.proposals.propose(principal, action_type, parameters).await
    }

    /// Lets an action happen, once. Whoever confirms it again gets it as it stands: running, or with what came of it. When
    /// nobody waits for this any more, the action is done to its end all the same. `ActionDecided` for a rejected one.
    pub async fn confirm(self: &Arc<Self>, principal: &Principal, id: &str) -> Result<Action> {
        for _ in 0..TRIES {
            let (mut action, etag) = self.find(principal, id).await?;
            match action.state {
                ActionState::Proposed => {}
                ActionState::Rejected => return Err(decided("the action was rejected; propose it anew")),
                _ => return Ok(action),
            }
            // The settings may have changed since; what they say now counts.
            let parameters = self.proposals.check(action.action_type, &action.parameters)?;
            let now = self.proposals.clock.now();
            let longest = TimeDelta::from_std(self.proposals.settings.timeout + GRACE).unwrap_or(TimeDelta::minutes(5));
            action.state = ActionState::Running;
            action.dry_run = self.proposals.settings.is_dry_run;
            action.decided = Some(now);
            action.running_until = Some(now + longest);
            match self.proposals.put(principal, &action, Precondition::IfMatch(etag)).await {
                Err(e) if e.kind() == ErrorKind::PreconditionFailed => continue,
                Err(e) => return Err(e),
                Ok(etag) => {
                    let (actions, principal) = (Arc::clone(self), principal.clone());
                    let running = tokio::spawn(async move { actions.run(&principal, action, etag, parameters).await });
                    let broken = |e| Error::new(ErrorKind::Internal, "the action broke off").caused_by(e);
                    return running.await.map_err(broken)?;
                }
            }
        }
        Err(Error::new(ErrorKind::PreconditionFailed, "others decide this action at the same time, please look again"))
    }

    /// Lets an action not happen. Rejecting twice is rejecting once; `ActionDecided` for one that was confirmed.
    pub async fn reject(&self, principal: &Principal, id: &str) -> Result<Action> {
        for _ in 0..TRIES {
            let (mut action, etag) = self.find(principal, id).await?;
            match action.state {
                ActionState::Proposed => {}
                ActionState::Rejected => return Ok(action),
                _ => return Err(decided("the action was confirmed before")),
            }
            action.state = ActionState::Rejected;
            action.decided = Some(self.proposals.clock.now());
            match self.proposals.put(principal, &action, Precondition::IfMatch(etag)).await {
                Err(e) if e.kind() == ErrorKind::PreconditionFailed => continue,
                Err(e) => return Err(e),
                Ok(_) => {
                    self.proposals.note(principal, &action, "action.rejected", "ok").await?;
                    return Ok(action);
                }
            }
        }
        Err(Error::new(ErrorKind::PreconditionFailed, "others decide this action at the same time, please look again"))
    }

    /// An action as it stands.
    pub async fn get(&self, principal: &Principal, id: &str) -> Result<Action> {
        self.find(principal, id).await.map(|(action, _)| action)
    }

    /// A principal's actions, at most `limit` of them, from the one after `after` on.
    pub async fn list(&self, principal: &Principal, after: Option<&str>, limit: usize) -> Result<ActionPage> {
        let page = self.proposals.records.list(&partition_of(principal), after, limit).await?;
        let now = self.proposals.clock.now();
        let actions = page.records.into_iter().map(|record| Ok(parse(record)?.seen_at(now))).collect::<Result<_>>()?;
        Ok(ActionPage { actions, next: page.next })
    }

    /// Erases all of a principal's, reports too; how many actions that were.
    pub async fn erase(&self, principal: &Principal) -> Result<usize> {
        let erased = clear(self.proposals.records.as_ref(), &partition_of(principal)).await?;
        self.reports.erase(principal).await.map(|()| erased)
    }

    /// The reports of a principal.
    pub fn reports(&self) -> &Reports {
        &self.reports
    }

    /// An action and its ETag. One that was left running is noted as unknown here, once and for all.
    async fn find(&self, principal: &Principal, id: &str) -> Result<(Action, String)> {
        let is_id = id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let unknown = || Error::new(ErrorKind::NotFound, "there is no such action");
        if !is_id {
            return Err(unknown());
        }
        let record = self.proposals.records.get(&partition_of(principal), id).await?.ok_or_else(unknown)?;
        let etag = record.etag.clone();
        let stored = parse(record)?;
        let was_running = stored.state == ActionState::Running;
        let action = stored.seen_at(self.proposals.clock.now());
        if !was_running || action.state == ActionState::Running {
            return Ok((action, etag));
        }
        match self.proposals.put(principal, &action, Precondition::IfMatch(etag.clone())).await {
            Ok(etag) => {
                self.proposals.note(principal, &action, "action.finished", "unknown").await?;
                Ok((action, etag))
            }
            // Somebody else noted it, or it came to its end after all.
            Err(e) if e.kind() == ErrorKind::PreconditionFailed => {
                let record = self.proposals.records.get(&partition_of(principal), id).await?.ok_or_else(unknown)?;
                let etag = record.etag.clone();
                Ok((parse(record)?.seen_at(self.proposals.clock.now()), etag))
            }
            Err(e) => Err(e),
        }
    }
}

/// An id that nobody guesses, such that newer ones come first in the order of text.
fn new_id(now_ms: i64) -> String {
    const LATEST_MS: u64 = (1 << 48) - 1;
    let left = LATEST_MS.saturating_sub(u64::try_from(now_ms).unwrap_or(0));
    format!("{left:012x}{}", &Uuid::new_v4().simple().to_string()[..20])
}

fn partition_of(principal: &Principal) -> String {
    format!("actions/{}", principal.owner())
}

fn parse(record: Record) -> Result<Action> {
    let unreadable = |e| Error::new(ErrorKind::Internal, "a record of an action cannot be read").caused_by(e);
    serde_json::from_value(record.body).map_err(unreadable)
}

fn decided(sentence: &str) -> Error {
    Error::new(ErrorKind::ActionDecided, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_ids_come_first_and_none_twice() {
        let (older, newer) = (new_id(1_777_000_000_000), new_id(1_777_000_000_001));
        assert!(newer < older && older.len() == 32, "{newer} {older}");
        assert_ne!(new_id(5), new_id(5));
    }
}
