//! The embeddings protocol of `OpenAI`, spoken by many servers.
//!
//! Vectors are asked for as base64 where `OpenAI` itself answers, which is a quarter of the bytes;
//! other servers do not all know it. Either is read, whatever was asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{EmbeddingIdentity, EmbeddingModel, EmbeddingPurpose, ModelError};
use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::provider::{Asked, Batch, BatchLimits, Described, Provider};
use crate::http;
use crate::model::call::Endpoint;
use crate::model::openai::{self, Dialect};

/// The operation, below the base URL.
pub(super) const PATH: &str = "embeddings";

/// Tokens of a text that `OpenAI`'s models take; servers with models that take less cut by themselves
/// or say so.
const TOKENS_MAX: usize = 8_191;
/// Far below what `OpenAI` takes (2,048 texts, 300,000 tokens), so that a server on a processor answers
/// in time and a retry repeats little.
const BATCH: BatchLimits = BatchLimits {
    texts: 96,
    tokens: Some(24_000),
    concurrency: 4,
};
/// Embedded once to learn how long a model's vectors are.
const PROBE: &str = "length";

/// A server that speaks the protocol.
pub(super) struct OpenAi {
    endpoint: Endpoint,
    encoding: Option<&'static str>,
    /// Lengths that models have been found to have.
    lengths: Mutex<HashMap<String, u32>>,
}

impl OpenAi {
    /// A provider that posts to `endpoint`, the URL of the operation itself.
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let encoding = match openai::dialect(&endpoint.url) {
            Dialect::OpenAi => Some("base64"),
            Dialect::Compatible => None,
        };
        Self {
            endpoint,
            encoding,
            lengths: Mutex::new(HashMap::new()),
        }
    }

    async fn length(&self, asked: &Asked) -> Result<u32, ModelError> {
        if let Some(known) = asked.dimensions.or_else(|| native(&asked.model)) {
            return Ok(known);
        }
        let found = {
            let lengths = self.lengths.lock().unwrap_or_else(PoisonError::into_inner);
            lengths.get(&asked.model).copied()
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let probe = Batch {
            asked: asked.clone(),
            purpose: EmbeddingPurpose::Query,
            texts: vec![Arc::from(PROBE)],
        };
        let vectors = self.post(&probe).await?;
        let length = vectors.first().map_or(0, Vec::len);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let mut lengths = self.lengths.lock().unwrap_or_else(PoisonError::into_inner);
        lengths.insert(asked.model.clone(), length);
        Ok(length)
    }

    async fn post(&self, batch: &Batch) -> Result<Vec<Vec<f32>>, ModelError> {
        let native = native(&batch.asked.model);
        let request = Request {
            model: name(&batch.asked.model),
            input: &batch.texts,
            encoding_format: self.encoding,
            dimensions: batch
                .asked
                .dimensions
                .filter(|asked| Some(*asked) != native),
        };
        let body = serde_json::to_vec(&request).map_err(|error| ModelError::Rejected {
            detail: error.to_string(),
        })?;
        let answer = self.endpoint.post(body).await?;
        read(&answer, batch.texts.len()).map_err(|detail| ModelError::Malformed {
            detail: format!("{}: {detail}", http::host_of(&self.endpoint.url)),
        })
    }
}

/// The server's name of a model that a knowledge base names by an ARN.
fn name(model: &str) -> &str {
    match model.rsplit_once('/') {
        Some((_, name)) if model.starts_with("arn:") => name,
        _ => model,
    }
}

/// Length of the vectors of the models whose length everybody knows.
fn native(model: &str) -> Option<u32> {
    match name(model) {
        "text-embedding-3-small" | "text-embedding-ada-002" => Some(1_536),
        "text-embedding-3-large" => Some(3_072),
        _ => None,
    }
}

impl Provider for OpenAi {
    fn describe<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Described, ModelError>> {
        Box::pin(async move {
            let dimensions = self.length(asked).await?;
            Ok(Described {
                model: EmbeddingModel {
                    identity: EmbeddingIdentity {
                        model: format!("openai/{}", name(&asked.model)),
                        dimensions,
                    },
                    tokens_max: TOKENS_MAX,
                    tokens: Arc::new(Estimate),
                },
                tells_purposes: false,
                batch: BATCH,
            })
        })
    }

    fn embed(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Vec<f32>>, ModelError>> {
        Box::pin(async move { self.post(&batch).await })
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// Some servers leave it out, and answer in order.
    index: Option<usize>,
    embedding: Encoded,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Encoded {
    Numbers(Vec<f32>),
    Base64(String),
}

/// The vectors of an answer, in the order of the texts.
fn read(answer: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, String> {
    let answer: Answer = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    if answer.data.len() != texts {
        return Err(format!("{} vectors for {texts} texts", answer.data.len()));
    }
    let mut vectors = vec![Vec::new(); texts];
    for (place, item) in answer.data.into_iter().enumerate() {
        let index = item.index.unwrap_or(place);
        let slot = vectors
            .get_mut(index)
            .ok_or_else(|| format!("index {index} for {texts} texts"))?;
        if !slot.is_empty() {
            return Err(format!("two vectors for index {index}"));
        }
        *slot = match item.embedding {
            Encoded::Numbers(numbers) => numbers,
            Encoded::Base64(text) => numbers(&text)?,
        };
    }
    Ok(vectors)
}

/// 32-bit floats, little endian.
fn numbers(text: &str) -> Result<Vec<f32>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("a vector of {} bytes", bytes.len()));
    }
    Ok(numbers
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let base64 = STANDARD.encode([1.5_f32, -2.0].map(f32::to_le_bytes).concat());
        for (answer, expected) in [
            (
                r#"{"data": [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}]}"#,
                Ok(vec![vec![1.0, 2.0], vec![3.0, 4.0]]),
            ),
            (
                r#"{"data": [{"embedding": [1]}, {"embedding": [2]}], "usage": null}"#,
                Ok(vec![vec![1.0], vec![2.0]]),
            ),
            (
                &format!(
                    r#"{{"data": [{{"index": 0, "embedding": "{base64}"}}, {{"index": 1, "embedding": [0]}}]}}"#
                ),
                Ok(vec![vec![1.5, -2.0], vec![0.0]]),
            ),
            (
                r#"{"data": [{"index": 0, "embedding": [1]}]}"#,
                Err("1 vectors for 2 texts"),
            ),
            (
                r#"{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}"#,
                Err("two vectors for index 0"),
            ),
            (
                r#"{"data": [{"index": 0, "embedding": [1]}, {"index": 7, "embedding": [1]}]}"#,
                Err("index 7 for 2 texts"),
            ),
            (
                r#"{"data": [{"index": 0, "embedding": "AAA="}, {"index": 1, "embedding": [1]}]}"#,
                Err("a vector of 2 bytes"),
            ),
        ] {
            assert_eq!(
                read(answer.as_bytes(), 2),
                expected.map_err(str::to_owned),
                "{answer}"
            );
        }
        assert!(read(b"{}", 0).is_err());
    }
}
