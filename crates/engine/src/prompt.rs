//! Prompt templates: parsing, filling, and reading what the model answers.

pub mod answer;
pub mod default;
pub mod guideline;
pub mod syntax;
pub mod template;
