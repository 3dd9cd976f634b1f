//! Embedding models of Amazon Bedrock, through `InvokeModel`.
//!
//! Each family has its own bodies, which [`family`] knows; credentials, region and endpoint come as for
//! language models. Titan takes one text a request and so gets several requests at once; Cohere takes
//! ninety-six.

mod family;

use std::sync::Arc;

use aws_smithy_types::Blob;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{EmbeddingIdentity, EmbeddingModel, ModelError};

use self::family::Family;
use super::estimate::Estimate;
use super::provider::{Asked, Batch, BatchLimits, Described, Provider};
use crate::http::Deadline;
use crate::model::bedrock::{Bedrock, Settings};

/// Tokens of a request; a text of Cohere's largest fits.
const TOKENS: usize = 100_000;
/// Requests of one call at once. Quotas are in the hundreds a minute for new accounts, and throttled
/// requests are tried again.
const CONCURRENCY: usize = 8;

/// Amazon Bedrock.
pub(super) struct BedrockEmbeddings {
    bedrock: Bedrock,
}

impl BedrockEmbeddings {
    /// A provider that connects when it is first called.
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            bedrock: Bedrock::new(settings),
        }
    }

    async fn request(&self, batch: &Batch) -> Result<Vec<Vec<f32>>, ModelError> {
        let family = Family::of(&batch.asked.model)?;
        let dimensions = family.dimensions(&batch.asked)?;
        let body = family.body(batch, dimensions)?;
        let deadline = Deadline::start(self.bedrock.timeouts());
        let answer = self
            .bedrock
            .invoke(&batch.asked.model, Blob::new(body), deadline)
            .await?;
        family
            .read(answer.as_ref())
            .map_err(|error| ModelError::Malformed {
                detail: format!("{}: {error}", batch.asked.model),
            })
    }
}

impl Provider for BedrockEmbeddings {
    fn describe<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Described, ModelError>> {
        Box::pin(async move {
            let family = Family::of(&asked.model)?;
            Ok(Described {
                model: EmbeddingModel {
                    identity: EmbeddingIdentity {
                        model: format!("bedrock/{}", family::bare(&asked.model)),
                        dimensions: family.dimensions(asked)?,
                    },
                    tokens_max: family.tokens_max(),
                    tokens: Arc::new(Estimate),
                },
                tells_purposes: family.tells_purposes(),
                batch: BatchLimits {
                    texts: family.texts_max(),
                    tokens: Some(TOKENS),
                    concurrency: CONCURRENCY,
                },
            })
        })
    }

    fn embed(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Vec<f32>>, ModelError>> {
        Box::pin(async move { self.request(&batch).await })
    }
}
