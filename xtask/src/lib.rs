//! The generator and the model refresh as a library, so that tests can run them on other models.

pub mod codegen;
pub mod models;
