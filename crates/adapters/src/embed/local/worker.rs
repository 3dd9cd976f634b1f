//! The thread a local embedding model lives on while somebody needs it.
//!
//! Work is cut into slices of a fraction of a second, and between two slices questions overtake
//! documents, so that a search does not wait for an ingestion. Unused for a while, the thread ends and
//! its memory is free again. Invariant: whoever waits is answered, or finds its sender gone.

use std::cell::Cell;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use outcrop_embed::{Engine, Tokens};
use outcrop_engine::port::{EmbeddingPurpose, ModelError};
use tokio::sync::oneshot;
use tracing::info;

use super::files::Files;

/// How long a loaded model waits for work before it is unloaded: longer than a conversation pauses;
/// loading it again takes a third of a second.
const IDLE: Duration = Duration::from_mins(5);

type Outcome = Result<Vec<Vec<f32>>, ModelError>;
type Reply = oneshot::Sender<Outcome>;

/// Texts of one call.
struct Job {
    texts: Vec<Arc<str>>,
    done: Vec<Vec<f32>>,
    reply: Reply,
}

#[derive(Default)]
struct State {
    queries: VecDeque<Job>,
    documents: VecDeque<Job>,
    /// Whether a thread takes work.
    running: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thread loads.
#[derive(Clone)]
pub(super) struct Plan {
    /// The model's files.
    pub(super) files: Arc<Files>,
    /// Its tokenizer.
    pub(super) tokens: Arc<Tokens>,
    /// Threads that compute.
    pub(super) threads: NonZeroUsize,
}

/// The way to the thread.
#[derive(Default)]
pub(super) struct Worker {
    shared: Arc<Shared>,
}

impl Worker {
    /// Queues texts; a thread is started where none runs. Dropping the receiver takes them back.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`]: no thread can be had.
    pub(super) fn submit(
        &self,
        plan: &Plan,
        purpose: EmbeddingPurpose,
        texts: Vec<Arc<str>>,
    ) -> Result<oneshot::Receiver<Outcome>, ModelError> {
        let (reply, receiver) = oneshot::channel();
        let job = Job {
            done: Vec::with_capacity(texts.len()),
            texts,
            reply,
        };
        let mut state = self.shared.lock();
        if !state.running {
            self.start(plan)?;
            state.running = true;
        }
        match purpose {
            EmbeddingPurpose::Query => state.queries.push_back(job),
            EmbeddingPurpose::Document => state.documents.push_back(job),
        }
        drop(state);
        self.shared.wake.notify_one();
        Ok(receiver)
    }

    fn start(&self, plan: &Plan) -> Result<(), ModelError> {
        let running = Running {
            shared: Arc::clone(&self.shared),
            armed: Cell::new(true),
        };
        let plan = plan.clone();
        thread::Builder::new()
            .name("outcrop-embed".to_owned())
            .spawn(move || run(&running, &plan))
            .map(drop)
            .map_err(|error| ModelError::Unavailable {
                detail: format!("the embedding model's thread cannot be started: {error}"),
            })
    }
}

/// However the thread ends, nobody waits for it any more.
struct Running {
    shared: Arc<Shared>,
    /// Not when it has ended in order: another one may be running by now.
    armed: Cell<bool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.armed.get() {
            return;
        }
        let mut state = self.shared.lock();
        state.running = false;
        let left: Vec<Job> = {
            let state = &mut *state;
            state
                .queries
                .drain(..)
                .chain(state.documents.drain(..))
                .collect()
        };
        drop(state);
        drop(left);
    }
}

fn run(running: &Running, plan: &Plan) {
    let started = Instant::now();
    let engine = match Engine::load(&plan.files.model, Arc::clone(&plan.tokens), plan.threads) {
        Ok(engine) => engine,
        Err(detail) => return refuse_all(&running.shared, &unusable(plan, &detail)),
    };
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(
        model = plan.files.identity,
        elapsed_ms, "local embedding model loaded"
    );
    while let Some((purpose, job)) = next(running) {
        advance(&running.shared, &engine, plan, purpose, job);
    }
    info!(
        model = plan.files.identity,
        "local embedding model unloaded"
    );
}

fn unusable(plan: &Plan, detail: &str) -> ModelError {
    ModelError::Unavailable {
        detail: format!("{}: {detail}", plan.files.model.weights.display()),
    }
}

fn refuse_all(shared: &Shared, error: &ModelError) {
    let mut state = shared.lock();
    let state = &mut *state;
    for job in state.queries.drain(..).chain(state.documents.drain(..)) {
        // A caller that has gone needs no answer.
        let _ = job.reply.send(Err(error.clone()));
    }
}

/// The next call that somebody still waits for; `None` after a long time without any.
fn next(running: &Running) -> Option<(EmbeddingPurpose, Job)> {
    let mut state = running.shared.lock();
    loop {
        while let Some(found) = state.pop() {
            if !found.1.reply.is_closed() {
                return Some(found);
            }
        }
        let (woken, waited) = running
            .shared
            .wake
            .wait_timeout(state, IDLE)
            .unwrap_or_else(PoisonError::into_inner);
        state = woken;
        if waited.timed_out() && state.queries.is_empty() && state.documents.is_empty() {
            // Under the same lock, so that no call can be queued for a thread that has left.
            state.running = false;
            running.armed.set(false);
            return None;
        }
    }
}

impl State {
    fn pop(&mut self) -> Option<(EmbeddingPurpose, Job)> {
        let query = self.queries.pop_front();
        match query {
            Some(job) => Some((EmbeddingPurpose::Query, job)),
            None => Some((EmbeddingPurpose::Document, self.documents.pop_front()?)),
        }
    }
}

/// Does one slice of a call, and puts the rest back to the front.
fn advance(shared: &Shared, engine: &Engine, plan: &Plan, purpose: EmbeddingPurpose, mut job: Job) {
    let slice = slice(job.texts.get(job.done.len()..), engine.slice_bytes());
    match engine.embed(slice) {
        Ok(vectors) => job.done.extend(vectors),
        Err(detail) => {
            let _ = job.reply.send(Err(unusable(plan, &detail)));
            return;
        }
    }
    if job.done.len() >= job.texts.len() {
        let _ = job.reply.send(Ok(job.done));
        return;
    }
    let mut state = shared.lock();
    match purpose {
        EmbeddingPurpose::Query => state.queries.push_front(job),
        EmbeddingPurpose::Document => state.documents.push_front(job),
    }
}

/// The first texts with `bytes` together, at least one.
fn slice(texts: Option<&[Arc<str>]>, bytes: usize) -> &[Arc<str>] {
    let texts = texts.unwrap_or_default();
    let mut length = 0;
    let count = texts
        .iter()
        .take_while(|text| {
            let fits = length < bytes;
            length += text.len();
            fits
        })
        .count();
    texts.get(..count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_have_at_least_one_text() {
        let texts: Vec<Arc<str>> = ["aaaa", "bb", "c", "dddddddd"].map(Arc::from).to_vec();
        let taken = |bytes| slice(Some(&texts), bytes).len();
        assert_eq!(
            [taken(1), taken(5), taken(6), taken(7), taken(99)],
            [1, 2, 2, 3, 4]
        );
        assert_eq!(slice(None, 5).len(), 0);
    }
}
