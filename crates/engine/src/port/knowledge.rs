//! What knowledge bases need from the outside: embeddings, an index, rerankers, the text of files.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_knowledge::chunk::TokenCounter;
use outcrop_knowledge::document::{DocumentLocation, Extracted, Record, RecordFields};
use outcrop_knowledge::filter::Filter;
use outcrop_knowledge::metadata::Metadata;
use outcrop_model::control::StorageConfiguration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ModelError;

/// An embedding model as a knowledge base names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingChoice {
    /// `embeddingModelArn`: an ARN, an id, or the model's name.
    pub model: String,
    /// `dimensions`, where the knowledge base gives them.
    pub dimensions: Option<u32>,
}

/// What made a vector. Vectors of different identities cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddingIdentity {
    /// Provider, model and revision, as `local/all-MiniLM-L6-v2@1`.
    pub model: String,
    /// Length of each vector.
    pub dimensions: u32,
}

/// The model that serves a choice.
#[derive(Clone)]
pub struct EmbeddingModel {
    /// What its vectors are known by.
    pub identity: EmbeddingIdentity,
    /// Most tokens of one text. What a longer text says behind them is not embedded.
    pub tokens_max: usize,
    /// Counts as the model does, or as near as can be known here.
    pub tokens: Arc<dyn TokenCounter>,
}

/// What a text is embedded for; some models tell questions from passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmbeddingPurpose {
    /// To be found.
    Document,
    /// To find.
    Query,
}

/// Embeds texts.
pub trait Embedder: Send + Sync {
    /// The model that serves `choice`. May fetch it, once; contacts no model otherwise.
    ///
    /// # Errors
    /// [`ModelError::Unmapped`] where no provider is configured for it, [`ModelError::Rejected`]
    /// where it cannot make vectors of the length asked for.
    fn model<'a>(
        &'a self,
        choice: &'a EmbeddingChoice,
    ) -> BoxFuture<'a, Result<EmbeddingModel, ModelError>>;

    /// One vector of unit length for each text, in their order. The number of texts is not limited:
    /// the implementation cuts batches, retries and keeps to the provider's limits. Dropping the
    /// future stops the work.
    fn embed<'a>(
        &'a self,
        choice: &'a EmbeddingChoice,
        purpose: EmbeddingPurpose,
        texts: Vec<Arc<str>>,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, ModelError>>;
}

/// One ordering of documents by a reranker model.
#[derive(Clone, Debug, PartialEq)]
pub struct RerankCall {
    /// Its id or ARN.
    pub model: String,
    /// The question.
    pub query: String,
    /// What is to be ordered.
    pub documents: Vec<RerankDocument>,
    /// How many of the best are wanted; `None`: all.
    pub limit: Option<usize>,
    /// `additionalModelRequestFields`.
    pub fields: Option<Value>,
}

/// A document as a reranker reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum RerankDocument {
    /// Plain text.
    Text(String),
    /// A JSON document.
    Json(Value),
}

/// A document's place in the order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Its place in [`RerankCall::documents`], from 0.
    pub index: usize,
    /// 0 to 1; the higher the nearer.
    pub score: f64,
}

/// Orders documents by how well they answer a question.
pub trait Reranker: Send + Sync {
    /// The documents by falling score, each at most once.
    fn rerank(&self, call: RerankCall) -> BoxFuture<'_, Result<Vec<Ranked>, ModelError>>;
}

/// The index of one knowledge base.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexPlace {
    /// Account of the knowledge base.
    pub account_id: String,
    /// Its region.
    pub region: String,
    /// Its id.
    pub knowledge_base_id: String,
    /// What it is stored in; `None`: wherever the server likes.
    pub storage: Option<Arc<StorageConfiguration>>,
}

/// A document in an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentKey {
    /// The data source it came through.
    pub data_source_id: String,
    /// Where it is.
    pub location: DocumentLocation,
}

/// A piece of a document, ready to be found.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedChunk {
    /// Unique within the knowledge base, and the same whenever the same document is cut the same way.
    pub id: String,
    /// What is searched and, unless there is a parent, returned.
    pub text: Arc<str>,
    /// Of unit length.
    pub vector: Vec<f32>,
    /// What is returned in its place (hierarchical chunks).
    pub parent: Option<Arc<ParentChunk>>,
    /// All that filters see and results show, the service's own attributes included, but for the id
    /// of the chunk.
    pub metadata: Arc<Metadata>,
}

/// What several chunks were cut from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentChunk {
    /// Unique within the knowledge base.
    pub id: String,
    /// Its text.
    pub text: Arc<str>,
}

/// One search.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// By what.
    pub by: SearchBy,
    /// Which documents may be found; `None`: all.
    pub filter: Option<Filter>,
    /// Most chunks.
    pub limit: usize,
}

/// What chunks are compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchBy {
    /// A vector of unit length: the score is the cosine.
    Vector(Vec<f32>),
    /// Words: the score is BM25's, above 0 and of no fixed scale. Chunks with none of the words are
    /// not found.
    Text(String),
}

/// A chunk that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its document.
    pub document: DocumentKey,
    /// [`IndexedChunk::id`].
    pub chunk_id: String,
    /// [`IndexedChunk::text`].
    pub text: Arc<str>,
    /// [`IndexedChunk::parent`].
    pub parent: Option<Arc<ParentChunk>>,
    /// [`IndexedChunk::metadata`].
    pub metadata: Arc<Metadata>,
    /// The higher the nearer; see [`SearchBy`].
    pub score: f64,
}

/// Keeps chunks and finds them.
///
/// Writes to one knowledge base are made in the order in which they are asked for; a search begun
/// after a write has returned sees it. What has returned survives the death of the process.
pub trait ChunkIndex: Send + Sync {
    /// Whether what is kept at `place` can be reached by others than this server, as the table of a
    /// database can. Then it has a use after its knowledge base is gone, and `dataDeletionPolicy` RETAIN
    /// keeps it; what nobody could reach any more is taken out. Told by the kind of engine: asks no store.
    ///
    /// As it stands here it is for an engine whose data is of use to this server alone.
    fn is_reached_by_others(&self, _place: &IndexPlace) -> bool {
        false
    }

    /// Whether this index can search by text (`HYBRID`).
    fn searches_text<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<bool, IndexError>>;

    /// What made the vectors that are there; `None` where there are none yet.
    fn identity<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>>;

    /// Gives a document these chunks in place of all it had, in one step. No chunks: as
    /// [`ChunkIndex::remove`].
    ///
    /// # Errors
    /// [`IndexError::Identity`] where the index holds vectors of another identity.
    fn put<'a>(
        &'a self,
        place: &'a IndexPlace,
        identity: &'a EmbeddingIdentity,
        document: &'a DocumentKey,
        chunks: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>>;

    /// Takes documents out. One that is not there is fine.
    fn remove<'a>(
        &'a self,
        place: &'a IndexPlace,
        documents: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>>;

    /// Takes out all documents of a data source.
    fn remove_source<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>>;

    /// Takes out all there is, and forgets the identity. What is not Outcrop's own, such as the table
    /// of a database, stays, empty of this knowledge base.
    fn remove_all<'a>(&'a self, place: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>>;

    /// The documents of a data source in order, those behind `after`, at most `limit`.
    fn documents<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
        after: Option<&'a DocumentLocation>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>>;

    /// The nearest chunks by falling score, equal scores by chunk id. An index that does not exist
    /// yet is empty.
    fn search<'a>(
        &'a self,
        place: &'a IndexPlace,
        search: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>>;
}

/// Why an index did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The vectors that are there cannot be compared with these.
    #[error(
        "the index holds vectors of {} with {} dimensions, not of {} with {}",
        holds.model, holds.dimensions, wanted.model, wanted.dimensions
    )]
    Identity {
        /// What made those that are there.
        holds: Box<EmbeddingIdentity>,
        /// What made these.
        wanted: Box<EmbeddingIdentity>,
    },
    /// What is asked for is not served for this storage.
    #[error("{0}")]
    Unsupported(String),
    /// The store refuses the request, and would again.
    #[error("the vector store refuses the request: {0}")]
    Rejected(String),
    /// The store does not answer, or cannot now; worth another try.
    #[error("the vector store cannot be used: {0}")]
    Unavailable(String),
}

/// A file whose text is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtractCall {
    /// Its name; the ending tells its format.
    pub name: String,
    /// Its MIME type, where whoever gave it told one.
    pub mime_type: Option<String>,
    /// Its bytes.
    pub content: Bytes,
    /// `recordBasedStructureMetadata` of a CSV file: each row is a chunk of its own.
    pub records: Option<RecordFields>,
}

/// The text of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Extraction {
    /// A document.
    Document(Extracted),
    /// The rows of a CSV file.
    Records(Vec<Record>),
}

/// Why a file has no text. The texts are told to clients, as the reason why a document failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ExtractError {
    /// The format is not read.
    #[error("{0}")]
    Unsupported(String),
    /// It is not what its format says.
    #[error("{0}")]
    Malformed(String),
    /// It needs more memory, time or room than a document may.
    #[error("{0}")]
    TooLarge(String),
    /// This server cannot extract now; worth another try.
    #[error("the text could not be extracted: {0}")]
    Failed(String),
}

/// Reads the text of files, hostile ones included, in bounded time and memory.
pub trait Extractor: Send + Sync {
    /// The text of one file. Dropping the future ends the work.
    fn extract(&self, call: ExtractCall) -> BoxFuture<'_, Result<Extraction, ExtractError>>;
}

/// A server that has nothing of what knowledge bases need.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKnowledge;

const NOTHING: &str = "this server has no knowledge bases";

impl Embedder for NoKnowledge {
    fn model<'a>(
        &'a self,
        choice: &'a EmbeddingChoice,
    ) -> BoxFuture<'a, Result<EmbeddingModel, ModelError>> {
        Box::pin(std::future::ready(Err(unmapped(&choice.model))))
    }

    fn embed<'a>(
        &'a self,
        choice: &'a EmbeddingChoice,
        _purpose: EmbeddingPurpose,
        _texts: Vec<Arc<str>>,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, ModelError>> {
        Box::pin(std::future::ready(Err(unmapped(&choice.model))))
    }
}

impl Reranker for NoKnowledge {
    fn rerank(&self, call: RerankCall) -> BoxFuture<'_, Result<Vec<Ranked>, ModelError>> {
        Box::pin(std::future::ready(Err(unmapped(&call.model))))
    }
}

impl Extractor for NoKnowledge {
    fn extract(&self, _call: ExtractCall) -> BoxFuture<'_, Result<Extraction, ExtractError>> {
        Box::pin(std::future::ready(Err(ExtractError::Failed(
            NOTHING.to_owned(),
        ))))
    }
}

impl ChunkIndex for NoKnowledge {
    fn searches_text<'a>(
        &'a self,
        _place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<bool, IndexError>> {
        nothing()
    }

    fn identity<'a>(
        &'a self,
        _place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>> {
        nothing()
    }

    fn put<'a>(
        &'a self,
        _place: &'a IndexPlace,
        _identity: &'a EmbeddingIdentity,
        _document: &'a DocumentKey,
        _chunks: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        nothing()
    }

    fn remove<'a>(
        &'a self,
        _place: &'a IndexPlace,
        _documents: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        nothing()
    }

    fn remove_source<'a>(
        &'a self,
        _place: &'a IndexPlace,
        _data_source_id: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove_all<'a>(&'a self, _place: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn documents<'a>(
        &'a self,
        _place: &'a IndexPlace,
        _data_source_id: &'a str,
        _after: Option<&'a DocumentLocation>,
        _limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn search<'a>(
        &'a self,
        _place: &'a IndexPlace,
        _search: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>> {
        nothing()
    }
}

fn nothing<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, IndexError>> {
    Box::pin(std::future::ready(Err(IndexError::Unsupported(
        NOTHING.to_owned(),
    ))))
}

fn unmapped(model: &str) -> ModelError {
    ModelError::Unmapped {
        model: model.to_owned(),
        hint: NOTHING.to_owned(),
    }
}
