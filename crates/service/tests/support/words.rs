//! A tokenizer whose tokens are words.

use outcrop_knowledge::chunk::TokenCounter;

/// Words are tokens.
pub(crate) struct Words;

impl TokenCounter for Words {
    fn token_ends(&self, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut in_word = false;
        for (at, character) in text.char_indices() {
            if character.is_whitespace() && in_word {
                ends.push(at);
            }
            in_word = !character.is_whitespace();
        }
        if in_word {
            ends.push(text.len());
        }
        ends
    }
}
