//! Guardrail policies as pure functions: a guardrail is compiled once and assesses texts.
//!
//! Words, sensitive information by pattern and checksum, and custom regexes are decided here. Topics,
//! content filters, grounding and the entities no pattern tells are decided by a model: [`judge`]
//! writes the question and reads the answer, asking it is the caller's business. No I/O, no clock, no
//! randomness; the same guardrail and texts give the same assessment (behaviour.md 10, ADR 0015).
//!
//! Invariants: a masked text holds no value that was to be masked; nothing here panics on any text;
//! time is linear in the text.

mod custom;
mod guardrail;
pub mod judge;
mod pii;
mod report;
mod rule;
mod spans;
mod words;

pub use custom::RegexFault;
pub use guardrail::{Assessment, CompileError, Guardrail, Passage, Scope};
pub use pii::{Decided, decided_by};
pub use report::{Metrics, interventions, traced};
pub use rule::Action;
