//! Who works, who waits and who is on the way: the book-keeping of one pool.
//!
//! A call that finds no idle worker waits in line. Workers that become free and workers that have
//! started go to whoever waits longest; so a burst is served by what is there while more is started.
//! Nothing here waits, starts or ends anything itself.
//!
//! Invariant: a worker is handed only to a call that arrived when its code was no older than the
//! worker's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// A thing of a pool, started with the code of some generation.
pub(super) trait Member {
    fn generation(&self) -> u64;
    fn is_alive(&self) -> bool;
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Roster<W, F> {
    /// The most recently used last, so that the surplus of a busy time stays idle and expires.
    idle: Vec<(W, Instant)>,
    waiting: VecDeque<Waiting<W, F>>,
    starting: usize,
}

#[derive(Debug)]
struct Waiting<W, F> {
    /// The code that was current when the call arrived.
    generation: u64,
    hand: oneshot::Sender<Result<W, F>>,
}

impl<W: Member, F> Roster<W, F> {
    pub(super) fn new() -> Self {
        Self {
            idle: Vec::new(),
            waiting: VecDeque::new(),
            starting: 0,
        }
    }

    /// An idle worker with code no older than `generation`. Those with older code are let go.
    pub(super) fn take_idle(&mut self, generation: u64) -> Option<W> {
        while let Some((worker, _)) = self.idle.pop() {
            if worker.is_alive() && worker.generation() >= generation {
                return Some(worker);
            }
        }
        None
    }

    /// Stands in line.
    pub(super) fn wait(&mut self, generation: u64) -> oneshot::Receiver<Result<W, F>> {
        let (hand, receiver) = oneshot::channel();
        self.waiting.push_back(Waiting { generation, hand });
        receiver
    }

    /// Whether somebody waits for whom nothing is on the way.
    pub(super) fn lacks_start(&mut self) -> bool {
        self.waiting.retain(|waiting| !waiting.hand.is_closed());
        self.starting < self.waiting.len()
    }

    /// A worker is on the way.
    pub(super) fn begin_start(&mut self) {
        self.starting += 1;
    }

    /// It has come, or never will.
    pub(super) fn end_start(&mut self) {
        self.starting = self.starting.saturating_sub(1);
    }

    /// Whether the pool has, or will have, a worker that does nothing.
    pub(super) fn has_spare(&self) -> bool {
        !self.idle.is_empty() || self.starting > self.waiting.len()
    }

    /// Gives `worker` to whoever waits longest for code of its age, else lets it idle if its code is
    /// that of `current`.
    pub(super) fn hand(&mut self, mut worker: W, current: u64) {
        let mut passed = VecDeque::new();
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.generation > worker.generation() {
                passed.push_back(waiting);
                continue;
            }
            match waiting.hand.send(Ok(worker)) {
                Ok(()) => {
                    passed.append(&mut self.waiting);
                    self.waiting = passed;
                    return;
                }
                Err(Ok(back)) => worker = back,
                Err(Err(_)) => unreachable!("a worker was sent"),
            }
        }
        self.waiting = passed;
        if worker.generation() >= current {
            self.idle.push((worker, Instant::now()));
        }
    }

    /// Tells whoever waits longest that no worker comes.
    pub(super) fn refuse(&mut self, mut failure: F) {
        while let Some(waiting) = self.waiting.pop_front() {
            match waiting.hand.send(Err(failure)) {
                Ok(()) => return,
                Err(Err(back)) => failure = back,
                Err(Ok(_)) => unreachable!("a failure was sent"),
            }
        }
    }

    /// Lets idle workers go whose code is older than `current`; how many there were.
    pub(super) fn drop_outdated(&mut self, current: u64) -> usize {
        let before = self.idle.len();
        self.idle
            .retain(|(worker, _)| worker.generation() >= current);
        before - self.idle.len()
    }

    /// Lets workers go that have been idle for longer than `ttl`; whether anything is left.
    pub(super) fn expire(&mut self, ttl: Duration) -> bool {
        self.idle
            .retain(|(worker, since)| worker.is_alive() && since.elapsed() < ttl);
        !self.idle.is_empty() || self.starting > 0
    }

    /// Lets every idle worker go.
    pub(super) fn clear(&mut self) {
        self.idle.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Member, Roster};

    #[derive(Debug, PartialEq, Eq)]
    struct Fake(&'static str, u64);

    impl Member for Fake {
        fn generation(&self) -> u64 {
            self.1
        }

        fn is_alive(&self) -> bool {
            !self.0.starts_with("dead")
        }
    }

    type Book = Roster<Fake, &'static str>;

    #[test]
    fn idle_workers_are_alive_and_of_the_current_code() {
        let mut book = Book::new();
        for worker in [Fake("new", 2), Fake("dead", 2), Fake("old", 2)] {
            book.hand(worker, 2);
        }
        book.hand(Fake("older", 1), 2);
        assert_eq!(book.take_idle(2), Some(Fake("old", 2)));
        assert_eq!(book.take_idle(2), Some(Fake("new", 2)));
        assert_eq!(book.take_idle(2), None);
        book.hand(Fake("a", 2), 2);
        assert_eq!(book.drop_outdated(3), 1);
        assert_eq!(book.take_idle(0), None);
    }

    #[test]
    fn whoever_waits_longest_is_served_first() {
        let mut book = Book::new();
        let mut first = book.wait(1);
        let gone = book.wait(1);
        let mut third = book.wait(2);
        assert!(book.lacks_start());
        drop(gone);
        book.begin_start();
        book.begin_start();
        assert!(!book.lacks_start());
        book.hand(Fake("a", 1), 1);
        book.hand(Fake("b", 1), 1);
        assert_eq!(first.try_recv(), Ok(Ok(Fake("a", 1))));
        assert!(third.try_recv().is_err(), "its code is newer");
        book.end_start();
        book.end_start();
        assert!(book.lacks_start());
        book.refuse("broken");
        assert_eq!(third.try_recv(), Ok(Err("broken")));
        assert_eq!(book.take_idle(1), Some(Fake("b", 1)));
    }

    #[test]
    fn the_idle_expire() {
        let mut book = Book::new();
        book.hand(Fake("a", 0), 0);
        assert!(book.expire(Duration::from_mins(1)));
        assert!(!book.expire(Duration::ZERO));
        book.begin_start();
        assert!(book.expire(Duration::ZERO), "one is on its way");
    }
}
