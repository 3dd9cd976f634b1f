//! Who commits: the caller that finds the writer free, or the writer's thread.
//!
//! Handing a commit to a thread and its answer back takes two wake-ups, and on an idle machine those
//! take longer than the commit itself (85 of 108 µs where it was measured). So with
//! [`super::Durability::Process`], where a commit is two small writes to the page cache, the caller
//! commits by itself, together with whatever waits. Those who find the writer taken leave their request
//! and wait. What may take milliseconds, a sync to disk or the end of a checkpoint, is left to the
//! thread, so that no runtime thread blocks on it.
//!
//! Invariant: whoever lets go of the writer looks at the queue once more, so no request is left lying.

use std::sync::{Mutex, TryLockError};

use super::Durability;
use super::queue::{AbandonOnDrop, Queue, Refused};
use super::writer::{Request, Writer};

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
            Durability::Power => self.queue.push(request),
            Durability::Process => {
                self.queue.push_quietly(request)?;
                self.commit_what_waits();
                Ok(())
            }
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
