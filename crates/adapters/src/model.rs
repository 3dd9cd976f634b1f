//! Model providers: each turns one call in Converse vocabulary into a vendor's protocol and back.
//!
//! A remote provider is two pure functions, `request` (Converse to vendor) and `stream` (vendor to
//! Converse events), and the HTTP call they share. Which provider serves which model is the
//! [`registry`]'s business. Invariant: a provider never drops what it was given without saying so; it
//! sends it, refuses it, or its documentation names it as left out on purpose.

pub mod anthropic;
pub mod bedrock;
mod cache;
pub(crate) mod call;
mod content;
mod emitter;
pub(crate) mod fault;
#[cfg(test)]
mod fixture;
mod limit;
#[cfg(feature = "local")]
pub mod local;
pub mod openai;
pub mod registry;
pub mod scripted;

pub use call::Endpoint;
