//! Documents, journals and jobs behind one narrow trait.
//!
//! Knows nothing of AWS: bodies are opaque JSON text. A [`Batch`] is data, evaluated in the backend
//! all or nothing; no caller ever holds a transaction or a connection across an await of its own.
//! Every backend is checked against [`memory`], the oracle, by one [`conformance`] suite (ADR 0004).
//!
//! Invariant: the store has no clock and makes no ids. Time arrives with each call, so the same calls
//! give the same answers on every backend.

use futures_core::future::BoxFuture;

mod batch;
#[cfg(feature = "conformance")]
pub mod conformance;
mod document;
mod error;
mod job;
mod journal;
pub mod memory;
pub mod postgres;
pub mod sqlite;

pub use batch::{BATCH_BYTES_MAX, BATCH_WRITES_MAX, Batch, Committed, Expect, Write};
pub use document::{Cursor, CursorError, Key, Listing, Order, PAGE_MAX, Page, Record, Scan};
pub use error::StoreError;
pub use job::{Job, Lease, NewJob};
pub use journal::{Entry, JOURNAL_ENTRIES_MAX, JOURNAL_READ_MAX};
pub use memory::MemoryStore;
pub use postgres::{DatabaseUrl, PostgresOptions, PostgresStore};
pub use sqlite::{Durability, SqliteOptions, SqliteStore};

/// Whether the store works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Backend and version, e.g. `sqlite 3.50.2`.
    pub backend: String,
}

/// The storage port: seven verbs. Object safe; implementations are shared by all requests.
///
/// Calls are linearizable: what one call was told, every later call sees. Dropping the future of
/// [`Store::commit`], [`Store::claim_job`] or [`Store::renew_job`] does not undo a call that has been
/// polled.
pub trait Store: Send + Sync {
    /// One document, unless it is absent or expired at `now_ms`.
    fn get<'a>(
        &'a self,
        key: &'a Key,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;

    /// One page of documents.
    fn list(&self, scan: Scan, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>>;

    /// All of the batch, durably, or nothing. The first write that cannot be done names the error.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// Entries with a number above `after`, at most `limit` (1 to [`JOURNAL_READ_MAX`]), oldest first.
    /// A journal never written to is an empty one.
    fn read_journal<'a>(
        &'a self,
        journal: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>>;

    /// The job of the queue that has been claimable longest, if any, held under a new lease.
    fn claim_job<'a>(
        &'a self,
        queue: &'static str,
        lease: Lease,
    ) -> BoxFuture<'a, Result<Option<Job>, StoreError>>;

    /// Moves the end of a claim on. False if the job is no longer held under this lease: then another
    /// holds it, or it has been finished or enqueued anew.
    fn renew_job<'a>(
        &'a self,
        id: &'a str,
        lease: u64,
        until_ms: i64,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Whether the backend answers.
    fn check(&self) -> BoxFuture<'_, Result<Health, StoreError>>;
}
