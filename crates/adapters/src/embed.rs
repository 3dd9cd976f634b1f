//! Embedding models: texts in, vectors of unit length out.
//!
//! [`Embeddings`] finds the provider of a model, cuts what is asked into batches, retries, and keeps
//! what it has got in a cache by content, so that a text is paid for once. Providers only make one
//! batch of vectors. Nothing is fetched, loaded, opened or connected before a text is to be embedded.
//!
//! Invariant: every vector that leaves here is finite, of unit length, and as long as its
//! [`EmbeddingIdentity`](outcrop_engine::port::EmbeddingIdentity) says.

mod bedrock;
mod cache;
mod estimate;
mod local;
mod openai;
mod provider;
mod registry;
mod retry;

pub use local::{LocalEmbedding, LocalEmbeddingSettings};
pub use registry::{EmbeddingMapping, EmbeddingSettings, Embeddings};
