//! What else a knowledge base is made of: an embedding model, a reranker, an extractor and buckets, each of
//! which does the same with everything.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use outcrop_engine::port::{
    DocumentSource, Embedder, EmbeddingChoice, EmbeddingIdentity, EmbeddingModel, EmbeddingPurpose,
    ExtractCall, ExtractError, Extraction, Extractor, ModelError, Ranked, RerankCall, Reranker,
    SourceError,
};
use outcrop_knowledge::document::Extracted;

use crate::words::Words;

/// What the vectors of [`Embeddings`] are known by.
pub(crate) fn identity() -> EmbeddingIdentity {
    EmbeddingIdentity {
        model: "test/double@1".to_owned(),
        dimensions: 2,
    }
}

/// Every text has the same vector.
pub(crate) struct Embeddings;

impl Embedder for Embeddings {
    fn model<'a>(
        &'a self,
        _: &'a EmbeddingChoice,
    ) -> BoxFuture<'a, Result<EmbeddingModel, ModelError>> {
        async {
            Ok(EmbeddingModel {
                identity: identity(),
                tokens_max: 512,
                tokens: Arc::new(Words),
            })
        }
        .boxed()
    }

    fn embed<'a>(
        &'a self,
        _: &'a EmbeddingChoice,
        _: EmbeddingPurpose,
        texts: Vec<Arc<str>>,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, ModelError>> {
        async move { Ok(texts.iter().map(|_| vec![1.0, 0.0]).collect()) }.boxed()
    }
}

/// The last is the best.
#[derive(Default)]
pub(crate) struct Backwards(pub(crate) Mutex<Vec<RerankCall>>);

impl Reranker for Backwards {
    fn rerank(&self, call: RerankCall) -> BoxFuture<'_, Result<Vec<Ranked>, ModelError>> {
        if call.model.contains("unknown") {
            let error = ModelError::Unmapped {
                model: call.model,
                hint: "add a [[rerankers]] entry".to_owned(),
            };
            return async move { Err(error) }.boxed();
        }
        let count = call.documents.len();
        let limit = call.limit.unwrap_or(count);
        self.0.lock().expect("unpoisoned").push(call);
        let ranked = (0..count).rev().take(limit).map(|index| Ranked {
            index,
            score: f64::from(u32::try_from(index).expect("few")) / 100.0,
        });
        let ranked = ranked.collect();
        async move { Ok(ranked) }.boxed()
    }
}

/// Every file is its text.
pub(crate) struct Plain;

impl Extractor for Plain {
    fn extract(&self, call: ExtractCall) -> BoxFuture<'_, Result<Extraction, ExtractError>> {
        let text = String::from_utf8(call.content.to_vec());
        async move {
            let text = text.map_err(|_| ExtractError::Malformed("it is no text".to_owned()))?;
            Ok(Extraction::Document(Extracted::plain(text)))
        }
        .boxed()
    }
}

/// Buckets whose every object is `s3://BUCKET/KEY is what this says.`, but for those of the bucket `none`.
pub(crate) struct Buckets;

impl DocumentSource for Buckets {
    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        _: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        async move {
            if bucket == "none" {
                return Err(SourceError::NotFound {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                    detail: "no such bucket".to_owned(),
                });
            }
            Ok(Bytes::from(format!(
                "s3://{bucket}/{key} is what this says."
            )))
        }
        .boxed()
    }
}
