//! What a model may propose: an e-mail, a task, a report. A proposal is noted and shown to the person, who confirms it or does
//! not; the words of a model, or of a document, never carry it out.

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::Told;
use crate::document::Principal;
use crate::error::Result;

/// An action that can be proposed. Whoever implements it checks the arguments, notes the proposal for this principal, and does
/// nothing else: carrying it out takes a request of the person that does not pass a model.
#[async_trait]
pub trait ProposeAction: Send + Sync {
    /// The name of its tool.
    fn name(&self) -> &'static str;

    /// What the model is told of it.
    fn description(&self) -> &'static str;

    /// A JSON schema of its arguments.
    fn parameters(&self) -> Value;

    /// Notes a proposal. Arguments that cannot be used are `InvalidRequest`, with a sentence for the model.
    async fn propose(&self, principal: &Principal, arguments: &Map<String, Value>) -> Result<Proposal>;
}

/// What was noted.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// What the person confirms it by.
    pub id: String,
    /// What would be done, in one line.
    pub summary: String,
    /// All of it, as the person is to see it before deciding.
    pub details: Value,
}

/// Notes a proposal, and tells the model that nothing has been done.
pub(super) async fn propose(
    action: &dyn ProposeAction,
    principal: &Principal,
    arguments: &Map<String, Value>,
) -> Result<Told> {
    let proposal = action.propose(principal, arguments).await?;
    let text = format!(
        "proposed, and not done: {}. The person sees it and decides; say that it waits for their confirmation.",
        proposal.summary
    );
    let shown = json!({ "id": proposal.id, "summary": proposal.summary, "details": proposal.details });
    Ok(Told { text, summary: proposal.summary, proposal: Some(shown), ..Told::default() })
}
