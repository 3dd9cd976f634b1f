//! One piece of work that several callers wait for together: fetching a token, opening a connection.
//!
//! The work is done by those who wait. When the last of them goes away it is dropped, and the next
//! caller begins anew.

use std::sync::{Mutex, PoisonError};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use futures_util::future::{Shared, WeakShared};

type Work<T> = BoxFuture<'static, T>;

/// Work that is done once for all who ask while it is under way.
pub(crate) struct Flight<T: Clone + Send + Sync + 'static> {
    running: Mutex<Option<WeakShared<Work<T>>>>,
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// The result of the work under way, else of the work that `begin` makes.
    pub(crate) async fn join(&self, begin: impl FnOnce() -> Work<T>) -> T {
        self.shared(begin).await
    }

    fn shared(&self, begin: impl FnOnce() -> Work<T>) -> Shared<Work<T>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Finished work is not given out again: its result may be outdated.
        if let Some(work) = running.as_ref().and_then(WeakShared::upgrade)
            && work.peek().is_none()
        {
            return work;
        }
        let work = begin().shared();
        *running = work.downgrade();
        work
    }
}

impl<T: Clone + Send + Sync + 'static> Default for Flight<T> {
    fn default() -> Self {
        Self {
            running: Mutex::new(None),
        }
    }
}

impl<T: Clone + Send + Sync + 'static> std::fmt::Debug for Flight<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn work_is_done_once_for_all_who_wait() {
        let flight = Flight::default();
        let (begun, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let join = || {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            flight.join(move || {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                async move {
                    go.notified().await;
                    number
                }
                .boxed()
            })
        };
        let waiting = future::join3(join(), join(), join());
        let release = async { go.notify_one() };
        assert_eq!(future::join(waiting, release).await.0, (0, 0, 0));
        // Abandoned work does not hold up the next caller.
        assert!(join().now_or_never().is_none());
        go.notify_one();
        assert_eq!(join().await, 2);
    }
}
