//! Where whole objects come from: API schemas, later files and documents.
//!
//! A bucket is a folder. Objects are read in one piece and never written.

mod folder;

pub use folder::{BucketError, BucketFolder, RootError};

#[cfg(test)]
mod tests;
