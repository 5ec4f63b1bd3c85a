//! How good a ranking is. What enters is a list of ids, best first, and what should have been found; what leaves are the
//! figures that retrieval is compared by, each from 0 to 1. Pure arithmetic: it neither searches nor knows what an id names.
//!
//! The figures are those of `trec_eval`, by which BEIR reports too: gains as judged (`ndcg_cut`), not raised to a power
//! of two; a ranking that finds nothing counts 0 and is not left out.

use std::collections::{HashMap, HashSet};

/// What should be found: the gain of each relevant id. What is not named has no gain, as an entry of 0 has none.
pub type Relevance = HashMap<String, u32>;

/// A figure of one ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Normalised discounted cumulative gain of the first so many.
    Ndcg(usize),
    /// Share of all relevant ids that are among the first so many.
    Recall(usize),
    /// One over the rank of the first relevant id.
    ReciprocalRank,
}

/// The figures that are reported, by the names that thresholds call them.
pub const MEASURES: &[(&str, Measure)] = &[
    ("ndcg@10", Measure::Ndcg(10)),
    ("recall@5", Measure::Recall(5)),
    ("recall@20", Measure::Recall(20)),
    ("recall@100", Measure::Recall(100)),
    ("mrr", Measure::ReciprocalRank),
];

impl Measure {
    /// How many ids a ranking must be able to have for the figure to mean what it says.
    pub fn depth(self) -> usize {
        match self {
            Self::Ndcg(depth) | Self::Recall(depth) => depth,
            Self::ReciprocalRank => 1,
        }
    }
}

/// Ids, best first, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking(Vec<String>);

impl Ranking {
    /// Takes ids, best first. One that comes again counts where it came first, so that a document of many passages stands
    /// where its best passage does.
    pub fn best_first(ids: impl IntoIterator<Item = String>) -> Self {
        let mut seen = HashSet::new();
        Self(ids.into_iter().filter(|id| seen.insert(id.clone())).collect())
    }

    /// The same without those beyond the first `depth`.
    pub fn cut(mut self, depth: usize) -> Self {
        self.0.truncate(depth);
        self
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A figure of this ranking.
    pub fn measure(&self, measure: Measure, relevance: &Relevance) -> f64 {
        match measure {
            Measure::Ndcg(depth) => self.ndcg(depth, relevance),
            Measure::Recall(depth) => self.recall(depth, relevance),
            Measure::ReciprocalRank => self.first_relevant(relevance).map_or(0.0, |rank| 1.0 / rank as f64),
        }
    }

    /// The rank of the first relevant id, from 1.
    pub fn first_relevant(&self, relevance: &Relevance) -> Option<usize> {
        self.0.iter().position(|id| gain(relevance, id) > 0).map(|at| at + 1)
    }

    /// Σ gain / log2(rank + 1) over the first `depth`, divided by the same sum of the best order there could be (Järvelin
    /// and Kekäläinen 2002, with the discount from rank 1 on that `trec_eval` uses). 0 when nothing is relevant.
    fn ndcg(&self, depth: usize, relevance: &Relevance) -> f64 {
        let mut ideal: Vec<u32> = relevance.values().copied().collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        let best = discounted(ideal.into_iter().take(depth));
        let found = discounted(self.0.iter().take(depth).map(|id| gain(relevance, id)));
        if best > 0.0 { found / best } else { 0.0 }
    }

    /// Relevant ids among the first `depth`, over all relevant ids (`recall` of `trec_eval`). 0 when nothing is relevant.
    fn recall(&self, depth: usize, relevance: &Relevance) -> f64 {
        let relevant = relevance.values().filter(|gain| **gain > 0).count();
        let found = self.0.iter().take(depth).filter(|id| gain(relevance, id) > 0).count();
        found as f64 / relevant.max(1) as f64
    }
}

/// The mean; none of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn gain(relevance: &Relevance, id: &str) -> u32 {
    relevance.get(id).copied().unwrap_or(0)
}

fn discounted(gains: impl Iterator<Item = u32>) -> f64 {
    gains.zip(1_u32..).map(|(gain, rank)| f64::from(gain) / f64::from(rank + 1).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranked: &str, relevant: &[(&str, u32)], measure: Measure, expected: f64) {
        let relevance: Relevance = relevant.iter().map(|(id, gain)| ((*id).to_owned(), *gain)).collect();
        let ranking = Ranking::best_first(ranked.split_whitespace().map(str::to_owned));
        let found = ranking.measure(measure, &relevance);
        assert!((found - expected).abs() < 1e-6, "{measure:?} of {ranked:?}: {found}, not {expected}");
    }

    #[test]
    fn ndcg_discounts_by_rank_and_compares_with_the_best_order() {
        check("a b c", &[("a", 1)], Measure::Ndcg(10), 1.0);
        // 1 / log2(3)
        check("b a c", &[("a", 1)], Measure::Ndcg(10), 0.630_930);
        // Found: 1/log2(2) + 2/log2(4) = 2. Best: 2/log2(2) + 1/log2(3) = 2.630930.
        check("a b c", &[("a", 1), ("c", 2)], Measure::Ndcg(10), 0.760_188);
        // The third is beyond the cut, and so is the second of the best order for a cut of one.
        check("a b c", &[("a", 1), ("c", 2)], Measure::Ndcg(1), 0.5);
        check("a b c", &[("a", 0)], Measure::Ndcg(10), 0.0);
        check("", &[("a", 1)], Measure::Ndcg(10), 0.0);
        check("a", &[], Measure::Ndcg(10), 0.0);
    }

    #[test]
    fn recall_is_the_share_of_the_relevant() {
        let relevant = [("a", 1), ("c", 3), ("x", 1), ("b", 0)];
        check("a b c", &relevant, Measure::Recall(5), 2.0 / 3.0);
        check("a b c", &relevant, Measure::Recall(2), 1.0 / 3.0);
        check("a b c", &[], Measure::Recall(5), 0.0);
    }

    #[test]
    fn the_reciprocal_rank_is_that_of_the_first_relevant() {
        check("a b c", &[("c", 1), ("b", 1)], Measure::ReciprocalRank, 0.5);
        check("a b c", &[("x", 1), ("a", 0)], Measure::ReciprocalRank, 0.0);
    }

    #[test]
    fn an_id_that_comes_again_counts_once_where_it_came_first() {
        check("b a b a a", &[("a", 1)], Measure::Ndcg(10), 0.630_930);
        check("b b a", &[("a", 1)], Measure::ReciprocalRank, 0.5);
        assert_eq!(Ranking::best_first(["b", "b", "a"].map(str::to_owned)).cut(1).len(), 1);
    }

    #[test]
    fn the_mean_of_nothing_is_none() {
        assert_eq!(mean([0.25, 0.75]), Some(0.5));
        assert_eq!(mean([]), None);
    }

    proptest::proptest! {
        #[test]
        fn figures_stay_between_nought_and_one(ranked in "[a-f ]{0,20}", gains in proptest::collection::vec(0_u32..4, 6)) {
            let relevance: Relevance = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).into_iter().zip(gains).collect();
            let ranking = Ranking::best_first(ranked.chars().filter(|c| *c != ' ').map(String::from));
            for (name, measure) in MEASURES {
                let value = ranking.measure(*measure, &relevance);
                proptest::prop_assert!((0.0..=1.0 + 1e-9).contains(&value), "{} is {}", name, value);
            }
        }
    }
}
