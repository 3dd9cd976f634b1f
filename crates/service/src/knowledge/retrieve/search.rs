//! The searches themselves: by vector, and by words where that is asked for or possible.

use std::sync::Arc;

use futures_util::future::try_join;
use outcrop_engine::port::{EmbeddingPurpose, Hit, IndexError, ModelError, Search, SearchBy};
use outcrop_knowledge::filter::Filter;
use outcrop_knowledge::rank::{Ranking, fuse};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::runtime::SearchType;

use super::{Ask, model_failure};
use crate::knowledge::Base;
use crate::ports::Ports;

/// The candidates of a search, the best first.
pub(super) async fn search(
    ports: &Ports,
    base: &Base,
    query: &str,
    ask: &Ask,
    filter: Option<Filter>,
) -> Result<Vec<Hit>, Exception> {
    if !by_words_too(ports, base, ask.search_type).await? {
        return by_vector(ports, base, query, filter, ask.candidates()).await;
    }
    let words = Search {
        by: SearchBy::Text(query.to_owned()),
        filter: filter.clone(),
        limit: ask.half(),
    };
    let words = async {
        let found = ports.knowledge.index.search(&base.place, words).await;
        found.map_err(index_failure)
    };
    let near = by_vector(ports, base, query, filter, ask.half());
    let (near, worded) = try_join(near, words).await?;
    let mut hits = fused([near, worded]);
    hits.truncate(ask.candidates());
    Ok(hits)
}

/// Whether this search is a hybrid one.
async fn by_words_too(
    ports: &Ports,
    base: &Base,
    asked: Option<SearchType>,
) -> Result<bool, Exception> {
    if asked == Some(SearchType::Semantic) {
        return Ok(false);
    }
    let searches_text = ports.knowledge.index.searches_text(&base.place).await;
    let searches_text = searches_text.map_err(index_failure)?;
    if asked.is_some() && !searches_text {
        return Err(Exception::validation(format!(
            "HYBRID search type is not supported for search operation on index {}. Retry your request with a different search type.",
            base.place.knowledge_base_id
        )));
    }
    Ok(searches_text)
}

async fn by_vector(
    ports: &Ports,
    base: &Base,
    query: &str,
    filter: Option<Filter>,
    limit: usize,
) -> Result<Vec<Hit>, Exception> {
    let (embedder, index) = (&ports.knowledge.embedder, &ports.knowledge.index);
    let failure =
        |error: ModelError| model_failure("embedding model", &base.embedding.model, &error);
    let model = embedder.model(&base.embedding).await.map_err(failure)?;
    let holds = index.identity(&base.place).await.map_err(index_failure)?;
    if let Some(holds) = holds
        && holds != model.identity
    {
        return Err(index_failure(IndexError::Identity {
            holds: Box::new(holds),
            wanted: Box::new(model.identity),
        }));
    }
    let texts = vec![Arc::from(query)];
    let vectors = embedder.embed(&base.embedding, EmbeddingPurpose::Query, texts);
    let vector = vectors.await.map_err(failure)?.pop().ok_or_else(|| {
        failure(ModelError::Malformed {
            detail: "it gave no vector for a text".to_owned(),
        })
    })?;
    let search = Search {
        by: SearchBy::Vector(vector),
        filter,
        limit,
    };
    index
        .search(&base.place, search)
        .await
        .map_err(index_failure)
}

/// Several lists as one, by reciprocal rank; the score is up to 1, that of what leads every list.
fn fused(lists: impl IntoIterator<Item = Vec<Hit>>) -> Vec<Hit> {
    let rankings = lists.into_iter().map(Ranking::new).collect();
    fuse(rankings, |hit: &Hit| hit.chunk_id.clone())
        .into_iter()
        .map(|(mut hit, score)| {
            hit.score = score;
            hit
        })
        .collect()
}

/// AWS's sentence, and the cause (errors.md, `Retrieve`).
pub(super) fn index_failure(error: IndexError) -> Exception {
    let kind = match &error {
        IndexError::Identity { .. } | IndexError::Unsupported(_) | IndexError::Rejected(_) => {
            ExceptionKind::Validation
        }
        IndexError::Unavailable(_) => ExceptionKind::DependencyFailed,
    };
    let advice = match &error {
        IndexError::Identity { .. } => {
            ". Ingest the knowledge base anew, or configure the embedding model that it was ingested with"
        }
        _ => "",
    };
    Exception::new(
        kind,
        format!(
            "The vector database encountered an error while processing the request: {error}{advice}"
        ),
    )
    .with_source(error)
}
