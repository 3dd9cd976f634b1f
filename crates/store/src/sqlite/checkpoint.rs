//! Moving the write-ahead log into the database, away from the commits.
//!
//! A checkpoint syncs files, which takes milliseconds. So a thread of its own does it while the writer
//! goes on; the writer steps in only when the log has outrun that thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

use super::queue::{AbandonOnDrop, Queue};

/// Pages of new log after which the thread is woken: 4 MiB, as SQLite itself would.
const PAGES_BETWEEN: u32 = 1_000;

/// Pages of log at which the writer itself finishes the checkpoint, so that the log starts anew. It
/// comes to this only under writes without a pause, for the thread never catches up with the end then;
/// most of the log is copied by that time. 64 MiB.
const PAGES_MAX: u32 = 16_000;

/// A request to checkpoint. One waiting is as good as many.
#[derive(Debug)]
pub(super) struct Wake;

/// Requests waiting.
pub(super) const WAKES_WAITING_MAX: usize = 1;

/// The writer's side: knows the length of the log and says when it is time.
#[derive(Debug)]
pub(super) struct Checkpoints {
    queue: Arc<Queue<Wake>>,
    log_pages: Arc<AtomicU32>,
    wake_at_pages: u32,
}

impl Checkpoints {
    /// Follows the log written by `connection`.
    pub(super) fn follow(
        connection: &mut Connection,
        queue: Arc<Queue<Wake>>,
    ) -> rusqlite::Result<Self> {
        let log_pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&log_pages);
        connection.wal_hook(Some(move |_: &mut _, pages| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            queue,
            log_pages,
            wake_at_pages: PAGES_BETWEEN,
        })
    }

    /// To be called after each commit, when its answers are on their way.
    pub(super) fn after_commit(&mut self, connection: &Connection) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages < PAGES_BETWEEN {
            // The log has started anew.
            self.wake_at_pages = PAGES_BETWEEN;
        } else if pages >= PAGES_MAX {
            self.log_pages.store(0, Ordering::Relaxed);
            checkpoint(connection, "PRAGMA wal_checkpoint(RESTART)");
        } else if pages >= self.wake_at_pages {
            self.wake_at_pages = pages + PAGES_BETWEEN;
            // Refused: one waits already, or the store is being closed, which checkpoints too.
            self.queue.push(Wake).ok();
        }
    }
}

/// The thread's side: checkpoints whenever woken, until the queue is closed.
pub(super) fn run(connection: &Connection, queue: &Queue<Wake>) {
    let _abandon = AbandonOnDrop(queue);
    let mut wakes = Vec::new();
    while queue.take(&mut wakes, WAKES_WAITING_MAX) {
        wakes.clear();
        checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)");
    }
}

/// Checkpoints as far as it goes. A failure loses nothing, the log stays; it is tried again with the
/// next thousand pages.
fn checkpoint(connection: &Connection, sql: &str) {
    let result = connection.query_row(sql, [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match result {
        Ok((pages, copied)) => tracing::debug!(pages, copied, "store log checkpointed"),
        Err(error) => tracing::warn!(%error, "store log could not be checkpointed"),
    }
}
