//! The crate from outside: whole requests, vectors of others, and random bytes.

mod client;
mod dispatch;
mod random;
mod recorder;
mod vectors;
