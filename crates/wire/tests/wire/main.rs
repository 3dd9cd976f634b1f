//! The crate from outside: whole requests, vectors of others, and random bytes.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod client;
mod dispatch;
mod random;
mod recorder;
mod vectors;
