//! What a failed statement means, told by its SQLSTATE and never by its words.

use tokio_postgres::error::SqlState;

use super::batch;
use crate::error::StoreError;

/// What `commit_v1` raises to undo a batch it refuses.
const REFUSED: &str = "OC001";

/// Why a call failed, by what can be done about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another transaction came between; nothing was changed, and the next attempt may do better.
    Again(StoreError),
    /// The connection was lost: a read may be made again on another, a write may have happened.
    Lost(StoreError),
    /// The caller's to hear.
    Final(StoreError),
}

impl Failure {
    /// What the caller is told when there is no further attempt.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Again(error) | Self::Lost(error) | Self::Final(error) => error,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            let lost = error.is_closed() || std::error::Error::source(&error).is_some();
            let error = StoreError::Unavailable(error.into());
            return if lost {
                Self::Lost(error)
            } else {
                Self::Final(error)
            };
        };
        match answer.code() {
            code if code.code() == REFUSED => {
                let detail = answer.detail().unwrap_or_default();
                Self::Final(batch::refusal_of_detail(detail))
            }
            // A unique violation is another's document or name made meanwhile, which the next attempt
            // sees.
            &SqlState::T_R_SERIALIZATION_FAILURE
            | &SqlState::T_R_DEADLOCK_DETECTED
            | &SqlState::UNIQUE_VIOLATION => Self::Again(StoreError::Busy),
            &SqlState::LOCK_NOT_AVAILABLE
            | &SqlState::QUERY_CANCELED
            | &SqlState::TOO_MANY_CONNECTIONS => Self::Final(StoreError::Busy),
            &SqlState::PROGRAM_LIMIT_EXCEEDED => Self::Final(StoreError::OutOfBounds(
                "a key or name is longer than an index of the database takes",
            )),
            &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN => {
                Self::Lost(StoreError::Unavailable(error.into()))
            }
            _ => Self::Final(StoreError::Unavailable(error.into())),
        }
    }
}
