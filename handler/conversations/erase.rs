//! All of one person's, at once: for whoever has to give it out or erase it.

use super::feedback::{Feedback, PARTITION, by};
use super::{Conversations, PAGE, list_of, once, read};
use crate::document::Principal;
use crate::error::Result;
use crate::stores::records::clear;

impl Conversations {
    /// Erases every record of a person's conversations, with turns that a stopped deletion left behind and answers that were
    /// kept for repeated requests; how many those were.
    pub async fn erase(&self, person: &Principal) -> Result<usize> {
        let turns = format!("turns/{}/", person.owner());
        let exact = [list_of(person), once::partition_of(person)];
        // A conversation's id has no slash, so what follows the prefix with one is another person's.
        let is_theirs = |name: &String| {
            exact.contains(name) || name.strip_prefix(&turns).is_some_and(|conversation| !conversation.contains('/'))
        };
        let mut erased = 0;
        for partition in self.records.partitions().await?.into_iter().filter(is_theirs) {
            erased += clear(self.records.as_ref(), &partition).await?;
        }
        Ok(erased)
    }

    /// What a person said of answers.
    pub async fn feedback_of(&self, person: &Principal) -> Result<Vec<Feedback>> {
        let by = by(person);
        Ok(self.feedback().await?.into_iter().filter(|said| said.by == by).collect())
    }

    /// Erases it; how much it was.
    pub async fn erase_feedback(&self, person: &Principal) -> Result<usize> {
        let (by, mut erased, mut after) = (by(person), 0, None);
        loop {
            let page = self.records.list(PARTITION, after.as_deref(), PAGE).await?;
            for record in page.records {
                let id = record.id.clone();
                if read::<Feedback>(record)?.by == by {
                    erased += usize::from(self.records.delete(PARTITION, &id).await?);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(erased);
            }
        }
    }
}
