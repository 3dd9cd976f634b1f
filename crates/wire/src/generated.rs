//! The route lists, generated from `models/` by `cargo xtask codegen`.

pub(crate) mod control;
pub(crate) mod lambda;
pub(crate) mod runtime;
