//! What stands on every page and belongs to none: running heads, page numbers, notices.
//!
//! Invariant: only lines at the edges of pages go, and only those that more than half of the pages
//! have, numbers aside.

use std::collections::HashMap;

use super::glyphs::Line;

/// Fewer pages do not show what repeats.
const PAGES_TELLING: usize = 4;

/// How many lines at the top and at the bottom of a page may be furniture.
const LINES_AT_EDGE: usize = 3;

/// Removes from `pages` what repeats at their edges.
pub(super) fn remove(pages: &mut [Vec<Line>]) {
    if pages.len() < PAGES_TELLING {
        return;
    }
    let mut pages_with: HashMap<String, usize> = HashMap::new();
    let edges: Vec<Vec<usize>> = pages.iter().map(|lines| edge(lines)).collect();
    for (lines, edge) in pages.iter().zip(&edges) {
        let mut keys: Vec<String> = edge
            .iter()
            .filter_map(|at| lines.get(*at))
            .map(|line| key(&line.text))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            *pages_with.entry(key).or_default() += 1;
        }
    }
    let most = pages.len() / 2;
    for (lines, edge) in pages.iter_mut().zip(&edges) {
        let mut at = 0;
        lines.retain(|line| {
            let repeats = edge.contains(&at)
                && pages_with
                    .get(&key(&line.text))
                    .is_some_and(|count| *count > most);
            at += 1;
            !repeats
        });
    }
}

/// The lines at the top and the bottom.
fn edge(lines: &[Line]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    let height = |at: &usize| lines.get(*at).map_or(0.0, |line| line.height);
    order.sort_by(|a, b| height(a).total_cmp(&height(b)));
    if order.len() > 2 * LINES_AT_EDGE {
        order.drain(LINES_AT_EDGE..order.len() - LINES_AT_EDGE);
    }
    order
}

/// A line without its numbers.
fn key(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_numeric() {
            key.push(character);
        } else if !key.ends_with('#') {
            key.push('#');
        }
    }
    key
}
