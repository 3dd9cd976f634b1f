//! A small language model in this process: how likely given texts are, and greedy continuation.
//!
//! llama.cpp evaluates; this keeps what it has evaluated, so that prompts with a common beginning cost only
//! their tails. A crate of its own because its loops over vocabularies need an optimising compiler even
//! where the rest does without. Knows nothing of tools, conversations, or where weights come from.

mod distribution;
mod llama;

pub use llama::{CancelFlag, Llm, Weights};

/// Why the model could not be loaded or evaluated.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// The file is no model that llama.cpp reads.
    #[error("the weights cannot be loaded: {0}")]
    Load(String),
    /// llama.cpp refused to evaluate.
    #[error("llama.cpp failed: {0}")]
    Decode(String),
    /// The text is longer than the context.
    #[error("the prompt has {tokens} tokens and the context holds {limit}")]
    TooLong {
        /// Its length.
        tokens: usize,
        /// What fits.
        limit: usize,
    },
    /// Nobody waits for the answer any more.
    #[error("the call was cancelled")]
    Cancelled,
}

/// What evaluating a text under a prefix gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// Natural logarithm of the probability of the whole text.
    pub log_probability: f64,
    /// Its length.
    pub tokens: usize,
}

impl Likelihood {
    /// Per token, so that texts of different lengths compare.
    pub fn per_token(self) -> f64 {
        let tokens = u32::try_from(self.tokens.max(1)).unwrap_or(u32::MAX);
        self.log_probability / f64::from(tokens)
    }
}

/// Tokens a call has really evaluated and produced, cache hits included in `prompt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Evaluated or taken from the cache.
    pub prompt: usize,
    /// Of those, taken from the cache.
    pub cached: usize,
    /// Produced.
    pub generated: usize,
}

/// Evaluates texts. What decides by it is written against this, so that its logic is tested without
/// weights.
pub trait LanguageModel {
    /// The likelihood of each continuation after `prefix`.
    fn likelihood(
        &mut self,
        prefix: &str,
        continuations: &[String],
    ) -> Result<Vec<Likelihood>, LlmError>;

    /// Continues `prompt` greedily until the model ends its message, `limit` tokens are out, or
    /// `piece` answers `false`.
    fn generate(
        &mut self,
        prompt: &str,
        limit: usize,
        piece: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Ended, LlmError>;
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The model ended its message, or the reader had enough.
    Complete,
    /// The limit was reached.
    Limit,
}
