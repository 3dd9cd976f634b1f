//! How writers of one thing take turns.
//!
//! In one process they stand in line, so that a crowd of them costs each one attempt. Writers in other
//! processes on the same store are met by revisions: who finds itself too late reads and tries anew.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};

use outcrop_model::exception::Exception;
use outcrop_store::StoreError;
use tokio::sync::{Mutex, MutexGuard};

use crate::records::Scope;
use crate::{Service, error};

/// Most attempts at one write whose documents other processes keep changing. Each round lets at least
/// one writer through, and only the first in line of each process takes part in it.
const WRITE_ATTEMPTS_MAX: u32 = 16;

/// Lines there are. Things that share one wait for each other without need, so there are far more
/// than writes in flight; each is a few words of memory.
const LINES: usize = 1_024;

/// Why one attempt at a write came to nothing.
pub(crate) enum Refused {
    /// The client's to hear.
    Exception(Exception),
    /// Another writer was faster; read again and try anew.
    Stale(StoreError),
}

impl From<Exception> for Refused {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

impl From<StoreError> for Refused {
    fn from(cause: StoreError) -> Self {
        match cause {
            StoreError::Stale { .. } => Self::Stale(cause),
            StoreError::NameTaken { .. }
            | StoreError::Fenced { .. }
            | StoreError::OutOfBounds(_)
            | StoreError::Busy
            | StoreError::Unavailable(_) => Self::Exception(error::store(cause)),
        }
    }
}

/// Reads and writes again as long as other writers are faster.
pub(super) async fn attempts<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Exception>
where
    F: Future<Output = Result<T, Refused>>,
{
    let mut made = 1;
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(Refused::Exception(exception)) => return Err(exception),
            Err(Refused::Stale(cause)) if made == WRITE_ATTEMPTS_MAX => {
                return Err(error::store(cause));
            }
            Err(Refused::Stale(_)) => made += 1,
        }
    }
}

/// The lines of this process, fair: first come, first served.
pub(crate) struct Lines {
    lines: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            lines: (0..LINES).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Waits for its turn with `what`. Things may share a line: whoever holds a turn must not wait for
    /// another.
    pub(crate) async fn stand_in(&self, what: impl Hash) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(what);
        let index = usize::try_from(hash % LINES as u64).unwrap_or(0);
        let line = self.lines.get(index);
        line.expect("a remainder is below its divisor").lock().await
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl Service {
    /// Makes attempts as one of the writers of `id`: an agent and all that belongs to it, or an ARN
    /// and its tags. Must not be called within itself.
    pub(crate) async fn in_turn<T, F>(
        &self,
        scope: &Scope,
        id: &str,
        attempt: impl FnMut() -> F,
    ) -> Result<T, Exception>
    where
        F: Future<Output = Result<T, Refused>>,
    {
        let _turn = self.lines.stand_in((&scope.0, id)).await;
        attempts(attempt).await
    }
}
