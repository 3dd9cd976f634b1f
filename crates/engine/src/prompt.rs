//! Prompt templates: parsing, filling, and reading what the model answers.

pub mod answer;
pub mod default;
pub mod template;
