//! Words of a text, reduced to comparable stems.
//!
//! English only, and deliberately small: it has to make "shipped", "shipping" and "ship" equal, not
//! to be a linguist. Invariant: stems are lower case and never empty.

use std::collections::HashMap;

/// Words that say nothing about what is asked.
const STOP_WORDS: &[&str] = &[
    "a", "about", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by",
    "can", "could", "did", "do", "does", "doing", "done", "for", "from", "get", "gets", "give",
    "had", "has", "have", "he", "hello", "her", "hey", "hi", "him", "his", "how", "i", "if", "in",
    "into", "is", "it", "its", "let", "like", "may", "me", "might", "my", "need", "of", "on", "or",
    "our", "please", "s", "she", "should", "so", "some", "t", "tell", "than", "thank", "thanks",
    "that", "the", "their", "them", "then", "there", "these", "they", "this", "to", "too", "us",
    "use", "want", "was", "we", "were", "what", "when", "where", "which", "who", "will", "with",
    "would", "you", "your", "d", "ll", "m", "re", "ve", "id", "e", "g",
];

/// A word of a text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// As written, lower case.
    pub(super) text: String,
    /// Byte offset of its first character.
    pub(super) start: usize,
    /// Byte offset after its last character.
    pub(super) end: usize,
}

/// The words of `text`: runs of letters and digits, so that identifiers fall apart at their dashes.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        match (character.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.push(Word {
                    text: text[from..at].to_lowercase(),
                    start: from,
                    end: at,
                });
                start = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    found
}

/// Whether a lower-case word carries no topic of its own.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(&word)
}

/// The stems of the words of `text` that carry meaning, in order, repeats kept.
pub(super) fn stems(text: &str) -> Vec<String> {
    let found = words(text);
    found
        .iter()
        .filter(|word| !is_stop_word(&word.text))
        .map(|word| stem(&word.text))
        .collect()
}

/// `get_orderStatus` as `get order status`.
pub(super) fn spoken(identifier: &str) -> String {
    let mut spoken = String::with_capacity(identifier.len() + 4);
    let mut previous = ' ';
    for character in identifier.chars() {
        if character.is_alphanumeric() {
            if character.is_uppercase() && previous.is_lowercase() {
                spoken.push(' ');
            }
            spoken.extend(character.to_lowercase());
        } else if !spoken.ends_with(' ') {
            spoken.push(' ');
        }
        previous = character;
    }
    spoken.trim().to_owned()
}

/// The stem of a lower-case word.
pub(super) fn stem(word: &str) -> String {
    let mut stem = word;
    if word.chars().count() > 3 && word.chars().all(char::is_alphabetic) {
        for (suffix, kept) in [
            ("ations", 3),
            ("ation", 3),
            ("ings", 3),
            ("ing", 3),
            ("ied", 2),
            ("ies", 2),
            ("ed", 3),
            ("es", 3),
            ("s", 3),
        ] {
            let Some(rest) = word.strip_suffix(suffix) else {
                continue;
            };
            let vowels = rest.chars().any(|letter| "aeiouy".contains(letter));
            if rest.chars().count() >= kept && vowels && !(suffix == "s" && rest.ends_with('s')) {
                stem = rest;
                break;
            }
        }
    }
    let mut stem = stem.to_owned();
    if stem.chars().count() > 3 {
        let last: Vec<char> = stem.chars().rev().take(2).collect();
        if last[0] == last[1] && !"aeiou".contains(last[0]) {
            stem.pop();
        }
    }
    if stem.chars().count() > 3
        && (stem.ends_with('e') || stem.ends_with('y') || stem.ends_with('i'))
    {
        stem.pop();
    }
    stem
}

/// How telling each stem is among several texts: one that all of them share tells nothing.
pub(super) fn weights(texts: &[Vec<String>]) -> HashMap<String, f64> {
    let mut held_by: HashMap<&String, u32> = HashMap::new();
    for text in texts {
        let mut seen: Vec<&String> = text.iter().collect();
        seen.sort();
        seen.dedup();
        for stem in seen {
            *held_by.entry(stem).or_default() += 1;
        }
    }
    let all = f64::from(u32::try_from(texts.len()).unwrap_or(u32::MAX));
    held_by
        .into_iter()
        .map(|(stem, held)| (stem.clone(), (1.0 + all / f64::from(held)).ln()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflections_share_a_stem() {
        for group in [
            ["ship", "shipped", "shipping"],
            ["cancel", "cancelled", "cancelling"],
            ["close", "closed", "closing"],
            ["order", "orders", "ordered"],
            ["city", "cities", "city"],
            ["delay", "delayed", "delays"],
        ] {
            assert!(
                group.iter().all(|word| stem(word) == stem(group[0])),
                "{group:?}"
            );
        }
        assert_ne!(stem("status"), stem("state"));
    }

    #[test]
    fn identifiers_are_spoken() {
        assert_eq!(spoken("get_orderStatus"), "get order status");
        assert_eq!(spoken("GET__/orders/{id}"), "get orders id");
    }
}
