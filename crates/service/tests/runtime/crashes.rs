//! The process dies at every journal position: after each commit the store says no more, as if the
//! process were gone, and a new one opens the same store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use outcrop_store::memory::MemoryStore;
use outcrop_store::{
    Batch, Committed, Entry, Health, Job, Key, Lease, Listing, Page, Record, Scan, Store,
    StoreError,
};
use serde_json::json;

use crate::bench::{Answer, Bench, Say};

/// A store that takes `left` more commits and then none, until it is given more.
struct Mortal {
    store: MemoryStore,
    left: AtomicUsize,
}

impl Store for Mortal {
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
        let take = |left: usize| left.checked_sub(1);
        if self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_err()
        {
            return async { Err(StoreError::Unavailable("the process died".into())) }.boxed();
        }
        self.store.commit(batch)
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

const PLENTY: usize = 1_000;

#[tokio::test]
async fn nothing_finished_is_lost_and_no_tool_runs_twice() {
    // Begin, reply, tool result, final reply: four commits; the fifth death comes after the turn.
    for commits in 0..=4 {
        let store = Arc::new(Mortal {
            store: MemoryStore::new(),
            left: AtomicUsize::new(PLENTY),
        });
        let mut bench = Bench::over(Arc::clone(&store) as Arc<dyn Store>, "anthropic.claude").await;
        bench.model.says([Say::Text("<answer>zero")]);
        bench.ask(json!({"inputText": "turn 0"})).await;
        bench
            .model
            .says([Say::Call("Orders__ok", json!({})), Say::Text("<answer>one")]);
        store.left.store(commits, Ordering::SeqCst);
        let answer = bench.ask(json!({"inputText": "turn 1"})).await;
        let ran = bench.actions.calls.load(Ordering::SeqCst);
        assert_eq!(
            answer == Answer::Text("one".to_owned()),
            commits == 4,
            "{commits}: {answer:?}"
        );

        store.left.store(PLENTY, Ordering::SeqCst);
        bench.restart();
        bench.model.script.lock().expect("unpoisoned").clear();
        bench.model.says([Say::Text("<answer>two")]);
        let answer = bench.ask(json!({"inputText": "turn 2"})).await;
        assert_eq!(
            answer,
            Answer::Text("two".to_owned()),
            "{commits}: the session goes on"
        );
        assert_eq!(
            bench.actions.calls.load(Ordering::SeqCst),
            ran,
            "{commits}: nothing ran again"
        );

        let last = bench.model.calls() - 1;
        let prompt = serde_json::to_string(&bench.model.request(last).messages).expect("JSON");
        assert!(
            prompt.contains("<answer>zero</answer>"),
            "{commits}: the finished turn is there"
        );
        assert_eq!(prompt.contains("turn 1"), commits >= 1, "{commits}");
        assert_eq!(
            prompt.contains("outcome of this call is unknown"),
            commits == 2,
            "{commits}"
        );
        assert_eq!(prompt.contains("shipped"), commits >= 3, "{commits}");
        assert_eq!(
            prompt.contains("<answer>one</answer>"),
            commits == 4,
            "{commits}"
        );
        // Durable before done: a tool runs only once the call is in the journal.
        assert_eq!(ran, usize::from(commits >= 2), "{commits}");
    }
}
