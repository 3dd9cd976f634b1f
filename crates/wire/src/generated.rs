//! The route lists, generated from `models/` by `cargo xtask codegen`.

pub(crate) mod bedrock;
pub(crate) mod control;
pub(crate) mod converse;
pub(crate) mod lambda;
pub(crate) mod runtime;
