//! Keeps a function whose workers do not live from using up the machine.
//!
//! A worker that dies at start or in its first invocation is a failure. After some of them in a row
//! the next start has to wait, twice as long each time; meanwhile calls get the last failure at once.
//! A changed code folder or one invocation that is answered ends it.

use std::time::{Duration, Instant};

/// Failures in a row that cost nothing: a developer who tries again should see what happens.
const FREE_FAILURES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A server that was left alone with a broken function starts it twice a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The failures in a row of one function.
#[derive(Debug)]
pub(super) struct Backoff<F> {
    failures: u32,
    last: Option<Last<F>>,
}

#[derive(Debug)]
struct Last<F> {
    at: Instant,
    generation: u64,
    failure: F,
}

/// Why a worker is not started now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal<F> {
    /// How many failed in a row.
    pub(super) failures: u32,
    /// How long until the next may be tried.
    pub(super) wait: Duration,
    /// What the last one met.
    pub(super) failure: F,
}

impl<F: Clone> Backoff<F> {
    pub(super) fn new() -> Self {
        Self {
            failures: 0,
            last: None,
        }
    }

    /// A worker of the code of `generation` has died.
    pub(super) fn failed(&mut self, at: Instant, generation: u64, failure: F) {
        let same_code = self
            .last
            .as_ref()
            .is_some_and(|last| last.generation == generation);
        self.failures = if same_code {
            self.failures.saturating_add(1)
        } else {
            1
        };
        self.last = Some(Last {
            at,
            generation,
            failure,
        });
    }

    /// A worker has answered.
    pub(super) fn lived(&mut self) {
        self.failures = 0;
        self.last = None;
    }

    /// Whether the next worker, of the code of `generation`, has to wait.
    pub(super) fn refusal(&self, now: Instant, generation: u64) -> Option<Refusal<F>> {
        let last = self.last.as_ref()?;
        if last.generation != generation || self.failures <= FREE_FAILURES {
            return None;
        }
        let doublings = (self.failures - FREE_FAILURES - 1).min(16);
        let pause = FIRST_PAUSE
            .saturating_mul(1 << doublings)
            .min(LONGEST_PAUSE);
        let wait = (last.at + pause).checked_duration_since(now)?;
        (!wait.is_zero()).then(|| Refusal {
            failures: self.failures,
            wait,
            failure: last.failure.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Backoff, LONGEST_PAUSE, Refusal};

    #[test]
    fn failures_in_a_row_have_to_wait_longer_each_time() {
        let mut backoff = Backoff::new();
        let start = Instant::now();
        let wait_ms = |backoff: &Backoff<&str>| {
            let refusal = backoff.refusal(start, 7);
            refusal.map(|refusal| refusal.wait.as_millis())
        };
        let mut waits = Vec::new();
        for _ in 0..6 {
            backoff.failed(start, 7, "exit");
            waits.push(wait_ms(&backoff));
        }
        assert_eq!(waits, [None, None, None, Some(500), Some(1000), Some(2000)]);
        for _ in 0..100 {
            backoff.failed(start, 7, "exit");
        }
        let refusal = Refusal {
            failures: 106,
            wait: LONGEST_PAUSE,
            failure: "exit",
        };
        assert_eq!(backoff.refusal(start, 7), Some(refusal));
        assert_eq!(backoff.refusal(start + LONGEST_PAUSE, 7), None);
    }

    #[test]
    fn changed_code_and_an_answer_end_the_waiting() {
        let mut backoff = Backoff::new();
        let start = Instant::now();
        for _ in 0..10 {
            backoff.failed(start, 7, ());
        }
        assert!(backoff.refusal(start, 7).is_some());
        assert!(backoff.refusal(start, 8).is_none());
        backoff.failed(start, 8, ());
        assert!(
            backoff
                .refusal(start + Duration::from_millis(1), 8)
                .is_none()
        );
        for _ in 0..10 {
            backoff.failed(start, 8, ());
        }
        backoff.lived();
        assert!(backoff.refusal(start, 8).is_none());
    }
}
