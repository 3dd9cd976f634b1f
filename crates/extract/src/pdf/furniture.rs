//! What stands on every page and belongs to none: running heads, page numbers, notices.
//!
//! Invariant: only lines at the edges of pages go, and only those that more than half of the pages
//! have, word for word but for a number that counts the pages; and no page loses all that it has.

use std::collections::{BTreeSet, HashMap};

use super::glyphs::Line;

/// Fewer pages do not show what repeats.
const PAGES_TELLING: usize = 4;

/// How many lines at the top and at the bottom of a page may be furniture.
const LINES_AT_EDGE: usize = 3;

/// How many of a line's numbers may be the page's.
const NUMBERS_MAX: usize = 4;

/// Digits of a page's number.
const DIGITS_MAX: usize = 6;

/// Removes from `pages` what repeats at their edges.
pub(super) fn remove(pages: &mut [Vec<Line>]) {
    if pages.len() < PAGES_TELLING {
        return;
    }
    // Of each page: lines at its edges, and what each is known by.
    let edges: Vec<Vec<(usize, Vec<String>)>> = (0_i64..)
        .zip(pages.iter())
        .map(|(number, lines)| {
            let keyed = |at: usize| Some((at, keys(&lines.get(at)?.text, number)));
            edge(lines).into_iter().filter_map(keyed).collect()
        })
        .collect();
    let mut pages_with: HashMap<&str, usize> = HashMap::new();
    for edge in &edges {
        let keys: BTreeSet<&str> = edge
            .iter()
            .flat_map(|(_, keys)| keys)
            .map(String::as_str)
            .collect();
        for key in keys {
            *pages_with.entry(key).or_default() += 1;
        }
    }
    let most = pages.len() / 2;
    let repeats = |keys: &[String]| {
        keys.iter().any(|key| {
            pages_with
                .get(key.as_str())
                .is_some_and(|count| *count > most)
        })
    };
    for (lines, edge) in pages.iter_mut().zip(&edges) {
        let furniture: BTreeSet<usize> = edge
            .iter()
            .filter(|(_, keys)| repeats(keys))
            .map(|(at, _)| *at)
            .collect();
        if furniture.len() == lines.len() {
            continue;
        }
        let mut at = 0;
        lines.retain(|_| {
            let stays = !furniture.contains(&at);
            at += 1;
            stays
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

/// The line as it is; and with each of its numbers replaced by how far it is from the page's, which is
/// the same on each page if it counts them.
fn keys(text: &str, page: i64) -> Vec<String> {
    let mut keys = vec![text.to_owned()];
    let mut rest = text;
    let mut before = 0;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let number = rest.get(at..).unwrap_or_default();
        let length = number
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(number.len());
        let (digits, after) = number.split_at(length);
        if digits.len() <= DIGITS_MAX
            && let Ok(value) = digits.parse::<i64>()
        {
            let front = text.get(..before + at).unwrap_or_default();
            keys.push(format!("{front}\0{}\0{after}", value - page));
        }
        if keys.len() > NUMBERS_MAX {
            break;
        }
        before += at + length;
        rest = after;
    }
    keys
}

#[cfg(test)]
mod tests {
    use hayro_interpret::kurbo::Vec2;

    use super::super::glyphs::Line;
    use super::remove;

    fn page(lines: &[&str]) -> Vec<Line> {
        let heights = (0..).map(|at| 800.0 - 12.0 * f64::from(at));
        lines
            .iter()
            .zip(heights)
            .map(|(text, height)| Line {
                text: (*text).to_owned(),
                direction: Vec2::new(1.0, 0.0),
                start: 50.0,
                end: 300.0,
                height,
                size: 10.0,
            })
            .collect()
    }

    fn left(mut pages: Vec<Vec<Line>>) -> Vec<Vec<String>> {
        remove(&mut pages);
        let texts = |lines: Vec<Line>| lines.into_iter().map(|line| line.text).collect();
        pages.into_iter().map(texts).collect()
    }

    #[test]
    fn heads_and_page_numbers_go_and_amounts_stay() {
        let pages = (1..=5)
            .map(|at| {
                let total = format!("Total {} EUR", at * at * 10);
                page(&["ACME report", &total, &format!("Page {} of 9", at + 4)])
            })
            .collect();
        let kept: Vec<Vec<String>> = (1..=5)
            .map(|at| vec![format!("Total {} EUR", at * at * 10)])
            .collect();
        assert_eq!(left(pages), kept);
    }

    #[test]
    fn a_page_keeps_its_only_line() {
        let pages: Vec<_> = (1..=5)
            .map(|at| page(&[&format!("Page {at} of it")]))
            .collect();
        assert!(left(pages).iter().all(|lines| lines.len() == 1));
    }
}
