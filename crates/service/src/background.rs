//! Jobs of the Store's queues: taken up as they come due, a few of each queue at a time, until the
//! server stops.
//!
//! A job made due in this process wakes its worker; what came due otherwise, by the passing of time, on
//! a server that died or on another, is found by a look at the queue every few seconds. A claim is
//! renewed while its work goes on, and lapses with the process that held it. What is in a job, and what
//! becomes of it, is its [`Worker`]'s business.
//!
//! Invariant: losing a claim ends the work on it. Work must be such that what had been done by then can
//! be done again, or is decided by the Store's preconditions.

use std::sync::Arc;
use std::time::Duration;

use outcrop_engine::port::Clock;
use outcrop_store::{Batch, Committed, Job, Lease, Store, StoreError, Write};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::ports::Ports;
use crate::settings::Settings;

/// How often a queue is looked at when nothing is known to be due. Nothing that waits for time to pass
/// is due to the second, and a look that finds nothing costs microseconds.
const LOOK: Duration = Duration::from_secs(5);
/// How long a claim outlives its process where nobody else can use the store: a process that opens it
/// ends all claims of the one before, so that this matters only to a claim that was given up.
const EXCLUSIVE_LEASE: Duration = Duration::from_secs(90);
/// A claim is renewed when this part of it has passed.
const LEASE_PART: u32 = 3;

/// A queue of the Store, and how many of its jobs are worked on at once here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue {
    pub(crate) name: &'static str,
    pub(crate) at_once: usize,
}

/// Does jobs.
pub(crate) trait Worker: Send + Sync + 'static {
    /// Where its jobs come from.
    fn background(&self) -> &Background;

    /// Does a job, or sees to it that it is done later. It is dropped where the claim is lost, and when
    /// the server stops. A job that is left as it is comes back when its claim has lapsed.
    fn perform(self: &Arc<Self>, job: &Job) -> impl Future<Output = ()> + Send;
}

/// What the queues of one worker share.
pub(crate) struct Background {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    /// Tells that something may be due.
    changed: watch::Sender<()>,
    queues: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    /// Does nothing before [`start`]. Ends at [`Background::shutdown`], or with `stop`.
    pub(crate) fn new(ports: &Ports, settings: &Settings, stop: CancellationToken) -> Self {
        let lease = if settings.exclusive_store {
            EXCLUSIVE_LEASE
        } else {
            settings.session_lease
        };
        Self {
            store: Arc::clone(&ports.store),
            clock: Arc::clone(&ports.clock),
            lease,
            changed: watch::Sender::new(()),
            queues: TaskTracker::new(),
            stop,
        }
    }

    /// Has the queues looked at: there is something new to do, or to leave.
    pub(crate) fn wake(&self) {
        self.changed.send_replace(());
    }

    /// Hears of each [`Background::wake`] from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How long a claim holds that is not renewed.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    async fn claim(&self, queue: &'static str) -> Result<Option<Job>, StoreError> {
        let now_ms = self.clock.now().as_millis();
        let lease = Lease {
            now_ms,
            until_ms: now_ms.saturating_add(millis(self.lease)),
        };
        self.store.claim_job(queue, lease).await
    }

    /// Renews the claim on a job; false where it is lost, because the job was asked for anew or another
    /// server thought this one dead.
    pub(crate) async fn holds(&self, job: &Job) -> Result<bool, StoreError> {
        let now_ms = self.clock.now().as_millis();
        let until_ms = now_ms.saturating_add(millis(self.lease));
        self.store.renew_job(&job.id, job.lease, until_ms).await
    }

    /// Writes, as of now.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Committed, StoreError> {
        let now_ms = self.clock.now().as_millis();
        self.store.commit(Batch { now_ms, writes }).await
    }

    /// Writes what is to become of a job whose work is over. Where that fails the claim lapses.
    pub(crate) async fn settle(&self, job: &Job, writes: Vec<Write>) {
        if let Err(cause) = self.commit(writes).await {
            warn!(job = &*job.id, %cause, "a job could not be put away");
        }
    }

    /// Ends all work, and waits until nobody takes up more.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.queues.close();
        self.queues.wait().await;
    }
}

/// The write that ends a job. It has no effect where the claim is lost.
pub(crate) fn finish(job: &Job) -> Write {
    Write::Finish {
        id: Arc::clone(&job.id),
        lease: job.lease,
    }
}

/// Begins to do the jobs of these queues, now and later.
pub(crate) fn start<W: Worker>(worker: &Arc<W>, queues: &[Queue]) {
    for queue in queues {
        let work = run(Arc::clone(worker), *queue);
        worker.background().queues.spawn(work);
    }
}

/// Does what is due now, one job after another, and gives how many there were.
pub(crate) async fn run_due<W: Worker>(
    worker: &Arc<W>,
    queues: &[Queue],
) -> Result<usize, StoreError> {
    let mut done = 0;
    for queue in queues {
        while let Some(job) = worker.background().claim(queue.name).await? {
            hold(Arc::clone(worker), job).await;
            done += 1;
        }
    }
    Ok(done)
}

/// Does the jobs of a queue until the server stops.
async fn run<W: Worker>(worker: Arc<W>, queue: Queue) {
    let background = worker.background();
    let mut changed = background.changes();
    let mut at_work = JoinSet::new();
    loop {
        while at_work.len() < queue.at_once {
            match background.claim(queue.name).await {
                Ok(Some(job)) => {
                    at_work.spawn(hold(Arc::clone(&worker), job));
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
            () = background.clock.sleep(LOOK), if has_room => {}
            // Dropped work is claimed again when its lease has lapsed, or when the store is opened.
            () = background.stop.cancelled() => return,
        }
    }
}

/// Works on a job for as long as its claim holds.
async fn hold<W: Worker>(worker: Arc<W>, job: Job) {
    let background = worker.background();
    let pause = background.lease / LEASE_PART;
    let mut work = std::pin::pin!(worker.perform(&job));
    let mut renewal = background.clock.sleep(pause);
    loop {
        tokio::select! {
            () = &mut work => return,
            () = &mut renewal => {}
        }
        match background.holds(&job).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(cause) => warn!(%cause, job = &*job.id, "a claim could not be renewed"),
        }
        renewal = background.clock.sleep(pause);
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX >> 1)
}

#[cfg(test)]
mod tests;
