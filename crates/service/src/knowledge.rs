//! Knowledge bases at work: documents go in, chunks come out (behaviour.md 9).
//!
//! What a knowledge base *is* stands in [`crate::control`]. Here is what it does. Where things are:
//! the Store holds which documents each data source has, with the hashes of what was indexed; the
//! [`ChunkIndex`](outcrop_engine::port::ChunkIndex) holds their chunks. Invariant: the index is
//! written before the Store, and both writes can be repeated, so that work cut short is done again
//! to the same end.

mod generate;
pub(crate) mod ingest;
mod model;
mod rerank;
pub(crate) mod retrieve;

use std::sync::Arc;

use outcrop_engine::port::{EmbeddingChoice, IndexPlace};
use outcrop_model::control::{EmbeddingDataType, KnowledgeBase};
use outcrop_model::exception::Exception;

/// A knowledge base of type `VECTOR`, as far as its documents are concerned.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    /// Its index.
    pub(crate) place: IndexPlace,
    /// Its embedding model.
    pub(crate) embedding: EmbeddingChoice,
}

impl Base {
    /// What a stored knowledge base amounts to.
    ///
    /// # Errors
    /// `ValidationException` where it is of another type than `VECTOR`, or its vectors are binary.
    pub(crate) fn of(
        account_id: &str,
        region: &str,
        body: &KnowledgeBase,
    ) -> Result<Self, Exception> {
        let configuration = &body.knowledge_base_configuration;
        let Some(vector) = &configuration.vector_knowledge_base_configuration else {
            return Err(Exception::validation(format!(
                "knowledge base {} is of type {}, which is not supported by Outcrop: only VECTOR is",
                body.knowledge_base_id, configuration.type_
            )));
        };
        let given = vector
            .embedding_model_configuration
            .as_ref()
            .and_then(|given| given.bedrock_embedding_model_configuration.as_ref());
        if given.and_then(|given| given.embedding_data_type.as_ref())
            == Some(&EmbeddingDataType::Binary)
        {
            return Err(Exception::validation(format!(
                "knowledge base {} has the embeddingDataType BINARY, which is not supported by Outcrop: \
                 only FLOAT32 is",
                body.knowledge_base_id
            )));
        }
        let dimensions = given
            .and_then(|given| given.dimensions)
            .and_then(|dimensions| u32::try_from(dimensions).ok());
        Ok(Self {
            place: IndexPlace {
                account_id: account_id.to_owned(),
                region: region.to_owned(),
                knowledge_base_id: body.knowledge_base_id.clone(),
                storage: body.storage_configuration.clone().map(Arc::new),
            },
            embedding: EmbeddingChoice {
                model: vector.embedding_model_arn.clone(),
                dimensions,
            },
        })
    }
}
