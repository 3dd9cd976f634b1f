//! Rerankers: models that order documents by how well they answer a question.
//!
//! Three protocols, and any language model as a judge. Which model goes where is looked up like
//! language models are ([`crate::model::registry`]): globs over ids, the first match wins. A call is
//! made once; whoever searches waits for it, and may search again.
//! Invariant: an answer names each document at most once, by falling score.

mod bedrock;
mod judge;
mod protocol;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    ModelError, ModelProvider, Ranked, RerankCall, RerankDocument, Reranker,
};
use serde_json::Value;

use crate::glob::NameGlob;
use crate::http::LazyClient;
use crate::model::registry::{
    ModelMapping, RegistryError, bedrock_settings, matcher, names, openai_endpoint, pattern_of,
};
use bedrock::BedrockRerankers;
use judge::Judge;
use protocol::{Protocol, Server};

/// What serves the models of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RerankerKind {
    /// `POST …/rerank` as Cohere has it (`/v1` and `/v2`): also Jina, vLLM, Infinity, `LiteLLM`.
    Cohere,
    /// `POST …/rerank` of Hugging Face's Text Embeddings Inference.
    Tei,
    /// `InvokeModel` of Amazon Bedrock: Amazon Rerank and Cohere Rerank.
    Bedrock,
    /// A language model of `[[models]]`, which is asked for marks.
    Judge,
}

/// One mapping from reranker models to what serves them.
#[derive(Clone, Debug, PartialEq)]
pub struct RerankerMapping {
    /// What serves them.
    pub kind: RerankerKind,
    /// Which models, and how they are reached. The provider it names is of no account.
    pub upstream: ModelMapping,
}

/// The rerankers of all mappings.
pub struct Rerankers {
    routes: Vec<Route>,
}

struct Route {
    matcher: NameGlob,
    upstream_model: Option<String>,
    provider: Provider,
}

enum Provider {
    Server(Server),
    Bedrock(BedrockRerankers),
    Judge(Judge),
}

impl Rerankers {
    /// Makes the providers of all mappings; none is contacted. `models` are asked where a language
    /// model judges.
    ///
    /// # Errors
    /// The first mapping that cannot work.
    pub fn new(
        mappings: &[RerankerMapping],
        models: &Arc<dyn ModelProvider>,
    ) -> Result<Self, RegistryError> {
        let routes = mappings.iter().map(|mapping| route(mapping, models));
        Ok(Self {
            routes: routes.collect::<Result<_, _>>()?,
        })
    }

    async fn ask(&self, mut call: RerankCall) -> Result<Vec<Ranked>, ModelError> {
        let names = names(&call.model);
        let [_, _, bare] = names;
        let route = self
            .routes
            .iter()
            .find(|route| names.iter().any(|name| route.matcher.is_match(name)))
            .ok_or_else(|| ModelError::Unmapped {
                model: call.model.clone(),
                hint: format!(
                    "add a [[rerankers]] entry with match = \"{}\" to the configuration",
                    pattern_of(bare)
                ),
            })?;
        call.model = route
            .upstream_model
            .clone()
            .unwrap_or_else(|| bare.to_owned());
        let (sent, limit) = (call.documents.len(), call.limit);
        let ranked = match &route.provider {
            Provider::Server(server) => server.rerank(call).await,
            Provider::Bedrock(bedrock) => bedrock.rerank(call).await,
            Provider::Judge(judge) => judge.rerank(call).await,
        }?;
        Ok(ordered(ranked, sent, limit))
    }
}

fn route(
    mapping: &RerankerMapping,
    models: &Arc<dyn ModelProvider>,
) -> Result<Route, RegistryError> {
    let upstream = &mapping.upstream;
    let server = |protocol: Protocol| {
        let client = LazyClient::new(upstream.timeouts.connect);
        let endpoint = openai_endpoint(upstream, protocol::PATH, client)?;
        Ok::<_, RegistryError>(Provider::Server(Server::new(endpoint, protocol)))
    };
    let provider = match mapping.kind {
        RerankerKind::Cohere => server(Protocol::Cohere)?,
        RerankerKind::Tei => server(Protocol::Tei)?,
        RerankerKind::Bedrock => {
            Provider::Bedrock(BedrockRerankers::new(bedrock_settings(upstream)?))
        }
        RerankerKind::Judge => Provider::Judge(Judge::new(Arc::clone(models))),
    };
    Ok(Route {
        matcher: matcher(&upstream.pattern)?,
        upstream_model: upstream.upstream_model.clone(),
        provider,
    })
}

/// Keeps what the call can mean: documents that were sent, each once, the best first.
fn ordered(mut ranked: Vec<Ranked>, sent: usize, limit: Option<usize>) -> Vec<Ranked> {
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
    let mut seen = vec![false; sent];
    ranked.retain(|place| match seen.get_mut(place.index) {
        Some(seen) => !std::mem::replace(seen, true),
        None => false,
    });
    ranked.truncate(limit.unwrap_or(sent));
    ranked
}

impl Reranker for Rerankers {
    fn rerank(&self, call: RerankCall) -> BoxFuture<'_, Result<Vec<Ranked>, ModelError>> {
        Box::pin(async move {
            if call.documents.is_empty() {
                return Ok(Vec::new());
            }
            self.ask(call).await
        })
    }
}

/// A document as one text: of a JSON object its members, one a line, as rerankers like them best.
fn text_of(document: &RerankDocument) -> String {
    match document {
        RerankDocument::Text(text) => text.clone(),
        RerankDocument::Json(Value::Object(members)) => {
            let lines = members.iter().map(|(name, value)| match value {
                Value::String(text) => format!("{name}: {text}"),
                other => format!("{name}: {other}"),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        RerankDocument::Json(other) => other.to_string(),
    }
}

fn malformed(model: &str, detail: impl std::fmt::Display) -> ModelError {
    ModelError::Malformed {
        detail: format!("reranker {model}: {detail}"),
    }
}
