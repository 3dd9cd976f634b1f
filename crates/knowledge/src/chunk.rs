//! Cutting documents into chunks (behaviour.md 9.3).

/// Counts tokens as an embedding model does.
pub trait TokenCounter: Send + Sync {
    /// Where each token of `text` ends, as byte offsets, ascending; all are boundaries of characters.
    fn token_ends(&self, text: &str) -> Vec<usize>;

    /// How many tokens `text` has.
    fn count(&self, text: &str) -> usize {
        self.token_ends(text).len()
    }
}
