//! The numbered passages of one answer. What enters are passages as they are found, what leaves is a number for each: the same
//! for the same passage, so that a citation points where the model means it to. Their number is bounded.

use std::sync::Arc;

use crate::chat::CitedPassage;
use crate::document::Passage;

/// Passages that one answer may draw on.
const MOST: usize = 100;

/// The passages so far.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    passages: Vec<CitedPassage>,
    /// How many of them are known to whoever checks citations.
    told: usize,
}

impl Shelf {
    /// Begins with what was found first, which is known already.
    pub fn of(passages: Vec<CitedPassage>) -> Self {
        Self { told: passages.len(), passages }
    }

    /// The number of a passage, and whether it is new here. None when the shelf is full.
    pub fn place(&mut self, passage: Arc<Passage>) -> Option<(usize, bool)> {
        if let Some(known) = self.passages.iter().find(|cited| cited.passage.id == passage.id) {
            return Some((known.number, false));
        }
        if self.passages.len() >= MOST {
            return None;
        }
        let number = self.passages.len() + 1;
        self.passages.push(CitedPassage { number, passage });
        Some((number, true))
    }

    /// The passages that were placed since this was asked last.
    pub fn take_new(&mut self) -> Vec<CitedPassage> {
        let new = self.passages[self.told..].to_vec();
        self.told = self.passages.len();
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::fixture::passage;

    #[test]
    fn a_passage_has_one_number() {
        let first = CitedPassage { number: 1, passage: passage("a.txt", 0, "", "A").into() };
        let mut shelf = Shelf::of(vec![first.clone()]);
        assert_eq!(shelf.place(first.passage), Some((1, false)));
        assert_eq!(shelf.place(passage("b.txt", 0, "", "B").into()), Some((2, true)));
        let numbers: Vec<usize> = shelf.take_new().iter().map(|cited| cited.number).collect();
        assert_eq!((numbers, shelf.take_new().len()), (vec![2], 0));
        for at in 0..MOST as u32 {
            shelf.place(passage("c.txt", at, "", "C").into());
        }
        assert_eq!(shelf.place(passage("d.txt", 0, "", "D").into()), None);
        assert_eq!(shelf.take_new().last().map(|cited| cited.number), Some(MOST));
    }
}
