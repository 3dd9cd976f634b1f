//! What only a model can tell: the question put to it, and how its answer is read.
//!
//! One question covers every policy of a guardrail that needs it. The texts go in as JSON strings, so
//! that nothing in them can be taken for the question, and the answer must be the JSON that was asked
//! for, whole: what is missing or unknown in it makes it unusable, never harmless. Who asks repeats the
//! question once and then treats the guardrail as not evaluated, which blocks.

mod question;
mod verdict;

pub use question::Question;
pub use verdict::{Unreadable, Verdict};

/// Most characters that are put to a model at once: some 25,000 tokens, which every current model takes.
pub const CHARACTERS_MAX: usize = 100_000;
