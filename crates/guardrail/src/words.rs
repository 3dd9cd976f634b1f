//! The word policy: custom words and the managed list, found as whole words in one pass.
//!
//! Letters compare without case, in all scripts. A word ends where letters and digits end; in scripts
//! that write without spaces it may stand anywhere. Spelling tricks are not undone.

use std::ops::Range;

use aho_corasick::{AhoCorasick, BuildError};

/// The managed list, one word a line, comments with `#`.
const PROFANITY: &str = include_str!("words/profanity.txt");

/// Words of one policy, compiled.
#[derive(Debug)]
pub(crate) struct WordList {
    automaton: AhoCorasick,
    /// By pattern: whether its first and last character must be the edge of a word.
    edges: Vec<(bool, bool)>,
}

/// A text in the form in which words are compared, with the way back.
#[derive(Debug)]
pub(crate) struct Folded {
    text: String,
    /// By byte of the folded text: the byte of the original at which its character begins; empty where
    /// both are the same.
    origin: Vec<usize>,
    original_len: usize,
}

/// The words of the managed list.
pub(crate) fn profanity() -> impl Iterator<Item = &'static str> {
    let lines = PROFANITY.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

impl Folded {
    pub(crate) fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self {
                text: text.to_ascii_lowercase(),
                origin: Vec::new(),
                original_len: text.len(),
            };
        }
        let mut folded = String::with_capacity(text.len());
        let mut origin = Vec::with_capacity(text.len());
        for (at, character) in text.char_indices() {
            for lower in character.to_lowercase() {
                folded.push(lower);
                origin.resize(folded.len(), at);
            }
        }
        Self {
            text: folded,
            origin,
            original_len: text.len(),
        }
    }

    /// Where a place of the folded text lies in the original.
    fn place(&self, range: Range<usize>) -> Range<usize> {
        if self.origin.is_empty() {
            return range;
        }
        let at = |index: usize| self.origin.get(index).copied().unwrap_or(self.original_len);
        let start = at(range.start);
        // A character that lower-cases to several ends where the next one of the original begins.
        let mut end = range.end;
        while end < self.origin.len() && at(end) <= at(range.end.saturating_sub(1)) {
            end += 1;
        }
        start..at(end)
    }
}

impl WordList {
    /// Compiles words; an index of theirs is what [`WordList::find`] gives.
    ///
    /// # Errors
    /// When the words together are too many for the automaton.
    pub(crate) fn new<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, BuildError> {
        let folded: Vec<String> = words
            .into_iter()
            .map(|word| Folded::new(word.trim()).text)
            .collect();
        let edges = folded.iter().map(|word| {
            let edge = |character: Option<char>| character.is_some_and(is_spaced);
            (edge(word.chars().next()), edge(word.chars().next_back()))
        });
        let edges = edges.collect();
        let automaton = AhoCorasick::new(&folded)?;
        Ok(Self { automaton, edges })
    }

    /// Every whole word found, by index and place, in the order of their ends.
    pub(crate) fn find(&self, folded: &Folded) -> Vec<(usize, Range<usize>)> {
        let text = &folded.text;
        let found = self.automaton.find_overlapping_iter(text).filter(|found| {
            let (first, last) = self.edges[found.pattern().as_usize()];
            let before = text[..found.start()].chars().next_back();
            let after = text[found.end()..].chars().next();
            let joined =
                first && before.is_some_and(is_spaced) || last && after.is_some_and(is_spaced);
            !found.is_empty() && !joined
        });
        found
            .map(|found| (found.pattern().as_usize(), folded.place(found.range())))
            .collect()
    }
}

/// Whether a character is of a word that spaces set apart from the next.
fn is_spaced(character: char) -> bool {
    (character.is_alphanumeric() || character == '_') && !is_unspaced_script(character)
}

/// Scripts that write words without spaces between them: Thai to Myanmar, Khmer, kana, Han.
fn is_unspaced_script(character: char) -> bool {
    matches!(
        u32::from(character),
        0x0E00..=0x0EFF
            | 0x1000..=0x109F
            | 0x1780..=0x17FF
            | 0x3040..=0x30FF
            | 0x31F0..=0x31FF
            | 0x3400..=0x4DBF
            | 0x4E00..=0x9FFF
            | 0xF900..=0xFAFF
            | 0x2_0000..=0x3_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'t>(words: &[&str], text: &'t str) -> Vec<&'t str> {
        let list = WordList::new(words.iter().copied()).expect("few words");
        let places = list.find(&Folded::new(text));
        places.into_iter().map(|(_, range)| &text[range]).collect()
    }

    #[test]
    fn finds_whole_words_without_case() {
        for (words, text, expected) in [
            (vec!["ass"], "The class passed an ASS.", vec!["ASS"]),
            (vec!["straße"], "Die STRASSE, die Straße", vec!["Straße"]),
            (vec!["ÉCOLE"], "L'école.", vec!["école"]),
            (
                vec!["project x"],
                "on Project X, not project xy",
                vec!["Project X"],
            ),
            (vec!["c++"], "C++ and c++11, cc++", vec!["C++", "c++"]),
            (vec!["禁止"], "ここは禁止です", vec!["禁止"]),
            (vec!["İz"], "bir İZ ve iz", vec!["İZ"]),
            (vec!["a", "a b"], "a b", vec!["a", "a b"]),
            (vec!["foo_bar"], "foo_bar foo_bar2", vec!["foo_bar"]),
            (vec!["word"], "", vec![]),
        ] {
            assert_eq!(found(&words, text), expected, "{words:?} in {text:?}");
        }
    }

    #[test]
    fn the_managed_list_is_sorted_and_lower_case() {
        let words: Vec<_> = profanity().collect();
        assert!(words.len() > 150 && words.is_sorted());
        assert!(
            words
                .iter()
                .all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
        );
    }
}
