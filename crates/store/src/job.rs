//! Background jobs: queued with a due time, claimed under a lease, finished or claimed again.
//!
//! The store runs nothing; it only decides who holds a job.

use std::sync::Arc;

/// A job to be done in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Unique among all jobs. Enqueueing an id that exists replaces queue, payload and due time, so
    /// that one subject has one job. It also ends a claim on it (the holder's Finish then removes
    /// nothing, so the new payload is not lost), but keeps the count of attempts, so that a worker
    /// may put its own job back to be retried later.
    pub id: Arc<str>,
    /// Queue name.
    pub queue: &'static str,
    /// JSON text.
    pub payload: Arc<str>,
    /// Not claimable before this time.
    pub due_at_ms: i64,
}

/// A claimed job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: Arc<str>,
    /// JSON text.
    pub payload: Arc<str>,
    /// How often it has been claimed, this time included.
    pub attempts: u32,
    /// Names this claim, and no other ever made in this store; see [`crate::Write::Finish`].
    pub lease: u64,
}

/// How a claim is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The claimer's clock.
    pub now_ms: i64,
    /// From this time on another may claim it. Until another does, the lease still serves to finish.
    pub until_ms: i64,
}
