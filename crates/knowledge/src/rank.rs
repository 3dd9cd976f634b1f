//! Making one order of several, and one result of several chunks.
//!
//! Scores of a vector search and of a text search cannot be compared; their ranks can. Nothing here
//! knows what a result is: the caller says by what two of them are the same.

use std::collections::{BTreeMap, BTreeSet};

/// How much the first ranks weigh against the later ones; 60 is the usual choice of reciprocal rank
/// fusion.
pub const RRF_K: f64 = 60.0;

/// One of the orders that are made one.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking<T> {
    /// How much it counts; above 0.
    pub weight: f64,
    /// The best first. Of results with the same key only the first counts.
    pub results: Vec<T>,
}

impl<T> Ranking<T> {
    /// An order that counts as much as any other.
    pub fn new(results: Vec<T>) -> Self {
        Self {
            weight: 1.0,
            results,
        }
    }
}

/// Reciprocal rank fusion. The best first, with scores above 0 and up to 1; 1 is the score of what is
/// first in every ranking. Of equal scores the one whose best rank is better comes first, then the one
/// of the earlier ranking, then the lower key. Of a result in several rankings the first one's is
/// returned.
pub fn fuse<T, K: Ord>(rankings: Vec<Ranking<T>>, key: impl Fn(&T) -> K) -> Vec<(T, f64)> {
    struct Fused<T> {
        result: T,
        score: f64,
        /// Best rank and the ranking it is in.
        best: (usize, usize),
    }
    let full: f64 = rankings
        .iter()
        .map(|ranking| ranking.weight / (RRF_K + 1.0))
        .sum();
    let mut fused: BTreeMap<K, Fused<T>> = BTreeMap::new();
    for (number, ranking) in rankings.into_iter().enumerate() {
        let mut seen = BTreeSet::new();
        let mut rank = 0;
        for result in ranking.results {
            if !seen.insert(key(&result)) {
                continue;
            }
            rank += 1;
            #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
            let share = ranking.weight / (RRF_K + rank as f64) / full;
            let at = fused.entry(key(&result)).or_insert(Fused {
                result,
                score: 0.0,
                best: (rank, number),
            });
            at.score += share;
            at.best = at.best.min((rank, number));
        }
    }
    let mut all: Vec<Fused<T>> = fused.into_values().collect();
    // The sort is stable and the map is in the order of the keys.
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.best.cmp(&b.best)));
    all.into_iter()
        .map(|fused| (fused.result, fused.score.min(1.0)))
        .collect()
}

/// Keeps of the results with one key (children of one parent) the first, which is the best one where
/// `results` are in order. Results without a key all stay.
pub fn first_of_each<T, K: Ord>(
    results: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> Option<K>,
) -> Vec<T> {
    let mut seen = BTreeSet::new();
    results
        .into_iter()
        .filter(|result| key(result).is_none_or(|key| seen.insert(key)))
        .collect()
}

#[cfg(test)]
mod tests;
