//! What documents, chunks and their metadata are, and what may be asked of them: the pure part of
//! knowledge bases (behaviour.md 9).
//!
//! No I/O, no models, no index. [`document`] is what a file's text looks like once it is read,
//! [`metadata`] what is known of it besides, [`filter`] which documents a search may find, [`chunk`]
//! cuts documents up, [`rank`] makes one order of several.
//! Invariant: [`filter::Filter::matches`] is the meaning of every operator; each index, whatever it
//! is made of, finds the same documents.

pub mod chunk;
pub mod document;
pub mod filter;
pub mod metadata;
pub mod rank;
