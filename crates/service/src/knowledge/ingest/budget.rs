//! How much of documents is in memory at once, whatever the number of jobs.
//!
//! A document of a few kilobytes takes a place and next to no room; one of fifty megabytes takes most
//! of it and works with few others beside it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Documents that are read and cut at once, of all jobs. Reading and extracting wait for disks, networks and child
/// processes; more of them than this gain nothing.
pub(super) const DOCUMENTS_AT_ONCE: usize = 16;
/// The room all of them share. A document's text and chunks take a small multiple of its size besides.
const ROOM_BYTES: usize = 96 * 1024 * 1024;
/// What room is given out in.
const UNIT_BYTES: usize = 64 * 1024;

/// See the module.
pub(super) struct Budget {
    room: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// A document's share. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Share {
    _room: Option<OwnedSemaphorePermit>,
    place: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// The document has been read and cut: another may take its place, but not its room.
    pub(super) fn leave_place(&mut self) {
        self.place = None;
    }
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ROOM_BYTES / UNIT_BYTES)),
            places: Arc::new(Semaphore::new(DOCUMENTS_AT_ONCE)),
        }
    }

    /// Waits until there is room for a document of this size.
    pub(super) async fn share(&self, size_bytes: u64) -> Share {
        let size = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        let units = size.div_ceil(UNIT_BYTES).clamp(1, ROOM_BYTES / UNIT_BYTES);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        // Neither is ever closed, so both are always had in the end.
        let room = Arc::clone(&self.room).acquire_many_owned(units).await;
        let place = Arc::clone(&self.places).acquire_owned().await;
        Share {
            _room: room.ok(),
            place: place.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn large_documents_wait_for_each_other_and_small_ones_for_a_place() {
        let budget = Budget::new();
        let large = || pin_now(budget.share(40 * 1024 * 1024));
        let (first, second) = (large(), large());
        assert!(first.is_some() && second.is_some());
        assert!(large().is_none());
        drop(first);
        assert!(large().is_some());
        drop(second);
        // Larger than there is room: it gets all of it.
        let all = pin_now(budget.share(u64::MAX));
        assert!(all.is_some() && pin_now(budget.share(1)).is_none());
        drop(all);
        let mut small: Vec<_> = (0..20).filter_map(|_| pin_now(budget.share(1))).collect();
        assert_eq!(small.len(), DOCUMENTS_AT_ONCE);
        for share in &mut small {
            share.leave_place();
        }
        assert!(pin_now(budget.share(1)).is_some());
    }

    fn pin_now<T>(future: impl Future<Output = T>) -> Option<T> {
        pin!(future).now_or_never()
    }
}
