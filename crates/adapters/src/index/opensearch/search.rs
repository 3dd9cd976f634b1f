//! Reads: searches, and what the index holds.
//!
//! While a document is replaced, its old chunks and the new ones are there together for a moment. A
//! search that finds both asks which version is whole, and asks again without the other; if it was the
//! old one, that must still be whole afterwards, or all of it begins anew.
//!
//! Invariant: an answer has chunks of one version of a document only.

use std::collections::{BTreeMap, BTreeSet};

use outcrop_engine::port::{EmbeddingIdentity, Hit, IndexError, Search, SearchBy};
use outcrop_knowledge::document::DocumentLocation;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::key;
use super::body::Version;
use super::client::Body;
use super::foreign::Fields;
use super::target::Target;
use super::{IDS, Inner, body};

/// Most results of one search, OpenSearch's own bound.
const RESULTS_MAX: usize = 10_000;
/// Words of a question: OpenSearch takes 1,024 clauses, and a word may become several.
const WORDS_MAX: usize = 256;
/// Most results that are looked at for those of others' documents that a filter matches: OpenSearch
/// finds a few too many, and their vectors come with them.
const LOOKED_MAX: usize = 1_000;
/// How many more results are asked for where too many of them did not match.
const LOOKED_FACTOR: usize = 4;
/// How often a search is asked again because a document was replaced meanwhile.
const REPEATS_MAX: usize = 5;

/// What a search makes of documents that are being replaced.
#[derive(Default)]
struct Choice {
    /// Versions that are not to be found.
    left_out: Vec<Version>,
    /// Old versions that are to be found, and may be deleted any moment.
    relied_on: Vec<Version>,
}

impl Inner {
    /// A search; `None` where there is no index.
    async fn ask_search(&self, target: &Target, query: Value) -> Result<Option<Value>, IndexError> {
        let path = [target.index.as_str(), "_search"];
        let asked = self
            .client
            .ask(&target.server, Method::POST, &path, &[], Body::Json(query));
        let (status, answer) = asked.await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        // Half an answer would be taken for all there is.
        let failed = answer.pointer("/_shards/failed").and_then(Value::as_u64);
        if failed.is_some_and(|failed| failed > 0) || answer["timed_out"] == json!(true) {
            return Err(IndexError::Unavailable(
                "OpenSearch answers for a part of the index only".to_owned(),
            ));
        }
        Ok(Some(answer))
    }

    /// What a search finds; nothing where there is no index.
    async fn found(&self, target: &Target, query: Value) -> Result<Vec<Value>, IndexError> {
        let Some(mut answer) = self.ask_search(target, query).await? else {
            return Ok(Vec::new());
        };
        match answer.pointer_mut("/hits/hits").map(Value::take) {
            Some(Value::Array(hits)) => Ok(hits),
            _ => Err(IndexError::Unavailable(
                "OpenSearch's answer has no hits".to_owned(),
            )),
        }
    }

    /// Some documents of OpenSearch, at most [`IDS`].
    pub(super) async fn ids(
        &self,
        target: &Target,
        which: &Value,
    ) -> Result<Vec<body::Found>, IndexError> {
        let query = json!({"size": IDS, "_source": [body::GENERATION], "query": which});
        let hits = self.found(target, query).await?;
        Ok(hits.iter().filter_map(body::Found::of).collect())
    }

    /// How many documents of OpenSearch a query finds.
    async fn count(&self, target: &Target, which: &Value) -> Result<usize, IndexError> {
        let query = json!({"size": 0, "track_total_hits": true, "query": which});
        let answer = self.ask_search(target, query).await?.unwrap_or_default();
        let total = answer.pointer("/hits/total/value").and_then(Value::as_u64);
        Ok(usize::try_from(total.unwrap_or_default()).unwrap_or(usize::MAX))
    }

    pub(super) async fn identity(
        &self,
        target: &Target,
    ) -> Result<Option<EmbeddingIdentity>, IndexError> {
        let query = json!({"size": 1, "_source": ["outcrop"], "query": body::of(target, &[])});
        let hits = self.found(target, query).await?;
        Ok(hits.first().and_then(|hit| body::identity(&hit["_source"])))
    }

    /// The fields of the index; `None` where there is no index.
    pub(super) async fn fields(&self, target: &Target) -> Result<Option<Fields>, IndexError> {
        let path = [target.index.as_str(), "_mapping"];
        let asked = self
            .client
            .ask(&target.server, Method::GET, &path, &[], Body::Nothing);
        let (status, answer) = asked.await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        // The answer names the index behind an alias.
        let mappings = answer.as_object().and_then(|all| all.values().next());
        let fields = mappings.and_then(|index| index.pointer("/mappings/properties"));
        Ok(Some(
            fields
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        ))
    }

    pub(super) async fn search(
        &self,
        target: &Target,
        search: &Search,
    ) -> Result<Vec<Hit>, IndexError> {
        let limit = search.limit.min(RESULTS_MAX);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let fields = match &search.filter {
            // Nobody else writes there.
            _ if target.own => None,
            None => Some(Fields::new()),
            Some(_) => match self.fields(target).await? {
                Some(fields) => Some(fields),
                None => return Ok(Vec::new()),
            },
        };
        let filter = search.filter.as_ref();
        let mut choice = Choice::default();
        let mut repeats = 0;
        loop {
            let allowed = body::allowed(target, filter, fields.as_ref(), &choice.left_out);
            let mut found = self.matching(target, search, &allowed, limit).await?;
            let is_last = repeats == REPEATS_MAX;
            repeats += 1;
            if !is_last && !self.are_whole(target, &choice.relied_on).await? {
                choice = Choice::default();
                continue;
            }
            let more = self.choose(target, &found).await?;
            if more.left_out.is_empty() || is_last {
                let left_out = |hit: &Value| {
                    body::version(hit).is_some_and(|one| more.left_out.contains(&one))
                };
                found.retain(|hit| !left_out(hit));
                return Ok(best(target, &search.by, &found, limit));
            }
            choice.left_out.extend(more.left_out);
            choice.relied_on.extend(more.relied_on);
        }
    }

    /// What may be found and matches the filter.
    async fn matching(
        &self,
        target: &Target,
        search: &Search,
        allowed: &Value,
        limit: usize,
    ) -> Result<Vec<Value>, IndexError> {
        let mut asked = limit;
        loop {
            let query = match &search.by {
                SearchBy::Vector(vector) => body::neighbours(target, vector, allowed, asked),
                SearchBy::Text(text) => {
                    let words: Vec<&str> = text.split_whitespace().take(WORDS_MAX).collect();
                    body::words(target, &words.join(" "), allowed, asked)
                }
            };
            let mut found = self.found(target, query).await?;
            let is_all = found.len() < asked;
            if let Some(filter) = &search.filter {
                // Of our own documents OpenSearch finds just those that match.
                found.retain(|hit| {
                    body::version(hit).is_some()
                        || filter.matches(&body::hit(target, hit, None).metadata)
                });
            }
            if is_all || found.len() >= limit || asked >= LOOKED_MAX {
                return Ok(found);
            }
            asked = (asked * LOOKED_FACTOR).min(LOOKED_MAX);
        }
    }

    /// Chooses among the versions of each document that some hits are of: the latest that is whole. Where
    /// a later one is not whole, an old one is, for it is deleted after that.
    async fn choose(&self, target: &Target, found: &[Value]) -> Result<Choice, IndexError> {
        let mut documents: BTreeMap<_, BTreeSet<Version>> = BTreeMap::new();
        for version in found.iter().filter_map(body::version) {
            let versions = documents.entry(version.document.clone()).or_default();
            versions.insert(version);
        }
        let mut choice = Choice::default();
        for versions in documents.into_values() {
            let mut versions: Vec<Version> = versions.into_iter().collect();
            let Some(mut seen) = versions.pop() else {
                continue;
            };
            while let Some(earlier) = versions.pop() {
                if self.is_whole(target, &seen).await? {
                    choice.left_out.push(earlier);
                    break;
                }
                choice.left_out.push(std::mem::replace(&mut seen, earlier));
                if versions.is_empty() {
                    choice.relied_on.push(seen.clone());
                }
            }
            choice.left_out.extend(versions);
        }
        Ok(choice)
    }

    async fn is_whole(&self, target: &Target, version: &Version) -> Result<bool, IndexError> {
        let which = body::of_version(target, version);
        Ok(self.count(target, &which).await? >= version.chunks)
    }

    async fn are_whole(&self, target: &Target, versions: &[Version]) -> Result<bool, IndexError> {
        for version in versions {
            if !self.is_whole(target, version).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn documents(
        &self,
        target: &Target,
        data_source_id: &str,
        after: Option<&DocumentLocation>,
        limit: usize,
    ) -> Result<Vec<DocumentLocation>, IndexError> {
        let mut which = body::of(target, &[(body::SOURCE, data_source_id)]);
        if let Some(Value::Array(all)) = which.pointer_mut("/bool/filter") {
            // One for each document, or for each version of one that is being replaced.
            all.push(json!({"term": {body::NUMBER: 0}}));
        }
        let mut query = json!({
            "size": limit.min(RESULTS_MAX),
            "_source": [body::DOCUMENT],
            "sort": [{body::DOCUMENT: "asc"}],
            "query": which
        });
        if let Some(after) = after {
            query["search_after"] = json!([key::document_key(after)]);
        }
        let hits = self.found(target, query).await?;
        let key = |hit: &Value| {
            hit["_source"][body::DOCUMENT]
                .as_str()
                .and_then(key::location)
        };
        let mut documents: Vec<DocumentLocation> = hits.iter().filter_map(key).collect();
        documents.dedup();
        Ok(documents)
    }
}

/// The best of some hits, the best first.
fn best(target: &Target, by: &SearchBy, found: &[Value], limit: usize) -> Vec<Hit> {
    let question = match by {
        SearchBy::Vector(vector) => Some(vector.as_slice()),
        SearchBy::Text(_) => None,
    };
    let hits = found.iter().map(|hit| body::hit(target, hit, question));
    let mut hits: Vec<Hit> = hits.collect();
    hits.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        by_score.then_with(|| one.chunk_id.cmp(&other.chunk_id))
    });
    hits.truncate(limit);
    hits
}
