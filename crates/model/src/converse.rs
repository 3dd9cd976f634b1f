//! Amazon Bedrock Runtime (`bedrock-runtime`): Converse and `ApplyGuardrail`.
//!
//! Shapes lie flat in this module, operations in [`ops`], tables in [`tables`]. All three are
//! generated from `models/` by `cargo xtask codegen`.

pub mod ops;
mod shapes;
pub mod tables;

pub use shapes::*;
