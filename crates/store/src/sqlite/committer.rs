//! Who commits: the caller that finds the writer free, or the writer's thread.
//!
//! Handing a commit to a thread and its answer back takes two wake-ups, and on an idle machine those
//! take longer than the commit itself (85 of 108 µs where it was measured). So with
//! [`super::Durability::Process`], where a commit is two small writes to the page cache, the caller
//! commits by itself, together with whatever waits. Those who find the writer taken leave their request
//! and wait. What may take milliseconds, a sync to disk, a large batch or the end of a checkpoint, is
//! left to the thread, so that no runtime thread blocks on it.
//!
//! Invariant: whoever lets go of the writer looks at the queue once more, so no request is left lying.

use std::sync::{Mutex, TryLockError};

use super::Durability;
use super::queue::{AbandonOnDrop, Queue, Refused};
use super::writer::{Request, Writer};
use crate::batch::Write;

/// Writes of a batch that a caller commits by itself: a turn's have a handful, at some ten
/// microseconds each.
const WRITES_IN_CALLER_MAX: usize = 32;

/// Bytes of a batch that a caller commits by itself, by the same measure.
const BYTES_IN_CALLER_MAX: usize = 256 << 10;

/// See the module.
pub(super) struct Committer {
    queue: Queue<Request>,
    writer: Mutex<Writer>,
    durability: Durability,
}

impl Committer {
    /// A committer whose queue holds at most `waiting_max` requests.
    pub(super) fn new(writer: Writer, durability: Durability, waiting_max: usize) -> Self {
        Self {
            queue: Queue::new(waiting_max),
            writer: Mutex::new(writer),
            durability,
        }
    }

    /// Has the request performed, in this call or later. Its answer goes its own way.
    pub(super) fn submit(&self, request: Request) -> Result<(), Refused> {
        match self.durability {
            Durability::Process if is_brief(&request) => {
                self.queue.push_quietly(request)?;
                self.commit_what_waits();
                Ok(())
            }
            Durability::Process | Durability::Power => self.queue.push(request),
        }
    }

    /// Takes nothing more. The thread ends once all is served.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// The thread's side: serves until closed.
    pub(super) fn run(&self) {
        let _abandon = AbandonOnDrop(&self.queue);
        while self.queue.wait() {
            // Poisoned: a caller panicked within a transaction, and nothing more can be promised.
            let Ok(mut writer) = self.writer.lock() else {
                return;
            };
            while writer.serve(&self.queue) {
                if writer.checkpoint_is_due() {
                    writer.finish_checkpoint();
                }
            }
        }
    }

    /// Commits the caller's request and what waits with it, unless another is at it already.
    fn commit_what_waits(&self) {
        let mut writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::WouldBlock) => return,
            Err(TryLockError::Poisoned(_)) => return self.queue.abandon(),
        };
        writer.serve(&self.queue);
        let checkpoint_is_due = writer.checkpoint_is_due();
        drop(writer);
        // If more came meanwhile there is work for the thread, which makes larger transactions of it
        // while the callers go about their own.
        if checkpoint_is_due || !self.queue.is_empty() {
            self.queue.summon();
        }
    }
}

/// Whether the request takes microseconds, as far as it shows: the number of children does not.
fn is_brief(request: &Request) -> bool {
    match request {
        Request::Commit(batch, _) => {
            batch.writes.len() <= WRITES_IN_CALLER_MAX
                && batch.payload_bytes() <= BYTES_IN_CALLER_MAX
                && !batch
                    .writes
                    .iter()
                    .any(|write| matches!(write, Write::DeleteChildren { .. }))
        }
        Request::Claim(..) | Request::Renew(..) | Request::Check(_) => true,
    }
}
