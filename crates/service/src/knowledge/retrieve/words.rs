//! A search by words alone. AWS cannot be asked for one; it shows what each half of a hybrid search
//! is worth.

use outcrop_engine::port::{Search, SearchBy};
use outcrop_knowledge::filter::Limits;
use outcrop_model::exception::Exception;
use outcrop_model::runtime::{KnowledgeBaseRetrievalResult, RetrievalFilter};
use serde::Deserialize;

use super::found;
use super::search::index_failure;
use super::{Found, implicit, load};
use crate::ports::Ports;

/// Most results, as of every search.
const RESULTS_MAX: usize = 100;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WordSearch {
    /// The words.
    pub text: String,
    /// Most results, 1 to 100.
    pub number_of_results: usize,
    /// Which documents may be found.
    #[serde(default)]
    pub filter: Option<RetrievalFilter>,
}

/// The chunks of a knowledge base, named by its id, with most of the words.
///
/// # Errors
/// As [`super::retrieve`], and `ValidationException` where its index has no words.
pub(crate) async fn by_words(
    ports: &Ports,
    place: (&str, &str),
    named: &str,
    asked: WordSearch,
) -> Result<Vec<KnowledgeBaseRetrievalResult>, Exception> {
    let base = load(ports, place, named).await?;
    let filter = asked.filter.as_ref();
    let filter = filter.map(|filter| implicit::checked(filter, Limits::RELAXED));
    let filter = filter.transpose()?;
    let search = Search {
        by: SearchBy::Text(asked.text),
        filter,
        limit: asked.number_of_results.clamp(1, RESULTS_MAX),
    };
    let hits = ports.knowledge.index.search(&base.place, search).await;
    let found = found::of(hits.map_err(index_failure)?);
    Ok(found.iter().map(Found::result).collect())
}
