//! Who passes next: callers take turns, and each caller's calls go in the order in which they came.
//!
//! Pure. Calls without a caller share one lane.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

/// Calls that wait, and those whose turn has come and who have not noticed yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Never empty ones. The first one's turn is next.
    lanes: VecDeque<Lane>,
    waiting: usize,
    granted: Vec<u64>,
    next_id: u64,
}

#[derive(Debug)]
struct Lane {
    caller: Option<Arc<str>>,
    calls: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    tokens: u32,
    notify: Arc<Notify>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Joins the queue; gives the call's id in it.
    pub(super) fn push(
        &mut self,
        caller: Option<Arc<str>>,
        tokens: u32,
        notify: Arc<Notify>,
    ) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting += 1;
        let call = Waiting { id, tokens, notify };
        match self.lanes.iter_mut().find(|lane| lane.caller == caller) {
            Some(lane) => lane.calls.push_back(call),
            None => self.lanes.push_back(Lane {
                caller,
                calls: VecDeque::from([call]),
            }),
        }
        id
    }

    /// The tokens of the call that is next.
    pub(super) fn first(&self) -> Option<u32> {
        Some(self.lanes.front()?.calls.front()?.tokens)
    }

    pub(super) fn is_first(&self, id: u64) -> bool {
        let first = self.lanes.front().and_then(|lane| lane.calls.front());
        first.is_some_and(|call| call.id == id)
    }

    /// The first call's turn has come; its caller goes to the end.
    pub(super) fn grant(&mut self) {
        let Some(mut lane) = self.lanes.pop_front() else {
            return;
        };
        if let Some(call) = lane.calls.pop_front() {
            self.waiting -= 1;
            self.granted.push(call.id);
            call.notify.notify_one();
        }
        if !lane.calls.is_empty() {
            self.lanes.push_back(lane);
        }
    }

    /// Whether this call's turn has come. True once.
    pub(super) fn claim(&mut self, id: u64) -> bool {
        match self.granted.iter().position(|granted| *granted == id) {
            Some(index) => {
                self.granted.swap_remove(index);
                true
            }
            None => false,
        }
    }

    /// Leaves the queue.
    pub(super) fn remove(&mut self, id: u64) {
        for lane in &mut self.lanes {
            let before = lane.calls.len();
            lane.calls.retain(|call| call.id != id);
            self.waiting -= before - lane.calls.len();
        }
        self.lanes.retain(|lane| !lane.calls.is_empty());
    }

    /// Wakes the call that is next, so that it waits for the right thing.
    pub(super) fn notify_first(&self) {
        if let Some(call) = self.lanes.front().and_then(|lane| lane.calls.front()) {
            call.notify.notify_one();
        }
    }
}
