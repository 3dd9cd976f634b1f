//! Embedding models computed in this process: a folder of files and texts in, vectors out.
//!
//! Encoders of BERT's kind and tables of static vectors. Blocking arithmetic on threads of its own, and a
//! crate of its own because it needs an optimising compiler even where the rest does without. Knows
//! neither names of models nor where their files come from, and no calls: who waits for which text, and
//! when a model is loaded, is its callers'.

mod encoder;
mod engine;
pub mod folder;
mod table;
mod tensors;
mod tokens;

pub use engine::Engine;
pub use folder::ModelFolder;
pub use tokens::{Marks, Tokens};
