//! A warm worker: a process, the Runtime API listener it talks to, and what it prints.
//!
//! A worker handles one invocation at a time and is used again as long as it behaves: returning and
//! raising are behaviour, a timeout, an exit and an over-long reply are not. Dropping a worker, also
//! in the middle of an invocation, ends its process group.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;

use super::Shared;
use super::exchange::{Answer, Exchange, Invocation, Progress};
use super::fault::Fault;
use super::launch::Launch;
use super::log::LogCapture;
use super::process::Process;
use super::roster::Member;
use super::runtime_api;
use super::start::{Cause, StartFailure};

/// The exit status by which the bootstrap says that the interpreter has no `awslambdaric`.
const NO_RUNTIME_CLIENT: i32 = 78;

/// What became of an invocation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The handler returned; the worker can be used again.
    Returned(Bytes),
    /// The handler raised; the worker can be used again.
    Raised(Bytes),
    /// The worker has to go.
    Broken(Bytes),
    /// The worker has ended.
    Exited(ExitStatus),
    /// An idle worker had ended before it fetched the event: another may be tried.
    Unfetched,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Worker {
    exchange: Arc<Exchange>,
    log: Arc<LogCapture>,
    process: Process,
    tasks: [AbortHandle; 2],
    generation: u64,
    memory_bytes: u64,
    fresh: bool,
}

impl Worker {
    /// Starts the process, known as `function` in the log, with the code of `generation`; does not
    /// wait for it to import the handler.
    pub(super) async fn start(
        function: &str,
        launch: &Launch,
        generation: u64,
        shared: &Shared,
    ) -> Result<Self, String> {
        let captured = LogCapture::new(function);
        let (log, output) = captured.map_err(|error| format!("its output: {error}"))?;
        let (process, door) = Process::start(launch, output, shared).await?;
        let exchange = Arc::new(Exchange::new());
        let log = Arc::new(log);
        let server = tokio::spawn(runtime_api::serve(door, Arc::clone(&exchange)));
        let pump = tokio::spawn({
            let log = Arc::clone(&log);
            async move { log.pump().await }
        });
        Ok(Self {
            exchange,
            log,
            process,
            tasks: [server.abort_handle(), pump.abort_handle()],
            generation,
            memory_bytes: launch.memory_bytes,
            fresh: true,
        })
    }

    /// Waits until the handler is imported.
    pub(super) async fn ready(&self, limit: Duration) -> Result<(), StartFailure> {
        let cause = tokio::select! {
            biased;
            progress = self.exchange.started() => match progress {
                Progress::Failed(error) => Cause::Reported(error),
                Progress::Starting | Progress::Ready => return Ok(()),
            },
            status = self.process.ended() => Cause::Exited(status),
            () = tokio::time::sleep(limit) => Cause::TimedOut(limit),
        };
        let log_tail = self.log.tail();
        if let Cause::Exited(status) = &cause
            && status.code() == Some(NO_RUNTIME_CLIENT)
        {
            return Err(StartFailure::Setup(format!(
                "its python environment cannot import awslambdaric; install it there with `python -m pip \
                 install awslambdaric`:\n{}",
                log_tail.unwrap_or_default()
            )));
        }
        Err(StartFailure::Died { cause, log_tail })
    }

    /// Whether it has not served an invocation yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The last 4 KB of what the current or latest invocation printed.
    pub(super) fn log_tail(&self) -> Option<String> {
        self.log.tail()
    }

    /// Runs one invocation, which may take `limit`. Made by `prepare` at the last moment, since with
    /// it the handler's time begins.
    pub(super) async fn invoke(
        &mut self,
        request_id: &str,
        limit: Duration,
        prepare: impl FnOnce() -> Invocation,
    ) -> Outcome {
        let fresh = std::mem::replace(&mut self.fresh, false);
        // What was printed at start belongs to the first invocation.
        self.log.begin(request_id, fresh);
        let answered = self.exchange.submit(prepare());
        // In this order: an answer counts even if the process ended right after giving it.
        tokio::select! {
            biased;
            Ok(answer) = answered => match answer {
                Answer::Returned(payload) => Outcome::Returned(payload),
                Answer::Raised(error) => Outcome::Raised(error),
                Answer::TooLarge => Outcome::Broken(Fault::reply_too_large().payload),
            },
            status = self.process.ended() => {
                if !fresh && self.exchange.withdraw() {
                    Outcome::Unfetched
                } else {
                    Outcome::Exited(status)
                }
            }
            () = tokio::time::sleep(limit) => {
                Outcome::Broken(Fault::timed_out(request_id, limit).payload)
            }
            used = self.process.exceeds(self.memory_bytes) => {
                let fault = Fault::out_of_memory(request_id, used, self.memory_bytes);
                Outcome::Broken(fault.payload)
            }
        }
    }
}

impl Member for Worker {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn is_alive(&self) -> bool {
        self.process.is_alive()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
