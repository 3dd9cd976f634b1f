//! Prompt templates: parsing, filling, and reading what the model answers.

pub mod answer;
pub mod conversation;
pub mod default;
pub mod family;
pub mod guideline;
pub mod listing;
pub mod steps;
pub mod syntax;
pub mod template;
