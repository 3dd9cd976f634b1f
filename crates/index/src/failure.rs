//! What can go wrong in the embedded index, and how callers are told.

use std::error::Error as _;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use outcrop_engine::port::{EmbeddingIdentity, IndexError};

/// Why an operation did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The vectors that are there were made by another model.
    #[error("vectors of another model")]
    Identity {
        /// What made those that are there.
        holds: EmbeddingIdentity,
        /// What made these.
        wanted: EmbeddingIdentity,
    },
    /// The request itself is wrong.
    #[error("{0}")]
    Rejected(String),
    /// Another process has the folder.
    #[error("the folder {} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// It was written by a newer version of this program.
    #[error("the index was written in format {found}, but this program knows only up to {known}")]
    Newer {
        /// Its format.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// A file or folder cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The text index failed.
    #[error("the text index failed")]
    Text(#[from] tantivy::TantivyError),
    /// The vector graph failed.
    #[error("the vector graph failed: {0}")]
    Graph(String),
    /// What is stored cannot be read.
    #[error("a stored value cannot be read")]
    Stored(#[from] serde_json::Error),
    /// All numbers for chunks are used up.
    #[error(
        "the index has given out all of its 4,294,967,295 numbers for chunks; it must be filled anew"
    )]
    Exhausted,
    /// An earlier operation ended half way; the index opens itself anew.
    #[error("an earlier operation was interrupted")]
    Broken,
    /// A thread could not be started, or ended early.
    #[error("a thread of the index ended early")]
    Thread,
}

impl Failure {
    /// For a file or folder.
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

impl From<rusqlite::types::FromSqlError> for Failure {
    fn from(failure: rusqlite::types::FromSqlError) -> Self {
        Self::Sqlite(failure.into())
    }
}

impl From<Failure> for IndexError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Identity { holds, wanted } => Self::Identity {
                holds: Box::new(holds),
                wanted: Box::new(wanted),
            },
            Failure::Rejected(reason) => Self::Rejected(reason),
            other => {
                let mut text = other.to_string();
                let mut source = other.source();
                while let Some(cause) = source {
                    // Writing to a string cannot fail.
                    let _ = write!(text, ": {cause}");
                    source = cause.source();
                }
                Self::Unavailable(text)
            }
        }
    }
}
