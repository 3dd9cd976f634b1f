//! The workers of one function: who runs a call, and when workers begin.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use outcrop_engine::port::{ActionCall, ActionError, ActionReply};
use tokio::sync::{OnceCell, Semaphore, oneshot};
use tracing::{debug, warn};
use uuid::Uuid;

use super::backoff::Backoff;
use super::code::CodeFolder;
use super::exchange::Invocation;
use super::fault::Fault;
use super::launch::Launch;
use super::roster::{Member as _, Roster};
use super::start::{Cause, StartFailure};
use super::worker::{Outcome, Worker};
use super::{LocalFunction, Shared};
use crate::action::client_context;
use crate::action::name::FunctionName;

/// How many invocations may wait for a worker: with four workers at 30 seconds each, a longer queue
/// could not be served before its callers give up.
const MAX_WAITING: usize = 256;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    function: Arc<LocalFunction>,
    name: FunctionName,
    code: OnceCell<Arc<CodeFolder>>,
    state: Mutex<State>,
    admission: Semaphore,
    slots: Semaphore,
}

#[derive(Debug)]
struct State {
    roster: Roster<Worker, StartFailure>,
    backoff: Backoff<StartFailure>,
}

impl Pool {
    pub(super) fn new(
        shared: Arc<Shared>,
        function: Arc<LocalFunction>,
        name: FunctionName,
    ) -> Self {
        let workers = function.max_workers.get();
        Self {
            shared,
            name,
            code: OnceCell::new(),
            state: Mutex::new(State {
                roster: Roster::new(),
                backoff: Backoff::new(),
            }),
            admission: Semaphore::new(
                workers
                    .saturating_add(MAX_WAITING)
                    .min(Semaphore::MAX_PERMITS),
            ),
            slots: Semaphore::new(workers.min(Semaphore::MAX_PERMITS)),
            function,
        }
    }

    /// Runs one invocation on an idle worker, else on the first that becomes free or has started.
    pub(super) async fn invoke(
        self: &Arc<Self>,
        call: ActionCall,
    ) -> Result<ActionReply, ActionError> {
        let failed = |detail: String| ActionError::Failed {
            function: call.function.clone(),
            detail,
        };
        let _admitted = self.admission.try_acquire().map_err(|_| {
            failed(format!(
                "{MAX_WAITING} invocations are waiting for its workers already"
            ))
        })?;
        // Every worker is free again, or replaced, when its invocation has used up its time.
        let _slot = tokio::time::timeout(self.function.timeout, self.slots.acquire())
            .await
            .map_err(|_| {
                failed(format!(
                    "all {} workers were busy for {} s; raise its `max_workers`",
                    self.function.max_workers,
                    self.function.timeout.as_secs_f64()
                ))
            })?;
        let request_id = request_id(&call);
        loop {
            let worker = match self.worker().await {
                Ok(worker) => worker,
                Err(StartFailure::Setup(detail)) => return Err(failed(detail)),
                Err(StartFailure::Died { cause, log_tail }) => {
                    let payload = cause.payload(&request_id);
                    return Ok(reply(payload, Some(Fault::KIND), log_tail, &request_id));
                }
            };
            if let Some(reply) = self.run(worker, &call, &request_id).await {
                return Ok(reply);
            }
        }
    }

    /// Lets the workers go that have been idle for longer than `ttl`; whether any is left.
    pub(super) fn expire(&self, ttl: Duration) -> bool {
        self.state().roster.expire(ttl)
    }

    /// Lets every idle worker go.
    pub(super) fn clear(&self) {
        self.state().roster.clear();
    }

    /// Looks whether idle workers run old code. If they do, one with the new code is started in their
    /// place, so that the next call need not wait for it.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let Some(code) = self.code.get() else { return };
        let current = code.settled().await;
        let mut state = self.state();
        if state.roster.drop_outdated(current) > 0 && !state.roster.has_spare() {
            debug!(function = self.name.name, "the code has changed");
            self.start(&mut state);
        }
    }

    /// A worker with the code as it is now.
    async fn worker(self: &Arc<Self>) -> Result<Worker, StartFailure> {
        let generation = self.code().await?.settled().await;
        let ticket = {
            let mut state = self.state();
            if let Some(worker) = state.roster.take_idle(generation) {
                return Ok(worker);
            }
            let ticket = Ticket {
                hand: state.roster.wait(generation),
                pool: self,
            };
            self.fill(&mut state, generation);
            ticket
        };
        ticket.taken().await
    }

    /// Starts as many workers as there are calls for whom none is on the way, or tells them why not.
    fn fill(self: &Arc<Self>, state: &mut State, generation: u64) {
        while !self.shared.closed.is_cancelled() && state.roster.lacks_start() {
            match state.backoff.refusal(Instant::now(), generation) {
                Some(refusal) => state.roster.refuse(StartFailure::held(refusal)),
                None => self.start(state),
            }
        }
    }

    /// Starts a worker in the background: whoever waits for it may go away, or be served by another.
    fn start(self: &Arc<Self>, state: &mut State) {
        state.roster.begin_start();
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            let closed = pool.shared.closed.clone();
            tokio::select! {
                biased;
                // Whoever waits has been told.
                () = closed.cancelled() => {}
                () = pool.start_one() => {}
            }
        });
    }

    async fn start_one(self: &Arc<Self>) {
        let code = match self.code().await {
            Ok(code) => code,
            Err(failure) => {
                let mut state = self.state();
                state.roster.end_start();
                return state.roster.refuse(failure);
            }
        };
        let generation = code.settled().await;
        let started = self.started(generation).await;
        // A start that failed while somebody was editing says nothing about what the edit made.
        let current = match &started {
            Ok(_) => code.generation(),
            Err(_) => code.settled().await,
        };
        let mut state = self.state();
        state.roster.end_start();
        match started {
            Ok(worker) => self.place(&mut state, worker),
            Err(_) if current != generation => {}
            Err(failure) => {
                if let StartFailure::Died { cause, log_tail } = &failure {
                    let (function, log) = (&self.name.name, log_tail.as_deref());
                    warn!(function, ?cause, log, "a worker did not start");
                    let failure = failure.clone();
                    state.backoff.failed(Instant::now(), generation, failure);
                }
                state.roster.refuse(failure);
            }
        }
        self.fill(&mut state, current);
    }

    /// Starts a worker and waits until it asks for work.
    async fn started(&self, generation: u64) -> Result<Worker, StartFailure> {
        let shared = &self.shared;
        let launch = Launch::of(shared, &self.function, &self.name).await;
        let launch = launch.map_err(StartFailure::Setup)?;
        let begun = Instant::now();
        let worker = Worker::start(&self.name.name, &launch, generation, shared)
            .await
            .map_err(StartFailure::Setup)?;
        worker.ready(shared.settings.start_limit).await?;
        debug!(
            function = self.name.name,
            code = %launch.code.display(),
            elapsed_ms = begun.elapsed().as_millis(),
            "a worker is ready"
        );
        Ok(worker)
    }

    /// One invocation on one worker; `None` when the worker was gone before it had the event.
    async fn run(
        self: &Arc<Self>,
        mut worker: Worker,
        call: &ActionCall,
        request_id: &str,
    ) -> Option<ActionReply> {
        let fresh = worker.is_fresh();
        let prepare = || self.invocation(call, request_id);
        let outcome = worker
            .invoke(request_id, self.function.timeout, prepare)
            .await;
        let log_tail = worker.log_tail();
        Some(match outcome {
            Outcome::Returned(payload) => {
                self.put_back(worker);
                reply(payload, None, log_tail, request_id)
            }
            Outcome::Raised(error) => {
                self.put_back(worker);
                reply(error, Some(Fault::KIND), log_tail, request_id)
            }
            Outcome::Broken(error) => reply(error, Some(Fault::KIND), log_tail, request_id),
            Outcome::Exited(status) => {
                let cause = Cause::Exited(status);
                let payload = cause.payload(request_id);
                if fresh {
                    let log_tail = log_tail.clone();
                    let failure = StartFailure::Died { cause, log_tail };
                    let mut state = self.state();
                    let now = Instant::now();
                    state.backoff.failed(now, worker.generation(), failure);
                }
                reply(payload, Some(Fault::KIND), log_tail, request_id)
            }
            Outcome::Unfetched => return None,
        })
    }

    fn invocation(&self, call: &ActionCall, request_id: &str) -> Invocation {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let deadline = now.saturating_add(self.function.timeout);
        let trace = Uuid::new_v4().simple().to_string();
        let (root, parent) = trace.split_at(24);
        Invocation {
            request_id: request_id.to_owned(),
            function_arn: self.name.arn(),
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            trace_id: format!(
                "Root=1-{:08x}-{root};Parent={parent}{parent};Sampled=0",
                now.as_secs()
            ),
            client_context: client_context(call.client_context.as_deref(), &call.idempotency_key),
            event: call.event.clone(),
        }
    }

    /// The folder of the code, watched from the first call on.
    async fn code(&self) -> Result<&Arc<CodeFolder>, StartFailure> {
        let watched = self.code.get_or_try_init(|| async {
            let root = self.function.folder().await?;
            let watch = &self.shared.code;
            if self.function.reload {
                let written = self.function.written().await;
                Ok(watch.folder(&root, written).await)
            } else {
                Ok(watch.fixed(&root))
            }
        });
        watched.await.map_err(StartFailure::Setup)
    }

    /// A worker has answered and may go on.
    fn put_back(&self, worker: Worker) {
        let mut state = self.state();
        state.backoff.lived();
        self.place(&mut state, worker);
    }

    fn place(&self, state: &mut State, worker: Worker) {
        // Under the lock that closing takes too: no worker slips in behind it.
        if !self.shared.closed.is_cancelled() {
            let current = self.code.get().map_or(0, |code| code.generation());
            state.roster.hand(worker, current);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in line. A worker that is handed to a caller who has just gone away goes back.
struct Ticket<'a> {
    hand: oneshot::Receiver<Result<Worker, StartFailure>>,
    pool: &'a Pool,
}

impl Ticket<'_> {
    async fn taken(mut self) -> Result<Worker, StartFailure> {
        let handed = (&mut self.hand).await;
        handed.unwrap_or_else(|_| Err(StartFailure::Setup("its workers are gone".to_owned())))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.hand.close();
        if let Ok(Ok(worker)) = self.hand.try_recv() {
            let mut state = self.pool.state();
            self.pool.place(&mut state, worker);
        }
    }
}

fn reply(
    payload: Bytes,
    function_error: Option<&str>,
    log_tail: Option<String>,
    request_id: &str,
) -> ActionReply {
    ActionReply {
        payload,
        function_error: function_error.map(str::to_owned),
        log_tail,
        request_id: Some(request_id.to_owned()),
    }
}

/// The caller's id where it fits the protocol's path, else a fresh one.
fn request_id(call: &ActionCall) -> String {
    Uuid::parse_str(&call.request_id)
        .unwrap_or_else(|_| Uuid::new_v4())
        .to_string()
}
