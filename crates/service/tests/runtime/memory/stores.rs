//! A store that dies on demand, and that holds a summary back just before it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_core::future::BoxFuture;
use outcrop_store::memory::MemoryStore;
use outcrop_store::{
    Batch, Committed, Entry, Health, Job, Key, Lease, Listing, Order, Page, Record, Scan, Store,
    StoreError, Write,
};
use tokio::sync::Semaphore;

/// Commits enough for any test.
pub(super) const PLENTY: usize = 10_000;

pub(super) struct Gated {
    store: MemoryStore,
    left: AtomicUsize,
    gate: Arc<Gate>,
}

/// Where summaries wait.
pub(super) struct Gate {
    closed: AtomicUsize,
    waiting: Semaphore,
    released: Semaphore,
}

impl Gate {
    /// Waits until a summary is about to be written.
    pub(super) async fn reached(&self) {
        self.waiting.acquire().await.expect("open").forget();
    }

    pub(super) fn release(&self) {
        self.released.add_permits(1);
    }
}

impl Gated {
    pub(super) fn new() -> Self {
        Self {
            store: MemoryStore::new(),
            left: AtomicUsize::new(PLENTY),
            gate: Arc::new(Gate {
                closed: AtomicUsize::new(0),
                waiting: Semaphore::new(0),
                released: Semaphore::new(0),
            }),
        }
    }

    /// Takes so many more commits and then none, as if the process had died.
    pub(super) fn allow(&self, commits: usize) {
        self.left.store(commits, Ordering::SeqCst);
    }

    /// Holds the next summary back.
    pub(super) fn hold_summaries(&self) -> Arc<Gate> {
        self.gate.closed.store(1, Ordering::SeqCst);
        Arc::clone(&self.gate)
    }

    /// The bodies of all documents of a kind below a parent.
    pub(super) async fn below(&self, kind: &'static str, parent: &str) -> Vec<String> {
        let scan = Scan {
            scope: "111111111111/us-west-2".into(),
            kind,
            parent: parent.into(),
            order: Order::Id,
            now_ms: 0,
        };
        let page = Page {
            limit: 10,
            after: None,
        };
        let found = self.store.list(scan, page).await.expect("answers");
        let bodies = found.records.iter().map(|record| record.body.to_string());
        bodies.collect()
    }

    async fn pass_gate(&self, batch: &Batch) {
        let is_summary = |write: &Write| matches!(write, Write::Put { key, .. } if key.kind == "session-summary");
        if batch.writes.iter().any(is_summary) && self.gate.closed.swap(0, Ordering::SeqCst) == 1 {
            self.gate.waiting.add_permits(1);
            self.gate.released.acquire().await.expect("open").forget();
        }
    }
}

impl Store for Gated {
    fn get<'a>(
        &'a self,
        key: &'a Key,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.store.get(key, now_ms)
    }

    fn list(&self, scan: Scan, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>> {
        self.store.list(scan, page)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            self.pass_gate(&batch).await;
            let take = |left: usize| left.checked_sub(1);
            let left = self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
            if left.is_err() {
                return Err(StoreError::Unavailable("the process died".into()));
            }
            self.store.commit(batch).await
        })
    }

    fn read_journal<'a>(
        &'a self,
        journal: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        self.store.read_journal(journal, after, limit)
    }

    fn claim_job<'a>(
        &'a self,
        queue: &'static str,
        lease: Lease,
    ) -> BoxFuture<'a, Result<Option<Job>, StoreError>> {
        self.store.claim_job(queue, lease)
    }

    fn renew_job<'a>(
        &'a self,
        id: &'a str,
        lease: u64,
        until_ms: i64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.store.renew_job(id, lease, until_ms)
    }

    fn check(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        self.store.check()
    }
}
