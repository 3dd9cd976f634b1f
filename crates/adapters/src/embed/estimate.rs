//! Tokens of models whose tokenizer is not here.
//!
//! Words of Latin letters count one token for each six letters begun, digits one for each three, every
//! other character one; a space belongs to what follows it. On pages of English documentation that is a
//! tenth more than vocabularies of 30,000 tokens make of them (0.7 to 1.3 times), and larger vocabularies
//! make less. Texts in other scripts are counted too long rather than too short.

use outcrop_knowledge::chunk::TokenCounter;

/// Letters that a token has at most.
const LETTERS: usize = 6;
/// Digits that a token has at most, as vocabularies cut numbers.
const DIGITS: usize = 3;

/// The estimate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letters,
    Digits,
    Space,
    Other,
}

fn class(letter: char) -> Class {
    if letter.is_ascii_digit() {
        Class::Digits
    } else if letter.is_whitespace() {
        Class::Space
    } else if letter.is_alphabetic() && letter < '\u{250}' {
        Class::Letters
    } else {
        Class::Other
    }
}

impl TokenCounter for Estimate {
    fn token_ends(&self, text: &str) -> Vec<usize> {
        let mut ends = Vec::with_capacity(text.len() / 4);
        let mut open: Option<(Class, usize)> = None;
        for (at, letter) in text.char_indices() {
            let class = class(letter);
            let room = match class {
                Class::Letters => LETTERS,
                Class::Digits => DIGITS,
                Class::Space => usize::MAX,
                Class::Other => 1,
            };
            open = match open {
                // What was open goes on.
                Some((Class::Space, _)) if class != Class::Space => Some((class, 1)),
                Some((before, length)) if before == class && length < room => {
                    Some((class, length + 1))
                }
                Some(_) => {
                    ends.push(at);
                    Some((class, 1))
                }
                None => Some((class, 1)),
            };
        }
        if open.is_some() {
            ends.push(text.len());
        }
        ends
    }
}

/// As much of `text` as has `limit` tokens, and how many it has.
pub(super) fn cut<'a>(tokens: &dyn TokenCounter, text: &'a str, limit: usize) -> (&'a str, usize) {
    let ends = tokens.token_ends(text);
    if ends.len() <= limit {
        return (text, ends.len());
    }
    let end = limit.checked_sub(1).and_then(|last| ends.get(last));
    let kept = end.and_then(|end| text.get(..*end)).unwrap_or_default();
    (kept, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        let mut start = 0;
        Estimate
            .token_ends(text)
            .into_iter()
            .map(|end| {
                let piece = &text[start..end];
                start = end;
                piece
            })
            .collect()
    }

    #[test]
    fn words_numbers_and_signs() {
        for (text, expected) in [
            ("", vec![]),
            ("The policy", vec!["The", " policy"]),
            ("internationally", vec!["intern", "ationa", "lly"]),
            ("2026-11", vec!["202", "6", "-", "11"]),
            ("a,  b\n", vec!["a", ",", "  b", "\n"]),
            ("\u{4e2d}\u{6587}", vec!["\u{4e2d}", "\u{6587}"]),
            ("fa\u{e7}ade", vec!["fa\u{e7}ade"]),
        ] {
            assert_eq!(pieces(text), expected, "{text:?}");
        }
    }

    #[test]
    fn texts_are_cut_between_tokens() {
        assert_eq!(cut(&Estimate, "one two three", 2), ("one two", 2));
        assert_eq!(cut(&Estimate, "one two", 5), ("one two", 2));
        assert_eq!(cut(&Estimate, "one", 0), ("", 0));
    }
}
