//! The bundle of ports the use cases are written over.

use std::sync::Arc;

use outcrop_engine::port::{
    ActionExecutor, ChunkIndex, Clock, CodeInterpreter, Crawler, DocumentSource, Embedder,
    Extractor, FunctionPackages, Ids, ModelProvider, NoKnowledge, Reranker, Retriever,
};
use outcrop_store::Store;

/// Everything outside.
#[derive(Clone)]
pub struct Ports {
    /// Documents, journals, jobs.
    pub store: Arc<dyn Store>,
    /// Foundation models.
    pub models: Arc<dyn ModelProvider>,
    /// Action-group functions.
    pub actions: Arc<dyn ActionExecutor>,
    /// Python that models write.
    pub code: Arc<dyn CodeInterpreter>,
    /// What turns search knowledge bases with, in place of the service's own retrieval over
    /// [`Ports::knowledge`].
    pub retriever: Option<Arc<dyn Retriever>>,
    /// What knowledge bases are made of.
    pub knowledge: KnowledgePorts,
    /// S3 objects.
    pub documents: Arc<dyn DocumentSource>,
    /// The code of uploaded functions, unpacked.
    pub packages: Arc<dyn FunctionPackages>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Identifiers and jitter.
    pub ids: Arc<dyn Ids>,
}

/// What knowledge bases are made of.
#[derive(Clone)]
pub struct KnowledgePorts {
    /// Vectors of texts.
    pub embedder: Arc<dyn Embedder>,
    /// Orders what was found.
    pub reranker: Arc<dyn Reranker>,
    /// Keeps and finds chunks.
    pub index: Arc<dyn ChunkIndex>,
    /// The text of files.
    pub extractor: Arc<dyn Extractor>,
    /// Fetches pages of the web; `None` where this server does not.
    pub crawler: Option<Arc<dyn Crawler>>,
}

impl KnowledgePorts {
    /// For a server without knowledge bases: whatever needs one of these says so.
    pub fn none() -> Self {
        Self {
            embedder: Arc::new(NoKnowledge),
            reranker: Arc::new(NoKnowledge),
            index: Arc::new(NoKnowledge),
            extractor: Arc::new(NoKnowledge),
            crawler: None,
        }
    }
}
