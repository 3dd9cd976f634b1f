//! The bundle of ports the use cases are written over.

use std::sync::Arc;

use outcrop_engine::port::{
    ActionExecutor, Clock, CodeInterpreter, DocumentSource, FunctionPackages, Ids, ModelProvider,
    Retriever,
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
    /// Searches in knowledge bases.
    pub retriever: Arc<dyn Retriever>,
    /// S3 objects.
    pub documents: Arc<dyn DocumentSource>,
    /// The code of uploaded functions, unpacked.
    pub packages: Arc<dyn FunctionPackages>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Identifiers and jitter.
    pub ids: Arc<dyn Ids>,
}
