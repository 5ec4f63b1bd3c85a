//! From two rankings to one: reciprocal rank fusion, and the thinning of what says the same twice.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::Serialize;

/// How rankings are joined and thinned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankSettings {
    /// What the ranking by words counts.
    pub words_weight: f32,
    /// What the ranking by embeddings counts.
    pub vectors_weight: f32,
    /// Standard errors that the first look at an embedding is granted; see `segments::vectors::scan`.
    pub over_sampling: f32,
    /// Rows taken from each ranking at least.
    pub depth: usize,
}

/// Softens the difference between the first ranks. With the 60 of Cormack, Clarke and Buettcher (SIGIR 2009), who joined many
/// rankings, what two rankings have in the middle comes before what one of them has first; see docs/retrieval.md for what
/// smaller numbers find.
const RANK_CONSTANT: f32 = 10.0;
/// Passages whose words agree to this share (Jaccard) say the same.
const SAME_SHARE: f32 = 0.9;

impl Default for RankSettings {
    fn default() -> Self {
        Self { words_weight: 1.0, vectors_weight: 1.0, over_sampling: 2.0, depth: 50 }
    }
}

/// Joins rankings, each with its weight, best first: `sum of weight / (10 + rank)`, ranks counted from 1. Of equal scores
/// comes first what the earlier ranking has first.
pub fn fuse<T: Copy + Ord>(rankings: &[(f32, Vec<T>)]) -> Vec<(f32, T)> {
    let scored = rankings.iter().flat_map(|(weight, ranking)| {
        ranking.iter().enumerate().map(move |(at, item)| (weight / (RANK_CONSTANT + 1.0 + at as f32), *item))
    });
    let mut fused: Vec<(f32, usize, T)> =
        scored.enumerate().map(|(place, (score, item))| (score, place, item)).collect();
    // The same item comes together, at its first place.
    fused.sort_unstable_by_key(|(_, place, item)| (*item, *place));
    fused.dedup_by(|again, first| {
        let is_same = again.2 == first.2;
        if is_same {
            first.0 += again.0;
        }
        is_same
    });
    fused.sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
    fused.into_iter().map(|(score, _, item)| (score, item)).collect()
}

/// The words of a passage, for comparing it with others: their hashes, each once, in order.
#[derive(Clone, Debug)]
pub struct Words(Arc<[u64]>);

impl Words {
    /// Those of a text.
    pub fn of(text: &str) -> Self {
        let mut hashes: Vec<u64> = text.split_whitespace().map(hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes.into())
    }

    /// The memory they take.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    fn say_the_same_as(&self, other: &Self) -> bool {
        let (own, others) = (self.0.len(), other.0.len());
        let (fewer, more) = (own.min(others) as f32, own.max(others) as f32);
        // Counted only where the sizes leave it open.
        fewer >= SAME_SHARE * more && {
            let common = self.common(other) as f32;
            common >= SAME_SHARE * (fewer + more - common)
        }
    }

    fn common(&self, other: &Self) -> usize {
        let (mut own, mut others) = (&*self.0, &*other.0);
        let mut common = 0;
        while let ([first, ..], [other, ..]) = (own, others) {
            let order = first.cmp(other);
            common += usize::from(order.is_eq());
            own = &own[usize::from(order.is_le())..];
            others = &others[usize::from(order.is_ge())..];
        }
        common
    }
}

/// Tells whether a passage says what an earlier one said.
#[derive(Debug, Default)]
pub struct Thinning {
    taken: Vec<Words>,
}

impl Thinning {
    /// Whether a passage of these words is new; if so, it is remembered.
    pub fn takes(&mut self, words: &Words) -> bool {
        let is_new = !self.taken.iter().any(|taken| taken.say_the_same_as(words));
        if is_new {
            self.taken.push(words.clone());
        }
        is_new
    }
}

fn hash(word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_rankings_have_comes_first() {
        let fused = fuse(&[(1.0, vec!['a', 'b', 'c']), (1.0, vec!['d', 'b', 'e'])]);
        let order: Vec<char> = fused.iter().map(|(_, item)| *item).collect();
        assert_eq!(order, ['b', 'a', 'd', 'c', 'e']);
        assert!((fused[0].0 - 2.0 / 12.0).abs() < 1e-6);
    }

    #[test]
    fn what_one_ranking_has_first_comes_before_what_both_have_in_the_middle() {
        let (mut words, mut vectors): (Vec<u32>, Vec<u32>) = ((0..40).collect(), (100..140).collect());
        (words[30], vectors[30]) = (7_000, 7_000);
        let order: Vec<u32> = fuse(&[(1.0, words), (1.0, vectors)]).into_iter().map(|(_, item)| item).collect();
        assert_eq!(order[..2], [0, 100]);
        assert!(order.iter().position(|item| *item == 7_000).is_some_and(|at| at < 30), "{order:?}");
    }

    #[test]
    fn a_weight_decides_between_rankings() {
        let fused = fuse(&[(1.0, vec!['a']), (1.5, vec!['b'])]);
        assert_eq!(fused[0].1, 'b');
    }

    #[test]
    fn what_says_the_same_is_left_out() {
        let text = |words: std::ops::Range<u32>| words.map(|word| format!("w{word} ")).collect::<String>();
        let mut thinning = Thinning::default();
        let mut takes = |text: &str| thinning.takes(&Words::of(text));
        assert!(takes(&text(0..20)));
        // 18 of 22 words are common, 19 of 20, and the same ones in another order.
        assert!(takes(&text(2..22)));
        assert!(!takes(&text(0..19)));
        assert!(!takes(&format!("{} {}", text(10..20), text(0..10))));
        assert!(takes("") && !takes(" "));
    }

    #[test]
    fn one_ranking_stays_as_it_is() {
        let fused = fuse(&[(1.0, vec![3, 1, 2])]);
        assert_eq!(fused.iter().map(|(_, item)| *item).collect::<Vec<_>>(), [3, 1, 2]);
    }
}
