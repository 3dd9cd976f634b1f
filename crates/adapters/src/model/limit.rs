//! Limits of one `[[models]]` entry: calls at once, calls a minute, tokens a minute.
//!
//! A call that is within the limits passes at once. Any other waits its turn, in a queue with an end
//! and no longer than it may; callers take turns, and the calls of one caller go in the order in which
//! they came. A call that is dropped while it waits, or while it is answered, gives back what it holds.
//!
//! What a minute allows is a bucket that holds a minute's worth and fills evenly. Tokens are charged
//! before a call by an estimate and corrected when the answer tells what it used; a call that was
//! refused before its answer began costs no tokens.
//!
//! Invariant: the lock is held for a few steps of memory and never while anything is waited for.

mod estimate;
mod queue;
mod stream;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{Capabilities, ModelError, ModelProvider, ModelRequest, ModelStream};
use tokio::sync::Notify;
use tokio::time::Instant;

use queue::Queue;

/// What a `[[models]]` entry may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Calls in flight, from the request to the end of the answer.
    pub max_concurrency: Option<u32>,
    /// Calls a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, read and written.
    pub tokens_per_minute: Option<u32>,
    /// Calls that may wait; one more is refused at once.
    pub queue_max: usize,
    /// How long a call may wait.
    pub queue_timeout: Duration,
}

impl Limits {
    /// Whether there is anything to keep to.
    pub fn is_unlimited(&self) -> bool {
        self.max_concurrency.is_none()
            && self.requests_per_minute.is_none()
            && self.tokens_per_minute.is_none()
    }
}

/// A provider whose calls are limited.
pub(super) struct Limited {
    provider: Arc<dyn ModelProvider>,
    gate: Arc<Gate>,
}

impl Limited {
    /// `entry` names the limits in messages.
    pub(super) fn new(provider: Arc<dyn ModelProvider>, limits: Limits, entry: &str) -> Self {
        Self {
            provider,
            gate: Arc::new(Gate::new(limits, entry)),
        }
    }
}

impl ModelProvider for Limited {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        self.provider.capabilities(model)
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        Box::pin(async move {
            let tokens = match self.gate.limits.tokens_per_minute {
                Some(_) => estimate::tokens(&request),
                None => 0,
            };
            let mut pass = self.gate.enter(request.caller.clone(), tokens).await?;
            match self.provider.converse(request).await {
                Ok(answer) => Ok(stream::holding(answer, pass)),
                Err(error) => {
                    pass.settle(0);
                    Err(error)
                }
            }
        })
    }
}

/// Where calls pass or wait.
struct Gate {
    limits: Limits,
    entry: String,
    state: Mutex<State>,
}

struct State {
    in_flight: u32,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    queue: Queue,
}

/// When a call may pass.
enum Ready {
    Now,
    /// The buckets hold enough then.
    At(Instant),
    /// When another call ends.
    WhenOneEnds,
}

impl Gate {
    fn new(limits: Limits, entry: &str) -> Self {
        let now = Instant::now();
        let bucket = |per_minute: Option<u32>| per_minute.map(|rate| Bucket::full(rate, now));
        Self {
            limits,
            entry: entry.to_owned(),
            state: Mutex::new(State {
                in_flight: 0,
                requests: bucket(limits.requests_per_minute),
                tokens: bucket(limits.tokens_per_minute),
                queue: Queue::default(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes, at once or after a wait.
    async fn enter(
        self: &Arc<Self>,
        caller: Option<Arc<str>>,
        tokens: u32,
    ) -> Result<Pass, ModelError> {
        let deadline = Instant::now() + self.limits.queue_timeout;
        let mut ticket = {
            let mut state = self.state();
            let now = Instant::now();
            if state.queue.is_empty()
                && matches!(state.ready(tokens, now, &self.limits), Ready::Now)
            {
                state.take(tokens);
                return Ok(self.pass(tokens));
            }
            if state.queue.len() >= self.limits.queue_max {
                return Err(self.full());
            }
            let notify = Arc::new(Notify::new());
            let id = state.queue.push(caller, tokens, Arc::clone(&notify));
            Ticket {
                gate: self,
                id,
                tokens,
                notify,
                settled: false,
            }
        };
        loop {
            let until = match ticket.look() {
                Turn::Granted => return Ok(self.pass(tokens)),
                Turn::First(at) => at.min(deadline),
                Turn::Waiting => deadline,
            };
            tokio::select! {
                () = ticket.notify.notified() => {}
                () = tokio::time::sleep_until(until) => {
                    if Instant::now() >= deadline && !matches!(ticket.look(), Turn::Granted) {
                        return Err(self.slow());
                    }
                }
            }
            if ticket.settled {
                return Ok(self.pass(tokens));
            }
        }
    }

    fn pass(self: &Arc<Self>, tokens: u32) -> Pass {
        Pass {
            gate: Arc::clone(self),
            charged: tokens,
        }
    }

    /// Lets pass who may.
    fn advance(&self, state: &mut State) {
        let now = Instant::now();
        while let Some(tokens) = state.queue.first() {
            if !matches!(state.ready(tokens, now, &self.limits), Ready::Now) {
                break;
            }
            state.take(tokens);
            state.queue.grant();
        }
    }

    /// Something was given back: lets pass who may, and tells who is first to look again.
    fn given_back(&self, state: &mut State) {
        self.advance(state);
        state.queue.notify_first();
    }

    fn full(&self) -> ModelError {
        ModelError::Queued {
            detail: format!(
                "{} calls of the models `{}` wait already, at most that many may (queue_max)",
                self.limits.queue_max, self.entry
            ),
        }
    }

    fn slow(&self) -> ModelError {
        ModelError::Queued {
            detail: format!(
                "a call of the models `{}` waited {} s for its turn, at most that long may it (queue_timeout_s)",
                self.entry,
                self.limits.queue_timeout.as_secs()
            ),
        }
    }
}

impl State {
    /// When a call of so many tokens may pass.
    fn ready(&mut self, tokens: u32, now: Instant, limits: &Limits) -> Ready {
        if limits
            .max_concurrency
            .is_some_and(|most| self.in_flight >= most)
        {
            return Ready::WhenOneEnds;
        }
        let requests = self.requests.as_mut().map(|bucket| bucket.wait(1, now));
        let tokens = self.tokens.as_mut().map(|bucket| bucket.wait(tokens, now));
        match requests.into_iter().chain(tokens).max() {
            Some(wait) if !wait.is_zero() => Ready::At(now + wait),
            Some(_) | None => Ready::Now,
        }
    }

    fn take(&mut self, tokens: u32) {
        self.in_flight += 1;
        if let Some(bucket) = &mut self.requests {
            bucket.take(1.0);
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.take(tokens.into());
        }
    }
}

/// What a minute allows. May go below zero: a call larger than the bucket passes when it is full.
#[derive(Debug)]
struct Bucket {
    capacity: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    fn full(per_minute: u32, now: Instant) -> Self {
        let capacity = f64::from(per_minute);
        Self {
            capacity,
            level: capacity,
            at: now,
        }
    }

    /// How long until it holds so much.
    fn wait(&mut self, amount: u32, now: Instant) -> Duration {
        let per_second = self.capacity / 60.0;
        let filled = per_second * now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + filled).min(self.capacity);
        self.at = now;
        let missing = f64::from(amount).min(self.capacity) - self.level;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        // A whole number of milliseconds, rounded up, so that the wait is over when it ends.
        Duration::from_secs_f64((missing / per_second * 1_000.0).ceil() / 1_000.0)
            .max(Duration::from_millis(1))
    }

    /// A negative amount gives back.
    fn take(&mut self, amount: f64) {
        self.level = (self.level - amount).min(self.capacity);
    }
}

/// The right to one call. Dropping it ends the call.
struct Pass {
    gate: Arc<Gate>,
    /// Tokens charged.
    charged: u32,
}

impl Pass {
    /// What the call really used, in place of the estimate.
    fn settle(&mut self, used: u32) {
        if self.charged == used {
            return;
        }
        let mut state = self.gate.state();
        if let Some(bucket) = &mut state.tokens {
            bucket.take(f64::from(used) - f64::from(self.charged));
        }
        self.charged = used;
        self.gate.given_back(&mut state);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        self.gate.given_back(&mut state);
    }
}

/// A place in the queue. Dropping it leaves the queue.
struct Ticket<'a> {
    gate: &'a Arc<Gate>,
    id: u64,
    tokens: u32,
    notify: Arc<Notify>,
    /// The call has passed; nothing is left to give back.
    settled: bool,
}

enum Turn {
    Granted,
    /// Nobody is before this one, which may pass at that time if nothing changes.
    First(Instant),
    Waiting,
}

impl Ticket<'_> {
    fn look(&mut self) -> Turn {
        if self.settled {
            return Turn::Granted;
        }
        let mut state = self.gate.state();
        self.gate.advance(&mut state);
        if state.queue.claim(self.id) {
            self.settled = true;
            state.queue.notify_first();
            return Turn::Granted;
        }
        if !state.queue.is_first(self.id) {
            // Whoever is first may have become so just now.
            state.queue.notify_first();
            return Turn::Waiting;
        }
        match state.ready(self.tokens, Instant::now(), &self.gate.limits) {
            Ready::At(at) => Turn::First(at),
            Ready::Now | Ready::WhenOneEnds => Turn::Waiting,
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut state = self.gate.state();
        if state.queue.claim(self.id) {
            // Its turn had come without its knowing.
            state.in_flight = state.in_flight.saturating_sub(1);
            if let Some(bucket) = &mut state.requests {
                bucket.take(-1.0);
            }
            if let Some(bucket) = &mut state.tokens {
                bucket.take(-f64::from(self.tokens));
            }
        } else {
            state.queue.remove(self.id);
        }
        self.gate.given_back(&mut state);
    }
}

#[cfg(test)]
mod tests;
