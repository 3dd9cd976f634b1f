//! Searching one knowledge base's index.

use std::collections::BTreeMap;
use std::sync::Arc;

use outcrop_engine::port::{Hit, ParentChunk, Search, SearchBy};
use outcrop_knowledge::filter::Filter;

use super::{Base, Failure, State};
use crate::attributes::Attributes;
use crate::text::Text;
use crate::truth::Truth;

/// The most chunks that one search returns. The API's limit is 100; reranking and fusion ask for more.
const RESULTS_MAX: usize = 2_000;
/// Candidates whose exact cosine is computed, for each result, and at least: with 4 the codes' error
/// costs no recall that could be measured (ADR 0018).
const CANDIDATES_PER_RESULT: usize = 4;
const CANDIDATES_MIN: usize = 48;
/// Results asked for beyond the limit, so that equal scores can be put in order.
const TIES: usize = 16;
/// How often a search begins again because the attributes were given back between two of its steps.
const TRIES: usize = 8;

impl Base {
    /// The nearest chunks.
    pub(crate) fn search(&self, search: &Search) -> Result<Vec<Hit>, Failure> {
        let limit = search.limit.min(RESULTS_MAX);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let filter = search.filter.as_ref();
        match &search.by {
            SearchBy::Vector(vector) => self.by_vector(vector, filter, limit),
            SearchBy::Text(text) => self.by_text(text, filter, limit),
        }
    }

    fn by_vector(
        &self,
        vector: &[f32],
        filter: Option<&Filter>,
        limit: usize,
    ) -> Result<Vec<Hit>, Failure> {
        let wanted = (limit * CANDIDATES_PER_RESULT).max(CANDIDATES_MIN);
        self.with_reader(|truth| {
            for _ in 0..TRIES {
                if filter.is_some() {
                    self.load_attributes(truth)?;
                }
                let state = self.read()?;
                fits(&state, vector)?;
                let Some(allowed) = state.allowed(filter) else {
                    continue;
                };
                let chunks = state.nearest(vector, &allowed, wanted)?;
                truth.enter()?;
                drop(allowed);
                drop(state);
                let result = truth
                    .cosines(vector, &chunks)
                    .and_then(|scores| hits(truth, scores, limit));
                truth.leave()?;
                return result;
            }
            Err(Failure::Broken)
        })
    }

    fn by_text(
        &self,
        text: &str,
        filter: Option<&Filter>,
        limit: usize,
    ) -> Result<Vec<Hit>, Failure> {
        self.with_reader(|truth| {
            for _ in 0..TRIES {
                if filter.is_some() {
                    self.load_attributes(truth)?;
                }
                // No write can come between the three views that are taken under this lock.
                let mut open = self.text(truth)?;
                let Some(index) = open.as_mut().map(Text::now).transpose()? else {
                    continue;
                };
                let state = self.read()?;
                let allowed = match (filter, state.allowed(filter)) {
                    (_, None) => continue,
                    (None, Some(_)) => None,
                    (Some(_), Some(allowed)) => Some(Arc::new(allowed.into_owned())),
                };
                truth.enter()?;
                drop(state);
                drop(open);
                let result = index
                    .search(text, limit + TIES, allowed)
                    .and_then(|found| hits(truth, found, limit));
                truth.leave()?;
                return result;
            }
            Err(Failure::Broken)
        })
    }

    /// Reads all attributes, where no filter has asked for them yet.
    fn load_attributes(&self, truth: &Truth) -> Result<(), Failure> {
        if self.read()?.attributes.is_some() {
            return Ok(());
        }
        // Under the lock, since a write would otherwise be missed. It happens once.
        let mut state = self.write()?;
        if state.attributes.is_none() {
            let mut attributes = Attributes::default();
            truth.each_metadata(|chunk, metadata| attributes.add(chunk, metadata))?;
            state.attributes = Some(attributes);
        }
        Ok(())
    }
}

/// Whether a question's vector can be compared with those of the index.
fn fits(state: &State, vector: &[f32]) -> Result<(), Failure> {
    match state.dimensions() {
        Some(dimensions) if dimensions != vector.len() => Err(Failure::Rejected(format!(
            "the question's vector has {} dimensions, those in the index have {dimensions}",
            vector.len(),
        ))),
        _ => Ok(()),
    }
}

/// The best of some chunks with all that a search returns: by falling score, equal ones by name.
fn hits(truth: &Truth, mut scores: Vec<(u32, f64)>, limit: usize) -> Result<Vec<Hit>, Failure> {
    scores.sort_unstable_by(|(one, one_score), (other, other_score)| {
        other_score.total_cmp(one_score).then(one.cmp(other))
    });
    // All that are as good as the last one are looked at, since their names decide.
    let last = scores
        .get(limit - 1)
        .map_or(f64::NEG_INFINITY, |(_, score)| *score);
    let mut parents: BTreeMap<i64, Arc<ParentChunk>> = BTreeMap::new();
    let mut hits = Vec::with_capacity(limit);
    for (chunk, score) in scores {
        if hits.len() >= limit && score < last {
            break;
        }
        let Some(row) = truth.row(chunk)? else {
            continue;
        };
        hits.push(Hit {
            document: row.document,
            chunk_id: row.name,
            text: row.text,
            parent: row
                .parent
                .map(|(number, parent)| Arc::clone(parents.entry(number).or_insert(parent))),
            metadata: row.metadata,
            score,
        });
    }
    hits.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then_with(|| one.chunk_id.cmp(&other.chunk_id))
    });
    hits.truncate(limit);
    Ok(hits)
}
