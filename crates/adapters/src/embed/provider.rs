//! What the registry asks of a provider of embeddings.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{EmbeddingModel, EmbeddingPurpose, ModelError};

/// A model as its provider knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    /// The provider's own name of it.
    pub(super) model: String,
    /// Length of the vectors, where it is said.
    pub(super) dimensions: Option<u32>,
}

/// What a provider knows of a model.
#[derive(Clone)]
pub(super) struct Described {
    /// What the port tells of it.
    pub(super) model: EmbeddingModel,
    /// Whether questions get other vectors than documents with the same text.
    pub(super) tells_purposes: bool,
    /// How texts are put together.
    pub(super) batch: BatchLimits,
}

/// Bounds of one request, and of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchLimits {
    /// Texts of a request.
    pub(super) texts: usize,
    /// Tokens of a request, counted as [`EmbeddingModel::tokens`] does; a single longer text passes.
    /// `None`: they are not counted.
    pub(super) tokens: Option<usize>,
    /// Requests of one call under way at once.
    pub(super) concurrency: usize,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// The model.
    pub(super) asked: Asked,
    /// What for.
    pub(super) purpose: EmbeddingPurpose,
    /// Not empty. Where tokens are counted, none is longer than the model takes.
    pub(super) texts: Vec<Arc<str>>,
}

/// Makes vectors, a batch at a time. Neither cuts batches nor retries.
pub(super) trait Provider: Send + Sync {
    /// What is known of a model.
    fn describe<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Described, ModelError>>;

    /// A vector for each text, in their order, of any length but zero.
    fn embed(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Vec<f32>>, ModelError>>;
}
