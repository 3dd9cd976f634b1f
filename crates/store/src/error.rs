//! Why a store call fails: one enum, classified by variant and never by text.

use std::sync::Arc;

/// Why a store call failed. A failed batch changed nothing, but for [`StoreError::Unavailable`],
/// after which the caller must read to know.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An expectation did not hold: the document changed, exists, or is gone.
    #[error("write {index} of the batch found the document changed")]
    Stale {
        /// Which write.
        index: usize,
    },
    /// The name is taken by another document of the same kind and parent.
    #[error("write {index} of the batch found the name taken by {holder}")]
    NameTaken {
        /// Which write.
        index: usize,
        /// The id of the document that has it.
        holder: Arc<str>,
    },
    /// The journal's last sequence number is not the expected one.
    #[error("write {index} of the batch found the journal at {actual}")]
    Fenced {
        /// Which write.
        index: usize,
        /// The last number.
        actual: u64,
    },
    /// The call breaks a bound of this interface.
    #[error("the store call is out of bounds: {0}")]
    OutOfBounds(&'static str),
    /// Too many calls are waiting; retry later.
    #[error("the store is busy")]
    Busy,
    /// The backend failed.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
