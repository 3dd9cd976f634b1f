//! Places in a text: which of several overlapping ones count, and how a text is masked.
//!
//! Invariant: every byte of a span that is to be masked is gone from the masked text.

use std::ops::Range;

use crate::rule::Action;

/// Something found at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span<'a> {
    /// Bytes of the text, on character boundaries.
    pub(crate) range: Range<usize>,
    pub(crate) action: Action,
    /// What it is called where it is masked, without braces.
    pub(crate) label: &'a str,
    /// Among equal places the lower wins.
    pub(crate) rank: usize,
    /// Which policy found it; opaque here.
    pub(crate) detector: usize,
}

/// Leaves out what lies within a longer or better find whose action is at least as strong, and orders
/// the rest by place. A weaker action never hides a stronger one.
pub(crate) fn resolve(mut spans: Vec<Span<'_>>) -> Vec<Span<'_>> {
    spans.sort_by(|a, b| {
        let longer_first = b.range.end.cmp(&a.range.end);
        let place = a.range.start.cmp(&b.range.start).then(longer_first);
        place
            .then(b.action.cmp(&a.action))
            .then(a.rank.cmp(&b.rank))
    });
    let mut kept: Vec<Span<'_>> = Vec::with_capacity(spans.len());
    // The furthest ends so far, by action: enough to tell whether a span lies within an earlier one.
    let mut reach = [0_usize; 3];
    for span in spans {
        let covered = reach[span.action as usize..]
            .iter()
            .any(|end| span.range.end <= *end);
        if !covered {
            let end = &mut reach[span.action as usize];
            *end = span.range.end.max(*end);
            kept.push(span);
        }
    }
    kept
}

/// The text with every span whose action is [`Action::Anonymize`] replaced by `{LABEL}`; overlapping
/// ones become one, called as the first. `None` where nothing is to be masked.
pub(crate) fn mask(text: &str, spans: &[Span<'_>]) -> Option<String> {
    let mut masked = String::new();
    let mut done = 0;
    let mut any = false;
    for span in spans.iter().filter(|span| span.action == Action::Anonymize) {
        if span.range.start >= done || !any {
            masked.push_str(text.get(done..span.range.start)?);
            masked.push('{');
            masked.push_str(span.label);
            masked.push('}');
        }
        any = true;
        done = done.max(span.range.end);
    }
    masked.push_str(text.get(done..)?);
    any.then_some(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(range: Range<usize>, action: Action, label: &str, rank: usize) -> Span<'_> {
        Span {
            range,
            action,
            label,
            rank,
            detector: rank,
        }
    }

    #[test]
    fn the_longer_find_counts_unless_the_shorter_is_stronger() {
        use Action::{Anonymize, Block, None};
        for (spans, expected) in [
            (
                vec![
                    span(4..8, Anonymize, "A", 1),
                    span(0..10, Anonymize, "B", 2),
                ],
                vec!["B"],
            ),
            (
                vec![span(4..8, Block, "A", 1), span(0..10, Anonymize, "B", 2)],
                vec!["B", "A"],
            ),
            (
                vec![span(0..8, Anonymize, "A", 2), span(0..8, Anonymize, "B", 1)],
                vec!["B"],
            ),
            (
                vec![span(0..8, None, "A", 1), span(0..8, Block, "B", 2)],
                vec!["B"],
            ),
            (
                vec![span(0..5, Anonymize, "A", 1), span(3..9, Anonymize, "B", 2)],
                vec!["A", "B"],
            ),
        ] {
            let labels: Vec<_> = resolve(spans).iter().map(|span| span.label).collect();
            assert_eq!(labels, expected);
        }
    }

    #[test]
    fn masks_overlaps_whole() {
        let spans = resolve(vec![
            span(0..5, Action::Anonymize, "A", 1),
            span(3..9, Action::Anonymize, "B", 2),
            span(10..12, Action::None, "C", 3),
            span(13..14, Action::Anonymize, "D", 4),
        ]);
        assert_eq!(
            mask("0123456789abcde", &spans).as_deref(),
            Some("{A}9abc{D}e")
        );
        assert_eq!(mask("0123", &[]), None);
    }
}
