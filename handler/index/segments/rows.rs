//! Sets of rows: which passages of a segment a search may look at.

use std::ops::Range;

use tantivy::DocId;

/// A set of rows of one segment, a bit for each.
#[derive(Clone, Debug, Default)]
pub struct RowSet {
    words: Vec<u64>,
}

impl RowSet {
    /// No row of `rows`.
    pub fn none(rows: u32) -> Self {
        Self { words: vec![0; (rows as usize).div_ceil(64)] }
    }

    /// The rows from `64 * at` on, a bit for each.
    pub fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// Adds a row.
    pub fn insert(&mut self, row: DocId) {
        if let Some(word) = self.words.get_mut(row as usize / 64) {
            *word |= 1 << (row % 64);
        }
    }

    /// Adds rows that follow each other.
    pub fn insert_all(&mut self, rows: Range<DocId>) {
        let (mut row, end) = (rows.start as usize, (rows.end as usize).min(self.words.len() * 64));
        while row < end {
            let (from, to) = (row % 64, (end - row + row % 64).min(64));
            self.words[row / 64] |= (u64::MAX << from) & (u64::MAX >> (64 - to));
            row += to - from;
        }
    }

    /// Whether the row is in the set.
    pub fn contains(&self, row: DocId) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Adds the rows that are in `other`.
    pub fn unite(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Keeps only the rows that are in `other` too.
    pub fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_set_holds_what_was_put_in_and_nothing_past_its_end() {
        let mut rows = RowSet::none(130);
        rows.insert(0);
        rows.insert(129);
        rows.insert(5_000);
        assert!(rows.contains(0) && rows.contains(129));
        assert!(!rows.contains(1) && !rows.contains(5_000));
        let mut other = RowSet::none(130);
        other.insert(129);
        rows.intersect(&other);
        assert!(!rows.contains(0) && rows.contains(129));
    }

    #[test]
    fn rows_that_follow_each_other_are_put_in_as_one_by_one() {
        for (start, end) in
            [(0, 0), (0, 64), (3, 7), (60, 70), (63, 65), (1, 130), (64, 128), (100, 5_000), (4_000, 5_000)]
        {
            let (mut at_once, mut one_by_one) = (RowSet::none(130), RowSet::none(130));
            at_once.insert_all(start..end);
            (start..end).for_each(|row| one_by_one.insert(row));
            assert_eq!(at_once.words, one_by_one.words, "{start}..{end}");
        }
    }
}
