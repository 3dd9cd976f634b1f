//! Transactions: all requests that wait are committed as one.
//!
//! Under load a transaction's fixed cost, and with [`super::Durability::Power`] its sync to disk, is
//! shared by all who wait; a request that comes alone waits for nobody. Each request is a savepoint of
//! its own, so a refused batch undoes itself alone. Who calls [`Writer::serve`], and on which thread, is
//! for [`super::committer`] to say.
//!
//! Invariant: nobody hears of a change before it is committed and the cache has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::apply::{self, Changes, Failure};
use super::cache::RecordCache;
use super::checkpoint::Checkpoints;
use super::listings::Listings;
use super::queue::Queue;
use super::tails::JournalTails;
use super::unavailable;
use crate::Health;
use crate::batch::{Batch, Committed};
use crate::error::StoreError;
use crate::job::{Job, Lease};

/// The most requests one transaction takes: it bounds how long the first of them waits for the last.
const GROUP_MAX: usize = 256;

/// The most expired documents deleted within one transaction: some tens of microseconds.
const SWEEP_MAX: u32 = 32;

/// Bits of a lease number that count claims; those above count openings of the store. That is enough
/// for a million claims a second for twelve days, and eight million openings.
const LEASE_CLAIM_BITS: u32 = 40;

/// Something to be done by the writer.
#[derive(Debug)]
pub(super) enum Request {
    Commit(Batch, Answer<Committed>),
    Claim(&'static str, Lease, Answer<Option<Job>>),
    /// Job, lease, and when it is to end.
    Renew(Arc<str>, u64, i64, Answer<bool>),
    Check(Answer<Health>),
}

/// Where the answer goes. It is made ready within the transaction and sent after it.
#[derive(Debug)]
pub(super) struct Answer<T> {
    sender: oneshot::Sender<Result<T, StoreError>>,
    ready: Option<Result<T, StoreError>>,
}

impl<T> Answer<T> {
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (sender, receiver) = oneshot::channel();
        let ready = None;
        (Self { sender, ready }, receiver)
    }

    fn send(self) {
        if let Some(result) = self.ready {
            // Whoever asked may have stopped waiting; what was done stays done.
            self.sender.send(result).ok();
        }
    }
}

/// See the module.
pub(super) struct Writer {
    connection: Connection,
    cache: Arc<RecordCache>,
    checkpoints: Checkpoints,
    transactions: Arc<AtomicU64>,
    listings: Listings,
    tails: JournalTails,
    /// Empty between transactions, as are the changes; kept for their memory.
    requests: Vec<Request>,
    changes: Changes,
    last_lease: i64,
    /// Nothing that expired up to this hour is left.
    swept_hour: i64,
}

impl Writer {
    /// A writer over a migrated database. Leases of the process before end here.
    pub(super) fn new(
        checkpoints: Checkpoints,
        connection: Connection,
        listings: Listings,
        cache: Arc<RecordCache>,
        transactions: Arc<AtomicU64>,
    ) -> rusqlite::Result<Self> {
        let opening: i64 =
            connection.query_row(include_str!("queries/opening_count.sql"), [], |row| {
                row.get(0)
            })?;
        let released = apply::release_all(&connection)?;
        if released > 0 {
            tracing::info!(released, "job leases of the process before released");
        }
        let tails = JournalTails::new(apply::last_number(&connection)?);
        Ok(Self {
            connection,
            cache,
            checkpoints,
            transactions,
            listings,
            tails,
            requests: Vec::new(),
            changes: Vec::new(),
            last_lease: opening << LEASE_CLAIM_BITS,
            swept_hour: i64::MIN,
        })
    }

    /// Commits what waits, up to a group, and answers it; `false` if nothing waited.
    pub(super) fn serve(&mut self, queue: &Queue<Request>) -> bool {
        let mut requests = std::mem::take(&mut self.requests);
        queue.take(&mut requests, GROUP_MAX);
        let any = !requests.is_empty();
        if any {
            match self.transact(&mut requests) {
                Ok(()) => self.publish(),
                Err(error) => self.fail(&mut requests, error),
            }
            for request in requests.drain(..) {
                request.send();
            }
            self.checkpoints.after_commit();
        }
        self.requests = requests;
        any
    }

    /// Whether [`Writer::finish_checkpoint`] should be called.
    pub(super) fn checkpoint_is_due(&self) -> bool {
        self.checkpoints.finish_is_due()
    }

    /// Finishes a checkpoint, which takes milliseconds.
    pub(super) fn finish_checkpoint(&mut self) {
        self.checkpoints.finish(&self.connection);
    }

    /// Performs the requests in one transaction; each holds its answer then.
    fn transact(&mut self, requests: &mut [Request]) -> rusqlite::Result<()> {
        execute(&self.connection, "BEGIN IMMEDIATE")?;
        if let [request] = requests {
            // Alone, a request needs no savepoint: the transaction is its own.
            if !self.perform(request)? {
                execute(&self.connection, "ROLLBACK")?;
                self.changes.clear();
                return Ok(());
            }
        } else {
            for request in &mut *requests {
                execute(&self.connection, "SAVEPOINT request")?;
                let changes = self.changes.len();
                if !self.perform(request)? {
                    execute(&self.connection, "ROLLBACK TO request")?;
                    self.changes.truncate(changes);
                }
                execute(&self.connection, "RELEASE request")?;
            }
        }
        let clean_hour = self.sweep(requests)?;
        execute(&self.connection, "COMMIT")?;
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.swept_hour = self.swept_hour.max(clean_hour);
        Ok(())
    }

    /// Performs one request and readies its answer; `false` asks to undo what it did. An error means
    /// that the transaction is gone.
    fn perform(&mut self, request: &mut Request) -> rusqlite::Result<bool> {
        match request {
            Request::Commit(batch, answer) => {
                let result = apply::batch(
                    &self.connection,
                    self.listings,
                    &mut self.tails,
                    &mut self.changes,
                    batch,
                );
                if result.is_err() {
                    self.tails.forget(batch);
                }
                self.ready(answer, result)
            }
            Request::Claim(queue, lease, answer) => {
                self.last_lease += 1;
                let result = apply::claim(&self.connection, queue, *lease, self.last_lease);
                self.ready(answer, result.map_err(Failure::Sqlite))
            }
            Request::Renew(id, lease, until_ms, answer) => {
                let result = apply::renew(&self.connection, id, *lease, *until_ms);
                self.ready(answer, result.map_err(Failure::Sqlite))
            }
            Request::Check(answer) => {
                let health = Health {
                    backend: format!("sqlite {}", rusqlite::version()),
                };
                self.ready(answer, Ok(health))
            }
        }
    }

    fn ready<T>(
        &self,
        answer: &mut Answer<T>,
        result: Result<T, Failure>,
    ) -> rusqlite::Result<bool> {
        let result = match result {
            Ok(value) => Ok(value),
            Err(Failure::Refused(error)) => Err(error),
            // SQLite may have rolled all back by itself, as it does when the disk is full.
            Err(Failure::Sqlite(error)) if self.connection.is_autocommit() => return Err(error),
            Err(Failure::Sqlite(error)) => Err(unavailable(error)),
        };
        let done = result.is_ok();
        answer.ready = Some(result);
        Ok(done)
    }

    /// Deletes some expired documents and says up to which hour none is left.
    fn sweep(&mut self, requests: &[Request]) -> rusqlite::Result<i64> {
        let now_ms = requests.iter().filter_map(|request| match request {
            Request::Commit(batch, _) => Some(batch.now_ms),
            Request::Claim(..) | Request::Renew(..) | Request::Check(_) => None,
        });
        // The earliest clock, so that no batch misses a document that lived in its time.
        let Some(hour) = now_ms.min().map(apply::passed_hour) else {
            return Ok(self.swept_hour);
        };
        if hour <= self.swept_hour {
            return Ok(self.swept_hour);
        }
        let swept = apply::sweep(&self.connection, &mut self.changes, hour, SWEEP_MAX)?;
        Ok(if swept < SWEEP_MAX {
            hour
        } else {
            self.swept_hour
        })
    }

    fn publish(&mut self) {
        for change in self.changes.drain(..) {
            self.cache.publish(change);
        }
    }

    /// Ends a failed transaction: all its requests fail, and nothing remembered is trusted.
    fn fail(&mut self, requests: &mut [Request], error: rusqlite::Error) {
        tracing::error!(%error, requests = requests.len(), "store transaction failed");
        if !self.connection.is_autocommit()
            && let Err(error) = execute(&self.connection, "ROLLBACK")
        {
            tracing::error!(%error, "store transaction could not be rolled back");
        }
        self.changes.clear();
        self.tails.clear();
        self.cache.clear();
        let error = Arc::new(error);
        for request in requests {
            request.fail(&error);
        }
    }
}

impl Request {
    fn send(self) {
        match self {
            Self::Commit(_, answer) => answer.send(),
            Self::Claim(_, _, answer) => answer.send(),
            Self::Renew(_, _, _, answer) => answer.send(),
            Self::Check(answer) => answer.send(),
        }
    }

    fn fail(&mut self, error: &Arc<rusqlite::Error>) {
        let error = unavailable(Arc::clone(error));
        match self {
            Self::Commit(_, answer) => answer.ready = Some(Err(error)),
            Self::Claim(_, _, answer) => answer.ready = Some(Err(error)),
            Self::Renew(_, _, _, answer) => answer.ready = Some(Err(error)),
            Self::Check(answer) => answer.ready = Some(Err(error)),
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
