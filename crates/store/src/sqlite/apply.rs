//! Batches, claims and renewals as SQL, within a transaction the caller has begun.
//!
//! Nothing here begins, commits or undoes; what a batch changed is collected in [`Changes`] and told
//! to the cache by the caller once it is committed.

use rusqlite::Connection;

use super::cache::Change;
use super::listings::Listings;
use super::tails::JournalTails;
use crate::batch::{Batch, Committed, Write};
use crate::error::StoreError;

mod documents;
mod jobs;
mod journals;

pub(super) use documents::{passed_hour, sweep};
pub(super) use jobs::{claim, release_all, renew};
pub(super) use journals::last_number;

/// Why a batch was not applied.
#[derive(Debug)]
pub(super) enum Failure {
    /// The batch's own fault; the caller of the store hears it as it is.
    Refused(StoreError),
    /// SQLite's.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What the transaction changed so far, for the cache.
pub(super) type Changes = Vec<Change>;

/// Applies a batch. On failure the caller undoes what was done, in the database and in `changes`.
pub(super) fn batch(
    connection: &Connection,
    listings: Listings,
    tails: &mut JournalTails,
    changes: &mut Changes,
    batch: &Batch,
) -> Result<Committed, Failure> {
    let now_ms = batch.now_ms;
    let mut revisions = Vec::with_capacity(batch.writes.len());
    for (index, write) in batch.writes.iter().enumerate() {
        let mut revision = 0;
        match write {
            Write::Put {
                key,
                body,
                expect,
                name,
                expires_at_ms,
            } => {
                let put = documents::Put {
                    listed: listings.of(key.kind),
                    key,
                    body,
                    expect: *expect,
                    name: name.as_ref(),
                    expires_at_ms: *expires_at_ms,
                };
                revision = documents::put(connection, changes, now_ms, index, &put)?;
            }
            Write::Delete { key, expect } => {
                documents::delete(connection, changes, now_ms, index, key, *expect)?;
            }
            Write::DeleteChildren {
                scope,
                kind,
                parent,
            } => documents::delete_children(connection, changes, scope, kind, parent)?,
            Write::Append {
                journal,
                expected_seq,
                entries,
            } => journals::append(connection, tails, index, journal, *expected_seq, entries)?,
            Write::Enqueue(job) => jobs::enqueue(connection, job)?,
            Write::Finish { id, lease } => jobs::finish(connection, id, *lease)?,
        }
        revisions.push(revision);
    }
    Ok(Committed { revisions })
}
