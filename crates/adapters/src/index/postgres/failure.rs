//! What a failed statement means, told by its SQLSTATE and never by its words.

use std::error::Error as _;

use outcrop_engine::port::IndexError;
use tokio_postgres::error::SqlState;

/// Why work was not done, by what can be done about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another transaction came between or the connection was lost; the next attempt may do better.
    Again(IndexError),
    /// The caller's to hear.
    Final(IndexError),
}

impl Failure {
    /// What the caller is told when there is no further attempt.
    pub(super) fn into_error(self) -> IndexError {
        match self {
            Self::Again(error) | Self::Final(error) => error,
        }
    }

    /// A request that cannot be served as it is.
    pub(super) fn rejected(text: impl Into<String>) -> Self {
        Self::Final(IndexError::Rejected(text.into()))
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            let failure = IndexError::Unavailable(text);
            return if error.is_closed() || error.source().is_some_and(is_io) {
                Self::Again(failure)
            } else {
                Self::Final(failure)
            };
        };
        let text = match answer.detail() {
            Some(detail) => format!("{} ({detail})", answer.message()),
            None => answer.message().to_owned(),
        };
        match answer.code() {
            // A table or an index that another made meanwhile is there at the next attempt.
            &SqlState::T_R_SERIALIZATION_FAILURE
            | &SqlState::T_R_DEADLOCK_DETECTED
            | &SqlState::UNIQUE_VIOLATION
            | &SqlState::DUPLICATE_TABLE
            | &SqlState::DUPLICATE_OBJECT
            // A table that was dropped or changed is looked at anew.
            | &SqlState::UNDEFINED_TABLE
            | &SqlState::UNDEFINED_COLUMN
            | &SqlState::ADMIN_SHUTDOWN
            | &SqlState::CRASH_SHUTDOWN => Self::Again(IndexError::Unavailable(text)),
            // Connections, resources, an operator's hand, the system, a lock that was not free.
            code if ["08", "53", "57", "58", "55"].contains(&class(code)) => {
                Self::Final(IndexError::Unavailable(text))
            }
            _ => Self::Final(IndexError::Rejected(text)),
        }
    }
}

fn class(code: &SqlState) -> &str {
    code.code().get(..2).unwrap_or_default()
}

fn is_io(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| {
        // A server that cannot be reached at all is not tried again and again.
        !matches!(
            error.kind(),
            std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound
        )
    })
}
