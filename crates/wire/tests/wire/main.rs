//! The crate from outside: whole requests, vectors of others, and random bytes.

mod dispatch;
mod recorder;
