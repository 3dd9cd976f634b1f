//! The conformance suite's own tools: a stub of everything Outcrop talks to (three model protocols and
//! Lambda's Invoke API) and the load generator of the benchmark.
//!
//! It knows Outcrop only from outside, over HTTP: no crate of the product is used here, so that a
//! mistake cannot be made on both sides. The end-to-end tests that drive it are in `python/`.

pub mod brain;
pub mod eventstream;
pub mod load;
pub mod protocol;
pub mod reply;
pub mod script;
pub mod stub;
pub mod transcript;
