//! What happened to a document, as its row of the ledger remembers it: the last few events, each with its time and a few
//! words. Holds no text of a document.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Events that a row remembers; older ones are forgotten.
const MAX_EVENTS: usize = 20;
/// Longest detail that is kept, in characters.
const MAX_DETAIL_CHARS: usize = 120;

/// What can happen to a document.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// A caller brought it.
    Queued,
    /// Somebody began to read it.
    Started,
    /// It can be found.
    Indexed,
    /// An attempt failed, and there will be another.
    Failed,
    /// It was set aside.
    Quarantined,
    /// Somebody asked for another try.
    Retried,
    /// It was gone from storage.
    Removed,
}

/// One event.
#[derive(utoipa::ToSchema)]
#[schema(as = DocumentEvent)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEvent {
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What happened.
    pub what: Happening,
    /// A few words more, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Adds an event at the end, and forgets the oldest when there are too many.
pub fn note(events: &mut Vec<LedgerEvent>, time: DateTime<Utc>, what: Happening, detail: Option<&str>) {
    let detail = detail.map(|detail| detail.chars().take(MAX_DETAIL_CHARS).collect());
    events.push(LedgerEvent { time, what, detail });
    events.drain(..events.len().saturating_sub(MAX_EVENTS));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_and_none_is_long() {
        let (mut events, time) = (Vec::new(), DateTime::<Utc>::default());
        for number in 0..50 {
            note(&mut events, time, Happening::Started, Some(&format!("attempt {number}")));
        }
        assert_eq!(events.len(), MAX_EVENTS);
        assert_eq!(events[0].detail.as_deref(), Some("attempt 30"));
        note(&mut events, time, Happening::Failed, Some(&"ü".repeat(1_000)));
        let last = events.last().expect("one was noted");
        assert_eq!(last.detail.as_ref().expect("with words").chars().count(), MAX_DETAIL_CHARS);
    }
}
