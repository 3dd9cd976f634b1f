//! The fuse that stops any double, and the store that can be stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_core::future::BoxFuture;
use outcrop_store::{
    Batch, Committed, Entry, Health, Job, Key, Lease, Listing, MemoryStore, Page, Record, Scan,
    Store, StoreError,
};
use tokio::sync::Notify;

/// Counts calls, and stops at one of them for ever: before it has had its effect, or after.
#[derive(Default)]
pub(crate) struct Fuse {
    calls: AtomicUsize,
    blows_at: AtomicUsize,
    pub(crate) blown: Notify,
}

impl Fuse {
    /// Stops at the call with this number, from 1; odd places are before the effect, even ones after.
    pub(crate) fn set(&self, place: usize) {
        self.calls.store(0, Ordering::SeqCst);
        self.blows_at.store(place, Ordering::SeqCst);
    }

    pub(crate) fn clear(&self) {
        self.set(0);
    }

    async fn pass(&self) {
        let place = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if place == self.blows_at.load(Ordering::SeqCst) {
            self.blown.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Makes a call, in the middle of two places to stop at.
    pub(crate) async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.pass().await;
        let done = call.await;
        self.pass().await;
        done
    }
}

/// A store whose writes can be stopped.
pub(crate) struct FusedStore {
    pub(crate) store: MemoryStore,
    pub(crate) fuse: Arc<Fuse>,
}

impl Store for FusedStore {
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
        Box::pin(self.fuse.around(self.store.commit(batch)))
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
