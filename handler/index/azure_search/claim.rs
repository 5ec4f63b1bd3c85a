//! Which version of a document is the one to show. The service has neither transactions nor conditional writes of rows,
//! so nothing is ever overwritten: every upload and every removal adds a *claim*, a row of its own, and whoever reads
//! takes the one that wins. The rules below give the same winner whatever the order in which claims were written or are
//! seen, so that late and simultaneous writers can do no harm.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schema::{CLAIM, KIND};
use crate::document::{DocumentId, DocumentName, DocumentVersion};
use crate::error::{Error, ErrorKind, Result};
use crate::index::segments::manifest::{Change, DocumentEntry, Manifest, Outcome, Place};

/// A statement about a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The document.
    pub document: DocumentId,
    /// The upload its passages came with, or for a removal an id of its own: 32 hexadecimal digits, never used again.
    pub upload: String,
    /// What it says.
    pub state: State,
    /// Goes before the version: raised when storage itself went back, so that an older version takes the place of a
    /// later.
    pub epoch: i64,
    /// When it was written, in microseconds since 1970, and later than every claim its writer had seen.
    pub written: i64,
    /// The document's name.
    pub name: DocumentName,
    /// The version that is claimed to be visible, or gone.
    pub version: DocumentVersion,
    /// SHA-256 of the content.
    pub content_hash: String,
    /// What kind of document it is.
    pub category: Option<String>,
    /// How its passages were made.
    pub recipe: String,
    /// How many passages there are.
    pub passages: u32,
}

/// What a claim says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its passages are being uploaded: it does not count yet, and tells maintenance what to collect after a crash.
    Pending,
    /// This version is to be shown.
    Live,
    /// This version is gone.
    Removed,
}

impl Claim {
    /// The key of its row.
    pub fn key(&self) -> String {
        format!("c-{}-{}", self.document, self.upload)
    }

    /// The key of the passage at a position of its upload.
    pub fn passage_key(&self, position: u32) -> String {
        format!("p-{}-{position}-{}", self.document, self.upload)
    }

    /// The keys of all its passages; a removal has none.
    pub fn passage_keys(&self) -> impl Iterator<Item = String> + '_ {
        let count = if self.state == State::Removed { 0 } else { self.passages };
        (0..count).map(|position| self.passage_key(position))
    }

    /// The row that keeps it.
    pub fn row(&self) -> Value {
        json!({
            "id": self.key(),
            KIND: CLAIM,
            "document_id": self.document.as_str(),
            "upload": self.upload,
            "state": self.state,
            "written": self.written,
            "claim": serde_json::to_string(self).expect("a claim is always JSON"),
        })
    }

    /// Reads a row back.
    pub fn of_row(row: &Value) -> Result<Self> {
        let damaged = || Error::new(ErrorKind::IndexDamaged, "a row of the search index cannot be read");
        let text = row["claim"].as_str().ok_or_else(damaged)?;
        serde_json::from_str(text).map_err(|e| damaged().caused_by(e))
    }

    /// The same facts as the manifest of the other backend keeps them.
    pub fn entry(&self, now: chrono::DateTime<chrono::Utc>) -> DocumentEntry {
        let place = match self.state {
            State::Removed => Place::Removed { removed: now },
            State::Live | State::Pending => Place::Live { segment: self.upload.clone(), passages: self.passages },
        };
        DocumentEntry {
            name: self.name.clone(),
            version: self.version.clone(),
            content_hash: self.content_hash.clone(),
            category: self.category.clone(),
            recipe: self.recipe.clone(),
            place,
        }
    }

    /// A removal of this very version in the same epoch takes it out, however late it was written itself.
    fn is_killed_by(&self, other: &Self) -> bool {
        let same = self.epoch == other.epoch && self.version == other.version;
        self.state == State::Live && other.state == State::Removed && same
    }

    fn rank(&self) -> (i64, chrono::DateTime<chrono::Utc>, i64, &str) {
        (self.epoch, self.version.modified, self.written, &self.upload)
    }
}

/// The claim that counts among all those of one document.
pub fn winner(claims: &[Claim]) -> Option<&Claim> {
    let counting = claims.iter().filter(|claim| claim.state != State::Pending);
    counting
        .filter(|claim| !claims.iter().any(|other| claim.is_killed_by(other)))
        .max_by(|a, b| a.rank().cmp(&b.rank()))
}

/// The claim that counts, if it says that there is something to show.
pub fn live(claims: &[Claim]) -> Option<&Claim> {
    winner(claims).filter(|claim| claim.state == State::Live)
}

/// What would become of a change, by the rules of the manifest, and the epoch that the change belongs to.
pub fn judge(claims: &[Claim], change: &Change, now: chrono::DateTime<chrono::Utc>) -> (Outcome, i64) {
    let current = winner(claims);
    let known = current.map(|claim| (claim.document.clone(), claim.entry(now)));
    let manifest = Manifest {
        documents: known.into_iter().map(|(id, entry)| (id, entry.into())).collect(),
        ..Manifest::default()
    };
    let goes_back = matches!((change, current), (Change::Upsert { entry, forced: true, .. }, Some(current))
        if current.version != entry.version || current.state == State::Removed);
    (manifest.judge(change), current.map_or(0, |claim| claim.epoch) + i64::from(goes_back))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(state: State, epoch: i64, second: i64, etag: u8, written: i64) -> Claim {
        let name = DocumentName::parse("a.txt").expect("a name");
        let modified = chrono::DateTime::from_timestamp(second, 0).expect("a time");
        Claim {
            document: DocumentId::of(&name),
            upload: format!("{written}"),
            state,
            epoch,
            written,
            name,
            version: DocumentVersion { modified, etag: etag.to_string() },
            content_hash: String::new(),
            category: None,
            recipe: "1".to_owned(),
            passages: 1,
        }
    }

    #[test]
    fn the_higher_version_wins_and_what_is_pending_does_not_count() {
        use State::{Live, Pending, Removed};
        let old = claim(Live, 0, 1, 1, 9);
        let new = claim(Live, 0, 2, 2, 2);
        assert_eq!(winner(&[old.clone(), new.clone(), claim(Pending, 0, 3, 3, 10)]), Some(&new));
        let gone = claim(Removed, 0, 2, 2, 1);
        assert_eq!(live(&[old.clone(), new.clone(), gone.clone()]), None, "written before or after, a removal counts");
        let forced = claim(Live, 1, 1, 1, 3);
        assert_eq!(live(&[old, new, gone, forced.clone()]), Some(&forced));
    }

    proptest! {
        #[test]
        fn the_winner_does_not_depend_on_the_order(
            facts in prop::collection::vec((0..3_u8, 0..2_i64, 0..3_i64, 0..2_u8), 1..7),
            turn in 0..7_usize,
        ) {
            let states = [State::Pending, State::Live, State::Removed];
            let mut claims: Vec<Claim> = facts.iter().zip(0..).map(|((state, epoch, second, etag), written)| {
                claim(states[usize::from(*state)], *epoch, *second, *etag, written)
            }).collect();
            let first = winner(&claims).cloned();
            let places = turn % claims.len();
            claims.rotate_left(places);
            prop_assert_eq!(winner(&claims), first.as_ref());
            claims.reverse();
            prop_assert_eq!(winner(&claims).cloned(), first);
        }
    }
}
