//! The benchmark's load: agent turns over kept-alive HTTP/1.1, the bare calls they are compared with, and
//! calls of the control plane.
//!
//! It measures and prints numbers; what to start, and what the numbers mean, is the business of
//! `cargo xtask bench`. Every turn's stream is read to its end, and one that holds an exception or no
//! answer fails the run: a server that errs fast must not look fast.

pub mod agent;
pub mod control;
pub mod http;
pub mod raw;
pub mod stats;
pub mod turns;
