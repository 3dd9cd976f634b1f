//! Lists fused, and children that share a parent.

use super::{RRF_K, Ranking, first_of_each, fuse};

fn order(fused: Vec<(&'static str, f64)>) -> Vec<&'static str> {
    fused.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn first_in_every_list_scores_one() {
    let fused = fuse(
        vec![Ranking::new(vec!["a", "b"]), Ranking::new(vec!["a", "c"])],
        |name| *name,
    );
    assert!((fused[0].1 - 1.0).abs() < 1e-12);
    assert_eq!(order(fused), ["a", "b", "c"]);
}

#[test]
fn two_middling_ranks_beat_one_good_one() {
    let fused = fuse(
        vec![
            Ranking::new(vec!["a", "both", "c"]),
            Ranking::new(vec!["x", "both", "z"]),
        ],
        |name| *name,
    );
    let expected = (2.0 / (RRF_K + 2.0)) / (2.0 / (RRF_K + 1.0));
    assert!((fused[0].1 - expected).abs() < 1e-12);
    assert_eq!(order(fused), ["both", "a", "x", "c", "z"]);
}

#[test]
fn one_list_keeps_its_order_and_doubles_count_once() {
    let fused = fuse(vec![Ranking::new(vec!["b", "a", "b", "c"])], |name| *name);
    assert_eq!(order(fused.clone()), ["b", "a", "c"]);
    let third = (RRF_K + 1.0) / (RRF_K + 3.0);
    assert!((fused[2].1 - third).abs() < 1e-12);
    assert!(fuse(Vec::<Ranking<&str>>::new(), |name| *name).is_empty());
    assert!(fuse(vec![Ranking::<&str>::new(Vec::new())], |name| *name).is_empty());
}

#[test]
fn a_heavier_list_wins_where_ranks_are_equal() {
    let light = Ranking::new(vec!["a", "b"]);
    let heavy = Ranking {
        weight: 2.0,
        results: vec!["b", "a"],
    };
    assert_eq!(order(fuse(vec![light, heavy], |name| *name)), ["b", "a"]);
}

#[test]
fn the_result_of_the_earlier_list_is_returned() {
    let fused = fuse(
        vec![
            Ranking::new(vec![("a", "vector")]),
            Ranking::new(vec![("a", "text")]),
        ],
        |result| result.0,
    );
    assert_eq!(fused.len(), 1);
    assert_eq!(fused[0].0, ("a", "vector"));
}

#[test]
fn of_siblings_the_best_stays() {
    let results = [("p1", 0.9), ("p2", 0.8), ("", 0.7), ("p1", 0.6), ("", 0.5)];
    let kept = first_of_each(results, |(parent, _)| {
        (!parent.is_empty()).then_some(*parent)
    });
    assert_eq!(kept, [("p1", 0.9), ("p2", 0.8), ("", 0.7), ("", 0.5)]);
}
