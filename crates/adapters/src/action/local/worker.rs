//! A warm worker: a process, the Runtime API listener it talks to, and what it prints.
//!
//! A worker handles one invocation at a time and is used again as long as it behaves: returning and
//! raising are behaviour, a timeout, an exit and an over-long reply are not. Dropping a worker, also
//! in the middle of an invocation, ends its process group.

use std::io;
use std::net::Ipv4Addr;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::exchange::{Answer, Exchange, Invocation, Progress};
use super::fault::Fault;
use super::launch::Launch;
use super::log::LogCapture;
use super::process::Process;
use super::runtime_api;

/// The exit status by which the bootstrap says that the interpreter has no `awslambdaric`.
const NO_RUNTIME_CLIENT: i32 = 78;

/// How long a worker may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// To import the handler.
    pub(super) start: Duration,
    /// To answer one invocation.
    pub(super) invocation: Duration,
}

/// What became of an invocation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The handler returned; the worker can be used again.
    Returned(Bytes),
    /// The handler raised; the worker can be used again.
    Raised(Bytes),
    /// The worker has to go.
    Broken(Bytes),
    /// An idle worker had ended before it fetched the event: another may be tried.
    Unfetched,
    /// The interpreter cannot import `awslambdaric`.
    NoRuntimeClient,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Worker {
    exchange: Arc<Exchange>,
    log: Arc<LogCapture>,
    process: Process,
    tasks: [AbortHandle; 2],
    warm: bool,
}

impl Worker {
    /// Starts the process, known as `function` in the log; does not wait for it to import the handler.
    pub(super) async fn start(
        function: &str,
        launch: &Launch,
        tracker: &TaskTracker,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (log, output) = LogCapture::new(function)?;
        let process = Process::start(launch, listener.local_addr()?, output, tracker)?;
        let exchange = Arc::new(Exchange::new());
        let log = Arc::new(log);
        let server = tokio::spawn(runtime_api::serve(listener, Arc::clone(&exchange)));
        let pump = tokio::spawn({
            let log = Arc::clone(&log);
            async move { log.pump().await }
        });
        Ok(Self {
            exchange,
            log,
            process,
            tasks: [server.abort_handle(), pump.abort_handle()],
            warm: false,
        })
    }

    /// Whether the process has not ended.
    pub(super) fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    /// The last 4 KB of what the current or latest invocation printed.
    pub(super) fn log_tail(&self) -> Option<String> {
        self.log.tail()
    }

    /// Runs one invocation. `prepare` makes it when the worker is ready to take it, since only then
    /// does the handler's time begin.
    pub(super) async fn invoke(
        &mut self,
        request_id: &str,
        limits: Limits,
        prepare: impl FnOnce() -> Invocation,
    ) -> Outcome {
        let warm = std::mem::replace(&mut self.warm, true);
        if warm {
            self.log.reset();
        } else if let Some(outcome) = self.wait_for_start(request_id, limits.start).await {
            return outcome;
        }
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
                if warm && self.exchange.withdraw() {
                    return Outcome::Unfetched;
                }
                Outcome::Broken(Fault::exited(request_id, status).payload)
            }
            () = tokio::time::sleep(limits.invocation) => {
                Outcome::Broken(Fault::timed_out(request_id, limits.invocation).payload)
            }
        }
    }

    async fn wait_for_start(&self, request_id: &str, limit: Duration) -> Option<Outcome> {
        tokio::select! {
            biased;
            progress = self.exchange.started() => match progress {
                Progress::Failed(error) => Some(Outcome::Broken(error)),
                Progress::Starting | Progress::Ready => None,
            },
            status = self.process.ended() => Some(ended_at_start(request_id, status)),
            () = tokio::time::sleep(limit) => {
                Some(Outcome::Broken(Fault::timed_out(request_id, limit).payload))
            }
        }
    }
}

fn ended_at_start(request_id: &str, status: ExitStatus) -> Outcome {
    if status.code() == Some(NO_RUNTIME_CLIENT) {
        Outcome::NoRuntimeClient
    } else {
        Outcome::Broken(Fault::exited(request_id, status).payload)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
