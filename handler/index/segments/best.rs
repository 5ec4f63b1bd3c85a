//! The best few of many, while they are being looked at.

use tantivy::DocAddress;

/// At most `limit` rows with the highest scores, best first; of equal scores the earlier offered comes first.
#[derive(Clone, Debug)]
pub struct Best {
    limit: usize,
    rows: Vec<(f32, DocAddress)>,
}

impl Best {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self { limit, rows: Vec::with_capacity(limit.saturating_add(1).min(1_024)) }
    }

    /// The score a row must exceed to be among the best.
    pub fn threshold(&self) -> f32 {
        match self.limit.checked_sub(1) {
            Some(last) => self.rows.get(last).map_or(f32::MIN, |(score, _)| *score),
            None => f32::MAX,
        }
    }

    /// Takes a row in when it is among the best.
    pub fn offer(&mut self, score: f32, row: DocAddress) {
        if score > self.threshold() {
            let place = self.rows.partition_point(|(other, _)| *other >= score);
            self.rows.insert(place, (score, row));
            self.rows.truncate(self.limit);
        }
    }

    /// The rows, best first.
    pub fn into_rows(self) -> Vec<(f32, DocAddress)> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_first_and_ties_keep_their_order() {
        let mut best = Best::new(3);
        for (row, score) in [1.0, 3.0, 2.0, 3.0, 0.5, 2.0].into_iter().enumerate() {
            best.offer(score, DocAddress::new(0, row as u32));
        }
        let rows: Vec<u32> = best.into_rows().into_iter().map(|(_, row)| row.doc_id).collect();
        assert_eq!(rows, [1, 3, 2]);
    }

    #[test]
    fn none_are_wanted() {
        let mut best = Best::new(0);
        best.offer(1.0, DocAddress::new(0, 0));
        assert!(best.into_rows().is_empty());
    }
}
