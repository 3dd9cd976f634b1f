//! Moving the write-ahead log into the database, away from the commits.
//!
//! A checkpoint syncs files, which takes milliseconds. So a thread of its own copies while commits go
//! on. Only when commits never pause does the log not come to an end that way, for more of it is
//! written meanwhile: then, right after a copy, the little that is left is finished with the writer held.
//!
//! Invariant: a checkpoint never waits for another one, nor for a reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rusqlite::Connection;

use super::queue::{AbandonOnDrop, Queue};

/// Pages of new log after which the thread is woken: 4 MiB, as SQLite itself would.
const PAGES_BETWEEN: u32 = 1_000;

/// Pages of log at which the writer finishes a checkpoint the thread has just made, so that the log
/// starts anew: 16 MiB. Lower would hold the writer more often, higher takes more disk.
const PAGES_TO_FINISH: u32 = 4_000;

/// A request to checkpoint.
#[derive(Debug)]
pub(super) struct Wake;

/// Requests waiting. One is as good as many.
pub(super) const WAKES_WAITING_MAX: usize = 1;

/// What the writer and the thread tell each other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Pages in the log after the last commit.
    log_pages: AtomicU32,
    /// The thread has been woken and is not done.
    copying: AtomicBool,
}

/// The writer's side: knows the length of the log and says when it is time.
#[derive(Debug)]
pub(super) struct Checkpoints {
    queue: Arc<Queue<Wake>>,
    progress: Arc<Progress>,
    wake_at_pages: u32,
    /// The thread has been woken since the log was last finished.
    copied: bool,
}

impl Checkpoints {
    /// Follows the log written by `connection`.
    pub(super) fn follow(
        connection: &mut Connection,
        queue: Arc<Queue<Wake>>,
        progress: Arc<Progress>,
    ) -> rusqlite::Result<Self> {
        let seen = Arc::clone(&progress);
        connection.wal_hook(Some(move |_: &mut _, pages| {
            let pages = u32::try_from(pages).unwrap_or(0);
            seen.log_pages.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            queue,
            progress,
            wake_at_pages: PAGES_BETWEEN,
            copied: false,
        })
    }

    /// To be called after each commit, when its answers are on their way.
    pub(super) fn after_commit(&mut self) {
        let pages = self.progress.log_pages.load(Ordering::Relaxed);
        if pages < PAGES_BETWEEN {
            // The log has started anew.
            self.wake_at_pages = PAGES_BETWEEN;
            self.copied = false;
        } else if pages >= self.wake_at_pages && !self.progress.copying.load(Ordering::Acquire) {
            self.wake_at_pages = pages + PAGES_BETWEEN;
            self.copied = true;
            self.progress.copying.store(true, Ordering::Release);
            // Refused when the store is being closed, which checkpoints too.
            self.queue.push(Wake).ok();
        }
    }

    /// Whether the log is long and only its last part is left to copy.
    pub(super) fn finish_is_due(&self) -> bool {
        self.copied
            && self.progress.log_pages.load(Ordering::Relaxed) >= PAGES_TO_FINISH
            && !self.progress.copying.load(Ordering::Acquire)
    }

    /// Copies the last part. Nothing else is written meanwhile, so the next commit starts the log anew,
    /// unless a reader is just looking at it; then it is tried again after the next copy.
    pub(super) fn finish(&mut self, connection: &Connection) {
        checkpoint(connection);
        self.copied = false;
    }
}

/// The thread's side: checkpoints whenever woken, until the queue is closed.
pub(super) fn run(connection: &Connection, queue: &Queue<Wake>, progress: &Progress) {
    let _abandon = AbandonOnDrop(queue);
    while queue.wait() {
        while queue.take_one().is_some() {
            checkpoint(connection);
            progress.copying.store(false, Ordering::Release);
        }
    }
}

/// Checkpoints as far as it goes. A failure loses nothing, the log stays; it is tried again with the
/// next thousand pages.
fn checkpoint(connection: &Connection) {
    let result = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match result {
        Ok((pages, copied)) => tracing::debug!(pages, copied, "store log checkpointed"),
        Err(error) => tracing::warn!(%error, "store log could not be checkpointed"),
    }
}
