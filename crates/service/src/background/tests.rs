//! Jobs are taken up, held, lost and ended by several servers, on a clock that the tests move.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_core::future::BoxFuture;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{MemoryStore, NewJob};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, advance};

use super::*;

const FEW: Queue = Queue {
    name: "few",
    at_once: 2,
};
const OTHER: Queue = Queue {
    name: "other",
    at_once: 1,
};
const LEASE: Duration = Duration::from_secs(30);

/// Tokio's clock, which the tests hold still.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(millis(self.0.elapsed()))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the clock of tests that hold time still"
    )]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Tells what happens to its jobs, each of which waits for a permit.
struct Told {
    background: Background,
    permits: Semaphore,
    events: mpsc::UnboundedSender<String>,
    at_work: AtomicUsize,
}

/// Tells of the end of work, whatever ends it.
struct Work<'a> {
    told: &'a Told,
    job: &'a Job,
    is_done: bool,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.told.at_work.fetch_sub(1, Ordering::SeqCst);
        let end = if self.is_done { "done" } else { "dropped" };
        self.told.tell(end, self.job);
    }
}

impl Told {
    fn tell(&self, what: &str, job: &Job) {
        let _ = self.events.send(format!("{what} {}", job.id));
    }
}

impl Worker for Told {
    fn background(&self) -> &Background {
        &self.background
    }

    async fn perform(self: &Arc<Self>, job: &Job) {
        self.at_work.fetch_add(1, Ordering::SeqCst);
        self.tell("begun", job);
        let mut work = Work {
            told: self,
            job,
            is_done: false,
        };
        self.permits.acquire().await.expect("open").forget();
        self.background.settle(job, vec![finish(job)]).await;
        work.is_done = true;
    }
}

/// A server over a store, and what its worker tells.
struct Server {
    worker: Arc<Told>,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Server {
    fn new(store: &Arc<dyn Store>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let background = Background {
            store: Arc::clone(store),
            clock: Arc::new(TestClock(Instant::now())),
            lease: LEASE,
            changed: watch::Sender::new(()),
            queues: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self {
            worker: Arc::new(Told {
                background,
                permits: Semaphore::new(0),
                events: sender,
                at_work: AtomicUsize::new(0),
            }),
            events: Mutex::new(events),
        }
    }

    /// A server at work on both queues.
    fn started(store: &Arc<dyn Store>) -> Self {
        let server = Self::new(store);
        start(&server.worker, &[FEW, OTHER]);
        server
    }

    async fn enqueue(&self, queue: &'static str, id: &str, due_at_ms: i64) {
        let job = NewJob {
            id: id.into(),
            queue,
            payload: "{}".into(),
            due_at_ms,
        };
        let committed = self.worker.background.commit(vec![Write::Enqueue(job)]);
        committed.await.expect("written");
    }

    /// What has happened since, after all that can happen without time passing.
    async fn told(&self) -> Vec<String> {
        settled().await;
        let mut events = self.events.lock().expect("whole");
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }

    fn permit(&self, jobs: usize) {
        self.worker.permits.add_permits(jobs);
    }

    fn at_work(&self) -> usize {
        self.worker.at_work.load(Ordering::SeqCst)
    }
}

/// Lets every task run until it waits for time or for the test.
async fn settled() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Time that passes in steps, so that whoever sleeps wakes up in between.
async fn pass(duration: Duration) {
    let steps = duration.as_secs();
    for _ in 0..steps {
        advance(Duration::from_secs(1)).await;
        settled().await;
    }
}

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

#[tokio::test(start_paused = true)]
async fn few_jobs_of_a_queue_are_worked_on_at_once() {
    let server = Server::started(&store());
    for number in 1..=4 {
        let due_at_ms = number - 10;
        server.enqueue("few", &number.to_string(), due_at_ms).await;
    }
    assert_eq!(server.told().await, ["begun 1", "begun 2"]);
    // Another queue has room of its own.
    server.enqueue("other", "x", 0).await;
    server.worker.background.wake();
    assert_eq!(server.told().await, ["begun x"]);
    server.permit(1);
    assert_eq!(server.told().await, ["done 1", "begun 3"]);
    server.permit(4);
    assert_eq!(server.told().await.len(), 5);
    assert_eq!(server.at_work(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_here_is_begun_at_once_and_all_else_with_the_next_look() {
    let server = Server::started(&store());
    server.told().await;
    server.enqueue("few", "told", 0).await;
    server.worker.background.wake();
    assert_eq!(server.told().await, ["begun told"]);
    server.enqueue("few", "untold", 0).await;
    assert_eq!(server.told().await.len(), 0);
    pass(LOOK).await;
    assert_eq!(server.told().await, ["begun untold"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_holds_for_as_long_as_the_work_goes_on() {
    let store = store();
    let (first, second) = (Server::started(&store), Server::new(&store));
    first.enqueue("few", "1", 0).await;
    assert_eq!(first.told().await, ["begun 1"]);
    start(&second.worker, &[FEW]);
    pass(LEASE * 3).await;
    assert_eq!(second.told().await.len(), 0);
    first.permit(1);
    assert_eq!(first.told().await, ["done 1"]);
    pass(LEASE * 2).await;
    assert_eq!(second.told().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_lapses_with_its_server() {
    let store = store();
    let (first, second) = (Server::started(&store), Server::new(&store));
    first.enqueue("few", "1", 0).await;
    assert_eq!(first.told().await, ["begun 1"]);
    start(&second.worker, &[FEW]);
    first.worker.background.shutdown().await;
    assert_eq!(first.told().await, ["dropped 1"]);
    pass(LEASE / 2).await;
    assert_eq!(second.told().await.len(), 0);
    pass(LEASE).await;
    assert_eq!(second.told().await, ["begun 1"]);
}

#[tokio::test(start_paused = true)]
async fn work_ends_where_its_claim_is_lost() {
    let server = Server::started(&store());
    server.enqueue("few", "1", 0).await;
    assert_eq!(server.told().await, ["begun 1"]);
    // Asked for anew: somebody else begins, and the first finds out when it renews its claim.
    server.enqueue("few", "1", 0).await;
    server.worker.background.wake();
    assert_eq!(server.told().await, ["begun 1"]);
    assert_eq!(server.at_work(), 2);
    pass(LEASE / LEASE_PART).await;
    assert_eq!(server.told().await, ["dropped 1"]);
    assert_eq!(server.at_work(), 1);
    server.permit(1);
    assert_eq!(server.told().await, ["done 1"]);
}

#[tokio::test(start_paused = true)]
async fn ending_a_job_that_is_lost_leaves_it_to_its_new_holder() {
    let store = store();
    let server = Server::new(&store);
    server.enqueue("few", "1", 0).await;
    let background = &server.worker.background;
    let lost = background.claim("few").await.expect("answers");
    let lost = lost.expect("a job");
    server.enqueue("few", "1", 0).await;
    background.settle(&lost, vec![finish(&lost)]).await;
    assert!(!background.holds(&lost).await.expect("answers"));
    let found = background.claim("few").await.expect("answers");
    assert_eq!(found.expect("is there still").id, lost.id);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_done_without_a_worker_too() {
    let server = Server::new(&store());
    for (queue, id, due_at_ms) in [("other", "3", 0), ("few", "2", 0), ("few", "1", -1)] {
        server.enqueue(queue, id, due_at_ms).await;
    }
    server.enqueue("few", "later", 60_000).await;
    server.permit(9);
    let done = run_due(&server.worker, &[FEW, OTHER]).await;
    assert_eq!(done.expect("the store answers"), 3);
    assert_eq!(
        server.told().await,
        [
            "begun 1", "done 1", "begun 2", "done 2", "begun 3", "done 3"
        ]
    );
}
