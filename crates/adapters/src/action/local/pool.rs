//! The workers of one function.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use outcrop_engine::port::{ActionCall, ActionError, ActionReply};
use tokio::sync::Semaphore;
use tracing::debug;
use uuid::Uuid;

use super::exchange::Invocation;
use super::fault::Fault;
use super::launch::Launch;
use super::worker::{Limits, Outcome, Worker};
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
    /// The most recently used last, so that the surplus of a busy time stays idle and expires.
    idle: Mutex<Vec<(Worker, Instant)>>,
    admission: Semaphore,
    slots: Semaphore,
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
            idle: Mutex::default(),
            admission: Semaphore::new(
                workers
                    .saturating_add(MAX_WAITING)
                    .min(Semaphore::MAX_PERMITS),
            ),
            slots: Semaphore::new(workers.min(Semaphore::MAX_PERMITS)),
            function,
        }
    }

    /// Runs one invocation on an idle worker, else on a new one, else on the first to become free.
    pub(super) async fn invoke(&self, call: ActionCall) -> Result<ActionReply, ActionError> {
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
        while let Some(worker) = self.take_idle() {
            if let Some(reply) = self.run(worker, &call).await? {
                return Ok(reply);
            }
        }
        let worker = self.start().await.map_err(failed)?;
        self.run(worker, &call)
            .await?
            .ok_or_else(|| failed("its new worker vanished".to_owned()))
    }

    /// Drops the workers that have been idle for longer than `ttl`; whether any is left.
    pub(super) fn expire(&self, ttl: Duration) -> bool {
        let mut idle = self.idle();
        idle.retain(|(worker, since)| worker.is_alive() && since.elapsed() < ttl);
        !idle.is_empty()
    }

    /// Drops every idle worker.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    /// One invocation on one worker; `None` when the worker was gone before it had the event.
    async fn run(
        &self,
        mut worker: Worker,
        call: &ActionCall,
    ) -> Result<Option<ActionReply>, ActionError> {
        let request_id = request_id(call);
        let limits = Limits {
            start: self.shared.settings.start_limit,
            invocation: self.function.timeout,
        };
        let prepare = || self.invocation(call, &request_id);
        let outcome = worker.invoke(&request_id, limits, prepare).await;
        let log_tail = worker.log_tail();
        let reply = |payload: Bytes, function_error: Option<&str>| ActionReply {
            payload,
            function_error: function_error.map(str::to_owned),
            log_tail: log_tail.clone(),
        };
        Ok(match outcome {
            Outcome::Returned(payload) => {
                self.put_back(worker);
                Some(reply(payload, None))
            }
            Outcome::Raised(error) => {
                self.put_back(worker);
                Some(reply(error, Some(Fault::KIND)))
            }
            Outcome::Broken(error) => Some(reply(error, Some(Fault::KIND))),
            Outcome::Unfetched => None,
            Outcome::NoRuntimeClient => {
                let log = log_tail.unwrap_or_default();
                return Err(ActionError::Failed {
                    function: call.function.clone(),
                    detail: format!(
                        "the python environment of {} has no awslambdaric; install it there with \
                         `python -m pip install awslambdaric`:\n{log}",
                        self.function.code.display()
                    ),
                });
            }
        })
    }

    async fn start(&self) -> Result<Worker, String> {
        let shared = &self.shared;
        let launch = Launch::of(shared, &self.function, &self.name).await?;
        debug!(
            function = self.name.name,
            code = %launch.code.display(),
            "starting a worker"
        );
        Worker::start(&self.name.name, &launch, &shared.processes)
            .await
            .map_err(|error| format!("{} cannot be started: {error}", launch.program.display()))
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
            client_context: client_context(&call.idempotency_key),
            event: call.event.clone(),
        }
    }

    fn take_idle(&self) -> Option<Worker> {
        let mut idle = self.idle();
        while let Some((worker, _)) = idle.pop() {
            if worker.is_alive() {
                return Some(worker);
            }
        }
        None
    }

    fn put_back(&self, worker: Worker) {
        let mut idle = self.idle();
        // Under the lock that closing takes too: no worker slips in behind it.
        if !self.shared.closed.is_cancelled() {
            idle.push((worker, Instant::now()));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Worker, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller's id where it fits the protocol's path, else a fresh one.
fn request_id(call: &ActionCall) -> String {
    Uuid::parse_str(&call.request_id)
        .unwrap_or_else(|_| Uuid::new_v4())
        .to_string()
}
