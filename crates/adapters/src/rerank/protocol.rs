//! Rerankers behind HTTP: the protocol of Cohere and its likes, and that of Text Embeddings Inference.

use outcrop_engine::port::{ModelError, Ranked, RerankCall};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{malformed, text_of};
use crate::model::call::Endpoint;

/// The operation, below the base URL.
pub(super) const PATH: &str = "rerank";

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Cohere,
    Tei,
}

/// A server that reranks.
pub(super) struct Server {
    endpoint: Endpoint,
    protocol: Protocol,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Results { results: Vec<Place> },
    Places(Vec<Place>),
}

#[derive(Deserialize)]
struct Place {
    index: usize,
    #[serde(alias = "score")]
    relevance_score: f64,
}

impl Server {
    pub(super) fn new(endpoint: Endpoint, protocol: Protocol) -> Self {
        Self { endpoint, protocol }
    }

    pub(super) async fn rerank(&self, call: RerankCall) -> Result<Vec<Ranked>, ModelError> {
        let body = body(self.protocol, &call)?;
        let answer = self.endpoint.post(body.to_string().into_bytes()).await?;
        read(&answer, &call.model)
    }
}

/// A request; the caller's own fields lie over ours.
pub(super) fn body(protocol: Protocol, call: &RerankCall) -> Result<Value, ModelError> {
    let texts: Vec<String> = call.documents.iter().map(text_of).collect();
    let mut body = match protocol {
        Protocol::Cohere => {
            let mut body = json!({"model": call.model, "query": call.query, "documents": texts});
            if let Some(limit) = call.limit {
                body["top_n"] = json!(limit);
            }
            body
        }
        Protocol::Tei => json!({"query": call.query, "texts": texts, "truncate": true}),
    };
    lay_over(&mut body, call)?;
    Ok(body)
}

/// Adds `additionalModelRequestFields`.
pub(super) fn lay_over(body: &mut Value, call: &RerankCall) -> Result<(), ModelError> {
    let fields = match &call.fields {
        None => &Map::new(),
        Some(Value::Object(fields)) => fields,
        Some(_) => {
            return Err(ModelError::Rejected {
                detail: "additionalModelRequestFields of a reranker must be an object".to_owned(),
            });
        }
    };
    for (name, value) in fields {
        body[name] = value.clone();
    }
    Ok(())
}

/// Reads either form of answer.
pub(super) fn read(answer: &[u8], model: &str) -> Result<Vec<Ranked>, ModelError> {
    let answer: Answer = serde_json::from_slice(answer).map_err(|error| malformed(model, error))?;
    let (Answer::Results { results: places } | Answer::Places(places)) = answer;
    Ok(places
        .into_iter()
        .map(|place| Ranked {
            index: place.index,
            score: place.relevance_score,
        })
        .collect())
}
