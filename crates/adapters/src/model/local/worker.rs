//! The thread the model lives on: it loads the weights once and answers one request at a time.
//!
//! Inference occupies its cores for seconds, which no task of the async runtime may do. Invariant:
//! the thread ends only when nobody can send to it any more or loading failed; in the latter case
//! every waiting request hears why and the next one starts a new thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use outcrop_engine::port::ModelError;
use outcrop_model::converse::ConverseStreamOutput;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info};

use super::planner;
use super::read::Work;
use super::speak::speak;
use super::{LocalSettings, weights};
use crate::model::emitter::Emitter;
use outcrop_llm::LlmError;
use outcrop_llm::{CancelFlag, Llm, Weights};

/// Requests that may wait for the model. Each takes about a second, so the last of a full queue
/// still begins within a client's patience; a longer queue would only time out more slowly.
const QUEUE_LIMIT: usize = 16;

/// What the thread is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Fetching or loading; the text says what.
    Preparing(String),
    /// Answering.
    Ready,
}

/// One request for the thread.
pub(super) struct Job {
    /// What to answer.
    pub(super) work: Work,
    /// The id of the tool call that may come of it.
    pub(super) call_id: String,
    /// Told once the model has decided, before any event.
    pub(super) accepted: oneshot::Sender<Result<(), ModelError>>,
    /// The events. Unbounded because an answer is: its tokens are limited.
    pub(super) events: mpsc::UnboundedSender<Result<ConverseStreamOutput, ModelError>>,
    /// Set when nobody reads any more.
    pub(super) cancel: CancelFlag,
}

/// The way to a running thread.
#[derive(Clone)]
pub(super) struct Worker {
    jobs: mpsc::Sender<Box<Job>>,
    /// What it is doing.
    pub(super) phase: watch::Receiver<Phase>,
}

impl Worker {
    /// Starts the thread, which begins by loading.
    pub(super) fn start(settings: Arc<LocalSettings>) -> Result<Self, ModelError> {
        let (jobs, waiting) = mpsc::channel(QUEUE_LIMIT);
        let (phase, watched) = watch::channel(Phase::Preparing("loading the weights".to_owned()));
        thread::Builder::new()
            .name("outcrop-model".to_owned())
            .spawn(move || run(&settings, waiting, &phase))
            .map_err(|error| ModelError::Unavailable {
                detail: format!("the local model's thread cannot be started: {error}"),
            })?;
        Ok(Self {
            jobs,
            phase: watched,
        })
    }

    /// Whether the thread still takes requests.
    pub(super) fn is_alive(&self) -> bool {
        !self.jobs.is_closed()
    }

    /// Queues a request.
    pub(super) fn send(&self, job: Box<Job>) -> Result<(), ModelError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ModelError::Throttled {
                detail: format!("{QUEUE_LIMIT} requests are waiting for the local model"),
                retry_after_ms: Some(1000),
            },
            mpsc::error::TrySendError::Closed(_) => ModelError::Unavailable {
                detail: "the local model has just failed to load".to_owned(),
            },
        })
    }
}

fn run(settings: &LocalSettings, mut jobs: mpsc::Receiver<Box<Job>>, phase: &watch::Sender<Phase>) {
    let mut progress = |line: &str| {
        info!(line, "local model");
        phase.send_replace(Phase::Preparing(line.to_owned()));
    };
    let path = weights::resolve(
        &settings.weights,
        &settings.cache,
        &settings.python,
        &mut progress,
    );
    let path = match path {
        Ok(path) => path,
        Err(error) => {
            return refuse_all(
                jobs,
                &ModelError::Unavailable {
                    detail: error.to_string(),
                },
            );
        }
    };
    if let Err(error) = serve(settings, &path, &mut jobs, phase) {
        refuse_all(
            jobs,
            &ModelError::Unavailable {
                detail: error.to_string(),
            },
        );
    }
}

fn refuse_all(mut jobs: mpsc::Receiver<Box<Job>>, error: &ModelError) {
    jobs.close();
    while let Some(job) = jobs.blocking_recv() {
        // A caller that has gone needs no answer.
        let _ = job.accepted.send(Err(error.clone()));
    }
}

fn serve(
    settings: &LocalSettings,
    path: &Path,
    jobs: &mut mpsc::Receiver<Box<Job>>,
    phase: &watch::Sender<Phase>,
) -> Result<(), LlmError> {
    let weights = Weights::load(path)?;
    let threads = i32::try_from(settings.threads.get()).unwrap_or(1);
    let mut llm = Llm::new(&weights, settings.context_tokens, threads)?;
    info!(path = %path.display(), threads, "local model loaded");
    phase.send_replace(Phase::Ready);
    while let Some(job) = jobs.blocking_recv() {
        if !job.cancel.load(Ordering::Relaxed) {
            answer(&mut llm, *job);
        }
    }
    Ok(())
}

fn answer(llm: &mut Llm<'_>, job: Job) {
    let Job {
        work,
        call_id,
        accepted,
        events,
        cancel,
    } = job;
    llm.begin(cancel);
    let decision = match planner::decide(llm, &work.tools, &work.dialogue, &work.freedom) {
        Ok(decision) => decision,
        Err(error) => {
            // Nobody waits for a cancelled call, so nobody hears this.
            let _ = accepted.send(Err(failure(&error)));
            return;
        }
    };
    if accepted.send(Ok(())).is_err() {
        return;
    }
    let mut emitter = Emitter::default();
    let mut flush = |emitter: &mut Emitter| {
        std::iter::from_fn(|| emitter.pop()).all(|event| events.send(Ok(event)).is_ok())
    };
    if let Err(error) = speak(llm, &work, decision, &call_id, &mut emitter, &mut flush) {
        debug!(%error, "local model stopped");
        // The reader of a cancelled call has gone.
        let _ = events.send(Err(failure(&error)));
    }
}

fn failure(error: &LlmError) -> ModelError {
    match error {
        LlmError::TooLong { .. } => ModelError::Rejected {
            detail: error.to_string(),
        },
        LlmError::Load(_) | LlmError::Decode(_) | LlmError::Cancelled => ModelError::Unavailable {
            detail: error.to_string(),
        },
    }
}
