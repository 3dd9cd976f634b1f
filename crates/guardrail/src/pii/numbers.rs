//! Candidates that hold several values or depend on what stands around them.
//!
//! Runs of digits with separators are cut into windows of whole groups; each group is looked at a
//! bounded number of times, so that long tables of numbers cost linear time.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::checks;

/// Bytes before a number in which a word may say that it is a telephone's.
const TOLD_WITHIN: usize = 40;

/// Most groups of digits of one telephone number or card.
const GROUPS_MAX: usize = 7;

/// Words before a telephone number.
const TELEPHONE: [&str; 14] = [
    "phone", "call", "tel", "mobile", "cell", "fax", "contact", "whatsapp", "reach", "dial",
    "ring ", "text ", "sms", "hotline",
];

/// Whether no further digits are joined to a number by `-` or `.`.
pub(super) fn alone(text: &str, range: &Range<usize>) -> bool {
    let bytes = text.as_bytes();
    let joint = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b'-' | b'.'));
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let before = |back: usize| range.start.checked_sub(back).and_then(|at| bytes.get(at));
    let joined_before = joint(before(1)) && digit(before(2));
    let joined_after = joint(bytes.get(range.end)) && digit(bytes.get(range.end + 1));
    !joined_before && !joined_after
}

pub(super) fn ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

/// Addresses of the sixth version: what of a candidate can be read as one.
pub(super) fn ipv6(text: &str, range: Range<usize>, found: &mut dyn FnMut(Range<usize>)) {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    if text[..range.start].chars().next_back().is_some_and(word)
        || text[range.end..].chars().next().is_some_and(word)
    {
        return;
    }
    let candidate = text[range.clone()].trim_end_matches(['.', ':']);
    // `fe80::` may end in colons.
    for candidate in [&text[range.clone()], candidate] {
        let has_digit = candidate.bytes().any(|byte| byte.is_ascii_digit());
        if has_digit && candidate.parse::<Ipv6Addr>().is_ok() {
            found(range.start..range.start + candidate.len());
            return;
        }
    }
}

/// The groups of digits of a candidate.
fn groups(text: &str, range: &Range<usize>) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, byte) in text.bytes().enumerate().take(range.end).skip(range.start) {
        if !byte.is_ascii_digit() {
            continue;
        }
        match groups.last_mut() {
            Some(group) if group.end == at => group.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

/// Gives the longest windows of groups that are one, from the left, none overlapping.
fn windows(
    groups: &[Range<usize>],
    (digits_least, digits_most): (usize, usize),
    found: &mut dyn FnMut(Range<usize>),
    is_one: &dyn Fn(&[Range<usize>]) -> bool,
) {
    let mut first = 0;
    while first < groups.len() {
        let mut digits = 0;
        let (mut least, mut most) = (0, 0);
        for group in groups[first..].iter().take(GROUPS_MAX) {
            digits += group.len();
            if digits > digits_most {
                break;
            }
            most += 1;
            least += usize::from(digits < digits_least);
        }
        let length = (least + 1..=most)
            .rev()
            .find(|length| is_one(&groups[first..first + length]));
        if let Some(length) = length {
            found(groups[first].start..groups[first + length - 1].end);
        }
        first += length.unwrap_or(1);
    }
}

/// Cards' numbers in a run of digits.
pub(super) fn cards(text: &str, range: Range<usize>, found: &mut dyn FnMut(Range<usize>)) {
    let groups = groups(text, &range);
    windows(&groups, (13, 19), found, &|window| {
        whole(window).is_some_and(|range| checks::card(&text[range]))
    });
}

fn whole(window: &[Range<usize>]) -> Option<Range<usize>> {
    Some(window.first()?.start..window.last()?.end)
}

/// Telephone numbers in a run of digits. A group that is joined to a word is none of it.
pub(super) fn phones(text: &str, range: Range<usize>, found: &mut dyn FnMut(Range<usize>)) {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let joins = |c: char| word(c) || matches!(c, '@' | '$' | '€' | '£');
    let mut groups = groups(text, &range);
    if text[..range.start].chars().next_back().is_some_and(joins) {
        groups.remove(0);
    }
    if text[range.end..].chars().next().is_some_and(word) {
        groups.pop();
    }
    let told = is_told(text, range.start);
    let bytes = text.as_bytes();
    let opening = |start: usize| {
        // `+`, `(`, `+(` belong to the number they open.
        let mut from = start;
        for mark in [b'(', b'+'] {
            if from > range.start && bytes.get(from - 1) == Some(&mark) {
                from -= 1;
            }
        }
        from
    };
    let search = |told: bool| {
        let mut places = Vec::new();
        let mut push = |range: Range<usize>| places.push(opening(range.start)..range.end);
        windows(&groups, (7, 15), &mut push, &|window: &[Range<usize>]| {
            whole(window)
                .is_some_and(|range| checks::phone(&text[opening(range.start)..range.end], told))
        });
        places
    };
    let mut places = search(false);
    if told && places.is_empty() {
        places = search(true);
    }
    places.into_iter().for_each(found);
}

fn is_told(text: &str, at: usize) -> bool {
    let mut from = at.saturating_sub(TOLD_WITHIN);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let before = text[from..at].to_ascii_lowercase();
    TELEPHONE.iter().any(|word| before.contains(word))
}

/// Secret access keys: forty characters, no more, that look random.
pub(super) fn secret_keys(text: &str, range: Range<usize>, found: &mut dyn FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    // Base64 of something else goes on or is padded.
    let padded = bytes.get(range.end) == Some(&b'=');
    if range.len() == 40 && !padded && checks::random_looking(&text[range.clone()]) {
        found(range);
    }
}

/// The bytes of a driver's licence number: what of the candidate is letters and digits that belong
/// together; at least five digits.
pub(super) fn driver_id(text: &str) -> Option<usize> {
    let mut end = 0;
    let mut digits = 0;
    for part in text.split_inclusive(' ') {
        let word = part.trim_end();
        // A word of letters alone goes on with the sentence, unless it opens the number.
        if end > 0 && !word.bytes().any(|byte| byte.is_ascii_digit()) {
            break;
        }
        digits += checks::digits(word).len();
        end += part.len();
    }
    let kept = text.get(..end)?.trim_end();
    (digits >= 5).then_some(kept.len())
}
