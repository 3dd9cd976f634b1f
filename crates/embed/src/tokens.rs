//! A model's own tokenizer, over texts of any length.
//!
//! Long texts are tokenized a piece at a time, so that memory does not grow with a document. Pieces end
//! where a single space stands between two words: the tokenizers of BERT and of SentencePiece, the only
//! ones used here, never join tokens across such a place, so the tokens are those of the whole text.
//! Invariant: ends of tokens ascend and are boundaries of characters.

use std::path::Path;

use outcrop_knowledge::chunk::TokenCounter;
use tokenizers::Tokenizer;

/// Bytes of one piece: some milliseconds of work, a few hundred kilobytes of tokens.
const PIECE_BYTES: usize = 16 * 1024;
/// A text without a single space is cut here, wherever that is.
const UNBROKEN_BYTES: usize = 4 * PIECE_BYTES;

/// A tokenizer with neither padding nor truncation.
pub struct Tokens {
    tokenizer: Tokenizer,
}

/// Which tokens a model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// Those of the text alone.
    None,
    /// With the model's own marks around them.
    Around,
}

impl Tokens {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(path: &Path) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_file(path).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| error.to_string())?;
        Ok(Self { tokenizer })
    }

    /// The id of a token, if there is one of that name.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The ids of `text`'s first `limit` tokens; with [`Marks::Around`] the marks come on top of them.
    pub fn ids(&self, text: &str, limit: usize, marks: Marks) -> Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        for (start, end) in pieces(text) {
            if ids.len() >= limit {
                break;
            }
            let piece = text.get(start..end).unwrap_or_default();
            let encoding = self
                .tokenizer
                .encode_fast(piece, false)
                .map_err(|error| error.to_string())?;
            ids.extend_from_slice(encoding.get_ids());
        }
        ids.truncate(limit);
        match marks {
            Marks::None => Ok(ids),
            Marks::Around => self.marked(&ids),
        }
    }

    /// The marks are those that the tokenizer puts around an empty text, half of them on each side.
    fn marked(&self, ids: &[u32]) -> Result<Vec<u32>, String> {
        let empty = self
            .tokenizer
            .encode_fast("", true)
            .map_err(|error| error.to_string())?;
        let marks = empty.get_ids();
        let (before, after) = marks.split_at(marks.len().div_ceil(2));
        Ok([before, ids, after].concat())
    }
}

impl TokenCounter for Tokens {
    /// A piece that cannot be tokenized counts as one token; no tokenizer that loads has one.
    fn token_ends(&self, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        for (start, end) in pieces(text) {
            let piece = text.get(start..end).unwrap_or_default();
            match self.tokenizer.encode(piece, false) {
                Ok(encoding) => {
                    let offsets = encoding.get_offsets().iter();
                    ends.extend(offsets.map(|(_, end)| start + piece.ceil_char_boundary(*end)));
                }
                Err(_) => ends.push(end),
            }
        }
        // Tokens that are bytes of one character end together; none ends before an earlier one.
        let mut last = 0;
        for end in &mut ends {
            last = last.max(*end);
            *end = last;
        }
        ends
    }
}

/// Where the pieces of `text` begin and end. The space between two pieces belongs to neither.
fn pieces(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let bytes = text.as_bytes();
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        if start >= bytes.len() {
            return None;
        }
        if bytes.len() - start <= PIECE_BYTES {
            next = bytes.len();
            return Some((start, bytes.len()));
        }
        let window = bytes.get(start..bytes.len().min(start + UNBROKEN_BYTES))?;
        let between = |at: &usize| is_between_words(window, *at);
        let cut = (1..=PIECE_BYTES)
            .rev()
            .find(between)
            .or_else(|| (PIECE_BYTES..window.len()).find(between));
        let end = if let Some(at) = cut {
            next = start + at + 1;
            start + at
        } else {
            next = text.floor_char_boundary(start + window.len());
            next
        };
        Some((start, end))
    })
}

fn is_between_words(bytes: &[u8], at: usize) -> bool {
    let is_word = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|byte| !byte.is_ascii_whitespace())
    };
    bytes.get(at) == Some(&b' ') && is_word(at - 1) && is_word(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_between_words_and_leave_nothing_out() {
        let text = "word ".repeat(20_000) + "end";
        let cut: Vec<_> = pieces(&text).collect();
        assert!(cut.len() > 5);
        let joined: Vec<&str> = cut.iter().map(|(start, end)| &text[*start..*end]).collect();
        assert_eq!(joined.join(" "), text);
        assert!(joined.iter().all(|piece| piece.len() <= PIECE_BYTES));
    }

    #[test]
    fn text_without_spaces_is_cut_at_characters() {
        let text = "\u{4e2d}\u{6587}".repeat(40_000);
        let joined: String = pieces(&text)
            .map(|(start, end)| &text[start..end])
            .collect();
        assert_eq!(joined, text);
        assert_eq!(pieces("").count(), 0);
        // Runs of spaces are tokens of their own in some vocabularies.
        let text = "a  ".repeat(30_000);
        let joined: String = pieces(&text)
            .map(|(start, end)| &text[start..end])
            .collect();
        assert_eq!(joined, text);
    }
}
