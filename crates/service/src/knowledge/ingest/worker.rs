//! Takes jobs up as they come due, a few of each kind at a time, until the server stops.
//!
//! A job made due in this process wakes the worker; what came due otherwise, on a server that died or
//! on another, is found by a look at the queue every few seconds. A claim is renewed while its work
//! goes on, and lapses with the process that held it.
//!
//! Invariant: losing a claim ends the work on it; what had been done by then can be done again.

use std::sync::Arc;
use std::time::Duration;

use outcrop_store::{Job, Lease, StoreError, Write};
use tokio::task::JoinSet;
use tracing::{error, warn};

use super::queue::{self, Task};
use super::{Shared, delete, direct, sync};

/// A queue and how many of its jobs are worked on at once here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    name: &'static str,
    at_once: usize,
}

/// All queues. Documents share their room among all jobs (see [`super::budget`]), so that few jobs do
/// as much as many.
pub(super) const QUEUES: [Queue; 3] = [
    Queue {
        name: queue::SYNC,
        at_once: 8,
    },
    Queue {
        name: queue::DOCUMENT,
        at_once: 16,
    },
    Queue {
        name: queue::DELETE,
        at_once: 2,
    },
];
/// How often a queue is looked at when nothing is known to be due. Only what another server left is
/// found so; a look that finds nothing costs microseconds.
const LOOK: Duration = Duration::from_secs(5);
/// How long a claim outlives its process where nobody else can use the store: a process that opens it
/// ends all claims of the one before, so that this matters only to a claim that was given up.
const EXCLUSIVE_LEASE: Duration = Duration::from_secs(90);
/// A claim is renewed when this part of it has passed.
const LEASE_PART: u32 = 3;

/// Does the jobs of a queue until the server stops.
pub(super) async fn run(shared: Arc<Shared>, queue: Queue) {
    let mut changed = shared.changed.subscribe();
    let mut at_work = JoinSet::new();
    loop {
        while at_work.len() < queue.at_once {
            match shared.claim(queue.name).await {
                Ok(Some(job)) => {
                    at_work.spawn(hold(Arc::clone(&shared), job));
                }
                Ok(None) => break,
                Err(cause) => {
                    warn!(%cause, queue = queue.name, "a queue cannot be read");
                    break;
                }
            }
        }
        let has_room = at_work.len() < queue.at_once;
        tokio::select! {
            Some(done) = at_work.join_next() => {
                if let Err(cause) = done {
                    error!(%cause, queue = queue.name, "a job was cut off");
                }
            }
            _ = changed.changed(), if has_room => {}
            () = shared.ports.clock.sleep(LOOK), if has_room => {}
            // Dropped work is claimed again when its lease has lapsed, or when the store is opened.
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Does what is due now, one after another, and gives how many jobs it was.
pub(super) async fn run_due(shared: &Arc<Shared>) -> Result<usize, StoreError> {
    let mut done = 0;
    for queue in QUEUES {
        while let Some(job) = shared.claim(queue.name).await? {
            hold(Arc::clone(shared), job).await;
            done += 1;
        }
    }
    Ok(done)
}

/// Works on a job for as long as its claim holds.
async fn hold(shared: Arc<Shared>, job: Job) {
    let clock = Arc::clone(&shared.ports.clock);
    let lease = shared.lease();
    let mut work = std::pin::pin!(perform(&shared, &job));
    let mut renewal = clock.sleep(lease / LEASE_PART);
    loop {
        tokio::select! {
            () = &mut work => return,
            () = &mut renewal => {}
        }
        match shared.holds(&job).await {
            Ok(true) => {}
            // It was asked for anew, or another server thought this one dead.
            Ok(false) => return,
            Err(cause) => warn!(%cause, job = &*job.id, "a claim could not be renewed"),
        }
        renewal = clock.sleep(lease / LEASE_PART);
    }
}

async fn perform(shared: &Arc<Shared>, job: &Job) {
    match serde_json::from_str(&job.payload) {
        Ok(Task::Sync { source, job_id }) => sync::perform(shared, job, source, &job_id).await,
        Ok(Task::Document {
            source,
            location,
            failures,
        }) => direct::perform(shared, job, source, location, failures).await,
        Ok(Task::DeleteSource { source, failures }) => {
            delete::source(shared, job, source, failures).await;
        }
        Ok(Task::DeleteBase {
            account_id,
            region,
            knowledge_base_id,
            failures,
        }) => {
            let base = delete::BaseRef {
                account_id,
                region,
                knowledge_base_id,
            };
            delete::base(shared, job, base, failures).await;
        }
        Err(cause) => {
            error!(job = &*job.id, %cause, "a job is damaged and is dropped");
            shared.settle(job, vec![finish(job)]).await;
        }
    }
}

/// The write that ends a job.
pub(super) fn finish(job: &Job) -> Write {
    Write::Finish {
        id: Arc::clone(&job.id),
        lease: job.lease,
    }
}

impl Shared {
    async fn claim(&self, queue: &'static str) -> Result<Option<Job>, StoreError> {
        let now_ms = self.now().as_millis();
        let lease = Lease {
            now_ms,
            until_ms: now_ms.saturating_add(millis(self.lease())),
        };
        self.ports.store.claim_job(queue, lease).await
    }

    /// Renews the claim on a job; false where it is lost.
    pub(super) async fn holds(&self, job: &Job) -> Result<bool, StoreError> {
        let until_ms = self.now().as_millis().saturating_add(millis(self.lease()));
        self.ports
            .store
            .renew_job(&job.id, job.lease, until_ms)
            .await
    }

    /// Writes what is to become of a job whose work is over. Where that fails the claim lapses.
    pub(super) async fn settle(&self, job: &Job, writes: Vec<Write>) {
        if let Err(cause) = self.commit(writes).await {
            warn!(job = &*job.id, %cause, "a job could not be put away");
        }
    }

    fn lease(&self) -> Duration {
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
