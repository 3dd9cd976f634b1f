//! A bounded queue from tasks to threads.
//!
//! Pushing never waits: a full queue refuses, and the caller hears that the store is busy. A thread
//! without work is parked, so an idle store costs no CPU.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Why nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many wait as may wait.
    Full,
    /// Nobody takes any more.
    Closed,
}

/// See the module.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    capacity: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
    /// A thread has been called though it may find nothing waiting.
    summoned: bool,
    /// Threads parked on `filled`: a busy thread need not be woken, for it looks again by itself.
    parked: usize,
}

impl<T> Queue<T> {
    /// An open, empty queue.
    pub(super) fn new(capacity: usize) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            closed: false,
            summoned: false,
            parked: 0,
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            capacity,
        }
    }

    /// Queues an item and wakes a thread for it.
    pub(super) fn push(&self, item: T) -> Result<(), Refused> {
        let state = self.push_locked(item)?;
        self.wake(state);
        Ok(())
    }

    /// Queues an item and wakes nobody: the caller sees to it that it is taken.
    pub(super) fn push_quietly(&self, item: T) -> Result<(), Refused> {
        self.push_locked(item).map(drop)
    }

    fn push_locked(&self, item: T) -> Result<MutexGuard<'_, State<T>>, Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() >= self.capacity {
            return Err(Refused::Full);
        }
        state.waiting.push_back(item);
        Ok(state)
    }

    /// Has a thread return from [`Queue::wait`], whether or not anything waits.
    pub(super) fn summon(&self) {
        let mut state = self.lock();
        state.summoned = true;
        self.wake(state);
    }

    fn wake(&self, state: MutexGuard<'_, State<T>>) {
        let parked = state.parked > 0;
        drop(state);
        if parked {
            self.filled.notify_one();
        }
    }

    /// Parks the thread until something waits or it is summoned; `false` once closed and empty.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.summoned {
            if state.closed {
                return false;
            }
            state.parked += 1;
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.parked -= 1;
        }
        state.summoned = false;
        true
    }

    /// Moves up to `most` of what waits to `taken`.
    pub(super) fn take(&self, taken: &mut Vec<T>, most: usize) {
        let mut state = self.lock();
        let count = state.waiting.len().min(most);
        taken.extend(state.waiting.drain(..count));
    }

    /// The longest waiting item.
    pub(super) fn take_one(&self) -> Option<T> {
        self.lock().waiting.pop_front()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Refuses whatever comes from now on. What waits is still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Closes, and drops what waits: for a thread that ends without taking the rest.
    pub(super) fn abandon(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.filled.notify_all();
        drop(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that can panic runs under the lock but the allocator's.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// Abandons the queue when dropped, so that a thread that panics leaves nobody waiting for it.
#[derive(Debug)]
pub(super) struct AbandonOnDrop<'a, T>(pub(super) &'a Queue<T>);

impl<T> Drop for AbandonOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
