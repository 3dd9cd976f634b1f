//! What was found, in a reranker's order. Its scores take the place of the search's
//! (behaviour.md 9.6).

use outcrop_engine::port::{RerankCall, RerankDocument};
use outcrop_model::exception::Exception;
use serde_json::{Map, Value};

use super::ask::{Reranking, Shown};
use super::{Found, model_failure};
use crate::ports::Ports;

/// The member of a reranked document that holds the chunk's text; the others are its attributes.
const TEXT: &str = "text";

/// Puts `found` in the reranker's order.
pub(super) async fn reranked(
    ports: &Ports,
    query: &str,
    found: Vec<Found>,
    reranking: &Reranking,
) -> Result<Vec<Found>, Exception> {
    if found.is_empty() {
        return Ok(found);
    }
    let call = RerankCall {
        model: reranking.model.clone(),
        query: query.to_owned(),
        documents: found
            .iter()
            .map(|one| document(one, &reranking.metadata))
            .collect(),
        limit: reranking.results,
        fields: reranking.fields.clone(),
    };
    let ranked = ports.knowledge.reranker.rerank(call).await;
    let ranked = ranked.map_err(|error| model_failure("reranker", &reranking.model, &error))?;
    let mut found: Vec<Option<Found>> = found.into_iter().map(Some).collect();
    Ok(ranked
        .into_iter()
        .filter_map(|place| {
            let mut one = found.get_mut(place.index)?.take()?;
            one.score = place.score;
            Some(one)
        })
        .collect())
}

fn document(found: &Found, shown: &Shown) -> RerankDocument {
    let mut attributes: Map<String, Value> = found
        .metadata
        .iter()
        .filter(|(name, _)| shown.has(name))
        .filter_map(|(name, value)| Some((name.clone(), serde_json::to_value(value).ok()?)))
        .collect();
    if attributes.is_empty() {
        return RerankDocument::Text(found.text.to_string());
    }
    attributes.insert(TEXT.to_owned(), Value::String(found.text.to_string()));
    RerankDocument::Json(Value::Object(attributes))
}
