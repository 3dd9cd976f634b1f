//! Takes summaries up as they come due, a few at a time, until the server stops.
//!
//! A job made due in this process wakes the worker; what came due otherwise, by the passing of time or
//! on a server that died, is found by a look at the queue every few seconds. A claim is renewed while
//! its work goes on, and lapses with the process that held it.
//!
//! Invariant: losing a claim ends the work on it; what the work had done by then is decided by the
//! store's preconditions alone (see [`super::summarise`]).

use std::sync::Arc;
use std::time::Duration;

use outcrop_store::{Job, Lease, StoreError};
use tokio::task::JoinSet;
use tracing::{error, warn};

use super::job::QUEUE;
use super::summarise::perform;
use crate::runtime::Shared;

/// Summaries in the making at once. They share providers and their limits with turns, which somebody
/// waits for.
const AT_ONCE: usize = 4;
/// How often the queue is looked at when nothing is known to be due. A session lives for a minute at
/// least, so that a few seconds more do not matter; and a look that finds nothing costs microseconds.
const LOOK: Duration = Duration::from_secs(5);
/// How long a claim outlives its process where nobody else can use the store: a process that opens it
/// ends all claims of the one before, so that this matters only to a claim that was given up.
const EXCLUSIVE_LEASE: Duration = Duration::from_secs(90);
/// A claim is renewed when this part of it has passed.
const LEASE_PART: u32 = 3;

/// Does jobs until the server stops.
pub(in crate::runtime) async fn run(shared: Arc<Shared>) {
    let mut at_work = JoinSet::new();
    loop {
        while at_work.len() < AT_ONCE {
            match shared.claim_summary().await {
                Ok(Some(job)) => {
                    at_work.spawn(hold(Arc::clone(&shared), job));
                }
                Ok(None) => break,
                Err(cause) => {
                    warn!(%cause, "the queue of summaries cannot be read");
                    break;
                }
            }
        }
        let has_room = at_work.len() < AT_ONCE;
        tokio::select! {
            Some(done) = at_work.join_next() => {
                if let Err(cause) = done {
                    error!(%cause, "a summary was cut off");
                }
            }
            () = shared.memory.0.notified(), if has_room => {}
            () = shared.ports.clock.sleep(LOOK), if has_room => {}
            // Dropped work is claimed again when its lease has lapsed, or when the store is opened.
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Does what is due now, one after another, and gives how many jobs it was.
pub(in crate::runtime) async fn run_due(shared: &Arc<Shared>) -> Result<usize, StoreError> {
    let mut done = 0;
    while let Some(job) = shared.claim_summary().await? {
        hold(Arc::clone(shared), job).await;
        done += 1;
    }
    Ok(done)
}

/// Works on a job for as long as its claim holds.
async fn hold(shared: Arc<Shared>, job: Job) {
    let clock = Arc::clone(&shared.ports.clock);
    let lease = shared.summary_lease();
    let mut work = std::pin::pin!(perform(&shared, &job));
    let mut renewal = clock.sleep(lease / LEASE_PART);
    loop {
        tokio::select! {
            () = &mut work => return,
            () = &mut renewal => {}
        }
        match shared.holds(&job).await {
            Ok(true) => {}
            // The session went on, or another server thought this one dead.
            Ok(false) => return,
            Err(cause) => warn!(%cause, job = &*job.id, "a claim could not be renewed"),
        }
        renewal = clock.sleep(lease / LEASE_PART);
    }
}

impl Shared {
    async fn claim_summary(&self) -> Result<Option<Job>, StoreError> {
        let now_ms = self.ports.clock.now().as_millis();
        let lease = Lease {
            now_ms,
            until_ms: now_ms + millis(self.summary_lease()),
        };
        self.ports.store.claim_job(QUEUE, lease).await
    }

    /// Renews the claim on a job; false where it is lost.
    pub(super) async fn holds(&self, job: &Job) -> Result<bool, StoreError> {
        let until_ms = self.ports.clock.now().as_millis() + millis(self.summary_lease());
        let store = &self.ports.store;
        store.renew_job(&job.id, job.lease, until_ms).await
    }

    fn summary_lease(&self) -> Duration {
        if self.settings.exclusive_store {
            EXCLUSIVE_LEASE
        } else {
            self.settings.session_lease
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX >> 1)
}
