//! Gives each parameter its value, so that the whole fits best and no words are used twice.
//!
//! Exact for as many parameters as tools commonly have; the rest take the best that is left.

use super::{Candidate, Leaf};

/// Parameters assigned by search over all combinations: with six candidates each, under 20,000.
const EXACT_LIMIT: usize = 5;

/// One candidate per leaf, or none, with the highest total.
pub(super) fn best<'c>(
    leaves: &[Leaf<'_>],
    options: &'c [Vec<Candidate>],
) -> Vec<Option<&'c Candidate>> {
    let mut order: Vec<usize> = (0..leaves.len()).collect();
    order.sort_by_key(|index| !leaves[*index].required);
    let (exact, greedy) = order.split_at(order.len().min(EXACT_LIMIT));
    let mut best = (f64::NEG_INFINITY, Vec::new());
    search(exact, leaves, options, &mut Vec::new(), 0.0, &mut best);
    let mut chosen: Vec<Option<&Candidate>> = vec![None; leaves.len()];
    for (index, candidate) in exact.iter().zip(&best.1) {
        chosen[*index] = *candidate;
    }
    for index in greedy {
        let free = options[*index]
            .iter()
            .find(|candidate| !chosen.iter().flatten().any(|used| overlap(used, candidate)));
        chosen[*index] = free;
    }
    chosen
}

fn search<'c>(
    order: &[usize],
    leaves: &[Leaf<'_>],
    options: &'c [Vec<Candidate>],
    taken: &mut Vec<Option<&'c Candidate>>,
    score: f64,
    best: &mut (f64, Vec<Option<&'c Candidate>>),
) {
    let Some((index, rest)) = order.split_first() else {
        if score > best.0 {
            *best = (score, taken.clone());
        }
        return;
    };
    for candidate in &options[*index] {
        if taken.iter().flatten().any(|used| overlap(used, candidate)) {
            continue;
        }
        // A filled required parameter is worth more than any better fit elsewhere.
        let worth = if leaves[*index].required { 100.0 } else { 0.0 };
        taken.push(Some(candidate));
        search(
            rest,
            leaves,
            options,
            taken,
            score + worth + candidate.score,
            best,
        );
        taken.pop();
    }
    taken.push(None);
    search(rest, leaves, options, taken, score, best);
    taken.pop();
}

/// Whether two candidates use the same words. The goal repeats words of the whole request, so equal
/// texts count too.
fn overlap(a: &Candidate, b: &Candidate) -> bool {
    if a.place.0 == usize::MAX || b.place.0 == usize::MAX {
        return false;
    }
    let ranges = a.place.0 == b.place.0 && a.place.1 < b.place.2 && b.place.1 < a.place.2;
    ranges || a.text == b.text
}
