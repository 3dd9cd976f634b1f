//! Text as the database can hold it: PostgreSQL's text takes no zero byte, other text may.
//!
//! Two bytes are written as two each, which keeps the order of texts by their bytes: zero becomes `1 1`
//! and one becomes `1 2`. JSON as it is written holds neither.

use std::borrow::Cow;

const ESCAPE: char = '\u{1}';
const ZERO: char = '\u{1}';
const ONE: char = '\u{2}';

/// The stored form.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte < 2) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => escaped.extend([ESCAPE, ZERO]),
            ESCAPE => escaped.extend([ESCAPE, ONE]),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// The text of a stored form.
pub fn unescape(stored: &str) -> Cow<'_, str> {
    if !stored.contains(ESCAPE) {
        return Cow::Borrowed(stored);
    }
    let mut text = String::with_capacity(stored.len());
    let mut characters = stored.chars();
    while let Some(character) = characters.next() {
        match character {
            // Nothing else ever follows it.
            ESCAPE if characters.next() == Some(ZERO) => text.push('\0'),
            ESCAPE => text.push(ESCAPE),
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_holds_no_zero_and_keeps_text_and_order() {
        let mut texts = vec![
            "",
            "\0",
            "\0\0",
            "\0\u{1}",
            "\0a",
            "\u{1}",
            "\u{1}\0",
            "\u{1}\u{1}",
            "\u{2}",
            "a",
            "a\0",
            "a\u{1}",
            "a\u{2}",
            "aa",
            "é\0",
        ];
        texts.sort_unstable();
        for text in &texts {
            assert!(!escape(text).contains('\0'));
            assert_eq!(unescape(&escape(text)), *text);
        }
        for pair in texts.windows(2) {
            assert!(escape(pair[0]) < escape(pair[1]), "{pair:?}");
        }
    }
}
