//! Retrieval: from a question to the chunks that answer it (behaviour.md 9.6 to 9.8).
//!
//! `Retrieve`, `RetrieveAndGenerate` and the turns of agents all come through [`retrieve`]. The order
//! of its steps: a model makes a filter of the question, where one is to; the index is searched by
//! vector, and by words too where it can; chunks with the same parent become that parent; a reranker
//! orders what is left. Invariant: every result has passed the whole filter, the given and the
//! generated one.

mod api;
mod ask;
mod base;
mod found;
mod implicit;
mod page;
mod rerank;
mod search;
mod turn;
mod words;

use outcrop_engine::orchestration::Failure;
use outcrop_engine::port::ModelError;
use outcrop_model::exception::Exception;

use super::Base;
use crate::ports::Ports;
pub(super) use api::{action_of, refuse_user};
pub(crate) use ask::Ask;
pub(super) use base::load;
pub(crate) use found::Found;
pub(crate) use turn::for_turn;
pub use words::WordSearch;
pub(crate) use words::by_words;

/// The chunks of a knowledge base that answer a question best, the best first.
///
/// # Errors
/// `ValidationException` for what cannot be asked of this knowledge base, and whatever the models and
/// the index fail with.
pub(crate) async fn retrieve(
    ports: &Ports,
    base: &Base,
    query: &str,
    ask: &Ask,
) -> Result<Vec<Found>, Exception> {
    if query.trim().is_empty() {
        let message = "The query is empty. Give a text to search for and retry your request.";
        return Err(Exception::validation(message));
    }
    let filter = implicit::combined(ports, ask, query).await?;
    let hits = search::search(ports, base, query, ask, filter).await?;
    let mut found = found::of(hits);
    if let Some(reranking) = &ask.reranking {
        found = rerank::reranked(ports, query, found, reranking).await?;
    }
    found.truncate(ask.results());
    Ok(found)
}

/// A model that searching needs and that failed; `what` it is, `embedding model` or the like.
fn model_failure(what: &str, model: &str, error: &ModelError) -> Exception {
    let failure = Failure::model(error, model);
    Exception::new(
        failure.kind,
        format!("The {what} {model} could not be used. Cause: {error}"),
    )
    .with_resource_name(model)
}
